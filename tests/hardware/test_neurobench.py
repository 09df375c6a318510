"""NeuroBench's metrics compared with plain loops and with the package.

The comparison with the package skips where it is missing; ``.ci/run`` installs it.
"""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.neurobench_models import torch_model

from neuroattack.backends.native import NativeBackend
from neuroattack.conformance.networks import fixed_networks, inputs, networks, rasters
from neuroattack.deployment.backend import synaptic_operations
from neuroattack.deployment.features import FEATURES
from neuroattack.encoding.constant import ConstantInput
from neuroattack.encoding.encoders import DirectEncoder, PoissonEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import ValidationError
from neuroattack.hardware.energy.neurobench import (
    NeuroBenchMetrics,
    footprint_in_format,
    neurobench_metrics,
)
from neuroattack.hardware.profiles.number_format import BiasFormat, NumberFormat, StateFormat
from neuroattack.hardware.quantization.quantization import quantize
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import (
    INPUT,
    Input,
    Network,
    Population,
    Projection,
)

COUNTED = frozenset(FEATURES) - {"fixed_point", "delayed_subtraction", "potential_readout"}
EITHER = networks(max_size=12, features=COUNTED) | fixed_networks(
    max_size=12, features=frozenset({"synaptic_current", "recurrence"})
)


def rasters_of(network, dense):
    """Return the spikes of every population as arrays of shape (images, steps, size)."""
    each = [simulate(network, image) for image in dense]
    return {name: np.stack([one[name] for one in each]) for name in each[0]}


def recorded_by_native(network, signal):
    """Return the recording of a raster of input spikes, or of a constant input."""
    if not isinstance(signal, ConstantInput):
        signal = SpikeTrains.from_dense(signal)
    return NativeBackend(1).deploy(network).run(signal, record_spikes=True)


def trains_of(spikes):
    return {name: SpikeTrains.from_dense(raster) for name, raster in spikes.items()}


def counted_by_loops(network, spikes):
    """Count the input of each layer and the spikes of each population step by step."""
    images, steps, _ = spikes[INPUT].shape
    dense = acs = silent = activations = 0
    for image, step in itertools.product(range(images), range(steps)):
        for projection in network.projections:
            weights, then = projection.dense().mantissas, step - projection.delay_steps
            # Pairs of neurons that meet in a layer.
            meet = projection.with_grid(np.ones_like(projection.grid), 0).dense().mantissas
            for i, j in itertools.product(*map(range, weights.shape)):
                dense += bool(meet[i, j])
                if then >= 0 and spikes[projection.source][image, then, i] and weights[i, j] != 0:
                    acs += 1
        for population in network.populations:
            for fired in spikes[population.name][image, step]:
                activations += 1
                silent += not fired
    return dense / images, acs / images, silent / activations


@settings(max_examples=40, deadline=None)
@given(
    st.data(),
    networks(max_size=5)
    | networks(max_size=8, max_layers=2, features=COUNTED - {"direct_input"})
    | fixed_networks(max_size=5),
)
def test_the_metrics_are_those_of_plain_loops(data, network):
    spikes = rasters_of(network, data.draw(rasters(network.input.size))[:3, :12])
    metrics = neurobench_metrics(network, trains_of(spikes))
    dense, acs, sparsity = counted_by_loops(network, spikes)
    operations = metrics.as_json()["synaptic_operations_per_image"]
    assert operations["dense"] == dense
    assert operations["effective_acs"] == acs
    assert operations["effective_macs"] == 0
    assert metrics.activation_sparsity == sparsity
    zeros = [w == 0 for p in network.projections for w in p.grid.ravel()]
    assert metrics.connection_sparsity == sum(zeros) / len(zeros)


@settings(max_examples=60, deadline=None)
@given(st.data(), EITHER)
def test_late_and_arrived_operations_are_all_that_were_sent(data, network):
    recording = recorded_by_native(network, data.draw(inputs(network)))
    metrics = neurobench_metrics(network, recording.spikes, recording.counts)
    sent = synaptic_operations(network, recording)
    macs = metrics.macs + metrics.late_macs
    assert metrics.acs + metrics.late_acs + macs == sent.sum()
    assert not macs or isinstance(network.input.encoder, DirectEncoder)
    operations = metrics.as_json()["synaptic_operations_per_image"]
    parts = ("effective_acs", "effective_macs", "late")
    assert sum(operations[part] for part in parts) == pytest.approx(sent.mean())


@settings(max_examples=60, deadline=None)
@given(st.data(), EITHER)
def test_batches_join_to_the_metrics_of_all_images(data, network):
    recording = recorded_by_native(network, data.draw(inputs(network)))
    spikes, counts = recording.spikes, recording.counts
    images = len(counts[INPUT])
    cut = data.draw(st.integers(1, images))
    batches = [slice(0, cut), slice(cut, None)][: 1 + (cut < images)]
    parts = [
        neurobench_metrics(
            network,
            {name: trains[batch] for name, trains in spikes.items()},
            {name: each[batch] for name, each in counts.items()},
        )
        for batch in batches
    ]
    assert NeuroBenchMetrics.concatenate(parts) == neurobench_metrics(network, spikes, counts)


def three_neurons(**of_the_second):
    """Return a network 2 -> 3 -> 1, whose second projection has a delay of two steps."""
    return Network(
        dt_s=1e-3,
        input=Input((2,), PoissonEncoder(200.0)),
        populations=(
            Population("hidden", 3, tau_m_s=0.02, threshold_v=0.5, refractory_steps=2),
            Population("output", 1, tau_m_s=0.02, threshold_v=0.5, **of_the_second),
        ),
        projections=(
            Projection.from_weights(INPUT, "hidden", [[1.0, 0.0, 1.0], [0.0, 0.0, 0.5]]),
            Projection.from_weights("hidden", "output", [[1.0], [0.0], [0.25]], 2),
        ),
        readout="output",
    )


def without_refractory_period(network):
    populations = [replace(population, refractory_steps=0) for population in network.populations]
    return replace(network, populations=populations)


def test_metrics_of_a_network_counted_by_hand():
    network = three_neurons()
    inputs = np.zeros((1, 6, 2), bool)
    # The first neuron's spike arrives at step 1: hidden 0 and 2 spike there, and are refractory
    # to step 3. They reach the output at step 3, which spikes. The second neuron's at step 5
    # would arrive after the end.
    inputs[0, 0, 0] = inputs[0, 5, 1] = True
    metrics = neurobench_metrics(network, trains_of(rasters_of(network, inputs)))
    assert metrics == NeuroBenchMetrics(
        parameter_bytes=9 * 4 + 4 * 8 + 4 * 8,  # weights, thresholds, biases
        buffer_bytes=4 * 8 + 3 * 4 + 2 * 1 + 3 * 2,  # potentials, refractory, under way
        zero_weights=4,
        weights=9,
        spikes=3,
        activations=4 * 6,
        dense=9 * 6,
        acs=2 + 1 + 1,
        late_acs=1,
        images=1,
    )
    assert json.loads(json.dumps(metrics.as_json())) == {
        "footprint_bytes": 100 + 52,
        "connection_sparsity": 4 / 9,
        "activation_sparsity": 21 / 24,
        "synaptic_operations_per_image": {
            "dense": 54.0,
            "effective_macs": 0.0,
            "effective_acs": 4.0,
            "late": 1.0,
        },
        "images": 1,
    }


def test_a_network_without_weights_has_no_connection_sparsity():
    network = replace(three_neurons(), projections=())
    metrics = neurobench_metrics(network, trains_of(rasters_of(network, np.ones((1, 3, 2), bool))))
    assert metrics.connection_sparsity is None
    assert metrics.acs == 0


def test_bits_in_a_format_counted_by_hand():
    chip = NumberFormat(
        "Made-up",
        weight_bits=5,
        state=StateFormat(-8, 7),
        threshold_bits=3,
        bias=BiasFormat(4, 2),
        refractory_steps=(0, 62),
    )
    bits = footprint_in_format(three_neurons(bias_v=0.1), chip)
    # Only the output has a bias, only hidden neurons have a refractory period.
    assert bits == {
        "weight_bits": 9 * 5,
        "potential_bits": 4 * 4,
        "threshold_bits": 4 * 3,
        "bias_bits": 1 * 4 + 2,
        "refractory_bits": 3 * 6,
        "total_bits": 97,
        "known_bits": 97,
    }


def unknown(bits):
    return {name for name, value in bits.items() if value is None}


def test_what_a_format_does_not_say_is_unknown():
    bits = footprint_in_format(three_neurons(bias_v=0.1), NumberFormat("Made-up", weight_bits=5))
    parts = ("potential_bits", "threshold_bits", "bias_bits", "refractory_bits")
    assert unknown(bits) == {*parts, "total_bits"}
    assert bits["known_bits"] == 45
    bits = footprint_in_format(without_refractory_period(three_neurons()), NumberFormat("Made-up"))
    assert unknown(bits) == {"weight_bits", "potential_bits", "threshold_bits", "total_bits"}


LOIHI = NumberFormat(
    "Loihi's",
    weight_bits=8,
    mixed_weight_step=2,
    weight_exponents=(-7, 7),
    state=StateFormat(-(2**23) + 1, 2**23 - 1, shift=6, leak_bits=12),
    threshold_bits=17,
    bias=BiasFormat(13, 3),
    refractory_steps=(0, 62),
    delay_steps=(1, 62),
)


def test_loihi_holds_a_rounded_network_in_fewer_bits():
    network = quantize(three_neurons(), LOIHI).network
    bits = footprint_in_format(network, LOIHI)
    found = [bits[f"{name}_bits"] for name in ("weight", "potential", "threshold")]
    assert found == [9 * 8, 4 * 24, 4 * 17]
    metrics = neurobench_metrics(network, trains_of(rasters_of(network, np.ones((1, 3, 2), bool))))
    # Thresholds, biases and potentials have 4 bytes in fixed point.
    assert metrics.footprint_bytes == 9 * 4 + 4 * 4 + 4 * 4 + 4 * 4 + 3 * 4 + 2 + 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("hidden"), "spikes of hidden: got none"),
        (
            lambda s: s.update(output=s["hidden"]),
            r"spikes of output: got .* = \(2, 3, 3\), expected \(2, 3, 1\)",
        ),
        (
            lambda s: s.update(hidden=s["hidden"][:1]),
            r"spikes of hidden: got .* = \(1, 3, 3\), expected \(2, 3, 3\)",
        ),
        (
            lambda s: s.update({n: t[:0] for n, t in s.items()}),
            "recorded spikes: got 0 images of 3 steps",
        ),
    ],
)
def test_spikes_of_another_run_are_refused(change, message):
    spikes = trains_of(rasters_of(three_neurons(), np.ones((2, 3, 2), bool)))
    change(spikes)
    with pytest.raises(ValidationError, match=message):
        neurobench_metrics(three_neurons(), spikes)


@settings(max_examples=25, deadline=None)
@given(st.data(), EITHER, st.integers(1, 3))
def test_the_metrics_are_those_of_the_package(data, network, batch):
    pytest.importorskip("torch")
    pytest.importorskip("snntorch")
    pytest.importorskip("neurobench")
    import torch
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.static import ConnectionSparsity, Footprint
    from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
    from neurobench.models import TorchModel

    signal = data.draw(inputs(network))
    dense = signal.to_dense() if isinstance(signal, ConstantInput) else signal
    recording = recorded_by_native(network, signal)
    spikes = recording.spikes
    ours = neurobench_metrics(network, spikes, recording.counts)

    module, neurons = torch_model(network)
    model = TorchModel(module)
    model.add_activation_module(neurons)
    images = torch.tensor(dense, dtype=torch.float32)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(images, torch.zeros(len(images))), batch_size=batch
    )
    theirs = Benchmark(
        model,
        loader,
        [],
        [],
        [[Footprint, ConnectionSparsity], [ActivationSparsity, SynapticOperations]],
    ).run(quiet=True)

    fired = module(images).numpy()
    np.testing.assert_array_equal(fired, spikes[network.readout].to_dense())
    assert theirs["Footprint"] == ours.footprint_bytes
    # The package divides in 32 bits and rounds the result.
    assert theirs["ConnectionSparsity"] == round(float(np.float32(ours.connection_sparsity)), 4)
    assert theirs["ActivationSparsity"] == pytest.approx(ours.activation_sparsity, abs=1e-12)
    operations = ours.as_json()["synaptic_operations_per_image"]
    found = theirs["SynapticOperations"]
    assert found["Dense"] == operations["dense"]
    effective = operations["effective_macs"], operations["effective_acs"]
    # Intensities that are all 0 or 1 in a batch are spikes for the package.
    assert found["Effective_MACs"] + found["Effective_ACs"] == pytest.approx(sum(effective))
    assert found["Effective_MACs"] <= effective[0]
    if not isinstance(signal, ConstantInput):
        assert (found["Effective_MACs"], found["Effective_ACs"]) == effective
