"""Import of NIR graphs as networks: exact, or refused with the reason."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.errors import (
    FileError,
    NeuroattackError,
    UnsupportedFeatureError,
    ValidationError,
)
from neuroattack.ir.network import INPUT, AnyProjection, Input, Network, Population
from neuroattack.ir.nir.connecting import connections, rounding_of
from neuroattack.ir.nir.graph import nodes
from neuroattack.ir.nir.graph.graph import Graph, read_graph
from neuroattack.ir.nir.maps import Identity
from neuroattack.ir.nir.neurons import Cells, cells_of, integrator, threshold_cells
from neuroattack.ir.nir.settings.losses import Losses
from neuroattack.ir.nir.settings.metadata import image_shape_of, origin_of
from neuroattack.ir.nir.settings.reading import Arrival, InputOrder, Integration
from neuroattack.ir.nir.settings.settings import (
    Given,
    Setting,
    Settings,
    encoder_of,
    readout_of,
    settings_of,
)
from neuroattack.ir.nir.shapes import shapes_of
from neuroattack.ir.nir.signals import Signal, apply, joined
from neuroattack.ir.population import Comparison, Reset

__all__ = ["Imported", "import_nir"]

_EXACT_SUM = 2**53
_MOST_BITS = 20


@dataclass(frozen=True)
class Imported:
    """Imported network.

    Parameters
    ----------
    network : Network
        The network.
    settings : tuple of Setting
        Settings that NIR does not define, each with its value and its source.
    losses : tuple of str
        Features that were dropped or approximated; empty if there are none.
    notes : tuple of str
        Remarks, such as which connections are feedback.
    lag_steps : int
        Smallest delay from an input spike to the readout in time steps: input in the last
        `lag_steps` steps does not affect the output. A framework without this lag corresponds to 0.
    largest_relative_rounding : float
        Largest change of a weight by rounding to 24 bits, relative to the largest weight of its
        projection.
    """

    network: Network
    settings: tuple[Setting, ...]
    losses: tuple[str, ...]
    notes: tuple[str, ...]
    lag_steps: int
    largest_relative_rounding: float


def import_nir(
    path: str | os.PathLike[str],
    *,
    dt_s: float | None = None,
    exporter: str | None = None,
    time_unit_s: float | None = None,
    integration: Integration | None = None,
    arrival: Arrival | None = None,
    reset: Reset | None = None,
    comparison: Comparison | None = None,
    input_order: InputOrder | None = None,
    refractory_steps: int | None = None,
    encoder: str | None = None,
    max_rate_hz: float | None = None,
    image_shape: tuple[int, ...] | None = None,
    readout: str | None = None,
    allow_lossy: bool = False,
) -> Imported:
    """Import a network from a NIR file.

    Parameters
    ----------
    path : path
        NIR file.
    exporter : {'snntorch', 'norse', 'spikingjelly', 'sinabs', 'rockpool'}, optional
        Framework that wrote the file. Its preset sets everything that the other settings do not,
        except for the input; see :mod:`neuroattack.ir.nir.settings.presets`.
    dt_s, time_unit_s, integration, arrival, reset, comparison, input_order, refractory_steps
        Settings that NIR does not define, see :class:`~neuroattack.ir.nir.reading.Reading`. May be
        None if a preset sets them, or the file's metadata contain them, as in files exported by
        neuroattack.
    encoder, max_rate_hz : str, float
        Kind of encoder, and rate in hertz of a pixel of intensity 1; not defined by NIR either.
        With ``"direct"`` there is no rate.
    image_shape : tuple of int, optional
        Shape of an image, with as many pixels as the file's input has neurons; by default from the
        file's metadata, or the input's shape without leading axes of length 1.
    readout : {'spike_count', 'final_potential', 'max_potential', 'output_sum'}, optional
        Output of the network. The potentials are those of a last layer that never spikes (LI),
        and must be chosen; ``output_sum`` is the sum over time of a last layer without neurons.
    allow_lossy : bool, optional
        Whether to drop or approximate unsupported features, and list them, instead of refusing the
        file.

    Raises
    ------
    FileError
        If the file is invalid, incomplete or not supported exactly.
    """
    graph = read_graph(path)
    given = Given(
        dt_s,
        exporter,
        time_unit_s,
        integration,
        arrival,
        reset,
        comparison,
        input_order,
        refractory_steps,
    )
    try:
        # Populations and projections refuse numbers that overflow.
        with np.errstate(all="ignore"):
            return _imported(graph, given, encoder, max_rate_hz, image_shape, readout, allow_lossy)
    except NeuroattackError as error:
        raise FileError(path, str(error)) from error


def _imported(
    graph: Graph,
    given: Given,
    encoder: str | None,
    max_rate_hz: float | None,
    image_shape: tuple[int, ...] | None,
    readout: str | None,
    allow_lossy: bool,
) -> Imported:
    settings = settings_of(graph, given)
    found_encoder, encoder_source = encoder_of(graph, encoder, max_rate_hz)
    work = _Import(graph, settings, Losses(allow_lossy))
    last, quantity, readout_source = work.run(*readout_of(graph, readout))
    if found_encoder is None:
        found_encoder = DirectEncoder(_exact_bits(work.projections))
    losses = tuple(work.losses.listed)
    listed = (
        *settings.listed,
        Setting("encoder", found_encoder.kind, encoder_source),
        Setting("readout", quantity, readout_source),
    )
    network = Network(
        dt_s=settings.reading.dt_s,
        input=Input(
            _image_shape(work.input_shape, image_shape or image_shape_of(graph)), found_encoder
        ),
        populations=tuple(work.populations),
        projections=tuple(work.projections),
        readout=last,
        origin={
            **origin_of(graph),
            "from": f"NIR {graph.version}",
            "settings": "; ".join(f"{s.name} {_short(s.value)} ({s.source})" for s in listed),
            **({"lost": "; ".join(losses)} if losses else {}),
        },
        readout_quantity="final_potential" if quantity == "output_sum" else quantity,
    )
    return Imported(
        network,
        listed,
        losses,
        (*settings.notes, *graph.notes, *work.notes),
        _lag_steps(network),
        work.largest_relative_rounding,
    )


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


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


def _exact_bits(projections: list[AnyProjection]) -> int:
    """Return the most bits of intensities, up to 20, with which sums of weights are exact."""
    bits = _MOST_BITS
    for target in {p.target for p in projections if p.source == INPUT}:
        incoming = [(p, p.largest_sum()) for p in projections if p.target == target]
        while bits > 1:
            units = [p.exponent - (bits if p.source == INPUT else 0) for p, _ in incoming]
            total = sum(
                largest << (unit - min(units) + (bits if p.source == INPUT else 0))
                for (p, largest), unit in zip(incoming, units, strict=True)
            )
            if total < _EXACT_SUM:
                break
            bits -= 1
    return bits


def _lag_steps(network: Network) -> int:
    """Return the shortest total delay from the input to the readout."""
    lag = {INPUT: 0.0, **dict.fromkeys((p.name for p in network.populations), math.inf)}
    for _ in network.populations:
        for projection in network.projections:
            through = lag[projection.source] + projection.delay_steps
            lag[projection.target] = min(lag[projection.target], through)
    return 0 if math.isinf(lag[network.readout]) else int(lag[network.readout])


class _Import:
    """Traversal of a graph in its order that collects populations and projections."""

    def __init__(self, graph: Graph, settings: Settings, losses: Losses) -> None:
        self.graph = graph
        self.settings = settings
        self.losses = losses
        self.notes: list[str] = []
        self.populations: list[Population] = []
        self.projections: list[AnyProjection] = []
        self.input_shape: tuple[int, ...] = ()
        self.largest_relative_rounding = 0.0
        self._position = {INPUT: -1}
        self._analog: dict[str, nodes.Neurons] = {}

    def run(self, readout: str | None, source: str) -> tuple[str, Any, str]:
        """Import the graph; return the name of the readout population, its quantity and source."""
        entry, output = self.graph.only(nodes.Input), self.graph.only(nodes.Output)
        shapes = shapes_of(self.graph)
        self.input_shape = shapes[entry.name]
        names = self._population_names()
        signals = {
            name: Signal.of_neurons(names[name], shapes[name])
            for name in (entry.name, *names)
            if name in names
        }
        for position, name in enumerate(n for n in names if n != entry.name):
            self._position[names[name]] = position
            node = self.graph.nodes[name]
            if isinstance(node, nodes.Neurons) and not node.spiking:
                self._analog[names[name]] = node
        for name, node in self.graph.nodes.items():
            if name in signals:
                continue
            self._evaluate(name, node, signals)
        for name, node in self.graph.nodes.items():
            if isinstance(node, nodes.PopulationNode):
                self._population(node, names[name], self._incoming(node, signals))
        return self._readout(output, signals[output.name], readout, source)

    def _population_names(self) -> dict[str, str]:
        """Return the names of the populations, and of the input, by node in order."""
        names: dict[str, str] = {}
        for name, node in self.graph.nodes.items():
            if isinstance(node, nodes.Input):
                names[name] = INPUT
            elif isinstance(node, nodes.PopulationNode):
                names[name] = _identifier(name, {INPUT, *names.values()})
        return names

    def _incoming(self, node: nodes.Node, signals: dict[str, Signal]) -> Signal:
        signal = joined([signals[source] for source in self.graph.sources[node.name]], node)
        # Potentials may only pass nodes that leave them as they are, to the output.
        plain = isinstance(node, nodes.Relay | nodes.Flatten | nodes.Output)
        for term in signal.terms:
            if term.source in self._analog and not plain:
                raise UnsupportedFeatureError(
                    f"{self._analog[term.source].words}, which never spikes, leads to "
                    f"{node.words}; expected it to lead to the output node only"
                )
        return signal

    def _evaluate(self, name: str, node: nodes.Node, signals: dict[str, Signal]) -> None:
        signals[name] = apply(node, self._incoming(node, signals))

    def _population(self, node: nodes.PopulationNode, name: str, signal: Signal) -> None:
        if signal.delayed_constant:
            self.losses.add(
                f"{node.words} has a delayed bias", "a bias that acts from the first step"
            )
        if isinstance(node, nodes.Threshold):
            cells = threshold_cells(node, name, signal.constant, self.settings)
        else:
            cells = cells_of(node, name, signal.constant, self.settings)
        self._add(cells, signal)

    def _add(self, cells: Cells, signal: Signal) -> None:
        name = cells.population.name
        self._position.setdefault(name, len(self.populations))
        terms = []
        for term in signal.terms:
            steps, is_integer = self.settings.reading.steps(term.delay)
            if not is_integer:
                self.losses.add(
                    f"a delay of {term.delay:g} is not an integer number of steps", f"{steps} steps"
                )
            terms.append((term.source, self._delay_steps(term.source, name, steps), term.map))
        cells, found, exact = connections(cells, terms)
        self.populations.append(cells.population)
        for projection, weights in zip(found, exact, strict=True):
            self.projections.append(projection)
            self.largest_relative_rounding = max(
                self.largest_relative_rounding, rounding_of(projection, weights)
            )

    def _delay_steps(self, source: str, target: str, steps: int) -> int:
        if self.settings.reading.arrival == "next-step":
            return steps + 1
        if self._position[source] < self._position[target]:
            return steps
        note = f"feedback {source} -> {target} arrives after {max(1, steps)} time step(s)"
        if note not in self.notes:
            self.notes.append(note)
        return max(1, steps)

    def _readout(
        self, output: nodes.Node, signal: Signal, readout: str | None, source: str
    ) -> tuple[str, Any, str]:
        """Return the readout population, the quantity and its source."""
        plain = [
            term.source
            for term in signal.terms
            if isinstance(term.map, Identity) and term.delay == 0 and term.source != INPUT
        ]
        if len(plain) != 1 or len(signal.terms) != 1 or signal.constant.any():
            return self._output_sum(output, signal, readout, source)
        (name,) = plain
        expected = "final_potential or max_potential" if name in self._analog else "spike_count"
        if name in self._analog and readout is None:
            raise ValidationError(
                f"readout of {self._analog[name].words}, which never spikes",
                "no --readout",
                expected,
            )
        if readout is not None and readout not in expected:
            raise ValidationError("readout", repr(readout), f"{expected} for {name!r}")
        if name in self._analog:
            return name, readout, source
        return name, "spike_count", source if readout is not None else "file"

    def _output_sum(
        self, output: nodes.Node, signal: Signal, readout: str | None, source: str
    ) -> tuple[str, Any, str]:
        if readout != "output_sum" or any(term.source in self._analog for term in signal.terms):
            raise ValidationError(
                f"{output.words} source",
                ", ".join(self.graph.nodes[n].words for n in self.graph.sources[output.name]),
                "neurons: add spiking neurons, or LI neurons with a readout of their potential, "
                "before the output when exporting, or use --readout output_sum for the sum of the "
                "outputs over time",
            )
        if signal.delayed_constant:
            self.losses.add(
                f"{output.words} has a delayed bias", "a bias that acts from the first step"
            )
        name = _identifier(output.name, set(self._position))
        self._add(integrator(name, signal.constant), signal)
        return name, "output_sum", source


def _identifier(name: str, taken: set[str]) -> str:
    """Return a name as an identifier that is not taken."""
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)
    base = plain if plain.isidentifier() else f"n{plain}"
    found, number = base, 2
    while found in taken:
        found, number = f"{base}_{number}", number + 1
    return found
