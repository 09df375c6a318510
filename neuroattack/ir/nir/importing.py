"""Import of NIR graphs as networks: exact, or refused with the reason."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from neuroattack.errors import (
    FileError,
    NeuroattackError,
    UnsupportedFeatureError,
    ValidationError,
)
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection
from neuroattack.ir.nir import nodes
from neuroattack.ir.nir.graph import Graph, read_graph
from neuroattack.ir.nir.linear import Signal, apply, joined
from neuroattack.ir.nir.losses import Losses
from neuroattack.ir.nir.reading import Arrival, Integration, Reading
from neuroattack.ir.nir.stated import encoder_of, image_shape_of, origin_of, reading_of

__all__ = ["Imported", "import_nir"]

_MOST_CONNECTIONS = 2**27

_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Imported:
    """Imported network.

    Parameters
    ----------
    network : Network
        The network.
    losses : tuple of str
        Features that were dropped or approximated; empty if the import is exact.
    notes : tuple of str
        Remarks, such as the size of unrolled convolutions.
    lag_steps : int
        Smallest delay from an input spike to the readout in time steps: input in the last
        `lag_steps` steps does not affect the counts. A framework without this lag corresponds to 0.
    largest_relative_rounding : float
        Largest change of a weight by rounding to 24 bits, relative to the largest weight of its
        projection.
    """

    network: Network
    losses: tuple[str, ...]
    notes: tuple[str, ...]
    lag_steps: int
    largest_relative_rounding: float


def import_nir(
    path: str | os.PathLike[str],
    *,
    dt_s: float | None = None,
    time_unit_s: float | None = None,
    integration: Integration | None = None,
    arrival: Arrival | None = None,
    refractory_steps: int | None = None,
    encoder: str | None = None,
    max_rate_hz: float | None = None,
    image_shape: tuple[int, ...] | None = None,
    allow_lossy: bool = False,
) -> Imported:
    """Import a network from a NIR file.

    Parameters
    ----------
    path : path
        NIR file.
    dt_s, time_unit_s, integration, arrival, refractory_steps
        Settings that NIR does not define, see :class:`~neuroattack.ir.nir.reading.Reading`. May be
        None if the file's metadata contain them, as in files exported by neuroattack.
    encoder, max_rate_hz : str, float
        Kind of encoder, and rate in hertz of a pixel of intensity 1; not defined by NIR either.
    image_shape : tuple of int, optional
        Shape of an image, with as many pixels as the file's input has neurons; by default from the
        file's metadata, or the input's shape without leading axes of length 1.
    allow_lossy : bool, optional
        Whether to drop or approximate unsupported features, and list them, instead of refusing the
        file.

    Raises
    ------
    FileError
        If the file is invalid, incomplete or not supported exactly.
    """
    graph = read_graph(path)
    try:
        reading = reading_of(graph, dt_s, time_unit_s, integration, arrival, refractory_steps)
        found_encoder = encoder_of(graph, encoder, max_rate_hz)
        work = _Import(graph, reading, Losses(allow_lossy))
        readout = work.run()
        losses = tuple(work.losses.listed)
        shape = _image_shape(work.input_shape, image_shape or image_shape_of(graph))
        network = Network(
            dt_s=reading.dt_s,
            input=Input(shape, found_encoder),
            populations=tuple(work.populations),
            projections=tuple(work.projections),
            readout=readout,
            origin={
                **origin_of(graph),
                "from": f"NIR {graph.version}",
                "reading": (
                    f"{reading.integration}, {reading.arrival}, time unit {reading.time_unit_s:g} s"
                ),
                **({"lost": "; ".join(losses)} if losses else {}),
            },
        )
    except NeuroattackError as error:
        raise FileError(path, str(error)) from error
    return Imported(
        network,
        losses,
        tuple(work.notes),
        work.lag_steps[readout],
        work.largest_relative_rounding,
    )


def _image_shape(shape: tuple[int, ...], given: tuple[int, ...] | None) -> tuple[int, ...]:
    if given is not None:
        if math.prod(given) != math.prod(shape):
            raise ValidationError(
                "image shape", given, f"{math.prod(shape)} pixels, as in the input node"
            )
        return given
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape


class _Import:
    """Traversal of a graph from input to output that collects populations and projections."""

    def __init__(self, graph: Graph, reading: Reading, losses: Losses) -> None:
        self.graph = graph
        self.reading = reading
        self.losses = losses
        self.notes: list[str] = []
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.lag_steps = {INPUT: 0}
        self._depth = {INPUT: 0}
        self.input_shape: tuple[int, ...] = ()
        self.largest_relative_rounding = 0.0

    def run(self) -> str:
        """Import the graph; return the name of the readout population."""
        self.graph.only(nodes.Input)
        output = self.graph.only(nodes.Output)
        names: dict[str, str] = {}
        signals: dict[str, Signal] = {}
        for name, node in self.graph.nodes.items():
            if isinstance(node, nodes.Input):
                self.input_shape = node.shape
                signals[name] = Signal.of_neurons(INPUT, node.shape)
                continue
            incoming = self.graph.sources[name]
            if node is output:
                return self._readout(output, incoming, names)
            if not all(source in signals for source in incoming):
                raise UnsupportedFeatureError(
                    f"the graph is recurrent at {node.words}, expected a feed-forward network"
                )
            signal = joined([signals[source] for source in incoming], node)
            if isinstance(node, nodes.Threshold) or (
                isinstance(node, nodes.Neurons) and not node.spiking
            ):
                raise UnsupportedFeatureError(
                    f"{node.words}, expected integrate-and-fire neurons (IF, LIF, CubaLIF)"
                )
            if isinstance(node, nodes.Neurons):
                names[name] = self._population_name(name)
                self._neurons(node, names[name], signal)
                # In files of some frameworks only the neurons have the full shape.
                shape = node.v_threshold.shape
                full = math.prod(shape) == signal.size and len(shape) > 1
                signals[name] = Signal.of_neurons(names[name], shape if full else signal.shape)
            else:
                signals[name] = self._linear(node, signal)
        raise AssertionError("the output node is part of the graph")

    def _readout(self, output: nodes.Node, incoming: tuple[str, ...], names: dict[str, str]) -> str:
        if len(incoming) != 1 or incoming[0] not in names:
            raise ValidationError(
                f"{output.words} source",
                ", ".join(self.graph.nodes[name].words for name in incoming),
                "one layer of spiking neurons, whose spike counts are the output",
            )
        return names[incoming[0]]

    def _population_name(self, name: str) -> str:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        base = plain if plain.isidentifier() else f"n{plain}"
        taken = {INPUT, *(population.name for population in self.populations)}
        found, number = base, 2
        while found in taken:
            found, number = f"{base}_{number}", number + 1
        return found

    def _linear(self, node: nodes.Node, signal: Signal) -> Signal:
        if isinstance(node, nodes.Relay):
            return signal
        if isinstance(node, nodes.Flatten):
            return replace(signal, shape=(signal.size,))
        if isinstance(node, nodes.Delay):
            delays = node.delay.ravel()
            if delays.size not in (1, signal.size):
                raise ValidationError(
                    f"{node.words} delay", f"shape {node.delay.shape}", f"{signal.size} elements"
                )
            return signal.delayed(np.broadcast_to(delays, (signal.size,)))
        if isinstance(node, nodes.Linear | nodes.Scale | nodes.Convolution | nodes.Pool):
            output = apply(node, signal)
            if isinstance(node, nodes.Convolution):
                connections = math.prod(output.shape[1:]) * node.weight.size
                self.notes.append(
                    f"{node.words} unrolled: {node.weight.size:,} weights became up to "
                    f"{connections:,} connections, {signal.size:,} x {output.size:,} neurons"
                )
            return output
        raise AssertionError(f"no rule for {node.words}")

    def _neurons(self, node: nodes.Neurons, name: str, signal: Signal) -> None:
        size = signal.size
        refractory_steps = self.reading.refractory_steps
        if refractory_steps is None:
            # Not given by the user: reading_of has checked that all nodes specify their own.
            refractory_steps = int(node.own["refractory_steps"].flat[0])
        if (node.v_threshold <= node.v_reset).any():
            raise ValidationError(
                f"{node.words} v_threshold",
                f"{node.v_threshold.min():g}",
                f"above v_reset, {node.v_reset.max():g}",
            )
        tau = None if node.tau is None else self._one(node, "time constant", node.tau)
        tau_m_s, gain, constant_gain = self.reading.stepping(node.words, tau)
        gains = _per_neuron(node, "r", gain * node.r * node.w_in, size)
        bias_v = signal.constant * _per_neuron(node, "r", constant_gain * node.r * node.w_in, size)
        self._check_synapses(node)
        self._depth[name] = 1 + max((self._depth[key[0]] for key in signal.matrices), default=0)
        self._check_bias(node, signal, self._depth[name])
        self.populations.append(
            Population(
                name,
                size,
                tau_m_s,
                _per_neuron(node, "v_threshold", node.v_threshold - node.v_leak, size),
                bias_v,
                self._one(node, "reset potential", node.v_reset - node.v_leak),
                refractory_steps,
            )
        )
        lags = []
        for steps, source, matrix in self._by_steps(signal):
            delay_steps = self._delay_steps(source, name, steps)
            self._project(source, name, matrix, gains, delay_steps)
            lags.append(self.lag_steps[source] + delay_steps)
        self.lag_steps[name] = min(lags)

    def _one(self, node: nodes.Neurons, what: str, values: NDArray[np.float64]) -> float:
        lowest, highest = float(values.min()), float(values.max())
        if lowest == highest:
            return lowest
        mean = float(values.mean())
        self.losses.add(
            f"{node.words} has neurons with different values of the {what} "
            f"({lowest:g} to {highest:g})",
            f"their mean, {mean:g}, for all neurons",
        )
        return mean

    def _check_synapses(self, node: nodes.Neurons) -> None:
        if node.tau_syn is None or not node.tau_syn.any():
            return
        dt = self.reading.dt_s / self.reading.time_unit_s
        if self.reading.integration == "euler" and np.allclose(node.tau_syn, dt, _TOLERANCE, 0):
            return
        self.losses.add(
            f"{node.words} has synapses with a time constant of {node.tau_syn.max():g}",
            "synapses without a time constant, which transmit a spike's charge in one step",
        )

    def _check_bias(self, node: nodes.Neurons, signal: Signal, early_steps: int) -> None:
        if not signal.constant.any():
            return
        if signal.delayed_constant:
            self.losses.add(
                f"{node.words} has a delayed bias", "a bias that acts from the first step"
            )
        if self.reading.arrival == "same-step":
            self.losses.add(
                f"{node.words} has a bias, which acts from the first step, and input that arrives "
                f"{early_steps} steps later (exact only with arrival next-step)",
                f"a bias that acts {early_steps} steps longer",
            )

    def _delay_steps(self, source: str, target: str, steps: int) -> int:
        if self.reading.arrival == "next-step":
            return steps + 1
        # Every population lags by its depth, so that spikes that coincide in the file still do.
        return steps + self._depth[target] - self._depth[source]

    def _by_steps(self, signal: Signal) -> list[tuple[int, str, sp.csr_matrix]]:
        found: dict[tuple[int, str], sp.csr_matrix] = {}
        for (source, delay), matrix in signal.matrices.items():
            steps, is_integer = self.reading.steps(delay)
            if not is_integer:
                self.losses.add(
                    f"a delay of {delay:g} is not an integer number of steps", f"{steps} steps"
                )
            key = steps, source
            found[key] = found[key] + matrix if key in found else matrix
        return [(*key, found[key]) for key in sorted(found)]

    def _project(
        self,
        source: str,
        target: str,
        matrix: sp.csr_matrix,
        gains: NDArray[np.float64],
        delay_steps: int,
    ) -> None:
        if math.prod(matrix.shape) > _MOST_CONNECTIONS:
            raise ValidationError(
                f"projection {source}->{target}",
                f"{matrix.shape[0]:,} x {matrix.shape[1]:,} neurons",
                f"at most {_MOST_CONNECTIONS:,} pairs",
            )
        if not matrix.count_nonzero():
            return
        weights_v = matrix.toarray() * gains
        projection = Projection.from_weights(source, target, weights_v, delay_steps)
        self.projections.append(projection)
        rounding = np.abs(projection.weights_v - weights_v).max() / np.abs(weights_v).max()
        self.largest_relative_rounding = max(self.largest_relative_rounding, float(rounding))


def _per_neuron(
    node: nodes.Neurons, field: str, values: NDArray[np.float64], size: int
) -> NDArray[np.float64]:
    flat = np.ravel(values)
    if flat.size not in (1, size):
        raise ValidationError(
            f"{node.words} {field}", f"shape {values.shape}", f"{size} neurons, as in its input"
        )
    return np.broadcast_to(flat, (size,))
