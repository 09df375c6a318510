"""Small networks, and files that were changed."""

import h5py
import numpy as np

from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.hdf5 import seal_hdf5
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection


def small_network(seed=0):
    """Return a 784-30-10 network with random weights, for 28 x 28 images."""
    rng = np.random.default_rng(seed)
    return Network(
        dt_s=1e-3,
        input=Input((28, 28), PoissonEncoder(100.0)),
        populations=(
            Population("hidden", 30, tau_m_s=5.0, threshold_v=5e-3, refractory_steps=2),
            Population("output", 10, tau_m_s=5.0, threshold_v=5e-3, refractory_steps=2),
        ),
        projections=(
            Projection.from_weights(INPUT, "hidden", rng.normal(1e-4, 1e-3, (784, 30))),
            Projection.from_weights("hidden", "output", rng.normal(5e-4, 2e-3, (30, 10))),
        ),
        readout="output",
        origin={"dataset": "digits"},
    )


def edit_hdf5(path, change):
    """Change a file of neuroattack's, and sign it again so that the change is what is judged."""
    with h5py.File(path, "r+") as file:
        change(file)
    content = bytearray(path.read_bytes())
    seal_hdf5(content)
    path.write_bytes(content)
