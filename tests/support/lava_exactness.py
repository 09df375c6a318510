"""Comparison of the Lava backend with the reference dynamics."""

import numpy as np

from neuroattack.encoding.constant import ConstantInput
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.dynamics import readout_potentials, simulate


def assert_exact(simulator, network, inputs):
    """Compare a recording for a raster (images, steps, size) or a constant input."""
    constant = isinstance(inputs, ConstantInput)
    given = inputs if constant else SpikeTrains.from_dense(inputs)
    recording = simulator.run(given, record_spikes=True)
    counts, spikes, potentials = expected(network, inputs)
    np.testing.assert_array_equal(recording.counts["input"], given.counts())
    assert ("input" in recording.spikes) != constant
    for name in counts:
        np.testing.assert_array_equal(recording.counts[name], counts[name], err_msg=name)
        found = recording.spikes[name].to_dense()
        np.testing.assert_array_equal(found, spikes[name], err_msg=name)
    if potentials is None:
        assert recording.potentials is None
    else:
        np.testing.assert_array_equal(recording.potentials, potentials)


def expected(network, inputs):
    """Return counts, spikes by population, and potentials or None, of the reference dynamics."""
    dense = inputs.to_dense() if isinstance(inputs, ConstantInput) else inputs
    every = [simulate(network, each) for each in dense]
    names = [population.name for population in network.populations]
    spikes = {name: np.stack([each[name] for each in every]) for name in names}
    counts = {name: each.sum(axis=1) for name, each in spikes.items()}
    quantity = network.readout_quantity
    if quantity == "spike_count":
        return counts, spikes, None
    potentials = np.stack([readout_potentials(network, each) for each in dense])
    final = quantity == "final_potential"
    return counts, spikes, potentials[:, -1] if final else potentials.max(axis=1)
