"""The schema of a profile file as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator, model_validator

from neuroattack.hardware.profiles.agreement import check_agreement
from neuroattack.hardware.profiles.energy_model import Scope, UpdatePolicy
from neuroattack.hardware.profiles.entries import (
    Identifier,
    Price,
    Reported,
    Source,
    Strict,
    Table,
    Text,
    expected_among,
    refuse,
    shown,
)
from neuroattack.hardware.profiles.tables import (
    TABLES,
    Energies,
    Format,
    Lacks,
    Limits,
    MeshTable,
    Pace,
    Powers,
    Times,
    full_name,
)

__all__ = ["ProfileDocument"]

_DEFAULTS = ("src", "at", "basis", "cond")


class ProfileDocument(Strict):
    """A profile file that holds together."""

    schema_version: int = Field(alias="schema")
    id: Identifier
    name: (
        Annotated[Text, StringConstraints(pattern=r"^[\w .,:;()+/&'-]*$", max_length=80)] | None
    ) = None
    neuron_models: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    update_policy: UpdatePolicy
    energy_scope: Scope
    unknown: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    not_applicable: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    source: dict[Identifier, Source]
    limits: Limits = Limits()
    mesh: MeshTable = MeshTable()
    format: Format = Format()
    lacks: Lacks = Lacks()
    energy_pj: Energies = Field(default=Energies(), alias="energy_pJ")
    power_mw: Powers = Field(default=Powers(), alias="power_mW")
    time_ns: Times = Times()
    pace: Pace = Pace()
    reported: dict[Identifier, Reported] = Field(default_factory=dict)

    @field_validator("schema_version")
    @classmethod
    def _check_version(cls, version: int) -> int:
        if version != 1:
            refuse(f"got {shown(version)}, expected 1, the only one there is")
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
    def _check_agreement(self) -> ProfileDocument:
        check_agreement(self)
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
        return tuple(last for first, last in map(full_name, names) if first == table)


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
