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


def at_the_threshold(source):
    """Return a network of neurons that spike only if their bias is added last, or only if not.

    Three neurons spike together. Without memory, the potential is the sum of their weights and the
    bias, and the threshold lies between the values of that sum when it is rounded in two orders.
    """
    rng = np.random.default_rng(4)
    weights = rng.integers(1, 2**20, (3, 8000)) / 2**20
    bias = rng.uniform(0.1, 1, 8000)
    last = weights.sum(axis=0) + bias
    orders = [(0, 1, 2), (1, 0, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0), (2, 0, 1)]
    first = np.array([((bias + weights[i]) + weights[j]) + weights[k] for i, j, k in orders])
    chosen = np.flatnonzero((first == first[0]).all(axis=0) & (first[0] != last))[:60]
    assert len(chosen) == 60
    threshold = np.minimum(first[0], last)[chosen]
    neurons = Population("second", 60, 1e-9, threshold, bias_v=bias[chosen])
    projection = Projection.from_weights(source, "second", weights[:, chosen])
    relay = Population("first", 3, 1e-9, 0.5)
    ones = Projection(INPUT, "first", np.eye(3, dtype=int), 0)
    return Network(
        1e-3, Input((3,), PoissonEncoder(100.0)), (relay, neurons), (ones, projection), "second"
    )


def edit_hdf5(path, change):
    """Change a file of neuroattack's, and sign it again so that the change is what is judged."""
    with h5py.File(path, "r+") as file:
        change(file)
    content = bytearray(path.read_bytes())
    seal_hdf5(content)
    path.write_bytes(content)
