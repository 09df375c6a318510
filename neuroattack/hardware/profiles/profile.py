"""A chip's profile: its numbers as the rest of the toolkit takes them, each with its source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal, cast

from neuroattack.hardware.profiles.core_limits import CoreLimits, Mesh
from neuroattack.hardware.profiles.energy_model import (
    BASES,
    Basis,
    Bound,
    EnergyModel,
    EnergyTerm,
    Price,
    Timing,
)
from neuroattack.hardware.profiles.entries import Count, Quantity, Statement
from neuroattack.hardware.profiles.number_format import (
    BiasFormat,
    Feature,
    NumberFormat,
    StateFormat,
)
from neuroattack.hardware.profiles.schema import ProfileDocument

__all__ = ["Profile", "ProfileEntry"]

_OF_STATEMENT = {*Statement.model_fields, "v", "range", "bound", "unit"}


@dataclass(frozen=True)
class ProfileEntry:
    """One line of a profile.

    Parameters
    ----------
    table, key : str
        Where it stands in the file.
    value : float, int, list or None
        A number, the two ends of a range, or names; None for a statement without a value.
    unit : str
        Empty for a plain count.
    details : mapping of str to value
        What else the file says of the number: the overflow of a state, the terms a price covers.
    reference, access : str
        The source, and what of it was read: its "primary" text, a "transcript", "code", or
        nothing ("memory").
    place : str
        Where in the source.
    basis : Basis
        What the number rests on.
    conditions : str
        Under which it holds.
    bound : {"min", "max"} or None
        Whether the source gives it as a lower or an upper bound.
    note : str
        What else a reader should know.
    """

    table: str
    key: str
    value: float | int | list[Any] | None
    unit: str
    details: Mapping[str, Any]
    reference: str
    access: str
    place: str
    basis: Basis
    conditions: str
    bound: Bound | None
    note: str

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**values, "details": dict(self.details)}


@dataclass(frozen=True)
class Profile:
    """A chip as a profile file describes it; see ``docs/hardware.md`` for the file.

    Parameters
    ----------
    document : ProfileDocument
        What the file holds.
    checksum : str
        SHA-256 of the file's bytes.
    """

    document: ProfileDocument = field(repr=False)
    checksum: str

    @property
    def id(self) -> str:
        """The chip's name in commands and results."""
        return self.document.id

    @property
    def name(self) -> str:
        """The chip's name for people; its id where the file gives no other."""
        return self.document.name or self.id

    @property
    def arithmetic(self) -> Literal["integer", "analogue"]:
        """What the chip's neurons compute in."""
        return "analogue" if self.document.update_policy == "continuous" else "integer"

    def number_format(self) -> NumberFormat:
        """Return the numbers that the chip holds."""
        given = self.document.format
        shift = given.vth_mant_bits.shift if given.vth_mant_bits else 0
        state = None
        if given.v_bits:
            signed = given.v_bits.signed
            highest = 2 ** (given.v_bits.v - signed) - 1
            state = StateFormat(
                lowest=-highest if signed else 0,
                highest=highest,
                shift=shift,
                leak_bits=given.decay_bits.v if given.decay_bits else None,
            )
        exponents = given.weight_exp.range if given.weight_exp else (0, 0)
        if state:
            # A weight of a lower exponent has its last bits below the state's last, where
            # networks in fixed point hold none.
            exponents = (max(exponents[0], -shift), exponents[1])
        others: dict[str, Any] = {}
        if given.sign_modes:
            others["sign_modes"] = frozenset(given.sign_modes.v)
        if given.mixed_weight_step:
            others["mixed_weight_step"] = given.mixed_weight_step.v
        return NumberFormat(
            name=self.name,
            weight_bits=_value(given.weight_bits),
            weight_exponents=exponents,
            state=state,
            threshold_bits=_value(given.vth_mant_bits),
            bias=BiasFormat(given.bias.mant_bits, given.bias.exp_bits) if given.bias else None,
            refractory_steps=given.refractory_steps.steps() if given.refractory_steps else None,
            delay_steps=given.delay_steps.steps() if given.delay_steps else None,
            lacks=MappingProxyType(
                {
                    cast("Feature", feature): f"{self._reference(lack)}, {lack.at}"
                    for feature, lack in self.document.lacks.entries().items()
                }
            ),
            **others,
        )

    def core_limits(self) -> CoreLimits:
        """Return what the chip's cores hold."""
        known = {each.name for each in fields(CoreLimits)}
        limits: dict[str, Any] = {
            name: limit.v
            for name, limit in self.document.limits.entries().items()
            if name in known and isinstance(limit, Count)
        }
        if self.document.format.weight_bits:
            # Its index takes more, where the chip keeps one; how much is seldom said.
            limits.setdefault("bits_per_synapse", self.document.format.weight_bits.v)
        mesh = self.document.mesh
        if mesh.width and mesh.height and mesh.cores_per_node:
            limits["mesh"] = Mesh(mesh.width.v, mesh.height.v, mesh.cores_per_node.v)
        listed = self.document.listed(self.document.not_applicable, "limits")
        return CoreLimits(
            name=self.name, not_applicable=frozenset(listed).intersection(known), **limits
        )

    def energy_model(self) -> EnergyModel:
        """Return what the chip's events cost, and how long they take."""
        document = self.document
        learning = {"stdp_update"}
        unknown = [
            *document.listed(document.unknown, "energy_pJ"),
            *document.listed(document.unknown, "power_mW"),
        ]
        return EnergyModel(
            name=self.name,
            scope=document.energy_scope,
            update_policy=document.update_policy,
            event_pj=self._prices(document.energy_pj.entries(), learning),
            power_mw=self._prices(document.power_mw.entries()),
            unknown=tuple(cast("EnergyTerm", term) for term in unknown if term not in learning),
            covered=MappingProxyType(
                {
                    cast("EnergyTerm", term): holder
                    for holder, price in document.prices().items()
                    for term in price.covers
                }
            ),
            timing=self._timing(),
        )

    def entries(self) -> Iterator[ProfileEntry]:
        """Yield every number and statement of the file, in the schema's order."""
        for name, table in self.document.tables():
            for key, entry in table.entries().items():
                yield self._entry(name, key, entry, table.unit(key))
        for key, reported in self.document.reported.items():
            yield self._entry("reported", key, reported, reported.unit)

    def weakest_basis(self) -> Basis | None:
        """Return the weakest that the chip's prices rest on; None where nothing is priced."""
        bases = {price.basis for price in self.document.prices().values()}
        return max(bases, key=BASES.index, default=None)

    def _entry(self, table: str, key: str, entry: Statement, unit: str) -> ProfileEntry:
        given = entry.model_dump(mode="json", exclude_unset=True)
        return ProfileEntry(
            table=table,
            key=key,
            value=given.get("v", given.get("range")),
            unit=unit,
            details=MappingProxyType(
                {name: value for name, value in given.items() if name not in _OF_STATEMENT}
            ),
            reference=self._reference(entry),
            access=self.document.source[entry.src].access,
            place=entry.at,
            basis=entry.basis,
            conditions=entry.cond,
            bound=given.get("bound"),
            note=entry.note,
        )

    def _reference(self, entry: Statement) -> str:
        return self.document.source[entry.src].ref

    def _price(self, entry: Quantity) -> Price:
        return Price(
            value=entry.v,
            source=self._reference(entry),
            place=entry.at,
            basis=entry.basis,
            conditions=entry.cond,
            bound=entry.bound,
            note=entry.note,
        )

    def _prices(
        self, entries: Mapping[str, Statement], without: set[str] | None = None
    ) -> Mapping[EnergyTerm, Price]:
        return MappingProxyType(
            {
                cast("EnergyTerm", term): self._price(entry)
                for term, entry in entries.items()
                if isinstance(entry, Quantity) and term not in (without or ())
            }
        )

    def _timing(self) -> Timing | None:
        pace, events = self.document.pace, self.document.time_ns.entries()
        if pace.tick_s:
            return Timing("tick", self._price(pace.tick_s))
        if pace.acceleration:
            real_time = pace.acceleration.v == 1
            return Timing(
                "real_time" if real_time else "accelerated", self._price(pace.acceleration)
            )
        if events:
            return Timing("events", event_ns=cast("Mapping[str, Price]", self._prices(events)))
        return None


def _value(count: Count | None) -> int | None:
    return count.v if count else None
