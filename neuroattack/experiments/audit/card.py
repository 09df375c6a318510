"""The result of an audit: figures with 95 % intervals, and a one-word verdict."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from neuroattack.experiments.campaign.bracket import Bracket
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
SCHEMA = 3

Better = Literal["lower", "higher"]
Unit = Literal["fraction", "relative change"]

Verdict = Literal["robust", "undecided", "fragile", "unreliable"]

TOLERATED = 0.2
"""Threshold of the verdict ``"robust"``: misclassified fraction of trials. A convention."""

ENOUGH_ACCURACY = 0.5
"""Clean accuracy below which the verdict is ``"unreliable"``. A convention."""


@dataclass(frozen=True)
class Figure:
    """One figure of a card.

    Parameters
    ----------
    key : str
        Identifier, the same on every card of a suite: ``"attacks/count-regression/500"``.
    row, column : str
        Labels of its row and column in the table of its section.
    value : float
        Measured value.
    ci95 : (float, float) or None
        95 % interval; None if only one image contributes.
    better : {"lower", "higher"}
        Direction of greater robustness.
    unit : {"fraction", "relative change"}
        A fraction is in [0, 1]; a relative change of 0 means no change.
    clean_error_rate : float or None
        Misclassified fraction of the trials of the clean images, for comparison.
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
        """Return the JSON values."""
        return {**asdict(self), "ci95": None if self.ci95 is None else list(self.ci95)}


def rate_figure(
    key: str,
    row: str,
    column: str,
    fractions: Sequence[float],
    clean_error_rate: Sequence[float] = (),
) -> Figure:
    """Return the mean misclassified fraction of fresh trials, with its interval over images."""
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
    """Return the mean relative change of a quantity under attack, with its interval over images."""
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
    figures : tuple of Figure
        Figures in row order.
    skipped : mapping of str to str
        Reason by the name of each test that did not run.
    """

    figures: tuple[Figure, ...]
    skipped: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values."""
        return {
            "figures": [figure.as_json() for figure in self.figures],
            "skipped": dict(self.skipped),
        }


@dataclass(frozen=True)
class Headline:
    """The verdict and the two figures that determine it.

    Parameters
    ----------
    verdict : {"robust", "undecided", "fragile", "unreliable"}
        See :func:`judge`.
    strongest : Figure
        Most successful attack at the largest query budget.
    accuracy : Figure
        Clean accuracy.
    """

    verdict: Verdict
    strongest: Figure
    accuracy: Figure

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values."""
        return {
            "strongest": self.strongest.as_json(),
            "accuracy": self.accuracy.as_json(),
            "tolerated": TOLERATED,
            "enough_accuracy": ENOUGH_ACCURACY,
        }


def judge(accuracy: Figure, attacks: Sequence[Figure]) -> Headline:
    """Return the verdict on a network.

    ``"unreliable"``: the clean accuracy is below :data:`ENOUGH_ACCURACY`. Otherwise the verdict
    depends on the 95 % interval of the most successful attack. ``"robust"``: the whole interval
    is at or below :data:`TOLERATED`. ``"fragile"``: the whole interval is above it.
    ``"undecided"``: the interval contains it, so more images are needed.
    """
    strongest = max(attacks, key=lambda figure: figure.value)
    low, high = strongest.ci95 or (0.0, 1.0)
    verdict: Verdict
    if accuracy.value < ENOUGH_ACCURACY:
        verdict = "unreliable"
    elif high <= TOLERATED:
        verdict = "robust"
    elif low > TOLERATED:
        verdict = "fragile"
    else:
        verdict = "undecided"
    return Headline(verdict, strongest, accuracy)


@dataclass(frozen=True)
class Card:
    """Results of an audit.

    Parameters
    ----------
    suite : mapping
        Settings of the suite, from :meth:`Suite.as_json`.
    sections : mapping of str to Section
        Sections ``clean``, ``noise``, ``attacks``, ``reference``, ``transfer``,
        ``transformations``, ``energy``.
    headline : Headline
        Verdict.
    provenance : Provenance
        Network, data set, seed, versions and command.
    bracket : Bracket
        Clean error rate, black-box and white-box success by query budget.
    """

    suite: Mapping[str, Any]
    sections: Mapping[str, Section]
    headline: Headline
    provenance: Provenance
    bracket: Bracket

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures, in section order."""
        return tuple(figure for part in self.sections.values() for figure in part.figures)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values of a card without a comparison."""
        return {
            "kind": KIND,
            "schema": SCHEMA,
            "verdict": self.headline.verdict,
            "headline": self.headline.as_json(),
            "suite": dict(self.suite),
            "sections": {name: part.as_json() for name, part in self.sections.items()},
            "bracket": self.bracket.as_json(),
            "regressions": [],
            "against": None,
            "provenance": asdict(self.provenance),
        }
