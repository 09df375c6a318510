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
from neuroattack.conformance.networks import fixed_networks, networks, rasters
from neuroattack.deployment.backend import Recording, synaptic_operations
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import ValidationError
from neuroattack.hardware.energy.neurobench import (
    NeuroBenchMetrics,
    footprint_in_format,
    neurobench_metrics,
)
from neuroattack.hardware.profiles.number_format import BiasFormat, NumberFormat, StateFormat
from neuroattack.hardware.quantization.quantization import quantize
from neuroattack.ir.dynamics import simulate, update_fixed
from neuroattack.ir.network import INPUT, FixedPopulation, Input, Network, Population, Projection

EITHER = st.one_of(networks(max_size=12), fixed_networks(max_size=12))


def rasters_of(network, dense):
    """Return the spikes of every population as arrays of shape (images, steps, size)."""
    each = [simulate(network, image) for image in dense]
    return {name: np.stack([one[name] for one in each]) for name in each[0]}


def trains_of(spikes):
    return {name: SpikeTrains.from_dense(raster) for name, raster in spikes.items()}


def counted_by_loops(network, spikes):
    """Count the input of each layer and the spikes of each population step by step."""
    images, steps, _ = spikes[INPUT].shape
    dense = acs = silent = activations = 0
    for image, step in itertools.product(range(images), range(steps)):
        for projection in network.projections:
            weights, then = projection.weights_v, step - projection.delay_steps
            for i, j in itertools.product(*map(range, weights.shape)):
                dense += 1
                if then >= 0 and spikes[projection.source][image, then, i] and weights[i, j] != 0:
                    acs += 1
        for population in network.populations:
            for fired in spikes[population.name][image, step]:
                activations += 1
                silent += not fired
    return dense / images, acs / images, silent / activations


@settings(max_examples=40, deadline=None)
@given(st.data(), st.one_of(networks(max_size=5), fixed_networks(max_size=5)))
def test_the_metrics_are_those_of_plain_loops(data, network):
    spikes = rasters_of(network, data.draw(rasters(network.input.size))[:3, :12])
    metrics = neurobench_metrics(network, trains_of(spikes))
    dense, acs, sparsity = counted_by_loops(network, spikes)
    operations = metrics.as_json()["synaptic_operations_per_image"]
    assert operations["dense"] == dense
    assert operations["effective_acs"] == acs
    assert operations["effective_macs"] == 0
    assert metrics.activation_sparsity == sparsity
    zeros = [w == 0 for p in network.projections for w in p.weights_v.ravel()]
    assert metrics.connection_sparsity == sum(zeros) / len(zeros)


@settings(max_examples=60, deadline=None)
@given(st.data(), EITHER)
def test_late_and_arrived_operations_are_all_that_were_sent(data, network):
    spikes = trains_of(rasters_of(network, data.draw(rasters(network.input.size))))
    metrics = neurobench_metrics(network, spikes)
    recording = Recording({name: trains.counts() for name, trains in spikes.items()}, spikes)
    sent = synaptic_operations(network, recording)
    assert metrics.acs + metrics.late_acs == sent.sum()
    operations = metrics.as_json()["synaptic_operations_per_image"]
    assert operations["effective_acs"] + operations["late"] == pytest.approx(sent.mean())


@settings(max_examples=60, deadline=None)
@given(st.data(), EITHER)
def test_batches_join_to_the_metrics_of_all_images(data, network):
    inputs = SpikeTrains.from_dense(data.draw(rasters(network.input.size)))
    spikes = NativeBackend(1).deploy(network).run(inputs, record_spikes=True).spikes
    cut = data.draw(st.integers(1, len(inputs)))
    batches = [slice(0, cut), slice(cut, None)][: 1 + (cut < len(inputs))]
    parts = [
        neurobench_metrics(network, {name: trains[batch] for name, trains in spikes.items()})
        for batch in batches
    ]
    assert NeuroBenchMetrics.concatenate(parts) == neurobench_metrics(network, spikes)


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

    class Layer(torch.nn.Linear):
        """Linear layer with 4-byte weights and exact sums in 8 bytes."""

        def __init__(self, projection):
            super().__init__(*projection.mantissas.shape, bias=False)
            weights = torch.tensor(projection.weights_v.T, dtype=torch.float32)
            assert (weights.double().numpy() == projection.weights_v.T).all()
            self.weight = torch.nn.Parameter(weights, requires_grad=False)

        def forward(self, spikes):
            return torch.nn.functional.linear(spikes.double(), self.weight.double())

    class Neurons(torch.nn.Module):
        """Population with its state between steps as buffers."""

        def __init__(self, population):
            super().__init__()
            self.population = population
            if isinstance(population, FixedPopulation):
                threshold, bias = population.threshold, population.bias
            else:
                threshold, bias = population.threshold_v, population.bias_v
            self.threshold = torch.nn.Parameter(torch.tensor(threshold), requires_grad=False)
            self.bias = torch.nn.Parameter(torch.tensor(bias), requires_grad=False)
            self.register_buffer("v", torch.zeros_like(self.threshold))
            if population.refractory_steps:
                self.register_buffer("wait", torch.zeros(population.size, dtype=torch.int32))

        def start(self, images):
            self.v = self.v.new_zeros(images, self.population.size)
            if self.population.refractory_steps:
                self.wait = self.wait.new_zeros(images, self.population.size)

        def forward(self, current):
            p, v = self.population, self.v
            if isinstance(p, FixedPopulation):
                reset = 0
                updated = torch.from_numpy(update_fixed(v.double().numpy(), current.numpy(), p))
                updated = updated.to(v.dtype)
            else:
                reset = p.reset_v
                updated = v * p.decay(network.dt_s) + (current + self.bias)
            ready = self.wait == 0 if p.refractory_steps else torch.ones_like(v, dtype=torch.bool)
            v = torch.where(ready, updated, torch.full_like(v, reset))
            fired = ready & (v > self.threshold)
            self.v = torch.where(fired, torch.full_like(v, reset), v)
            if p.refractory_steps:
                self.wait = torch.where(fired, p.refractory_steps, (self.wait - 1).clamp(min=0))
            return fired.float()

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList(Layer(p) for p in network.projections)
            self.neurons = torch.nn.ModuleDict({p.name: Neurons(p) for p in network.populations})
            for name, size in [(INPUT, network.input.size)] + [
                (p.name, p.size) for p in network.populations
            ]:
                longest = max((p.delay_steps for p in network.outgoing(name)), default=0)
                if longest:
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
                        if p.target == name:
                            ring = sent[p.source]
                            current += layer(ring[(k - p.delay_steps) % len(ring)].float())
                    fired[name] = neurons(current)
                for name, ring in sent.items():
                    ring[k % len(ring)] = fired[name].bool()
                answers.append(fired[network.readout])
            return torch.stack(answers, dim=1)

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

    dense = data.draw(rasters(network.input.size))
    inputs = SpikeTrains.from_dense(dense)
    spikes = NativeBackend(1).deploy(network).run(inputs, record_spikes=True).spikes
    ours = neurobench_metrics(network, spikes)

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
    assert theirs["SynapticOperations"] == {
        "Dense": operations["dense"],
        "Effective_MACs": operations["effective_macs"],
        "Effective_ACs": operations["effective_acs"],
    }
