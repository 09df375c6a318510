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
from neuroattack.hardware.profiles.number_format import SignMode

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
    "src": "the key of a [source], its own or of the table's default",
    "at": "the place in its source; an entry with a src of its own names its own place",
    "basis": f"what it rests on: {', '.join(BASES)}",
    "cond": 'the conditions it holds under, "not stated" where the source says nothing',
    "v": "its value",
    "range": "the two ends of its range",
    "unit": 'its unit, such as "mW"',
    "source": "a table of what numbers were read in",
    "schema": "schema = 1",
    "update_policy": f"one of {', '.join(get_args(UpdatePolicy))}",
    "energy_scope": f"one of {', '.join(get_args(Scope))}",
}


def shown(value: object) -> str:
    """Return a value as one short line, whatever a file holds."""
    return reprlib.repr(value)


def refuse(problem: str) -> NoReturn:
    """Refuse what is being validated; the sentence starts with its place in the file."""
    raise PydanticCustomError("profile", "{problem}", {"problem": problem})


def expected_among(name: str, known: Iterable[str]) -> str:
    """Say which names are known, and which of them is nearest."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"expected one of {', '.join(names)}{hint}"


class Strict(BaseModel):
    """A table with known keys only, and no conversion of types."""

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
                refuse(f"has no {name}, expected {_MISSING.get(name, 'it to be given')}")
        return data


class Source(Strict):
    """Where numbers were read.

    ``access`` says what was before the reader's eyes: the publication itself, somebody's
    transcription of it or its abstract, the program code, or nothing.
    """

    ref: Text
    access: Literal["primary", "transcript", "code", "memory"]


class Statement(Strict):
    """Something said of a chip, and where."""

    src: Text
    at: Text
    basis: Basis
    cond: Text
    note: str = ""

    def numbers(self) -> tuple[float, ...]:
        """Return the numbers that must be in the key's range."""
        value = getattr(self, "v", None)
        return (value,) if isinstance(value, int | float) else ()


class Quantity(Statement):
    """A measure in the unit of its table or key."""

    v: float
    bound: Bound | None = None


class Coefficient(Quantity):
    """An energy or a power, and the terms whose energy it holds as well."""

    covers: Annotated[tuple[Text, ...], Field(strict=False)] = ()


class Reported(Quantity):
    """A figure that is shown and enters no sum; it has a unit of its own."""

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
    """A whole number."""

    v: int
    bound: Bound | None = None


class StateBits(Count):
    """Bits of a state variable; ``overflow`` is what happens beyond its range."""

    signed: bool = True
    overflow: Literal["clip", "wrap"] = "clip"


class DecayBits(Count):
    """Bits of a leak: parts of ``2**v`` that are lost in a step."""

    round: Literal["toward_zero"] = "toward_zero"
    u_offset: int = Field(default=0, ge=0, le=1)


class ThresholdBits(Count):
    """Bits of a threshold's mantissa, which stands ``shift`` bits above the state's last."""

    shift: int = Field(default=0, ge=0, le=22)


class BiasBits(Statement):
    """Bits of a bias: a mantissa with its sign, and an exponent without."""

    mant_bits: int = Field(ge=2, le=24)
    exp_bits: int = Field(default=0, ge=0, le=5)


class Span(Statement):
    """The lowest and the highest of whole numbers."""

    range: Annotated[tuple[StrictInt, StrictInt], Field(strict=False)]

    def numbers(self) -> tuple[float, ...]:
        """Return both ends."""
        return self.range

    @field_validator("range")
    @classmethod
    def _check_order(cls, ends: tuple[int, int]) -> tuple[int, int]:
        if ends[0] > ends[1]:
            refuse(f"got {shown(list(ends))}, expected the lower end first")
        return ends


class StepSpan(Span):
    """Fewest and most time steps, as the source counts them.

    ``offset`` is added to make whole steps as this toolkit counts them.
    """

    offset: int = Field(default=0, ge=-1, le=1)

    def steps(self) -> tuple[int, int]:
        """Return both ends as this toolkit counts them."""
        return self.range[0] + self.offset, self.range[1] + self.offset


class SignModes(Statement):
    """The signs that weights of one projection may have."""

    v: Annotated[tuple[SignMode, ...], Field(strict=False, min_length=1)]


def key(unit: str, low: float, high: float) -> Any:
    """Return the field of a key that may be left out: its unit, and what is not absurd."""
    return Field(default=None, json_schema_extra={"unit": unit, "low": low, "high": high})


def _extra(field: FieldInfo) -> Mapping[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


class Table(Strict):
    """A table of entries, each key with its unit and its range."""

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
        """Return what is given, by key, in the order of the schema."""
        found = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: entry for name, entry in found if entry is not None}


def _check_number(number: float, low: float, high: float, unit: str) -> None:
    if number == 0 and low > 0:
        refuse("got 0, expected a value above 0: what is not known is left out")
    if not low <= number <= high:
        of_unit = f" {unit}" if unit else ""
        refuse(f"got {shown(number)}, expected {low:g} to {high:g}{of_unit}")


_COUNT: Any = key("", 1, 2**31)
_PJ: Any = key("pJ", 1e-6, 1e9)
_NS: Any = key("ns", 1e-3, 1e9)


class Limits(Table):
    """What one chip has; the first three are shown only."""

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
    """How the cores lie; all three keys or none."""

    width: Count | None = key("nodes", 1, 1e6)
    height: Count | None = key("nodes", 1, 1e6)
    cores_per_node: Count | None = key("cores", 1, 1e6)


class Format(Table):
    """The numbers that a chip holds."""

    sign_modes: SignModes | None = None
    weight_bits: Count | None = key("bit", 1, 24)
    mixed_weight_step: Count | None = key("", 1, 256)
    weight_exp: Span | None = key("", -31, 31)
    u_bits: StateBits | None = key("bit", 2, 64)
    v_bits: StateBits | None = key("bit", 2, 24)
    decay_bits: DecayBits | None = key("bit", 1, 12)
    vth_mant_bits: ThresholdBits | None = key("bit", 1, 24)
    bias: BiasBits | None = None
    refractory_steps: StepSpan | None = key("steps", 0, 1e6)
    delay_steps: StepSpan | None = key("steps", 0, 1e6)


class Lacks(Table):
    """What a chip cannot do at all."""

    free_weights: Statement | None = None
    leak: Statement | None = None
    reset_to_rest: Statement | None = None
    bias: Statement | None = None
    refractory_period: Statement | None = None
    delay: Statement | None = None
    skip_projection: Statement | None = None


class Energies(Table):
    """Picojoules an event. ``stdp_update`` is shown only: networks do not learn here."""

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
    """Milliwatts."""

    static_chip: Coefficient | None = key("mW", 1e-6, 1e6)
    active_core: Coefficient | None = key("mW", 1e-6, 1e6)


class Times(Table):
    """Nanoseconds an event."""

    synaptic_operation: Quantity | None = _NS
    update_active: Quantity | None = _NS
    update_inactive: Quantity | None = _NS
    barrier_fastest: Quantity | None = _NS
    barrier_slowest: Quantity | None = _NS


class Pace(Table):
    """A step's hardware time where it is the same whatever happens in it.

    Seconds of a tick, or how many times faster than what it simulates: 1 is real time.
    """

    tick_s: Quantity | None = key("s", 1e-9, 10)
    acceleration: Quantity | None = key("times real time", 1e-6, 1e9)


_PREFIXES = {"energy": "energy_pJ", "power": "power_mW", "time": "time_ns"}


def full_name(name: str) -> tuple[str, str]:
    """Return table and key of a name such as ``"energy.barrier"`` or ``"limits.clock_hz"``."""
    first, _, last = name.partition(".")
    return _PREFIXES.get(first, first), last
