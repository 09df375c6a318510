"""HTML page and files of an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup
from matplotlib.figure import Figure as Drawing

from neuroattack.experiments.audit.card import (
    ENOUGH_ACCURACY,
    TOLERATED,
    Card,
    Figure,
    Section,
    Unit,
)
from neuroattack.experiments.audit.comparison import Change, Comparison
from neuroattack.experiments.campaign.bracket import Bracket, Estimate, Level
from neuroattack.files import write_json, write_text
from neuroattack.report import plots
from neuroattack.report.attack import provenance_rows
from neuroattack.report.audit_plots import attacks_figure, bracket_figure, noise_figure
from neuroattack.report.numbers import NBSP
from neuroattack.report.templates import render

__all__ = ["FIGURES", "PAGE", "render_card", "save_card"]

FIGURES, PAGE = "audit.json", "audit.html"
"""File names of the figures and the page."""

_TITLES = {
    "clean": "Clean images",
    "noise": "Random noise",
    "attacks": "Attacks",
    "reference": "White-box attack",
    "transfer": "Transfer to other deployments",
    "transformations": "Transformed images",
    "energy": "Energy under attack",
    "faults": "Random bit flips in memory",
    "quantities": "Attacks that maximize a quantity and keep the class",
}
_SETTINGS = {
    "dataset": "Data set",
    "images": "Attacked images",
    "attacks": "Attacks",
    "budgets": "Queries per image",
    "bound": "Norm bound",
    "trials": "Fresh trials per image",
    "accuracy_images": "Images for accuracy",
}


class _Value(NamedTuple):
    """A figure, formatted for the template."""

    value: str
    interval: str
    before: str
    regressed: bool


class _Row(NamedTuple):
    """A row of a section's table."""

    name: str
    clean_error_rate: str
    values: list[_Value]


class _Table(NamedTuple):
    """A section, formatted for the template."""

    name: str
    title: str
    columns: list[str]
    rows: list[_Row]
    skipped: list[tuple[str, str]]

    @property
    def has_clean_error_rate(self) -> bool:
        """Whether any row has a clean error rate."""
        return any(row.clean_error_rate for row in self.rows)


class _Regression(NamedTuple):
    """A regression, formatted for the template."""

    key: str
    before: str
    now: str
    fall: str
    supported: str


def save_card(out: Path, card: Card, *, title: str, comparison: Comparison | None = None) -> Path:
    """Write ``audit.json`` and the page; return the page's path."""
    page = render_card(card, title=title, comparison=comparison)
    write_json(out / FIGURES, card.as_json() | (comparison.as_json() if comparison else {}))
    write_text(out / PAGE, page)
    return out / PAGE


def render_card(card: Card, *, title: str, comparison: Comparison | None = None) -> str:
    """Return a card as one HTML page that loads no other files and runs no scripts.

    Returns
    -------
    str
        The page; deterministic.
    """
    attacks, noise = card.sections["attacks"].figures, card.sections["noise"].figures
    accuracy, misclassified = card.sections["clean"].figures
    changes = {change.figure.key: change for change in comparison.changes} if comparison else {}
    regressions = comparison.regressions if comparison else ()
    regressed = {change.figure.key for change in regressions}
    return render(
        "report/audit.html.jinja",
        title=title,
        verdict=card.headline.verdict,
        strongest=_verdict_row(card.headline.strongest),
        accuracy=_verdict_row(card.headline.accuracy),
        tolerated=_number(TOLERATED, "fraction"),
        enough=_number(ENOUGH_ACCURACY, "fraction"),
        settings=[
            (label, _listed(card.suite[name]))
            for name, label in _SETTINGS.items()
            if name in card.suite
        ],
        tables={
            name: _table(name, section, changes, regressed)
            for name, section in card.sections.items()
        },
        plots={
            "attacks": _svg(attacks_figure(attacks, misclassified), "attacks", attacks),
            "noise": _svg(noise_figure(noise, accuracy), "noise", noise),
        },
        bracket=_bracket(card.bracket),
        against=_comparison_rows(comparison) if comparison else [],
        regressions=[_regression(change) for change in regressions],
        origin=[
            ("Suite", "; ".join(f"{name}: {_listed(value)}" for name, value in card.suite.items())),
            *provenance_rows(asdict(card.provenance)),
        ],
    )


def _bracket(bracket: Bracket) -> dict[str, Any]:
    levels = bracket.levels
    described = "; ".join(
        f"{level.budget:,} queries: {_estimate(level.black_box)[0]}" for level in levels
    )
    return {
        "verdict": bracket.verdict,
        "levels": [_level(level) for level in levels],
        "missing": list(bracket.missing.items()),
        "plot": Markup(plots.inline_svg(bracket_figure(levels), described, "bracket")),  # noqa: S704
    }


def _level(level: Level) -> dict[str, Any]:
    return {
        "budget": f"{level.budget:,}",
        "attack": level.attack,
        "threat_model": level.threat_model,
        "verdict": level.verdict,
        "values": [
            _estimate(each)
            for each in (level.clean_error, level.black_box, level.white_box, level.efficiency)
        ],
    }


def _estimate(estimate: Estimate | None) -> tuple[str, str]:
    """Return the texts of a fraction and of its interval; a dash and nothing if there is none."""
    if estimate is None:
        return "\u2013", ""
    interval = ""
    if estimate.ci95 is not None:
        interval = " to ".join(_number(end, "fraction", sign="") for end in estimate.ci95)
    return _number(estimate.value, "fraction"), interval


def _verdict_row(figure: Figure) -> dict[str, str]:
    return {
        "name": f"{figure.row}, {figure.column}",
        "value": _number(figure.value, figure.unit),
        "interval": _interval(figure),
    }


def _comparison_rows(comparison: Comparison) -> list[tuple[str, str]]:
    supported = sum(change.supported is True for change in comparison.regressions)
    return [
        ("Earlier audit", str(comparison.baseline.path)),
        ("Its verdict", comparison.baseline.verdict),
        ("Margin", f"{100 * comparison.margin:g} percentage points"),
        ("Results compared", f"{len(comparison.changes)}"),
        ("Only in one audit", ", ".join(comparison.not_compared) or "none"),
        ("Regressions", f"{len(comparison.regressions)}"),
        ("Supported regressions", f"{supported}"),
    ]


def _table(
    name: str, section: Section, changes: Mapping[str, Change], regressed: set[str]
) -> _Table:
    columns = list(dict.fromkeys(figure.column for figure in section.figures))
    rows: dict[str, list[Figure]] = {}
    for figure in section.figures:
        rows.setdefault(figure.row, []).append(figure)
    return _Table(
        name,
        _TITLES[name],
        columns,
        [
            _Row(
                row,
                ""
                if (clean := figures[0].clean_error_rate) is None
                else _number(clean, "fraction"),
                [
                    _value(figure, changes.get(figure.key), figure.key in regressed)
                    for figure in figures
                ],
            )
            for row, figures in rows.items()
        ],
        list(section.skipped.items()),
    )


def _value(figure: Figure, change: Change | None, regressed: bool) -> _Value:
    before = "" if change is None else _number(change.before, figure.unit)
    return _Value(_number(figure.value, figure.unit), _interval(figure), before, regressed)


def _interval(figure: Figure) -> str:
    if figure.ci95 is None:
        return ""
    low, high = (_number(end, figure.unit, sign="") for end in figure.ci95)
    return f"{low} to {high}"


def _regression(change: Change) -> _Regression:
    unit = change.figure.unit
    fall = f"{100 * change.fall:.1f}"
    if change.fall_ci95 is not None:
        low, high = (100 * end for end in change.fall_ci95)
        fall += f" ({_minus(f'{low:.1f}')} to {high:.1f})"
    supported = {True: "yes", False: "no", None: "unknown"}
    return _Regression(
        change.figure.key,
        _number(change.before, unit),
        _number(change.figure.value, unit),
        fall,
        supported[change.supported],
    )


def _number(value: float, unit: Unit, sign: str = f"{NBSP}%") -> str:
    if unit == "fraction":
        return f"{100 * value:.0f}{sign}"
    return _minus(f"{100 * value:+.1f}{sign}")


def _minus(text: str) -> str:
    return text.replace("-", "\u2212")


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _svg(drawing: Drawing, name: str, figures: Sequence[Figure]) -> Markup:
    description = "; ".join(
        f"{figure.row}, {figure.column}: {_number(figure.value, figure.unit)}" for figure in figures
    )
    return Markup(plots.inline_svg(drawing, description, name))  # noqa: S704
