"""What must agree between the tables of a profile file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuroattack.hardware.profiles.entries import expected_among, refuse, shown
from neuroattack.hardware.profiles.tables import TABLES, Energies, MeshTable, Powers, full_name

if TYPE_CHECKING:
    from neuroattack.hardware.profiles.schema import ProfileDocument

__all__ = ["check_agreement"]


def check_agreement(profile: ProfileDocument) -> None:
    """Refuse a profile whose tables contradict each other, in a sentence for pydantic to carry."""
    _check_sources(profile)
    _check_listed(profile)
    _check_scope(profile)
    _check_covers(profile)
    _check_format(profile)
    _check_mesh(profile)
    _check_pace(profile)


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
            table, last = full_name(name)
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
    unknown = (
        *profile.listed(profile.unknown, "energy_pJ"),
        *profile.listed(profile.unknown, "power_mW"),
    )
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
    for name, span, fewest in (
        ("refractory_steps", profile.format.refractory_steps, 0),
        ("delay_steps", profile.format.delay_steps, 1),
    ):
        if span and span.steps()[0] < fewest:
            refuse(
                f"format.{name}: got {span.steps()[0]} as the fewest steps, its offset added, "
                f"expected at least {fewest}"
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
