"""Settings of an import: from options, from the file's metadata, or from a framework's preset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from neuroattack.encoding.encoders import DirectEncoder, Encoder
from neuroattack.encoding.registry import ENCODERS, encoder_from
from neuroattack.errors import ValidationError
from neuroattack.ir.network import ReadoutQuantity
from neuroattack.ir.nir.graph.graph import Graph
from neuroattack.ir.nir.graph.nodes import Neurons, PopulationNode, Threshold
from neuroattack.ir.nir.settings.metadata import node_choice, node_numbers, number, text
from neuroattack.ir.nir.settings.presets import PRESETS, Preset, preset_of
from neuroattack.ir.nir.settings.reading import Arrival, Discrete, InputOrder, Integration, Reading
from neuroattack.ir.population import Comparison, Reset

__all__ = ["READOUTS", "Given", "Setting", "Settings", "encoder_of", "readout_of", "settings_of"]

READOUTS = ("spike_count", "final_potential", "max_potential", "output_sum")
"""Readout quantities: those of a network, and the sum over time of outputs without neurons."""

_OPTIONS = {
    "integration": get_args(Integration),
    "arrival": get_args(Arrival),
    "reset": get_args(Reset),
    "comparison": get_args(Comparison),
    "input_order": get_args(InputOrder),
}
_OWN_DEFAULTS = {"reset": "value", "comparison": "strict", "input_order": "before"}


@dataclass(frozen=True)
class Setting:
    """Setting of an import, with its value and where it is from: option, file or preset."""

    name: str
    value: object
    source: str


@dataclass(frozen=True)
class Given:
    """Settings given as options; None for those that are not. See :class:`Reading`."""

    dt_s: float | None = None
    exporter: str | None = None
    time_unit_s: float | None = None
    integration: Integration | None = None
    arrival: Arrival | None = None
    reset: Reset | None = None
    comparison: Comparison | None = None
    input_order: InputOrder | None = None
    refractory_steps: int | None = None


@dataclass(frozen=True, eq=False)
class Settings:
    """Settings of an import, and how they apply to nodes.

    Attributes
    ----------
    reading : Reading
        Discretization of the file.
    preset : Preset or None
        Preset of the framework that wrote the file.
    given : Given
        Settings given as options.
    graph : Graph
        The file.
    listed : tuple of Setting
        All settings with their sources.
    """

    reading: Reading
    preset: Preset | None
    given: Given
    graph: Graph
    listed: tuple[Setting, ...]

    def choice(self, node: PopulationNode, field: str) -> Any:
        """Return the reset, comparison or input order of a node of neurons."""
        return _choice(node, field, self.given, self.preset, _is_own(self.graph))[0]

    def refractory_steps(self, node: Neurons) -> Any:
        """Return the refractory period of neurons, one number or one per neuron."""
        return _refractory(node, self.given, self.preset, self.graph)[0]

    def rest(self, node: Neurons) -> Any:
        """Return the potential at which neurons start, to which potentials are relative."""
        return node.v_leak if self.preset is None else self.preset.rest(node)

    def discretize(self, node: Neurons) -> Discrete:
        """Return the update of neurons in a time step."""
        if self.preset is not None and self.reading.integration == self.preset.integration:
            return self.preset.discretize(node, self.reading)
        late = node.has_current and self.choice(node, "input_order") == "after"
        return self.reading.discretize(node, late)

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the preset."""
        return () if self.preset is None or not self.preset.note else (self.preset.note,)


def settings_of(graph: Graph, given: Given) -> Settings:
    """Return the settings of an import; there are no defaults.

    Raises
    ------
    ValidationError
        If a setting is missing or invalid, or the file cannot be from the framework of the preset.
    """
    preset = None if given.exporter is None else preset_of(given.exporter)
    own = _is_own(graph)
    if preset is not None and own:
        raise ValidationError(
            "exporter",
            repr(preset.name),
            "none: the file was written by neuroattack and contains all settings",
        )
    listed: list[Setting] = []
    missing: list[str] = []

    def add(name: str, option: str, value: Any, source: str) -> Any:
        if value is None:
            missing.append(option)
        else:
            listed.append(Setting(name, value, source))
        return value

    dt_s = add("dt_s", "--dt", *_dt(graph, given, preset))
    time_unit_s = None
    if dt_s is not None:
        Reading(dt_s, 1.0, "euler", "same-step")  # dt is valid
        time_unit_s = add("time_unit_s", "--time-unit", *_time_unit(graph, given, preset, dt_s))
    elif given.time_unit_s is None and preset is None:
        missing.append("--time-unit")
    fixed = {
        field: add(field, f"--{field}", *_graph_choice(graph, field, given, preset))
        for field in ("integration", "arrival")
    }
    for field, nodes in _asked(graph).items():
        found = [_choice(node, field, given, preset, own) for node in nodes]
        option = f"--{field.replace('_', '-')}"
        if any(value is None for value, _ in found):
            missing.append(option)
        elif found:
            values = sorted({str(value) for value, _ in found})
            listed.append(Setting(field, ", ".join(values), _sources(found)))
        elif getattr(given, field) is not None and field == "input_order":
            raise ValidationError(
                "input order", repr(given.input_order), "none: no neurons have a synaptic current"
            )
    spiking = [n for n in graph.nodes.values() if isinstance(n, Neurons) and n.spiking]
    periods = [_refractory(node, given, preset, graph) for node in spiking]
    if any(value is None for value, _ in periods):
        missing.append("--refractory-steps")
    elif periods:
        steps = sorted({int(v) for value, _ in periods for v in np.ravel(value)})
        listed.append(Setting("refractory_steps", ", ".join(map(str, steps)), _sources(periods)))
    if missing:
        choices = "; ".join(
            f"{option}: {', '.join(known)}"
            for option, known in ((f"--{f.replace('_', '-')}", k) for f, k in _OPTIONS.items())
            if option in missing
        )
        raise ValidationError(
            "settings that NIR does not define",
            f"no {', '.join(missing)}",
            f"--from with the framework that wrote the file ({', '.join(PRESETS)}), or the values "
            f"used in training{f' ({choices})' if choices else ''}",
        )
    reading = Reading(
        dt_s,
        time_unit_s,  # type: ignore[arg-type]  # not None, as nothing is missing
        fixed["integration"],
        fixed["arrival"],
        given.reset,
        given.comparison,
        given.input_order,
        given.refractory_steps,
    )
    if preset is not None:
        preset.check(graph, reading)
    return Settings(reading, preset, given, graph, tuple(listed))


def _is_own(graph: Graph) -> bool:
    return number(graph, "dt_s") is not None


def _from(preset: Preset) -> str:
    return f"preset {preset.name}"


def _dt(graph: Graph, given: Given, preset: Preset | None) -> tuple[float | None, str]:
    if given.dt_s is not None:
        return given.dt_s, "option"
    value = number(graph, "dt_s")
    if value is None and preset is not None:
        value = preset.file_dt_s(graph)
        if value is None:
            return preset.dt_s, _from(preset)
    return value, "file"


def _time_unit(
    graph: Graph, given: Given, preset: Preset | None, dt_s: float
) -> tuple[float | None, str]:
    if given.time_unit_s is not None:
        return given.time_unit_s, "option"
    if preset is not None:
        return preset.time_unit_s(graph, dt_s), _from(preset)
    return number(graph, "time_unit_s"), "file"


def _graph_choice(
    graph: Graph, field: str, given: Given, preset: Preset | None
) -> tuple[str | None, str]:
    value = getattr(given, field)
    if value is not None:
        return value, "option"
    if preset is not None:
        return getattr(preset, field), _from(preset)
    return text(graph, field), "file"


def _asked(graph: Graph) -> dict[str, list[PopulationNode]]:
    """Return the nodes for which each of the settings per node matters."""
    neurons = [node for node in graph.nodes.values() if isinstance(node, Neurons)]
    spiking = [node for node in neurons if node.spiking]
    thresholds = [node for node in graph.nodes.values() if isinstance(node, Threshold)]
    return {
        "reset": [*spiking],
        "comparison": [*spiking, *thresholds],
        "input_order": [node for node in neurons if node.tau_syn.any()],
    }


def _choice(
    node: PopulationNode, field: str, given: Given, preset: Preset | None, own: bool
) -> tuple[str | None, str]:
    value = getattr(given, field)
    if value is not None:
        return value, "option"
    value = node_choice(node, field, _OPTIONS[field]) if isinstance(node, Neurons) else None
    if value is not None:
        return value, "file"
    if own:
        # Files of version 0.1 contain no other neurons.
        return _OWN_DEFAULTS[field], "file"
    if preset is not None:
        return getattr(preset, field), f"{_from(preset)}, not in the file"
    return None, ""


def _refractory(
    node: Neurons, given: Given, preset: Preset | None, graph: Graph
) -> tuple[Any, str]:
    if given.refractory_steps is not None:
        return given.refractory_steps, "option"
    value = node_numbers(node, "refractory_steps")
    if value is not None:
        return value, "file"
    if preset is not None:
        reset = _choice(node, "reset", given, preset, own=False)[0]
        recurrent = node.name in graph.recurrent
        return preset.refractory_steps(node, reset, recurrent), _from(preset)  # type: ignore[arg-type]
    return None, ""


def _sources(found: list[tuple[Any, str]]) -> str:
    return " and ".join(dict.fromkeys(source for _, source in found))


def encoder_of(
    graph: Graph, kind: str | None, max_rate_hz: float | None
) -> tuple[Encoder | None, str]:
    """Return the encoder and its source; None is direct coding with as many bits as are exact.

    Raises ValidationError if a setting is neither given nor in the file's metadata, or does not
    apply to the encoder, and UnknownNameError if the kind is unknown.
    """
    source = "option" if kind is not None else "file"
    kind = kind or text(graph, "encoder")
    if kind == DirectEncoder.kind:
        if max_rate_hz is not None:
            raise ValidationError(
                "input rate", f"{max_rate_hz:g} Hz", "none: direct coding has no spikes"
            )
        bits = number(graph, "bits")
        return (None if bits is None else DirectEncoder(int(bits))), source
    rate_hz = max_rate_hz if max_rate_hz is not None else number(graph, "max_rate_hz")
    if kind is None or rate_hz is None:
        raise ValidationError(
            "encoder, which NIR does not define",
            f"no {'--encoder' if kind is None else '--input-rate'}",
            f"an encoder ({', '.join(ENCODERS)}) and, unless direct, its rate in Hz at intensity 1",
        )
    return encoder_from(kind, {"max_rate_hz": rate_hz}), source


def readout_of(graph: Graph, given: str | None) -> tuple[str | None, str]:
    """Return the readout quantity and its source, or None if neither given nor in the file."""
    if given is not None:
        if given not in READOUTS:
            raise ValidationError("readout", repr(given), f"one of {', '.join(READOUTS)}")
        return given, "option"
    value = text(graph, "readout")
    return (value if value in get_args(ReadoutQuantity) else None), "file"
