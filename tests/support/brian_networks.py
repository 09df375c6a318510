"""Networks for the tests of the Brian2 backend, and the comparison with the plain dynamics."""

import numpy as np

from neuroattack.encoding.constant import ConstantInput
from neuroattack.encoding.encoders import DirectEncoder, PoissonEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.dynamics import readout_potentials, simulate
from neuroattack.ir.network import (
    INPUT,
    Convolution,
    FixedPopulation,
    Input,
    Network,
    Population,
    Projection,
)


def assert_exact(simulator, network, given):
    """Compare with the plain dynamics, for a raster (images, steps, size) or a constant input.

    Counts, spikes and potentials of the readout must be equal.
    """
    inputs = given if isinstance(given, ConstantInput) else SpikeTrains.from_dense(given)
    recording = simulator.run(inputs, record_spikes=True)
    np.testing.assert_array_equal(recording.counts[INPUT], inputs.counts())
    spikes, potentials = {}, []
    for each in inputs.to_dense():
        for name, expected in simulate(network, each).items():
            spikes.setdefault(name, []).append(expected)
        potentials.append(readout_potentials(network, each))
    assert set(recording.spikes) == set(spikes)
    for name, expected in spikes.items():
        found = recording.spikes[name].to_dense()
        np.testing.assert_array_equal(found, np.array(expected), err_msg=name)
        np.testing.assert_array_equal(recording.counts[name], np.sum(expected, axis=1))
    if network.readout_quantity == "spike_count":
        assert recording.potentials is None
    else:
        expected = np.array(potentials)
        expected = (
            expected[:, -1]
            if network.readout_quantity == "final_potential"
            else expected.max(axis=1)
        )
        np.testing.assert_array_equal(recording.potentials, expected)


def chain(*, delays=(1, 1), dt_s=1e-3, size=3, **changes):
    """Return input, hidden and output whose neurons each pass on the spikes of one."""
    fields = {"tau_m_s": 0.02, "threshold_v": 0.5} | changes
    names = (INPUT, "hidden", "output")
    return Network(
        dt_s=dt_s,
        input=Input((size,), PoissonEncoder(0.5 / dt_s)),
        populations=tuple(Population(name, size, **fields) for name in names[1:]),
        projections=tuple(
            Projection.from_weights(names[i], names[i + 1], np.eye(size) * 0.625, delays[i])
            for i in range(2)
        ),
        readout="output",
    )


def fixed_neuron():
    """Return a network in fixed point, of one pixel and one neuron."""
    return Network(
        dt_s=1e-3,
        input=Input((1,), PoissonEncoder(100.0)),
        populations=(FixedPopulation("output", 1, leak=10, threshold=5),),
        projections=(Projection(INPUT, "output", np.ones((1, 1), np.int32), 0),),
        readout="output",
    )


def feed_forward():
    """Return a feed-forward network with delays, biases and refractory periods of all kinds."""
    rng = np.random.default_rng(3)

    def weights(*shape):
        drawn = np.round(rng.normal(0.1, 0.4, shape) * 8) / 8
        return np.where(rng.random(shape) < 0.2, 0, drawn)

    return Network(
        dt_s=1e-3,
        input=Input((8, 9), PoissonEncoder(200.0)),
        populations=(
            # Each named as Brian2 names a part of the one before.
            Population("a", 17, tau_m_s=0.02, threshold_v=rng.integers(1, 9, 17) / 8),
            Population("a_thresholder", 5, float("inf"), 1.0, 0.03, refractory_steps=4),
            Population(
                "alone",
                4,
                tau_m_s=5.0,
                threshold_v=0.25,
                bias_v=[0.3, 0.1, 0.01, -1.0],
                reset_v=-0.5,
                refractory_steps=30,
            ),
            Population("output", 6, 1e-3, 0.5, rng.normal(0, 0.1, 6), -0.25, refractory_steps=1),
        ),
        projections=(
            Projection.from_weights(INPUT, "a", weights(72, 17)),
            Projection.from_weights(INPUT, "a_thresholder", weights(72, 5), 7),
            Projection.from_weights("a", "a_thresholder", weights(17, 5), 10_000),
            Projection.from_weights("a", "output", weights(17, 6), 2),
            Projection.from_weights("a", "output", weights(17, 6), 39),
            Projection.from_weights("a_thresholder", "output", weights(5, 6)),
            Projection.from_weights("alone", "output", weights(4, 6), 3),
            Projection.from_weights(INPUT, "output", np.zeros((72, 6))),
        ),
        readout="output",
    )


def mixed_rasters(network, steps, images=7):
    """Return rasters (images, steps, size): saturated, silent and in between, in turns."""
    rng = np.random.default_rng(5)
    density = np.resize([1.0, 0.0, 0.3, 1.0, 0.05], images)
    shape = (images, steps, network.input.size)
    return rng.random(shape) < density[:, None, None]


def every_feature(*, direct=False, quantity="final_potential"):
    """Return a network with every feature that networks in version 0.1 do not have."""
    rng = np.random.default_rng(4)

    def weights(*shape):
        return np.round(rng.normal(0.1, 0.4, shape) * 64) / 64

    return Network(
        dt_s=1e-3,
        input=Input((2, 5, 4), DirectEncoder(8) if direct else PoissonEncoder(200.0)),
        populations=(
            Population(
                "map",
                24,
                tau_m_s=rng.choice([1e-3, 0.02, np.inf], 24),
                threshold_v=rng.integers(1, 9, 24) / 8,
                refractory_steps=rng.integers(0, 4, 24),
                reset="subtract",
                comparison="inclusive",
            ),
            Population(
                "current",
                7,
                tau_m_s=0.02,
                threshold_v=0.75,
                bias_v=rng.normal(0, 0.05, 7),
                reset="subtract_next",
                tau_syn_s=rng.choice([0.0, 2e-3, 0.02], 7),
                current_bias_v=0.03125,
            ),
            Population(
                "late",
                6,
                tau_m_s=5.0,
                threshold_v=0.5,
                reset_v=-rng.random(6),
                refractory_steps=2,
                tau_syn_s=5e-3,
                input_after_update=True,
            ),
            Population("output", 5, 0.02, np.inf, bias_v=-0.015625),
        ),
        projections=(
            Convolution.from_weights(
                INPUT, "map", weights(4, 1, 2, 2), (2, 5, 4), stride=(2, 1), groups=2, delay_steps=0
            ),
            Projection.from_weights(INPUT, "current", weights(40, 7), 2),
            Projection.from_weights(INPUT, "current", weights(40, 7), 3),
            Projection.from_weights("map", "current", weights(24, 7), 0),
            Projection.from_weights("current", "current", weights(7, 7), 1),
            Projection.from_weights("current", "late", weights(7, 6), 0),
            Projection.from_weights("late", "map", weights(6, 24), 3),
            Projection.from_weights("late", "output", weights(6, 5), 0),
            Projection.from_weights("map", "output", weights(24, 5), 1),
        ),
        readout="output",
        readout_quantity=quantity,
    )


def mixed_inputs(network, steps, images=7):
    """Return a raster as above, or a constant input with direct coding."""
    if not isinstance(network.input.encoder, DirectEncoder):
        return mixed_rasters(network, steps, images)
    rng = np.random.default_rng(6)
    bits = network.input.encoder.bits
    values = rng.integers(0, 2**bits + 1, (images, network.input.size))
    values[::3] = 0
    return ConstantInput(values.astype(np.int32), -bits, steps)
