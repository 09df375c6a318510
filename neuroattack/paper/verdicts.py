"""Verdicts on the paper's claims, each by a rule on the numbers of an item."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from neuroattack.paper.networks import DNN, NAMES, SDBN
from neuroattack.paper.noise import COLLAPSED, SMALL_DELTA, TEST_DELTA, WITHIN
from neuroattack.paper.published import DNN_ACCURACY
from neuroattack.paper.settings import SOURCE, TARGET, Figures
from neuroattack.paper.tables import fell_and_rose
from neuroattack.report.table import decimals

__all__ = ["CHANCE", "CLOSE", "SIGNIFICANT", "Claim", "Verdict", "by_conditions", "by_intervals"]
__all__ += ["attack", "gaps", "noise", "population", "spike_fractions", "window"]

Verdict = Literal["reproduced", "partly", "not reproduced", "undecided"]

CLOSE = 0.01
"""Largest difference from the paper's clean accuracies and shares that counts as none."""

CHANCE = 0.2
"""Largest accuracy of a network that guesses; the paper's collapses end below."""

SIGNIFICANT = 0.05
"""Largest p-value of a correlation that counts as one."""

_PERCENT, _POINTS = decimals(1, scale=100.0), decimals(1, scale=100.0, sign=True)


class Claim(NamedTuple):
    """A claim of the paper, its numbers there and here, and the verdict."""

    claim: str
    paper: str
    here: str
    verdict: Verdict


def by_conditions(met: Iterable[bool]) -> Verdict:
    """Return ``reproduced`` if all conditions are met, ``partly`` if some are."""
    found = set(met)
    return "reproduced" if found == {True} else "partly" if True in found else "not reproduced"


def by_intervals(intervals: Iterable[Sequence[float] | None], sign: int) -> Verdict:
    """Return the verdict on differences of a sign, from their 95 % intervals.

    ``reproduced`` if all exclude 0 on that side, ``partly`` if some do; else ``not reproduced`` if
    some exclude it on the other side, ``undecided`` if none excludes it or there is no interval.
    """
    sides = {0 if one is None else int(one[0] > 0) - int(one[1] < 0) for one in intervals}
    if sides == {sign}:
        return "reproduced"
    return "partly" if sign in sides else "not reproduced" if -sign in sides else "undecided"


def _listed(write: Any, values: Iterable[Any]) -> str:
    return ", ".join(map(write, values))


def noise(figures: Figures) -> Iterator[Claim]:
    """Yield the claims of Table I: clean accuracy, test noise, small noise, collapse."""
    clean, dnn = figures["clean"], figures["clean_dnn"]["accuracy"]
    for network, paper, here in (
        (SDBN, figures["paper_clean_accuracy"], (clean["accuracy"], clean["spiking_accuracy"])),
        (DNN, DNN_ACCURACY / 100, (dnn,)),
    ):
        exact = decimals(2, scale=100.0)
        verdict = by_conditions(abs(value - paper) <= CLOSE for value in here)
        claim = f"clean accuracy of the {network.upper()} (%)"
        yield Claim(claim, exact(paper), _listed(exact, here), verdict)
    for one in figures["test_noise"]:
        near, far = len(one["within_6_points"]), len(one["beyond_6_points"])
        tested = f"{one['noise']} test noise, \u03b4 \u2265 {TEST_DELTA:g}"
        verdict = by_conditions([True] * near + [False] * far)
        yield Claim(
            f"{tested}: within {100 * WITHIN:g} points", "", f"{near} of {near + far}", verdict
        )
    for one in figures["small_noise"]:
        signed, ci95 = decimals(2, scale=100.0, sign=True), one["difference_ci95"]
        claim = f"gain from {one['noise']} training noise of {SMALL_DELTA:g} (points)"
        here = (one["difference"], *ci95) if ci95 else one["difference"]
        paper = signed(one["paper_difference"])
        yield Claim(claim, paper, signed(here), by_intervals([ci95], 1))
    for one in figures["collapse"]["columns"]:
        delta, paper = one["delta"], one["paper_delta"]
        about = f"{one['noise']} noise, {one['mode']}"
        yield Claim(
            f"collapse below {COLLAPSED:.0%} under {about}: \u03b4, lowest (%)",
            f"{paper:g}, {_PERCENT(one['paper_lowest'])}",
            f"{'none' if delta is None else delta}, {_PERCENT(one['lowest'])}",
            by_conditions([delta is not None, delta == paper, one["lowest"] <= CHANCE]),
        )


def window(figures: Figures) -> Iterator[Claim]:
    """Yield the claim of Figure 3, judged by the intervals at the lowest accuracies."""
    mine = [one for one in figures["curves"] if one["network"] == SDBN]
    corner, middle = (
        min((one for one in mine if one["place"] == place), key=lambda one: one["accuracy"])
        for place in ("corner", "middle")
    )
    (low, high), (other_low, other_high) = corner["accuracy_ci95"], middle["accuracy_ci95"]
    clean = figures["clean_accuracy"]
    yield Claim(
        "noise harms the SDBN more in the middle than in the corner: corner, middle (points)",
        "",
        _listed(_POINTS, (corner["accuracy"] - clean, middle["accuracy"] - clean)),
        by_intervals([(low - other_high, high - other_low)], 1),
    )


def attack(figures: Figures) -> Iterator[Claim]:
    """Yield the claims of Table II or III, by case.

    P(target) of the paper's DNN rises in every iteration and wins; that of its SDBN moves up and
    down and does not win.
    """
    network, of_dnn = figures["network"].upper(), figures["network"] == DNN
    history = "rises and wins" if of_dnn else "moves up and down and does not win"
    for case, found in figures["cases"].items():
        paper, here = (
            [row["p_target"] for row in figures[rows] if row["case"] == case]
            for rows in ("paper_rows", "rows")
        )
        (fell, rose), won = fell_and_rose(here), found["predicted"][-1] == figures["target_class"]
        yield Claim(
            f"P(target) on the {network} {history}, case {case}: highest, last (%)",
            _listed(_PERCENT, (max(paper), paper[-1])),
            _listed(_PERCENT, (max(here), here[-1])),
            by_conditions([won, fell == 0] if of_dnn else [fell > 0 and rose > 0, not won]),
        )


def spike_fractions(figures: Figures) -> Iterator[Claim]:
    """Yield the clean shares of Figure 9."""
    paper = figures["paper"]["p_max_class"], figures["paper"]["p_target"]
    here = figures["spike_fractions"][SOURCE], figures["spike_fractions"][TARGET]
    verdict = by_conditions(abs(a - b) <= CLOSE for a, b in zip(here, paper, strict=True))
    claim = f"clean shares of the sample, {SOURCE} and {TARGET} (%)"
    yield Claim(claim, _listed(_PERCENT, paper), _listed(_PERCENT, here), verdict)


def population(figures: Figures) -> Iterator[Claim]:
    """Yield whether the attack gains less on the SDBN, for three pairs of networks."""
    for pair in (SDBN, DNN), (f"{SDBN}-exact", DNN), (SDBN, f"{DNN}-sampled"):
        found = [one for one in figures["comparisons"] if (one["first"], one["second"]) == pair]
        first, second = map(NAMES.__getitem__, pair)
        claim = f"attack gains less on {first} than on {second}, by group (points)"
        verdict = by_intervals((one["untargeted_gain_ci95"] for one in found), -1)
        here = _listed(_POINTS, (one["untargeted_gain_difference"] for one in found))
        yield Claim(claim, "", here, verdict)


def gaps(figures: Figures) -> Iterator[Claim]:
    """Yield whether a larger gap goes with surviving more transformations, by network."""
    for network, study in figures["networks"].items():
        found = [
            one["untargeted"]["gap_correlation"]
            for one in study["transformations"]
            if one["family"] != "none"
        ]
        met = [bool(one) and one["rho"] > 0 and one["p_value"] < SIGNIFICANT for one in found]
        claim = f"a larger gap survives more transformations, {NAMES[network]}"
        yield Claim(claim, "", f"{sum(met)} of {len(met)}", by_conditions(met))
