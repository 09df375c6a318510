"""Text of numbers in reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # Importing attacks at run time would make tables in the terminal slow.
    from neuroattack.attacks.result import Verification

__all__ = [
    "NBSP",
    "attack_text",
    "bound_text",
    "budget_text",
    "decimals_for",
    "energy_text",
    "interval",
    "percent",
    "proportion",
    "throughput",
]

NBSP = "\u00a0"
"""No-break space, between a number and its unit."""


def bound_text(
    norm: str | None, bound: float | None, options: Mapping[str, int] | None = None
) -> str:
    """Return the text of a norm bound, such as L2 \u2264 2, with its options."""
    if norm is None:
        return "none"
    names = {"l0": "L0", "l2": "L2", "linf": "L\u221e", "local_sd": "local SD"}
    name = names.get(norm, norm)
    further = "".join(f", {key}={value}" for key, value in (options or {}).items())
    return f"{name}{NBSP}\u2264{NBSP}{bound:g}{further}"


def attack_text(attack: str, settings: Mapping[str, Any]) -> str:
    """Return the name of an attack with its settings, such as ``transfer substitutes=mnist``."""
    texts = (
        f"{key}={','.join(map(str, value)) if isinstance(value, list | tuple) else value}"
        for key, value in settings.items()
    )
    return " ".join((attack, *texts))


def budget_text(budget: int | None, threat_model: str | None) -> str:
    """Return a query budget as text; white-box attacks have none, because they do not query."""
    if threat_model == "white-box":
        return "no queries"
    return "no limit" if budget is None else f"{budget:,}"


def proportion(found: Verification) -> str:
    """Return a proportion as a percentage with its 95 % interval."""
    decimals = decimals_for(found.trials)
    return f"{percent(found.rate, decimals)}, {interval(found.ci95, decimals)}"


def interval(ci95: tuple[float, float], decimals: int) -> str:
    """Return the text of a 95 % interval."""
    return f"95{NBSP}% interval {100 * ci95[0]:.{decimals}f} to {percent(ci95[1], decimals)}"


def decimals_for(trials: int) -> int:
    """Return the number of decimals for a percentage of that many trials."""
    return 0 if trials <= 200 else 1


def percent(fraction: float, decimals: int = 1) -> str:
    """Return a fraction, 0 to 1, as a percentage."""
    return f"{100 * fraction:.{decimals}f}{NBSP}%"


def throughput(images_per_s: float) -> str:
    """Return images per second with at least three significant digits."""
    return f"{images_per_s:,.0f}" if images_per_s >= 100 else f"{images_per_s:.3g}"


def energy_text(energy_pj: float) -> str:
    """Return an energy with three significant digits, in pJ, nJ, \u00b5J or mJ."""
    for unit, size_pj in (("mJ", 1e9), ("\u00b5J", 1e6), ("nJ", 1e3)):
        if energy_pj >= size_pj:
            return f"{energy_pj / size_pj:.3g}{NBSP}{unit}"
    return f"{energy_pj:.3g}{NBSP}pJ"
