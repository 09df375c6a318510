"""Verdicts on the claims of the paper, each from a rule on the results of an item."""

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
"""Maximum difference from the paper that counts as equal, for clean accuracies and fractions."""

CHANCE = 0.2
"""Maximum accuracy that counts as guessing. All collapses in the paper end below it."""

SIGNIFICANT = 0.05
"""Maximum p-value of a correlation that counts as significant."""

_PERCENT, _POINTS = decimals(1, scale=100.0), decimals(1, scale=100.0, sign=True)


class Claim(NamedTuple):
    """A claim of the paper and its verdict.

    Parameters
    ----------
    claim : str
        Claim, with the quantities and units of the numbers.
    paper, here : str
        Numbers in the paper, and in this reproduction.
    verdict : Verdict
        Verdict.
    """

    claim: str
    paper: str
    here: str
    verdict: Verdict


def by_conditions(met: Iterable[bool]) -> Verdict:
    """Return ``reproduced`` if all conditions are met, ``partly`` if some are.

    It is ``not reproduced`` if none is.
    """
    found = set(met)
    return "reproduced" if found == {True} else "partly" if True in found else "not reproduced"


def by_intervals(intervals: Iterable[Sequence[float] | None], sign: int) -> Verdict:
    """Return the verdict on differences with a given sign, from their 95 % intervals.

    It is ``reproduced`` if all intervals exclude 0 on that side, ``partly`` if some do. If none
    does, it is ``not reproduced`` if some exclude 0 on the other side, and ``undecided`` otherwise.
    A missing interval counts as one that contains 0.
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
        evaluations = ", as rates and spiking" if len(here) > 1 else ""
        claim = f"Clean accuracy of the {network.upper()}{evaluations} (%)"
        yield Claim(claim, exact(paper), _listed(exact, here), verdict)
    for one in figures["test_noise"]:
        near, far = len(one["within_6_points"]), len(one["beyond_6_points"])
        tested = f"{one['noise']} test noise, \u03b4 \u2265 {TEST_DELTA:g}"
        claim = f"Accuracy within {100 * WITHIN:g} points of the paper under {tested}"
        verdict = by_conditions([True] * near + [False] * far)
        yield Claim(claim, "", f"{near} of {near + far}", verdict)
    for one in figures["small_noise"]:
        signed, ci95 = decimals(2, scale=100.0, sign=True), one["difference_ci95"]
        trained = f"{one['noise']} noise, \u03b4 = {SMALL_DELTA:g}"
        claim = f"Accuracy gain from training on {trained} (points)"
        here = (one["difference"], *ci95) if ci95 else one["difference"]
        paper = signed(one["paper_difference"])
        yield Claim(claim, paper, signed(here), by_intervals([ci95], 1))
    for one in figures["collapse"]["columns"]:
        delta, paper = one["delta"], one["paper_delta"]
        images = "training and test images" if one["mode"] == "train+test" else "training images"
        noisy = f"{one['noise']} noise on {images}"
        yield Claim(
            f"Accuracy falls below {100 * COLLAPSED:g} % with {noisy}: "
            "smallest \u03b4, lowest accuracy (%)",
            f"{paper:g}, {_PERCENT(one['paper_lowest'])}",
            f"{'none' if delta is None else delta}, {_PERCENT(one['lowest'])}",
            by_conditions([delta is not None, delta == paper, one["lowest"] <= CHANCE]),
        )


def window(figures: Figures) -> Iterator[Claim]:
    """Yield the claim of Figure 3, from the intervals of the lowest accuracies."""
    curves = [one for one in figures["curves"] if one["network"] == SDBN]
    corner, middle = (
        min((one for one in curves if one["window"] == name), key=lambda one: one["accuracy"])
        for name in ("corner", "middle")
    )
    (low, high), (other_low, other_high) = corner["accuracy_ci95"], middle["accuracy_ci95"]
    clean = figures["clean_accuracy"]
    yield Claim(
        "Noise lowers the SDBN's accuracy more in the middle than in the corner: "
        "change in the corner, in the middle (points)",
        "",
        _listed(_POINTS, (corner["accuracy"] - clean, middle["accuracy"] - clean)),
        by_intervals([(low - other_high, high - other_low)], 1),
    )


def attack(figures: Figures) -> Iterator[Claim]:
    """Yield the claims of Table II or III, by case.

    In the paper, P(target) on the DNN never falls and the target class wins; on the SDBN it rises
    and falls, and the target class does not win.
    """
    network, is_dnn = figures["network"].upper(), figures["network"] == DNN
    behavior = (
        "never falls and the target class wins"
        if is_dnn
        else "rises and falls and the target class does not win"
    )
    for case, found in figures["cases"].items():
        paper, here = (
            [row["p_target"] for row in figures[rows] if row["case"] == case]
            for rows in ("paper_rows", "rows")
        )
        (fell, rose), won = fell_and_rose(here), found["predicted"][-1] == figures["target_class"]
        yield Claim(
            f"P(target) on the {network} {behavior}, case {case}: highest, last (%)",
            _listed(_PERCENT, (max(paper), paper[-1])),
            _listed(_PERCENT, (max(here), here[-1])),
            by_conditions([won, fell == 0] if is_dnn else [fell > 0 and rose > 0, not won]),
        )


def spike_fractions(figures: Figures) -> Iterator[Claim]:
    """Yield the claim of Figure 9: clean output spike fractions of the attacked image."""
    paper = figures["paper"]["p_max_class"], figures["paper"]["p_target"]
    here = figures["spike_fractions"][SOURCE], figures["spike_fractions"][TARGET]
    verdict = by_conditions(abs(a - b) <= CLOSE for a, b in zip(here, paper, strict=True))
    classes = f"classes {SOURCE} and {TARGET}"
    claim = f"Clean output spike fractions of the attacked image, {classes} (%)"
    yield Claim(claim, _listed(_PERCENT, paper), _listed(_PERCENT, here), verdict)


def population(figures: Figures) -> Iterator[Claim]:
    """Yield the claims that the attack gains less on the SDBN, for three pairs of networks."""
    for pair in (SDBN, DNN), (f"{SDBN}-exact", DNN), (SDBN, f"{DNN}-sampled"):
        found = [one for one in figures["comparisons"] if (one["first"], one["second"]) == pair]
        first, second = map(NAMES.__getitem__, pair)
        claim = f"The attack gains less on the {first} than on the {second}, by group (points)"
        verdict = by_intervals((one["untargeted_gain_ci95"] for one in found), -1)
        here = _listed(_POINTS, (one["untargeted_gain_difference"] for one in found))
        yield Claim(claim, "", here, verdict)


def gaps(figures: Figures) -> Iterator[Claim]:
    """Yield the claims that a larger gap helps images survive transformations, by network."""
    for network, study in figures["networks"].items():
        found = [
            one["untargeted"]["gap_correlation"]
            for one in study["transformations"]
            if one["family"] != "none"
        ]
        met = [bool(one) and one["rho"] > 0 and one["p_value"] < SIGNIFICANT for one in found]
        name = NAMES[network]
        claim = f"A larger gap helps images survive transformations, {name} (transformations)"
        yield Claim(claim, "", f"{sum(met)} of {len(met)}", by_conditions(met))
