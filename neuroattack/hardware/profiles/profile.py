"""Hardware profile of a chip, and its conversion to number formats, limits and energy models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal, cast

from neuroattack.hardware.profiles.core_limits import CoreLimits, Mesh
from neuroattack.hardware.profiles.energy_model import (
    BASES,
    Basis,
    Coefficient,
    EnergyModel,
    EnergyTerm,
    Timing,
)
from neuroattack.hardware.profiles.number_format import (
    BiasFormat,
    CurrentFormat,
    Feature,
    NumberFormat,
    StateFormat,
)
from neuroattack.hardware.profiles.schema import ProfileDocument
from neuroattack.hardware.profiles.tables import Count, Quantity, Statement

__all__ = ["Profile"]

_OF_STATEMENT = {*Statement.model_fields, "v", "range", "bound", "unit"}
_LEARNING = "stdp_update"


@dataclass(frozen=True)
class Profile:
    """Hardware profile of a chip; see ``docs/hardware.md`` for the file format.

    Parameters
    ----------
    document : ProfileDocument
        Content of the profile file.
    checksum : str
        SHA-256 of the file.
    """

    document: ProfileDocument = field(repr=False)
    checksum: str

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Profile:
        """Return the profile of the values of :meth:`as_json`."""
        return cls(ProfileDocument.model_validate(values["document"]), values["checksum"])

    def as_json(self) -> dict[str, Any]:
        """Return the file's content and its checksum as JSON values."""
        document = self.document.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return {"document": document, "checksum": self.checksum}

    @property
    def id(self) -> str:
        """Identifier of the chip in commands and results."""
        return self.document.id

    @property
    def name(self) -> str:
        """Display name of the chip; its id if the file has no name."""
        return self.document.name or self.id

    @property
    def arithmetic(self) -> Literal["integer", "analog"]:
        """Arithmetic of the chip's neurons."""
        return "analog" if self.document.update_policy == "continuous" else "integer"

    def number_format(self) -> NumberFormat:
        """Return the chip's number formats."""
        given = self.document.format
        shift = given.vth_mant_bits.shift if given.vth_mant_bits else 0
        exponents = given.weight_exp.range if given.weight_exp else (0, 0)
        others: dict[str, Any] = {}
        if given.v_bits:
            highest = 2 ** (given.v_bits.v - given.v_bits.signed) - 1
            lowest = -highest if given.v_bits.signed else 0
            current = None
            if given.u_bits and given.decay_bits:
                decay, bits = given.decay_bits, given.u_bits.v
                current = CurrentFormat(decay.v, decay.u_offset, bits)
            leak_bits = _value(given.decay_bits)
            others["state"] = StateFormat(lowest, highest, shift, leak_bits, current)
            # With a lower exponent, weights would have bits below the last bit of the state, which
            # fixed-point networks do not support.
            exponents = (max(exponents[0], -shift), exponents[1])
        if given.sign_modes:
            others["sign_modes"] = frozenset(given.sign_modes.v)
        if given.resets:
            others["resets"] = frozenset(given.resets.v)
        if given.mixed_weight_step:
            others["mixed_weight_step"] = given.mixed_weight_step.v
        return NumberFormat(
            name=self.name,
            weight_code=given.weight_code.v if given.weight_code else None,
            weight_bits=_value(given.weight_bits),
            weight_exponents=exponents,
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
        """Return the limits of the chip and its cores."""
        document = self.document
        known = {each.name for each in fields(CoreLimits)}
        limits: dict[str, Any] = {
            name: limit.v
            for name, limit in document.limits.entries().items()
            if name in known and isinstance(limit, Count)
        }
        if document.format.weight_bits:
            # Indices, if stored, take additional memory, which is rarely published.
            limits.setdefault("bits_per_synapse", document.format.weight_bits.v)
        mesh = document.mesh
        if mesh.width and mesh.height and mesh.cores_per_node:
            limits["mesh"] = Mesh(mesh.width.v, mesh.height.v, mesh.cores_per_node.v)
        listed = document.listed(document.not_applicable, "limits")
        return CoreLimits(self.name, not_applicable=frozenset(listed) & known, **limits)

    def energy_model(self) -> EnergyModel:
        """Return the energy and time coefficients of the chip."""
        document = self.document
        energies = document.energy_pj.entries()
        energies.pop(_LEARNING, None)
        unknown = document.listed(document.unknown, "energy_pJ", "power_mW")
        covered = {
            term: holder
            for holder, coefficient in document.coefficients().items()
            for term in coefficient.covers
        }
        return EnergyModel(
            name=self.name,
            scope=document.energy_scope,
            update_policy=document.update_policy,
            event_pj=cast("Mapping[EnergyTerm, Coefficient]", self._coefficients(energies)),
            power_mw=cast(
                "Mapping[EnergyTerm, Coefficient]", self._coefficients(document.power_mw.entries())
            ),
            unknown=tuple(cast("EnergyTerm", term) for term in unknown if term != _LEARNING),
            covered=MappingProxyType(cast("dict[EnergyTerm, str]", covered)),
            timing=self._timing(),
        )

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield every entry of the file as JSON values, in the order of the schema.

        Entries have ``"table"`` and ``"key"``; ``"value"`` (number, bounds of a range, names or
        None) and ``"unit"``; ``"reference"``, ``"access"`` and ``"location"`` of the source;
        ``"basis"``, ``"conditions"``, ``"bound"``, ``"note"``; and other fields in ``"details"``.
        """
        for name, table in self.document.entry_tables():
            for key, entry in table.entries().items():
                yield self._entry(name, key, entry, table.unit(key))
        for key, reported in self.document.reported.items():
            yield self._entry("reported", key, reported, reported.unit)

    def weakest_basis(self) -> Basis | None:
        """Return the weakest basis of the energy coefficients; None without any."""
        bases = {coefficient.basis for coefficient in self.document.coefficients().values()}
        return max(bases, key=BASES.index, default=None)

    def _entry(self, table: str, key: str, entry: Statement, unit: str) -> dict[str, Any]:
        given = entry.model_dump(mode="json", exclude_unset=True)
        return {
            "table": table,
            "key": key,
            "value": given.get("v", given.get("range")),
            "unit": unit,
            "details": {name: v for name, v in given.items() if name not in _OF_STATEMENT},
            "reference": self._reference(entry),
            "access": self.document.source[entry.src].access,
            "location": entry.at,
            "basis": entry.basis,
            "conditions": entry.cond,
            "bound": given.get("bound"),
            "note": entry.note,
        }

    def _reference(self, entry: Statement) -> str:
        return self.document.source[entry.src].ref

    def _coefficient(self, entry: Quantity) -> Coefficient:
        reference = self._reference(entry)
        return Coefficient(
            entry.v, reference, entry.at, entry.basis, entry.cond, entry.bound, entry.note
        )

    def _coefficients(self, entries: Mapping[str, Statement]) -> Mapping[str, Coefficient]:
        found = {
            k: self._coefficient(each) for k, each in entries.items() if isinstance(each, Quantity)
        }
        return MappingProxyType(found)

    def _timing(self) -> Timing | None:
        pace, events = self.document.pace, self.document.time_ns.entries()
        if pace.tick_s:
            return Timing("tick", self._coefficient(pace.tick_s))
        if pace.acceleration:
            real_time = pace.acceleration.v == 1
            return Timing(
                "real_time" if real_time else "accelerated", self._coefficient(pace.acceleration)
            )
        return Timing("events", event_ns=self._coefficients(events)) if events else None


def _value(count: Count | None) -> int | None:
    return count.v if count else None
