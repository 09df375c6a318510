"""The schema of a profile file: its tables, their keys, and what must agree between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from neuroattack.hardware.energy_model import Scope, UpdatePolicy
from neuroattack.hardware.profile_entries import (
    BiasBits,
    Count,
    DecayBits,
    Price,
    Quantity,
    Reported,
    SignModes,
    Source,
    Span,
    StateBits,
    Statement,
    Strict,
    Table,
    Text,
    ThresholdBits,
    expected_among,
    key,
    refuse,
    shown,
)

__all__ = ["TABLES", "ProfileDocument"]

_MOST = 2**31
"""No chip has as many of anything."""


class Limits(Table):
    """What one chip has; the first three are shown only."""

    process_nm: Quantity | None = key("nm", 0.1, 1e5)
    area_mm2: Quantity | None = key("mm2", 1e-4, 1e6)
    clock_hz: Quantity | None = key("Hz", 1, 1e12)
    cores_per_chip: Count | None = key("", 1, _MOST)
    neurons_per_core: Count | None = key("", 1, _MOST)
    neurons_per_chip: Count | None = key("", 1, _MOST)
    synapses_per_core: Count | None = key("", 1, _MOST)
    synapses_per_chip: Count | None = key("", 1, _MOST)
    synapse_bits_per_core: Count | None = key("bit", 1, 1e12)
    bits_per_synapse: Count | None = key("bit", 1, 1024)
    in_axons_per_core: Count | None = key("", 1, _MOST)
    out_axons_per_core: Count | None = key("", 1, _MOST)
    fan_in_per_neuron: Count | None = key("", 1, _MOST)
    fan_out_per_neuron: Count | None = key("", 1, _MOST)
    destination_cores_per_neuron: Count | None = key("", 1, _MOST)
    input_neurons: Count | None = key("", 1, _MOST)
    hidden_neurons: Count | None = key("", 1, _MOST)
    readout_neurons: Count | None = key("", 1, _MOST)


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
    refractory_steps: Span | None = key("steps", 0, 1e6)
    delay_steps: Span | None = key("steps", 0, 1e6)


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

    synaptic_operation: Price | None = key("pJ", 1e-6, 1e9)
    update_active: Price | None = key("pJ", 1e-6, 1e9)
    update_inactive: Price | None = key("pJ", 1e-6, 1e9)
    spike_in_tile: Price | None = key("pJ", 1e-6, 1e9)
    hop_ew: Price | None = key("pJ", 1e-6, 1e9)
    hop_ns: Price | None = key("pJ", 1e-6, 1e9)
    spike_packet: Price | None = key("pJ", 1e-6, 1e9)
    synapse_fetch: Price | None = key("pJ", 1e-6, 1e9)
    barrier: Price | None = key("pJ", 1e-6, 1e9)
    host_io: Price | None = key("pJ", 1e-6, 1e9)
    stdp_update: Price | None = key("pJ", 1e-6, 1e9)


class Powers(Table):
    """Milliwatts."""

    static_chip: Price | None = key("mW", 1e-6, 1e6)
    active_core: Price | None = key("mW", 1e-6, 1e6)


class Times(Table):
    """Nanoseconds an event."""

    synaptic_operation: Quantity | None = key("ns", 1e-3, 1e9)
    update_active: Quantity | None = key("ns", 1e-3, 1e9)
    update_inactive: Quantity | None = key("ns", 1e-3, 1e9)
    barrier_fastest: Quantity | None = key("ns", 1e-3, 1e9)
    barrier_slowest: Quantity | None = key("ns", 1e-3, 1e9)


class Pace(Table):
    """A step's hardware time where it is the same whatever happens in it.

    Seconds of a tick, or how many times faster than what it simulates: 1 is real time.
    """

    tick_s: Quantity | None = key("s", 1e-9, 10)
    acceleration: Quantity | None = key("times real time", 1e-6, 1e9)


TABLES: dict[str, type[Table]] = {
    "limits": Limits,
    "mesh": MeshTable,
    "format": Format,
    "lacks": Lacks,
    "energy_pJ": Energies,
    "power_mW": Powers,
    "time_ns": Times,
    "pace": Pace,
}
"""The tables of entries, by their names in a file."""

_PREFIXES = {"energy": "energy_pJ", "power": "power_mW", "time": "time_ns"}
_DEFAULTS = ("src", "at", "basis", "cond")


class ProfileDocument(Strict):
    """A profile file that holds together."""

    schema_version: Literal[1] = Field(alias="schema")
    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
    name: Annotated[Text, StringConstraints(max_length=80)]
    arithmetic: Literal["integer", "analogue"]
    neuron_models: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    update_policy: UpdatePolicy
    energy_scope: Scope
    unknown: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    not_applicable: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    source: dict[str, Source]
    limits: Limits = Limits()
    mesh: MeshTable = MeshTable()
    format: Format = Format()
    lacks: Lacks = Lacks()
    energy_pj: Energies = Field(default=Energies(), alias="energy_pJ")
    power_mw: Powers = Field(default=Powers(), alias="power_mW")
    time_ns: Times = Times()
    pace: Pace = Pace()
    reported: dict[str, Reported] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _fill_in_defaults(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {
            name: _filled_in(name, table)
            if name in (*TABLES, "reported") and isinstance(table, dict)
            else table
            for name, table in data.items()
        }

    @model_validator(mode="after")
    def _check_agreement(self) -> ProfileDocument:
        _check_sources(self)
        _check_listed(self)
        _check_scope(self)
        _check_covers(self)
        _check_format(self)
        _check_mesh(self)
        _check_pace(self)
        return self

    def tables(self) -> Iterator[tuple[str, Table]]:
        """Yield the tables of entries with their names in the file, in the schema's order."""
        for name in TABLES:
            yield name, getattr(self, name.lower())

    def prices(self) -> dict[str, Price]:
        """Return the energies and powers, by term."""
        found = {**self.energy_pj.entries(), **self.power_mw.entries()}
        return {term: price for term, price in found.items() if isinstance(price, Price)}

    def listed(self, names: tuple[str, ...], table: str) -> tuple[str, ...]:
        """Return the keys of one table among such names as ``"energy.barrier"``."""
        split = (name.partition(".") for name in names)
        return tuple(last for first, _, last in split if _PREFIXES.get(first, first) == table)


def _filled_in(name: str, table: dict[str, Any]) -> dict[str, Any]:
    """Return a table with what its default says in each entry that does not say it."""
    if "default" not in table:
        return table
    default = table["default"]
    if not isinstance(default, dict):
        refuse(f"{name}.default: got {shown(default)}, expected a table of src, at, basis, cond")
    for given in default:
        if given not in _DEFAULTS:
            refuse(
                f"{name}.default: unknown key {shown(given)}, {expected_among(given, _DEFAULTS)}"
            )
    filled = {}
    for given, entry in table.items():
        if given == "default":
            continue
        if isinstance(entry, dict):
            # The default's place is in the default's source, and says nothing of another.
            borrowed = {
                part: value for part, value in default.items() if part != "at" or "src" not in entry
            }
            filled[given] = {**borrowed, **entry}
        else:
            filled[given] = entry
    return filled


def _check_sources(profile: ProfileDocument) -> None:
    found = [
        (f"{table}.{name}", entry)
        for table, entries in profile.tables()
        for name, entry in entries.entries().items()
    ]
    found += [(f"reported.{name}", entry) for name, entry in profile.reported.items()]
    for place, entry in found:
        if entry.src not in profile.source:
            known = ", ".join(profile.source) or "none is given"
            refuse(f"{place}.src: got {shown(entry.src)}, expected the key of a [source]: {known}")


def _check_listed(profile: ProfileDocument) -> None:
    given = {f"{table}.{name}" for table, entries in profile.tables() for name in entries.entries()}
    seen: dict[str, str] = {}
    for which in ("unknown", "not_applicable"):
        for name in getattr(profile, which):
            first, _, last = name.partition(".")
            table = _PREFIXES.get(first, first)
            if table not in TABLES or last not in TABLES[table].model_fields:
                refuse(
                    f"{which}: got {shown(name)}, expected the name of a table's key, such as "
                    "limits.neurons_per_core, energy.barrier or power.static_chip"
                )
            if f"{table}.{last}" in given:
                refuse(
                    f"{which}: got {shown(name)}, which {table}.{last} gives, expected one of the "
                    "two"
                )
            if f"{table}.{last}" in seen:
                refuse(
                    f"{which}: got {shown(name)}, which is listed in {seen[f'{table}.{last}']} "
                    "already, expected it once"
                )
            seen[f"{table}.{last}"] = which


def _check_scope(profile: ProfileDocument) -> None:
    if profile.energy_scope != "all_in":
        return
    if profile.energy_pj.synaptic_operation is None:
        refuse(
            "energy_scope: got 'all_in' without energy_pJ.synaptic_operation, expected the price "
            "that holds all"
        )
    for table, entries in (("energy_pJ", profile.energy_pj), ("power_mW", profile.power_mw)):
        for term in entries.entries():
            if term != "synaptic_operation":
                refuse(
                    f"{table}.{term}: got a price of its own beside energy_scope = 'all_in', "
                    "expected synaptic_operation alone, which holds it (a figure to be shown "
                    "only stands under [reported])"
                )


def _check_covers(profile: ProfileDocument) -> None:
    prices = profile.prices()
    terms = (*Energies.model_fields, *Powers.model_fields)
    unknown = (*profile.listed(profile.unknown, "energy_pJ"),)
    holders: dict[str, str] = {}
    for holder, price in prices.items():
        for term in price.covers:
            me = f"{_table_of(holder)}.{holder}.covers"
            if term not in terms:
                refuse(f"{me}: got {shown(term)}, {expected_among(term, terms)}")
            if term in prices:
                refuse(
                    f"{_table_of(term)}.{term}: got a price of its own, which {holder} covers, "
                    "expected one of the two"
                )
            if term in unknown:
                refuse(f"{me}: got {term}, which is listed as unknown, expected one of the two")
            if term in holders:
                refuse(f"{me}: got {term}, which {holders[term]} covers, expected it once")
            holders[term] = holder


def _table_of(term: str) -> str:
    return "energy_pJ" if term in Energies.model_fields else "power_mW"


def _check_format(profile: ProfileDocument) -> None:
    bits = profile.format.v_bits
    if bits and bits.overflow != "clip":
        refuse("format.v_bits.overflow: got 'wrap', expected 'clip': potentials are clipped here")
    if bits and not bits.signed and bits.v > 23:
        refuse(f"format.v_bits: got {bits.v} without a sign, expected 2 to 23 bit")
    exponents = profile.format.weight_exp
    if exponents and not exponents.range[0] <= 0 <= exponents.range[1]:
        refuse(
            f"format.weight_exp.range: got {list(exponents.range)}, expected 0 to be in it: a "
            "weight without an exponent of its own"
        )
    for lack, name in (("bias", "bias"), ("refractory_period", "refractory_steps"),
                       ("delay", "delay_steps"), ("leak", "decay_bits")):  # fmt: skip
        if getattr(profile.lacks, lack) and getattr(profile.format, name):
            refuse(f"format.{name}: got a format of what [lacks] {lack} says is not there, "
                   "expected one of the two")  # fmt: skip


def _check_mesh(profile: ProfileDocument) -> None:
    mesh = profile.mesh.entries()
    if not mesh:
        return
    for name in MeshTable.model_fields:
        if name not in mesh:
            refuse(f"mesh: has no {name}, expected width, height and cores_per_node")
    cores = 1
    for entry in mesh.values():
        cores *= int(entry.numbers()[0])
    if profile.limits.cores_per_chip and profile.limits.cores_per_chip.v != cores:
        refuse(
            f"mesh: got {cores} cores in all, expected the "
            f"{profile.limits.cores_per_chip.v} of limits.cores_per_chip"
        )


def _check_pace(profile: ProfileDocument) -> None:
    given = [f"pace.{name}" for name in profile.pace.entries()]
    if profile.time_ns.entries():
        given.append("time_ns")
    if len(given) > 1:
        refuse(f"{given[1]}: got it beside {given[0]}, expected one account of hardware time")
    ends = profile.time_ns.barrier_fastest, profile.time_ns.barrier_slowest
    if ends[0] and ends[1] and ends[0].v > ends[1].v:
        refuse(f"time_ns.barrier_fastest: got {ends[0].v:g}, expected at most {ends[1].v:g}, "
               "which barrier_slowest is")  # fmt: skip
