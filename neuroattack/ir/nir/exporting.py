"""Export of networks as NIR graphs, written with the package nir."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import BackendUnavailableError, UnsupportedFeatureError
from neuroattack.files import atomic_path
from neuroattack.ir.network import (
    INPUT,
    Convolution,
    FixedPopulation,
    Network,
    Population,
)
from neuroattack.ir.nir.settings.losses import Losses
from neuroattack.ir.nir.settings.metadata import graph_metadata, neuron_metadata
from neuroattack.ir.nir.settings.reading import Arrival
from neuroattack.ir.values import span

__all__ = ["export_nir"]

# Not an identifier, hence not the name of a population.
_OUTPUT = "network-output"

Shape = tuple[int, ...]
Values = NDArray[np.float64]


def export_nir(
    path: str | os.PathLike[str], network: Network, *, allow_lossy: bool = False
) -> tuple[str, ...]:
    """Write a floating-point network as a NIR file, atomically.

    The file must be read with integration ``hold`` and times in seconds
    (:class:`neuroattack.ir.nir.reading.Reading`). Its metadata contain these settings and
    everything else that NIR does not define. Importing the file with them gives a network that is
    spike-for-spike identical.

    Parameters
    ----------
    path : path
        File to write.
    network : Network
        Network in floating point.
    allow_lossy : bool, optional
        Whether to export networks with features that NIR does not define, such as a refractory
        period or a reset by subtraction, and that other tools will ignore.

    Returns
    -------
    tuple of str
        Features that other tools will ignore.

    Raises
    ------
    UnsupportedFeatureError
        If a feature of the network cannot be exported, or only with losses and these are not
        allowed.
    BackendUnavailableError, OutputError
        If the package nir is not installed, or the file cannot be written.
    """
    try:
        import nir
    except ImportError as error:
        raise BackendUnavailableError(
            "NIR export needs the package nir: pip install 'neuroattack[nir]'"
        ) from error
    losses = Losses(allow_lossy)
    graph = _Export(nir, network, losses).graph()
    with atomic_path(path) as temporary:
        nir.write(temporary, graph)
    return tuple(losses.listed)


class _Export:
    def __init__(self, nir: Any, network: Network, losses: Losses) -> None:
        self.nir = nir
        self.network = network
        self.losses = losses
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        # Neurons that never spike have no effect on others.
        silent = {p.name for p in network.populations if isinstance(p, Population) and not p.spikes}
        self.projections = [p for p in network.projections if p.source not in silent]
        delays = [projection.delay_steps for projection in self.projections]
        self.arrival: Arrival = "next-step" if min(delays, default=1) else "same-step"
        self.shapes = self._shapes()

    def graph(self) -> Any:
        """Return the network as a graph of the package nir."""
        shape = np.array(self.shapes[INPUT])
        self.nodes[INPUT] = self.nir.Input(input_type={"input": shape})
        for population in self.network.populations:
            if isinstance(population, FixedPopulation):
                raise UnsupportedFeatureError(
                    f"population {population.name!r} is in fixed point, which NIR does not "
                    "support; expected a network in floating point"
                )
            self._population(population)
        self.nodes[_OUTPUT] = self.nir.Output(
            output_type={"output": np.array([self.network.classes])}
        )
        self.edges.append((self._flat(self.network.readout), _OUTPUT))
        metadata = graph_metadata(self.network, self.arrival)
        return self.nir.NIRGraph(self.nodes, self.edges, metadata=metadata)

    def _shapes(self) -> dict[str, Shape]:
        """Return the shapes of all populations: those of convolutions, where these agree.

        Convolutions that do not fit, or that NIR does not define, become dense projections.
        """
        # NIR does not define how to give a shape to the output of a dense projection.
        flat = {p.name for p in self.network.populations} - {
            p.target for p in self.projections if isinstance(p, Convolution)
        }
        flat |= {p.target for p in self.projections if not isinstance(p, Convolution)}
        shapes: dict[str, Shape] = {}
        kept: dict[int, Convolution] = {}
        for number, projection in enumerate(self.projections):
            if not isinstance(projection, Convolution):
                continue
            ends = {
                projection.source: projection.source_shape,
                projection.target: projection.target_shape,
            }
            fits = all(shapes.get(name, shape) == shape for name, shape in ends.items())
            if (
                fits
                and len(ends) == 2
                and self._bias_of_channels(projection)
                and self._is_defined(projection)
            ):
                shapes |= ends
                kept[number] = projection
            else:
                flat.add(projection.target)
        while any({each.source, each.target} & flat for each in kept.values()):
            for number, each in list(kept.items()):
                if {each.source, each.target} & flat:
                    flat.add(kept.pop(number).target)
        for number, projection in enumerate(self.projections):
            if number not in kept:
                self.projections[number] = projection.dense()
        shaped = {name for each in kept.values() for name in (each.source, each.target)}
        return {
            INPUT: self.network.input.shape,
            **{p.name: (p.size,) for p in self.network.populations},
            **{name: shape for name, shape in shapes.items() if name in shaped},
        }

    def _is_defined(self, projection: Convolution) -> bool:
        """Return whether NIR has this convolution, and the package nir finds its shapes."""
        if any(before != after or before < 0 for before, after in projection.padding):
            return False
        node = self._convolution(projection, None)
        # nir 1.0.8 takes all kernels to be square.
        return bool(
            tuple(node.input_type["input"]) == projection.source_shape
            and tuple(node.output_type["output"]) == projection.target_shape
        )

    def _bias_of_channels(self, projection: Convolution) -> bool:
        target = self.network.population(projection.target)
        if isinstance(target, FixedPopulation):
            return False
        bias = _constant(target).reshape(len(projection.kernel), -1)
        return bool((bias == bias[:, :1]).all())

    def _population(self, population: Population) -> None:
        self._check(population)
        shape = self.shapes[population.name]
        dt_s = self.network.dt_s
        leak = 1 - population.decay(dt_s)
        values: dict[str, Any] = {"r": 1 / (leak if leak.any() else np.full(leak.shape, dt_s))}
        if population.spikes:
            reset = population.reset_v if population.reset == "value" else np.zeros(leak.shape)
            values |= {"v_threshold": population.threshold_v, "v_reset": reset}
        if _has_current(population):
            values |= {
                "tau_mem": population.tau_m_s,
                "tau_syn": population.tau_syn_s,
                "w_in": 1 / (1 - population.current_decay(dt_s)),
            }
        elif leak.any():
            values["tau"] = population.tau_m_s
        if leak.any():
            values["v_leak"] = np.zeros(leak.shape)
        kind = "I" if not leak.any() else "CubaLI" if _has_current(population) else "LI"
        self.nodes[population.name] = getattr(self.nir, kind + "F" * population.spikes)(
            **{field: value.reshape(shape) for field, value in values.items()},
            metadata=neuron_metadata(population),
        )
        self._incoming(population, _constant(population))

    def _check(self, population: Population) -> None:
        """Raise UnsupportedFeatureError, or list losses, for what NIR does not define."""
        me = f"population {population.name!r}"
        leak = 1 - population.decay(self.network.dt_s)
        finite = np.isfinite(population.threshold_v)
        for wrong, what in (
            (leak.any() and not leak.all(), "neurons with and without leak"),
            (finite.any() and not finite.all(), "neurons that spike and neurons that never do"),
            (
                _has_current(population) and not leak.all(),
                "a synaptic current, but no leak of the potential",
            ),
            (
                population.has_current
                and population.bias_v.any()
                and (_has_current(population) or population.current_bias_v.any()),
                "biases of the synaptic current and of the potential",
            ),
        ):
            if wrong:
                raise UnsupportedFeatureError(f"{me} has {what}, which NIR does not support")
        for used, what in (
            (
                population.refractory_steps.any() and population.spikes,
                f"a refractory period of {span(population.refractory_steps)} steps",
            ),
            (population.reset != "value" and population.spikes, "a reset by subtraction"),
            (
                population.comparison != "strict" and population.spikes,
                "spikes at potentials equal to the threshold",
            ),
            (population.input_after_update, "input that enters the current after the potential"),
        ):
            if used:
                self.losses.add(
                    f"{me} has {what}, which NIR does not support",
                    "stored in the file's metadata only, which other tools ignore",
                )

    def _incoming(self, population: Population, constant: Values) -> None:
        bias = constant if constant.any() else None
        projections = [p for p in self.projections if p.target == population.name]
        # A bias per neuron needs a dense projection; of these, the first.
        projections.sort(key=lambda projection: isinstance(projection, Convolution))
        for number, projection in enumerate(projections):
            source = self._after_delay(projection.source, projection.delay_steps)
            name = f"{projection.source}-to-{population.name}-{number}"
            if isinstance(projection, Convolution):
                self._connect(name, source, population.name, self._convolution(projection, bias))
            else:
                source = self._flat(source)
                self._linear(name, source, population.name, projection.grid_v.T, bias)
            bias = None
        if bias is not None or not projections:
            # NIR requires an incoming edge for every node of neurons.
            nothing = np.zeros((population.size, self.network.input.size))
            name = f"{INPUT}-to-{population.name}-none"
            self._linear(name, self._flat(INPUT), population.name, nothing, bias)

    def _linear(
        self, name: str, source: str, target: str, weight: Values, bias: Values | None
    ) -> None:
        node = self.nir.Linear(weight) if bias is None else self.nir.Affine(weight, bias)
        self._connect(name, source, target, node)

    def _convolution(self, projection: Convolution, bias: Values | None) -> Any:
        channels = len(projection.kernel)
        return self.nir.Conv2d(
            input_shape=projection.source_shape[1:],
            weight=_in_one_group(projection),
            stride=projection.stride,
            padding=(projection.padding[0][0], projection.padding[1][0]),
            dilation=projection.dilation,
            groups=1,
            bias=np.zeros(channels) if bias is None else bias.reshape(channels, -1)[:, 0],
        )

    def _connect(self, name: str, source: str, target: str, node: Any) -> None:
        self.nodes[name] = node
        self.edges += [(source, name), (name, target)]

    def _flat(self, name: str) -> str:
        """Return the node that outputs a node's output without its shape."""
        shape = np.array(self.shapes[name])
        if len(shape) == 1:
            return name
        flat = f"{name}-flat"
        if flat not in self.nodes:
            self.nodes[flat] = self.nir.Flatten(input_type={"input": shape}, start_dim=0)
            self.edges.append((name, flat))
        return flat

    def _after_delay(self, source: str, delay_steps: int) -> str:
        """Return the node that outputs the source's spikes delayed by what arrival adds to."""
        waiting = delay_steps - (self.arrival == "next-step")
        if waiting == 0:
            return source
        name = f"{source}-after-{waiting}"
        if name not in self.nodes:
            shape = self.shapes[source]
            self.shapes[name] = shape
            self.nodes[name] = self.nir.Delay(delay=np.full(shape, waiting * self.network.dt_s))
            self.edges.append((source, name))
        return name


def _in_one_group(projection: Convolution) -> Values:
    """Return the kernel in volts with zeros between groups.

    The package nir (1.0.8) writes groups, but does not read them back: it takes the kernel's second
    axis for all channels of the source.
    """
    kernel = projection.grid_v
    targets, per_group, *sides = kernel.shape
    whole = np.zeros((projection.groups, per_group, targets, *sides))
    for group, each in enumerate(np.split(np.arange(targets), projection.groups)):
        whole[group][:, each] = kernel[each].swapaxes(0, 1)
    return whole.reshape(-1, targets, *sides).swapaxes(0, 1)


def _has_current(population: Population) -> bool:
    """Return whether the synaptic current has to be exported as such."""
    return population.input_after_update or bool(population.tau_syn_s.any())


def _constant(population: Population) -> Values:
    """Return the constant input of neurons: into the current, if there is one."""
    if _has_current(population):
        return population.current_bias_v
    # A current without memory is the input itself.
    return population.bias_v + population.current_bias_v
