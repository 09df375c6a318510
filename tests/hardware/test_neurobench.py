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
from neuroattack.ir.dynamics import simulate, update_current_fixed, update_fixed
from neuroattack.ir.network import (
    INPUT,
    Convolution,
    FixedPopulation,
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


def torch_model(network):
    """Return the network as a torch module, and the class of its activation layers."""
    torch = pytest.importorskip("torch")

    def of_weights(projection, weights):
        exact = torch.tensor(weights, dtype=torch.float32)
        assert (exact.double().numpy() == weights).all()
        return torch.nn.Parameter(exact, requires_grad=False)

    class Dense(torch.nn.Linear):
        """Linear layer with 4-byte weights and exact sums in 8 bytes."""

        def __init__(self, projection):
            super().__init__(*projection.shape, bias=False)
            self.weight = of_weights(projection, projection.weights_v.T)

        def forward(self, spikes):
            return torch.nn.functional.linear(spikes.double(), self.weight.double())

    class Kernel(torch.nn.Conv2d):
        """Convolution of flat spikes, likewise."""

        def __init__(self, projection):
            channels, sources, *size = projection.kernel.shape
            super().__init__(sources * projection.groups, channels, tuple(size),
                             groups=projection.groups, bias=False)  # fmt: skip
            self.weight = of_weights(projection, projection.grid_v)
            self.of = projection

        def forward(self, spikes):
            (top, bottom), (left, right) = self.of.padding
            padded = torch.nn.functional.pad(
                spikes.double().reshape(-1, *self.of.source_shape), (left, right, top, bottom)
            )
            found = torch.nn.functional.conv2d(
                padded, self.weight.double(), stride=self.of.stride,
                dilation=self.of.dilation, groups=self.of.groups,
            )  # fmt: skip
            return found.reshape(len(found), -1)

    class Neurons(torch.nn.Module):
        """Population with its state between steps as buffers."""

        def __init__(self, population):
            super().__init__()
            self.population = population
            self.fixed = isinstance(population, FixedPopulation)
            if self.fixed:
                parameters = [population.threshold, population.bias]
            else:
                parameters = [population.threshold_v, population.bias_v]
                if population.current_bias_v.any():
                    parameters.append(population.current_bias_v)
            self.parameters_ = torch.nn.ParameterList(
                torch.nn.Parameter(torch.tensor(each), requires_grad=False) for each in parameters
            )
            self.register_buffer("v", torch.zeros_like(self.parameters_[0]))
            if population.has_current:
                self.register_buffer("u", torch.zeros_like(self.parameters_[0]))
            if np.any(population.refractory_steps):
                self.register_buffer("wait", torch.zeros(population.size, dtype=torch.int32))

        def start(self, images):
            for name, buffer in self.named_buffers():
                setattr(self, name, buffer.new_zeros(images, self.population.size))

        def forward(self, current):
            # The dynamics are those of the reference, so that only the counting is compared.
            p, v = self.population, self.v.double().numpy()
            drive = current.numpy()
            if self.fixed:
                before = self.u.double().numpy() if p.has_current else np.zeros(drive.shape)
                drive = update_current_fixed(before, drive, p)
                if p.has_current:
                    self.u = torch.from_numpy(drive).to(self.u.dtype)
            elif p.has_current:
                before = self.u.numpy()
                after = before * p.current_decay(network.dt_s) + (drive + p.current_bias_v)
                drive = before if p.input_after_update else after
                self.u = torch.from_numpy(after)
            if self.fixed:
                updated, threshold, reset = update_fixed(v, drive, p), p.threshold, 0
            else:
                updated = v * p.decay(network.dt_s) + (drive + p.bias_v)
                threshold, reset = p.strict_threshold_v, p.reset_v
            waiting = np.zeros(v.shape, bool)
            if np.any(p.refractory_steps):
                waiting = self.wait.numpy() > 0
            v = np.where(waiting, v, updated)
            fired = ~waiting & (v > threshold)
            subtracts = not self.fixed and p.reset == "subtract"
            v = np.where(fired, v - reset if subtracts else reset, v)
            self.v = torch.from_numpy(v).to(self.v.dtype)
            if np.any(p.refractory_steps):
                wait = np.where(fired, p.refractory_steps, np.maximum(self.wait.numpy() - 1, 0))
                self.wait = torch.from_numpy(wait).to(self.wait.dtype)
            return torch.from_numpy(fired).float()

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList(
                Kernel(p) if isinstance(p, Convolution) else Dense(p) for p in network.projections
            )
            self.neurons = torch.nn.ModuleDict({p.name: Neurons(p) for p in network.populations})
            for name, size in network.sizes.items():
                longest = max((p.delay_steps for p in network.outgoing(name)), default=0)
                # The intensities of direct coding are the same in every step.
                if longest and not (direct and name == INPUT):
                    self.register_buffer(f"{name}_sent", torch.zeros(longest, size, dtype=bool))

        def forward(self, inputs):
            images, steps, _ = inputs.shape
            for neurons in self.neurons.values():
                neurons.start(images)
            sent = {
                name.removesuffix("_sent"): buffer.new_zeros(len(buffer), images, buffer.shape[-1])
                for name, buffer in self.named_buffers(recurse=False)
            }
            answers = []
            for k in range(steps):
                fired = {INPUT: inputs[:, k]}
                for name, neurons in self.neurons.items():
                    current = torch.zeros(images, neurons.population.size, dtype=torch.float64)
                    for layer, p in zip(self.layers, network.projections, strict=True):
                        if p.target != name:
                            continue
                        if p.delay_steps == 0:
                            arriving = fired[p.source]
                        elif direct and p.source == INPUT:
                            arriving = inputs[:, k] * (k >= p.delay_steps)
                        else:
                            ring = sent[p.source]
                            arriving = ring[(k - p.delay_steps) % len(ring)].float()
                        current += layer(arriving)
                    fired[name] = neurons(current)
                for name, ring in sent.items():
                    ring[k % len(ring)] = fired[name].bool()
                answers.append(fired[network.readout])
            return torch.stack(answers, dim=1)

    direct = isinstance(network.input.encoder, DirectEncoder)
    return Model(), Neurons


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
