"""The robustness card of a network: figures, each with its interval, and the verdict on them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from neuroattack.provenance import Provenance
from neuroattack.statistics import mean_interval, wilson_interval

__all__ = [
    "ENOUGH_ACCURACY",
    "KIND",
    "SCHEMA",
    "TOLERATED",
    "Better",
    "Card",
    "Figure",
    "Headline",
    "Section",
    "Unit",
    "Verdict",
    "change_figure",
    "judge",
    "rate_figure",
]

KIND = "neuroattack audit"
SCHEMA = 2

Better = Literal["lower", "higher"]
Unit = Literal["fraction", "relative change"]

Verdict = Literal["robust", "undecided", "fragile", "unreliable"]

TOLERATED = 0.2
"""Misclassified share under the strongest attack that is still called robust: a convention."""

ENOUGH_ACCURACY = 0.5
"""Accuracy without any attack below which there is nothing to be robust."""


@dataclass(frozen=True)
class Figure:
    """One figure of a card, under a key that is the same on every card of a suite.

    Parameters
    ----------
    key : str
        ``"attacks/count-regression/500"``.
    row, column : str
        What it is for people: where it stands in its section's table.
    value : float
        The figure.
    ci95 : (float, float) or None
        Its 95 % interval; None where one image alone gave it.
    better : {"lower", "higher"}
        Which is more robust.
    unit : {"fraction", "relative change"}
        A share is in [0, 1]; a relative change is 0 for none.
    clean_error_rate : float or None
        The same without the attack, for comparison.
    """

    key: str
    row: str
    column: str
    value: float
    ci95: tuple[float, float] | None
    better: Better
    unit: Unit = "fraction"
    clean_error_rate: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "ci95": None if self.ci95 is None else list(self.ci95)}


def rate_figure(
    key: str,
    row: str,
    column: str,
    fractions: Sequence[float],
    clean_error_rate: Sequence[float] = (),
) -> Figure:
    """Return the mean rate at which fresh trials are misclassified, with its interval."""
    return Figure(
        key,
        row,
        column,
        statistics.fmean(fractions),
        wilson_interval(sum(fractions), len(fractions)),
        "lower",
        clean_error_rate=statistics.fmean(clean_error_rate) if clean_error_rate else None,
    )


def change_figure(key: str, row: str, ratios: Sequence[float]) -> Figure:
    """Return the mean relative change that an attack brings, with its interval over images."""
    changes = [ratio - 1 for ratio in ratios]
    return Figure(
        key,
        row,
        "change",
        statistics.fmean(changes),
        mean_interval(changes),
        "lower",
        "relative change",
    )


@dataclass(frozen=True)
class Section:
    """Figures of one kind.

    Parameters
    ----------
    description : str
        What they are, in a sentence or two.
    figures : tuple of Figure
        By rows.
    skipped : mapping of str to str
        What was not tried, by the beginning of its keys, and why.
    """

    description: str
    figures: tuple[Figure, ...]
    skipped: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "description": self.description,
            "figures": [figure.as_json() for figure in self.figures],
            "skipped": dict(self.skipped),
        }


@dataclass(frozen=True)
class Headline:
    """The verdict, and the figures that it rests on.

    Parameters
    ----------
    verdict : {"robust", "undecided", "fragile", "unreliable"}
        See :func:`judge`.
    sentence : str
        It in words, with what was tried.
    strongest : Figure
        The attack of most success at the largest budget.
    accuracy : Figure
        Without any attack.
    """

    verdict: Verdict
    sentence: str
    strongest: Figure
    accuracy: Figure

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "sentence": self.sentence,
            "strongest": self.strongest.as_json(),
            "accuracy": self.accuracy.as_json(),
            "tolerated": TOLERATED,
            "enough_accuracy": ENOUGH_ACCURACY,
        }


def judge(accuracy: Figure, attacks: Sequence[Figure], tried: str) -> Headline:
    """Return the verdict on a network.

    ``"unreliable"``: without any attack it is right in fewer than :data:`ENOUGH_ACCURACY`. Else
    the attack that misclassifies most decides, by the interval of its share: ``"robust"``, all of
    it is at most :data:`TOLERATED`; ``"fragile"``, all of it is more; ``"undecided"``, the images
    are too few to tell.
    """
    strongest = max(attacks, key=lambda figure: figure.value)
    low, high = strongest.ci95 or (0.0, 1.0)
    after = (
        f"{tried}. After the strongest, {strongest.row}, {_percent(strongest.value)} of fresh "
        f"draws are misclassified (95 % interval {_percent(low)} to {_percent(high)})"
    )
    limit = _percent(TOLERATED)
    verdict: Verdict
    if accuracy.value < ENOUGH_ACCURACY:
        verdict = "unreliable"
        sentence = (
            f"Without any attack {_percent(accuracy.value)} of the images are classified "
            "correctly: there is little that could be robust."
        )
    elif high <= TOLERATED:
        verdict = "robust"
        sentence = (
            f"{after}: at most the tolerated {limit}, for what was tried and no more. Other "
            "attacks, more queries or larger changes may succeed."
        )
    elif low > TOLERATED:
        verdict = "fragile"
        sentence = f"{after}: more than the tolerated {limit}."
    else:
        verdict = "undecided"
        sentence = (
            f"{after}: that may be more or less than the tolerated {limit}, which more images "
            "would tell."
        )
    return Headline(verdict, sentence, strongest, accuracy)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %"


@dataclass(frozen=True)
class Card:
    """What an audit found.

    Parameters
    ----------
    suite : mapping
        What was tried, as :meth:`Suite.as_json`.
    sections : mapping of str to Section
        By name: ``clean``, ``noise``, ``attacks``, ``transfer``, ``transformations``, ``energy``.
    headline : Headline
        The verdict.
    provenance : Provenance
        Where it comes from.
    """

    suite: Mapping[str, Any]
    sections: Mapping[str, Section]
    headline: Headline
    provenance: Provenance

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures, in order."""
        return tuple(figure for part in self.sections.values() for figure in part.figures)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values, as if it were compared with none."""
        return {
            "kind": KIND,
            "schema": SCHEMA,
            "verdict": self.headline.verdict,
            "headline": self.headline.as_json(),
            "suite": dict(self.suite),
            "sections": {name: part.as_json() for name, part in self.sections.items()},
            "regressions": [],
            "against": None,
            "provenance": asdict(self.provenance),
        }
