"""Compare two audits figure by figure and find regressions."""

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
_EXPECTED = "an audit.json written by 'neuroattack audit'"

_LONGEST = 80
# A fall equal to the margin is not a regression, despite rounding.
_SLACK = 1e-9

Measured = tuple[float, tuple[float, float] | None]
"""A value and its 95 % interval."""

_Finite = Annotated[float, pydantic.Field(allow_inf_nan=False)]


class _Model(pydantic.BaseModel):
    # Other keys do not matter for the comparison.
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
    # The key in the file is `schema`, a name that pydantic reserves. Cards of schema 2 have no
    # white-box reference and no bracket.
    version: Annotated[Literal[2, 3], pydantic.Field(alias="schema")]
    verdict: Verdict
    suite: dict[str, Any]
    sections: dict[str, _BaselineSection]
    provenance: _BaselineProvenance


@dataclass(frozen=True)
class Baseline:
    """Results of an earlier audit, read from its file.

    Parameters
    ----------
    path : Path
        The file.
    verdict : str
        Verdict of the audit.
    network_checksum : str
        Checksum of the audited network.
    suite : mapping
        Settings of the suite.
    figures : mapping of str to (float, (float, float) or None)
        Value and 95 % interval by key.
    """

    path: Path
    verdict: Verdict
    network_checksum: str
    suite: Mapping[str, Any]
    figures: Mapping[str, Measured]

    def check_suite(self, suite: Mapping[str, Any]) -> None:
        """Raise FileError unless the settings, as JSON values, equal those of this audit."""
        for name in (*suite, *self.suite):
            now, before = suite.get(name), self.suite.get(name)
            if now != before:
                raise FileError(
                    self.path,
                    f"cannot be compared: {shown(name)} of the suite is {_short(before)} in this "
                    f"file, expected {_short(now)}",
                )


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def read_baseline(path: Path) -> Baseline:
    """Read the ``audit.json`` of an earlier audit.

    Raises
    ------
    FileError
        If the file cannot be read or is malformed; the message names the faulty entry.
    """
    try:
        content = require_file(path, _LIMIT_BYTES, _EXPECTED).read_bytes()
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror or error}") from error
    try:
        document = _Document.model_validate_json(content)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        location = ".".join(map(str, first["loc"]))
        where = f"{_short(location)}: " if location else ""
        reason = " ".join(first["msg"].split())
        raise FileError(
            path, f"is not {_EXPECTED}: {where}{reason[:1].lower()}{reason[1:]}"
        ) from None
    figures: dict[str, Measured] = {}
    for section in document.sections.values():
        for figure in section.figures:
            if figure.key in figures:
                raise FileError(path, f"is not {_EXPECTED}: {shown(figure.key)} occurs twice")
            interval = None if figure.ci95 is None else (figure.ci95[0], figure.ci95[1])
            if interval is not None and not interval[0] <= figure.value <= interval[1]:
                raise FileError(
                    path, f"is not {_EXPECTED}: {shown(figure.key)} lies outside its interval"
                )
            figures[figure.key] = figure.value, interval
    return Baseline(
        path, document.verdict, document.provenance.network_checksum, document.suite, figures
    )


@dataclass(frozen=True)
class Change:
    """Change of one figure between two audits.

    Parameters
    ----------
    figure : Figure
        Figure of the later audit.
    before : float
        Value in the earlier audit.
    fall : float
        Decrease in robustness; negative if robustness increased.
    fall_ci95 : (float, float) or None
        95 % interval of `fall`, from the intervals of both figures (Newcombe 1998, method 10; Zou
        and Donner 2008); None if one of them has no interval. It ignores that both audits use the
        same images, and is therefore conservative (too wide).
    """

    figure: Figure
    before: float
    fall: float
    fall_ci95: tuple[float, float] | None

    @property
    def supported(self) -> bool | None:
        """Whether the interval of the fall lies above 0; None if there is no interval."""
        return None if self.fall_ci95 is None else self.fall_ci95[0] > 0

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values."""
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
    """Comparison of an audit with an earlier one of the same suite.

    Parameters
    ----------
    baseline : Baseline
        The earlier audit.
    margin : float
        Largest fall that is not a regression.
    changes : tuple of Change
        Changes of all figures present in both audits, in the card's order.
    not_compared : tuple of str
        Keys present in only one of the two audits.
    """

    baseline: Baseline
    margin: float
    changes: tuple[Change, ...]
    not_compared: tuple[str, ...]

    @property
    def regressions(self) -> tuple[Change, ...]:
        """Figures that fell by more than the margin, largest fall first."""
        fallen = [change for change in self.changes if change.fall > self.margin + _SLACK]
        return tuple(sorted(fallen, key=lambda change: -change.fall))

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values that replace ``regressions`` and ``against`` of a card."""
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
    """Raise ValidationError unless the margin is at least 0 and below 1."""
    if not 0 <= margin < 1:
        raise ValidationError(
            "margin", margin, "a number from 0 to below 1, such as 0.05 for 5 percentage points"
        )


def compare(baseline: Baseline, card: Card, margin: float) -> Comparison:
    """Compare a card with an earlier one, figure by figure.

    The margin applies to fractions and to relative changes alike: 0.05 means 5 percentage points
    of a rate, or 5 % of the clean images' energy.

    Parameters
    ----------
    baseline : Baseline
        The earlier audit.
    card : Card
        Card of the later audit.
    margin : float
        Largest fall that is not a regression; at least 0 and below 1.

    Raises
    ------
    FileError
        If the suites differ.
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
