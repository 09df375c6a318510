"""Entries and tables of a profile file: numbers with units, ranges and sources."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NoReturn, TypeAlias, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from neuroattack.hardware.profiles.energy_model import BASES, Basis, Bound, Scope, UpdatePolicy
from neuroattack.hardware.profiles.number_format import ResetMode, SignMode, WeightCode

__all__ = [
    "Coefficient",
    "Count",
    "Identifier",
    "Quantity",
    "Reported",
    "Source",
    "Statement",
    "Strict",
    "Table",
    "Text",
    "expected_among",
    "full_name",
    "refuse",
    "shown",
]  # fmt: skip

Text: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

Identifier: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=64)
]

_MISSING = {
    "src": "the key of a [source], here or in the table's default",
    "at": "the location in the source; the default's location applies only to the default's src",
    "basis": f"the kind of evidence: {', '.join(BASES)}",
    "cond": 'the conditions, or "not stated" if the source does not state them',
    "v": "the value",
    "range": "the lower and the upper end of the range",
    "unit": 'the unit, such as "mW"',
    "source": "a table of the sources of all numbers",
    "schema": "schema = 1",
    "update_policy": f"one of {', '.join(get_args(UpdatePolicy))}",
    "energy_scope": f"one of {', '.join(get_args(Scope))}",
}


def shown(value: object) -> str:
    """Return a short representation of a value, for messages."""
    return reprlib.repr(value)


def refuse(problem: str) -> NoReturn:
    """Raise a validation error; `problem` follows the location in the file."""
    raise PydanticCustomError("profile", "{problem}", {"problem": problem})


def expected_among(name: str, known: Iterable[str]) -> str:
    """Return the expected names as text, with the most similar one as a hint."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"expected one of {', '.join(names)}{hint}"


class Strict(BaseModel):
    """Table that accepts only known keys and does not convert types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        keys = {field.alias or name: field for name, field in cls.model_fields.items()}
        for name in data:
            if name not in keys:
                refuse(f"unknown key {shown(name)}, {expected_among(name, keys)}")
        for name, field in keys.items():
            if field.is_required() and name not in data:
                refuse(f"has no {name}, expected {_MISSING.get(name, 'a value')}")
        return data


class Source(Strict):
    """Source of numbers: its reference, and how it was accessed.

    ``access`` is the publication itself (primary), a transcript of it or its abstract, program
    code, or memory.
    """

    ref: Text
    access: Literal["primary", "transcript", "code", "memory"]


class Statement(Strict):
    """Statement about a chip: source, location in it, kind of evidence, conditions and note."""

    src: Text
    at: Text
    basis: Basis
    cond: Text
    note: str = ""

    def numbers(self) -> tuple[float, ...]:
        """Return the numbers that must be within the range of the key."""
        value = getattr(self, "v", None)
        return (value,) if isinstance(value, int | float) else ()


class Quantity(Statement):
    """Number in the unit of its table or key."""

    v: float
    bound: Bound | None = None


class Coefficient(Quantity):
    """Energy or power coefficient, and the other terms that it covers."""

    covers: Annotated[tuple[Text, ...], Field(strict=False)] = ()


class Reported(Quantity):
    """Figure that is displayed, but not used in estimates; it specifies its own unit."""

    unit: Literal[
        "pJ", "nJ", "uJ", "mJ", "J", "uW", "mW", "W", "ns", "us", "ms", "s",
        "V", "Hz", "MHz", "bit", "KiB", "MiB", "count", "factor",
    ]  # fmt: skip

    @field_validator("v")
    @classmethod
    def _check_range(cls, v: float) -> float:
        _check_number(v, 1e-12, 1e15, "")
        return v


class Count(Statement):
    """Integer."""

    v: int
    bound: Bound | None = None


class StateBits(Count):
    """Bits of a state variable, and its behavior on overflow."""

    signed: bool = True
    overflow: Literal["clip", "wrap"] = "clip"


class DecayBits(Count):
    """Resolution of the leak: the decay per step is a multiple of ``2**-v``.

    Synaptic currents (`u_bits`) lose ``u_offset`` more units per step.
    """

    round: Literal["toward_zero"] = "toward_zero"
    u_offset: int = Field(default=0, ge=0, le=1)


class ThresholdBits(Count):
    """Bits of a threshold mantissa, shifted left by ``shift`` bits relative to the state."""

    shift: int = Field(default=0, ge=0, le=22)


class BiasBits(Statement):
    """Bits of a bias: mantissa including its sign, and unsigned exponent."""

    mant_bits: int = Field(ge=2, le=24)
    exp_bits: int = Field(default=0, ge=0, le=5)


class Span(Statement):
    """Range of integers."""

    range: Annotated[tuple[StrictInt, StrictInt], Field(strict=False)]

    def numbers(self) -> tuple[float, ...]:
        """Return both ends of the range."""
        return self.range

    @field_validator("range")
    @classmethod
    def _check_order(cls, ends: tuple[int, int]) -> tuple[int, int]:
        if ends[0] > ends[1]:
            refuse(f"got {shown(list(ends))}, expected the lower end first")
        return ends


class StepSpan(Span):
    """Range of time steps in the convention of the source.

    ``offset`` is added to convert to the convention of this package.
    """

    offset: int = Field(default=0, ge=-1, le=1)

    def steps(self) -> tuple[int, int]:
        """Return both ends in the convention of this package."""
        return self.range[0] + self.offset, self.range[1] + self.offset


class SignModes(Statement):
    """Possible signs of the weights of a projection."""

    v: Annotated[tuple[SignMode, ...], Field(strict=False, min_length=1)]


class Code(Statement):
    """Code of weights with both signs."""

    v: WeightCode


class Resets(Statement):
    """Supported resets of neurons that spike."""

    v: Annotated[tuple[ResetMode, ...], Field(strict=False, min_length=1)]


def key(unit: str, low: float, high: float) -> Any:
    """Return an optional field with its unit and its plausible range."""
    return Field(default=None, json_schema_extra={"unit": unit, "low": low, "high": high})


def _extra(field: FieldInfo) -> Mapping[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


class Table(Strict):
    """Table of entries, whose keys have units and plausible ranges."""

    @classmethod
    def unit(cls, name: str) -> str:
        """Return the unit of a key."""
        return str(_extra(cls.model_fields[name]).get("unit", ""))

    @field_validator("*")
    @classmethod
    def _check_range(cls, entry: Any, info: ValidationInfo) -> Any:
        extra = _extra(cls.model_fields[info.field_name or ""])
        if extra and isinstance(entry, Statement):
            for number in entry.numbers():
                _check_number(number, extra["low"], extra["high"], extra["unit"])
        return entry

    def entries(self) -> dict[str, Statement]:
        """Return the given entries by key, in schema order."""
        found = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: entry for name, entry in found if entry is not None}


def _check_number(number: float, low: float, high: float, unit: str) -> None:
    if number == 0 and low > 0:
        refuse("got 0, expected a value above 0 (omit the key if the value is unknown)")
    if not low <= number <= high:
        of_unit = f" {unit}" if unit else ""
        refuse(f"got {shown(number)}, expected {low:g} to {high:g}{of_unit}")


_COUNT: Any = key("", 1, 2**31)
_PJ: Any = key("pJ", 1e-6, 1e9)
_NS: Any = key("ns", 1e-3, 1e9)


class Limits(Table):
    """Limits of one chip; the first three are only displayed."""

    process_nm: Quantity | None = key("nm", 0.1, 1e5)
    area_mm2: Quantity | None = key("mm2", 1e-4, 1e6)
    clock_hz: Quantity | None = key("Hz", 1, 1e12)
    cores_per_chip: Count | None = _COUNT
    neurons_per_core: Count | None = _COUNT
    neurons_per_chip: Count | None = _COUNT
    synapses_per_core: Count | None = _COUNT
    synapses_per_chip: Count | None = _COUNT
    synapse_bits_per_core: Count | None = key("bit", 1, 1e12)
    bits_per_synapse: Count | None = key("bit", 1, 1024)
    in_axons_per_core: Count | None = _COUNT
    out_axons_per_core: Count | None = _COUNT
    fan_in_per_neuron: Count | None = _COUNT
    fan_out_per_neuron: Count | None = _COUNT
    destination_cores_per_neuron: Count | None = _COUNT
    input_neurons: Count | None = _COUNT
    hidden_neurons: Count | None = _COUNT
    readout_neurons: Count | None = _COUNT


class MeshTable(Table):
    """Mesh of cores; either all three keys are given or none."""

    width: Count | None = key("nodes", 1, 1e6)
    height: Count | None = key("nodes", 1, 1e6)
    cores_per_node: Count | None = key("cores", 1, 1e6)


class Format(Table):
    """Number formats of a chip."""

    sign_modes: SignModes | None = None
    weight_bits: Count | None = key("bit", 1, 24)
    mixed_weight_step: Count | None = key("", 1, 256)
    weight_code: Code | None = None
    weight_exp: Span | None = key("", -31, 31)
    u_bits: StateBits | None = key("bit", 2, 64)
    v_bits: StateBits | None = key("bit", 2, 24)
    decay_bits: DecayBits | None = key("bit", 1, 12)
    vth_mant_bits: ThresholdBits | None = key("bit", 1, 24)
    resets: Resets | None = None
    bias: BiasBits | None = None
    refractory_steps: StepSpan | None = key("steps", 0, 1e6)
    delay_steps: StepSpan | None = key("steps", 0, 1e6)


class Lacks(Table):
    """Features that a chip does not support."""

    free_weights: Statement | None = None
    leak: Statement | None = None
    synaptic_current: Statement | None = None
    reset_to_rest: Statement | None = None
    bias: Statement | None = None
    refractory_period: Statement | None = None
    delay: Statement | None = None
    skip_projection: Statement | None = None
    recurrence: Statement | None = None


class Energies(Table):
    """Energies per event in picojoules; ``stdp_update`` is only displayed (no on-chip learning)."""

    synaptic_operation: Coefficient | None = _PJ
    update_active: Coefficient | None = _PJ
    update_inactive: Coefficient | None = _PJ
    spike_in_tile: Coefficient | None = _PJ
    hop_ew: Coefficient | None = _PJ
    hop_ns: Coefficient | None = _PJ
    spike_packet: Coefficient | None = _PJ
    synapse_fetch: Coefficient | None = _PJ
    barrier: Coefficient | None = _PJ
    host_io: Coefficient | None = _PJ
    stdp_update: Coefficient | None = _PJ


class Powers(Table):
    """Powers in milliwatts."""

    static_chip: Coefficient | None = key("mW", 1e-6, 1e6)
    active_core: Coefficient | None = key("mW", 1e-6, 1e6)


class Times(Table):
    """Times per event in nanoseconds."""

    synaptic_operation: Quantity | None = _NS
    update_active: Quantity | None = _NS
    update_inactive: Quantity | None = _NS
    barrier_fastest: Quantity | None = _NS
    barrier_slowest: Quantity | None = _NS


class Pace(Table):
    """Hardware time of a step that does not depend on its events.

    Either the duration of a tick in seconds, or the acceleration relative to the simulated time,
    where 1 is real time.
    """

    tick_s: Quantity | None = key("s", 1e-9, 10)
    acceleration: Quantity | None = key("times real time", 1e-6, 1e9)


_PREFIXES = {"energy": "energy_pJ", "power": "power_mW", "time": "time_ns"}


def full_name(name: str) -> tuple[str, str]:
    """Return table and key of a name such as ``"energy.barrier"`` or ``"limits.clock_hz"``."""
    first, _, last = name.partition(".")
    return _PREFIXES.get(first, first), last
