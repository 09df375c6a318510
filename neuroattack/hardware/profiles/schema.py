"""Schema of profile files, and consistency checks between their tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator, model_validator

from neuroattack.hardware.profiles import tables
from neuroattack.hardware.profiles.energy_model import Scope, UpdatePolicy
from neuroattack.hardware.profiles.tables import (
    Coefficient,
    Identifier,
    Strict,
    Table,
    Text,
    expected_among,
    full_name,
    refuse,
    shown,
)

__all__ = ["ProfileDocument"]

_DEFAULTS = ("src", "at", "basis", "cond")

Texts = Annotated[tuple[Text, ...], Field(strict=False)]


class ProfileDocument(Strict):
    """Validated content of a profile file."""

    schema_version: int = Field(alias="schema")
    id: Identifier
    name: (
        Annotated[Text, StringConstraints(pattern=r"^[\w .,:;()+/&'-]*$", max_length=80)] | None
    ) = None
    neuron_models: Texts = ()
    update_policy: UpdatePolicy
    energy_scope: Scope
    unknown: Texts = ()
    not_applicable: Texts = ()
    source: dict[Identifier, tables.Source]
    limits: tables.Limits = tables.Limits()
    mesh: tables.MeshTable = tables.MeshTable()
    format: tables.Format = tables.Format()
    lacks: tables.Lacks = tables.Lacks()
    energy_pj: tables.Energies = Field(default=tables.Energies(), alias="energy_pJ")
    power_mw: tables.Powers = Field(default=tables.Powers(), alias="power_mW")
    time_ns: tables.Times = tables.Times()
    pace: tables.Pace = tables.Pace()
    reported: dict[Identifier, tables.Reported] = Field(default_factory=dict)

    def entry_tables(self) -> Iterator[tuple[str, Table]]:
        """Yield name (in the file) and content of the tables with entries, in schema order."""
        for name in TABLES:
            yield name, getattr(self, name.lower())

    def coefficients(self) -> dict[str, Coefficient]:
        """Return the energy and power coefficients by term."""
        found = {**self.energy_pj.entries(), **self.power_mw.entries()}
        return {
            term: coefficient
            for term, coefficient in found.items()
            if isinstance(coefficient, Coefficient)
        }

    def listed(self, names: tuple[str, ...], *tables: str) -> tuple[str, ...]:
        """Return the keys of `tables` that are listed in names such as ``"energy.barrier"``."""
        return tuple(
            last for table in tables for first, last in map(full_name, names) if first == table
        )

    @field_validator("schema_version")
    @classmethod
    def _check_version(cls, version: int) -> int:
        if version != 1:
            refuse(f"got {shown(version)}, expected 1")
        return version

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
    def _check_sources(self) -> ProfileDocument:
        found = [(f"{t}.{k}", entry) for t, table in self.entry_tables() for k, entry in table]
        found += [(f"reported.{name}", entry) for name, entry in self.reported.items()]
        for name, entry in found:
            if entry is not None and entry.src not in self.source:
                known = ", ".join(self.source) or "none is defined"
                refuse(f"{name}.src: got {shown(entry.src)}, expected a key of [source]: {known}")
        return self

    @model_validator(mode="after")
    def _check_listed(self) -> ProfileDocument:
        taken = {
            f"{table}.{name}": f"{table}.{name} defines, expected only one of them"
            for table, entries in self.entry_tables()
            for name in entries.entries()
        }
        for which in ("unknown", "not_applicable"):
            for name in getattr(self, which):
                table, last = full_name(name)
                if table not in TABLES or last not in TABLES[table].model_fields:
                    refuse(
                        f"{which}: got {shown(name)}, expected a table and key such as "
                        "limits.neurons_per_core, energy.barrier or power.static_chip"
                    )
                if f"{table}.{last}" in taken:
                    refuse(f"{which}: got {shown(name)}, which {taken[f'{table}.{last}']}")
                taken[f"{table}.{last}"] = f"is already listed in {which}, expected it once"
        return self

    @model_validator(mode="after")
    def _check_scope(self) -> ProfileDocument:
        if self.energy_scope != "all_in":
            return self
        if self.energy_pj.synaptic_operation is None:
            refuse(
                "energy_scope: got 'all_in' without energy_pJ.synaptic_operation, expected this "
                "coefficient, which covers all energy"
            )
        for term in self.coefficients():
            if term != "synaptic_operation":
                refuse(
                    f"{_full_term(term)}: got a coefficient with energy_scope = 'all_in', expected "
                    "synaptic_operation only (use [reported] for figures that are only displayed)"
                )
        return self

    @model_validator(mode="after")
    def _check_covers(self) -> ProfileDocument:
        coefficients = self.coefficients()
        terms = (*tables.Energies.model_fields, *tables.Powers.model_fields)
        unknown = self.listed(self.unknown, "energy_pJ", "power_mW")
        holders: dict[str, str] = {}
        for holder, coefficient in coefficients.items():
            for term in coefficient.covers:
                me = f"{_full_term(holder)}.covers"
                if term not in terms:
                    refuse(f"{me}: got {shown(term)}, {expected_among(term, terms)}")
                if term in coefficients:
                    refuse(
                        f"{_full_term(term)}: got a coefficient, but {holder} covers this term, "
                        "expected only one of them"
                    )
                if term in unknown:
                    refuse(f"{me}: got {term}, also listed as unknown, expected only one of them")
                if term in holders:
                    refuse(f"{me}: got {term}, which {holders[term]} also covers, expected it once")
                holders[term] = holder
        return self

    @model_validator(mode="after")
    def _check_format(self) -> ProfileDocument:
        given = self.format
        bits, exponents = given.v_bits, given.weight_exp
        if bits and bits.overflow != "clip":
            refuse("format.v_bits.overflow: got 'wrap', expected 'clip'; wrapping is not supported")
        if bits and not bits.signed and bits.v > 23:
            refuse(f"format.v_bits: got {bits.v} unsigned bits, expected 2 to 23")
        if exponents and not exponents.range[0] <= 0 <= exponents.range[1]:
            refuse(
                f"format.weight_exp.range: got {list(exponents.range)}, expected a range that "
                "contains 0, the exponent of weights without one"
            )
        for name, fewest in (("refractory_steps", 0), ("delay_steps", 1)):
            span = getattr(given, name)
            if span and span.steps()[0] < fewest:
                refuse(
                    f"format.{name}: got at least {span.steps()[0]} steps including the offset, "
                    f"expected at least {fewest}"
                )
        for lack, name in (
            ("bias", "bias"),
            ("refractory_period", "refractory_steps"),
            ("delay", "delay_steps"),
            ("leak", "decay_bits"),
            ("synaptic_current", "u_bits"),
        ):
            if getattr(self.lacks, lack) and getattr(given, name):
                refuse(
                    f"format.{name}: got a format for a feature listed in lacks.{lack}, expected "
                    "only one of them"
                )
        if self.lacks.reset_to_rest and given.resets and "value" in given.resets.v:
            refuse(
                "format.resets: got 'value', which lacks.reset_to_rest excludes, expected only one "
                "of them"
            )
        return self

    @model_validator(mode="after")
    def _check_mesh(self) -> ProfileDocument:
        mesh = self.mesh.entries()
        missing = [name for name in tables.MeshTable.model_fields if name not in mesh]
        if mesh and missing:
            refuse(f"mesh: has no {missing[0]}, expected width, height and cores_per_node")
        cores = 1
        for entry in mesh.values():
            cores *= int(entry.numbers()[0])
        given = self.limits.cores_per_chip
        if mesh and given and given.v != cores:
            refuse(
                f"mesh: got {cores} cores in total, expected {given.v} as in limits.cores_per_chip"
            )
        return self

    @model_validator(mode="after")
    def _check_pace(self) -> ProfileDocument:
        given = [f"pace.{name}" for name in self.pace.entries()]
        given += ["time_ns"] if self.time_ns.entries() else []
        if len(given) > 1:
            refuse(f"{given[1]}: got it in addition to {given[0]}, expected only one of them")
        fastest, slowest = self.time_ns.barrier_fastest, self.time_ns.barrier_slowest
        if fastest and slowest and fastest.v > slowest.v:
            refuse(
                f"time_ns.barrier_fastest: got {fastest.v:g}, expected at most barrier_slowest, "
                f"{slowest.v:g}"
            )
        return self


TABLES = {
    field.alias or name: type(field.default)
    for name, field in ProfileDocument.model_fields.items()
    if isinstance(field.default, Table)
}
"""Tables with entries, by their names in a file."""


def _full_term(term: str) -> str:
    return f"{'energy_pJ' if term in tables.Energies.model_fields else 'power_mW'}.{term}"


def _filled_in(name: str, table: dict[str, Any]) -> dict[str, Any]:
    """Return a table whose entries are completed with the table's default."""
    if "default" not in table:
        return table
    default = table["default"]
    if not isinstance(default, dict):
        refuse(f"{name}.default: got {shown(default)}, expected a table of src, at, basis or cond")
    for given in default:
        if given not in _DEFAULTS:
            refuse(
                f"{name}.default: unknown key {shown(given)}, {expected_among(given, _DEFAULTS)}"
            )
    filled = {given: entry for given, entry in table.items() if given != "default"}
    for given, entry in filled.items():
        if isinstance(entry, dict):
            # The default location applies only to the default source.
            borrowed = {
                part: value for part, value in default.items() if part != "at" or "src" not in entry
            }
            filled[given] = {**borrowed, **entry}
    return filled
