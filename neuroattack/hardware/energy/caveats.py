"""What a reader has to know of an estimate, in sentences from the facts of the chip's model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from neuroattack.hardware.energy.terms import POWERS, TermEstimate
from neuroattack.hardware.profiles.energy_model import BASES, Basis, EnergyModel, EnergyTerm, Price

if TYPE_CHECKING:
    from neuroattack.hardware.energy.energy import EnergyEstimate

__all__ = ["caveats"]

_RESTS_ON: dict[Basis, str] = {
    "measured": "measured",
    "simulated": "simulated by the source, not measured",
    "derived": "derived from other numbers, not measured by themselves",
    "design": "of the design, not measured",
    "code": "from a program's code, not measured",
    "vendor": "the vendor's word",
}


def caveats(estimate: EnergyEstimate) -> tuple[str, ...]:
    """Return the sentences that go with an estimate."""
    return (
        *_of_numbers(estimate.prices | estimate.time_prices),
        *_of_conditions(estimate),
        *_of_terms(estimate.model, estimate.terms),
        *_of_time(estimate),
    )


def _of_numbers(prices: Mapping[str, Price]) -> Iterator[str]:
    for basis in BASES[1:]:
        names = [name for name, price in prices.items() if price.basis == basis]
        if names:
            yield f"{_list(names)}: {_RESTS_ON[basis]}."
    for bound, other in (("min", "upper"), ("max", "lower")):
        names = [name for name, price in prices.items() if price.bound == bound]
        if names:
            yield (
                f"{_list(names)}: given as a {bound}imum by its source, so that {other} figures "
                f"with it are no {other} bounds."
            )


def _of_conditions(estimate: EnergyEstimate) -> Iterator[str]:
    if estimate.mixed_conditions:
        yield f"Numbers of different conditions are added up: {'; '.join(estimate.conditions)}."


def _of_terms(model: EnergyModel, terms: Mapping[EnergyTerm, TermEstimate]) -> Iterator[str]:
    missing = [name for name, term in terms.items() if term.status == "unpriced"]
    no_price = [name for name in missing if terms[name].price is None]
    no_count = [name for name in missing if terms[name].price is not None]
    if no_price:
        yield f"In no figure, for no source prices it: {_list(no_price)}."
    if no_count:
        yield f"In no figure, for how much of it there is, is not known: {_list(no_count)}."
    if model.scope == "all_in" and "synaptic_operation" in model.event_pj:
        yield (
            "The price of a synaptic operation holds all that the chip spends under the "
            f"conditions of its source ({model.event_pj['synaptic_operation'].conditions}): at "
            "another load, an operation bears another share of what is spent without any."
        )
    priced = {name for name, term in terms.items() if term.status == "priced"}
    updates = {"update_active", "update_inactive"}
    if updates <= priced:
        yield (
            "Which neuron updates count as active is bounded: at the least those in which the "
            "neuron spikes, at the most all."
        )
    elif len(updates & terms.keys()) == 1 and updates & priced:
        only = _list(updates & priced)
        yield f"The price of {only} is taken for every neuron update: the other is not known."
    if priced & {"hop_ew", "hop_ns"}:
        yield (
            "The hops of input spikes from where they enter the chip are not counted: where that "
            "is, is not known."
        )
    if "static_chip" in priced:
        yield "Static power is that of one whole chip, however few of its cores are in use."
    yield "Drawing input spikes from images happens off the chip and is in no figure."
    if "host_io" not in terms:
        yield "Getting spikes onto the chip and answers off it is in no figure."


def _of_time(estimate: EnergyEstimate) -> Iterator[str]:
    timing, time_prices = estimate.model.timing, estimate.time_prices
    if timing is None or timing.kind != "events" or not time_prices:
        return
    if POWERS & estimate.prices.keys():
        yield (
            "Steps are taken to follow each other as fast as their events allow: at a slower pace, "
            "static power adds up for longer."
        )
    yield (
        "Hardware time is bounded from the work of the cores, which work side by side until a "
        "barrier ends the step; the time that spikes take between cores is not in it."
    )
    if not any("barrier" in name for name in time_prices):
        yield "Hardware time is that of the events alone: no source times the barrier of a step."


def _list(names: Iterable[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)
