"""Networks as torch modules, and as models of NeuroBench's harness."""

import numpy as np
import pytest

from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.ir.dynamics import update_current_fixed, update_fixed
from neuroattack.ir.network import INPUT, Convolution, FixedPopulation


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
        """Population with its state between steps as buffers.

        The hooks of the package read `mem`, `init_hidden` and `output` of snnTorch's neurons.
        """

        init_hidden, output = True, False

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

        @property
        def mem(self):
            return self.v

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


def benchmark_model(network):
    """Return the network as a NeuroBenchModel, whose neurons count as spiking neurons."""
    pytest.importorskip("snntorch")
    models = pytest.importorskip("neurobench.models")
    module, neurons = torch_model(network)

    class Model(models.NeuroBenchModel):
        def __init__(self):
            super().__init__()
            self.add_activation_module(neurons)

        def __call__(self, batch):
            return module(batch)

        def __net__(self):
            return module

        def register_hooks(self):
            super().register_hooks()
            for hook in self.activation_hooks:
                hook.spiking = True

    return Model()
