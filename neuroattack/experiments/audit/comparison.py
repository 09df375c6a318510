"""Two robustness cards, figure by figure: where the second is less robust than the first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from neuroattack.errors import FileError, ValidationError
from neuroattack.experiments.audit.card import Card, Figure, Verdict
from neuroattack.files import require_file
from neuroattack.hardware.profiles.tables import shown

__all__ = ["Baseline", "Change", "Comparison", "check_margin", "compare", "read_baseline"]

_LIMIT_BYTES = 2**24
_WHAT = "a verdict that 'neuroattack audit' wrote"

_LONGEST = 80
# A fall of the margin itself is none beyond it, whatever the rounding.
_SLACK = 1e-9

Measured = tuple[float, tuple[float, float] | None]
"""A value and its 95 % interval."""

_Finite = Annotated[float, pydantic.Field(allow_inf_nan=False)]


class _Model(pydantic.BaseModel):
    # Keys that comparison has no use for may come and go.
    model_config = pydantic.ConfigDict(strict=True, extra="ignore", frozen=True)


class _BaselineFigure(_Model):
    key: str
    value: _Finite
    ci95: Annotated[list[_Finite], pydantic.Field(min_length=2, max_length=2)] | None


class _BaselineSection(_Model):
    figures: list[_BaselineFigure]


class _BaselineProvenance(_Model):
    network_checksum: str


class _Document(_Model):
    kind: Literal["neuroattack audit"]
    # Named `schema` in the file, which pydantic keeps to itself.
    version: Annotated[Literal[2], pydantic.Field(alias="schema")]
    verdict: Verdict
    suite: dict[str, Any]
    sections: dict[str, _BaselineSection]
    provenance: _BaselineProvenance


@dataclass(frozen=True)
class Baseline:
    """What an earlier audit found, as read from its file.

    Parameters
    ----------
    path : Path
        The file.
    verdict : str
        Its verdict.
    network_checksum : str
        Of its network.
    suite : mapping
        What was tried.
    figures : mapping of str to (float, (float, float) or None)
        By key: value and 95 % interval.
    """

    path: Path
    verdict: Verdict
    network_checksum: str
    suite: Mapping[str, Any]
    figures: Mapping[str, Measured]

    def check_suite(self, suite: Mapping[str, Any]) -> None:
        """Raise FileError unless the same was tried as in this suite, as JSON."""
        for name in (*suite, *self.suite):
            here, there = suite.get(name), self.suite.get(name)
            if here != there:
                raise FileError(
                    self.path,
                    f"is of another suite and cannot be compared: {shown(name)} is "
                    f"{_in_words(there)} there, {_in_words(here)} here",
                )


def _in_words(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def read_baseline(path: Path) -> Baseline:
    """Read what an earlier audit wrote; nothing of it is executed.

    Raises
    ------
    FileError
        If the file cannot be read, or is none, saying what is wrong and where.
    """
    try:
        content = require_file(path, _LIMIT_BYTES, _WHAT).read_bytes()
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror or error}") from error
    try:
        document = _Document.model_validate_json(content)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        where = f"{_in_words(place)}: " if place else ""
        words = " ".join(first["msg"].split())
        raise FileError(path, f"is not {_WHAT}: {where}{words[:1].lower()}{words[1:]}") from None
    figures: dict[str, Measured] = {}
    for section in document.sections.values():
        for figure in section.figures:
            if figure.key in figures:
                raise FileError(path, f"is not {_WHAT}: it has {shown(figure.key)} twice")
            interval = None if figure.ci95 is None else (figure.ci95[0], figure.ci95[1])
            if interval is not None and not interval[0] <= figure.value <= interval[1]:
                raise FileError(
                    path, f"is not {_WHAT}: {shown(figure.key)} lies outside of its interval"
                )
            figures[figure.key] = figure.value, interval
    return Baseline(
        path, document.verdict, document.provenance.network_checksum, document.suite, figures
    )


@dataclass(frozen=True)
class Change:
    """How one figure changed.

    Parameters
    ----------
    figure : Figure
        As it is now.
    before : float
        As it was.
    fall : float
        By how much it is less robust now; negative where it is more robust.
    fall_ci95 : (float, float) or None
        Its 95 % interval, from those of the two (Newcombe 1998, method 10; Zou and Donner 2008);
        None where one of the two has none. Both cards show the same images, which this leaves out
        of account: it is too wide rather than too narrow.
    """

    figure: Figure
    before: float
    fall: float
    fall_ci95: tuple[float, float] | None

    @property
    def supported(self) -> bool | None:
        """Whether chance is unlikely to have made it fall; None where that is not known."""
        return None if self.fall_ci95 is None else self.fall_ci95[0] > 0

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "key": self.figure.key,
            "before": self.before,
            "now": self.figure.value,
            "fall": self.fall,
            "fall_ci95": None if self.fall_ci95 is None else list(self.fall_ci95),
            "supported": self.supported,
        }


@dataclass(frozen=True)
class Comparison:
    """A card beside an earlier one of the same suite.

    Parameters
    ----------
    baseline : Baseline
        The earlier one.
    margin : float
        A fall of more is a regression.
    changes : tuple of Change
        Of all figures that both have, in the card's order.
    not_compared : tuple of str
        Keys that only one of the two has.
    """

    baseline: Baseline
    margin: float
    changes: tuple[Change, ...]
    not_compared: tuple[str, ...]

    @property
    def regressions(self) -> tuple[Change, ...]:
        """Figures that fell by more than the margin, the deepest fall first."""
        fallen = [change for change in self.changes if change.fall > self.margin + _SLACK]
        return tuple(sorted(fallen, key=lambda change: -change.fall))

    def as_json(self) -> dict[str, Any]:
        """Return what a card's JSON says of the comparison, to be laid over it."""
        return {
            "regressions": [change.as_json() for change in self.regressions],
            "against": {
                "file": str(self.baseline.path),
                "verdict": self.baseline.verdict,
                "network_checksum": self.baseline.network_checksum,
                "margin": self.margin,
                "compared": len(self.changes),
                "not_compared": list(self.not_compared),
            },
        }


def check_margin(margin: float) -> None:
    """Raise ValidationError unless a fall can be held against that margin."""
    if not 0 <= margin < 1:
        raise ValidationError("margin", margin, "0 to 1, 1 excluded: 0.05 for 5 points")


def compare(baseline: Baseline, card: Card, margin: float) -> Comparison:
    """Compare a card with an earlier one, figure by figure.

    A share and a relative change of energy are held against the same margin: 0.05 is 5 points of
    the one, and 5 % of the original's energy.

    Parameters
    ----------
    baseline : Baseline
        The earlier one.
    card : Card
        The later one.
    margin : float
        A fall of more is a regression; at least 0, below 1.

    Raises
    ------
    FileError
        If the two are not of the same suite.
    ValidationError
        If the margin is out of range.
    """
    check_margin(margin)
    baseline.check_suite(card.suite)
    now = {figure.key: figure for figure in card.figures}
    return Comparison(
        baseline,
        margin,
        tuple(
            _change(figure, baseline.figures[key])
            for key, figure in now.items()
            if key in baseline.figures
        ),
        tuple(sorted(set(now) ^ set(baseline.figures))),
    )


def _change(figure: Figure, before: Measured) -> Change:
    value, interval = before
    difference, ci95 = figure.value - value, None
    if figure.ci95 is not None and interval is not None:
        ci95 = (
            difference - math.hypot(figure.value - figure.ci95[0], interval[1] - value),
            difference + math.hypot(figure.ci95[1] - figure.value, value - interval[0]),
        )
    if figure.better == "higher":
        difference, ci95 = -difference, None if ci95 is None else (-ci95[1], -ci95[0])
    return Change(figure, value, difference, ci95)
