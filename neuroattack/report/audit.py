"""Output folder of an audit: results as JSON and one HTML page."""

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
from neuroattack.files import write_json, write_text
from neuroattack.report import plots
from neuroattack.report.attack import provenance_rows
from neuroattack.report.audit_plots import attacks_figure, noise_figure
from neuroattack.report.numbers import NBSP
from neuroattack.report.templates import render

__all__ = ["FIGURES", "PAGE", "comparison_sentence", "render_card", "save_card"]

FIGURES, PAGE = "audit.json", "audit.html"
"""Names of the results and of the page in the folder."""

_TITLES = {
    "clean": "Clean images",
    "noise": "Random noise",
    "attacks": "Attacks",
    "transfer": "Transfer to other deployments",
    "transformations": "Transformed images",
    "energy": "Energy under attack",
}


class _Value(NamedTuple):
    """A result as the template shows it."""

    value: str
    interval: str
    before: str
    fell: bool


class _Row(NamedTuple):
    """A row of a section's table."""

    name: str
    clean_error_rate: str
    values: list[_Value]


class _Table(NamedTuple):
    """A section as the template shows it."""

    name: str
    title: str
    description: str
    columns: list[str]
    rows: list[_Row]
    skipped: list[tuple[str, str]]

    @property
    def has_clean_error_rate(self) -> bool:
        """Whether rows have a clean error rate."""
        return any(row.clean_error_rate for row in self.rows)


class _Fallen(NamedTuple):
    """A regression as the template shows it."""

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
    """Return a card as one HTML page without external resources and scripts.

    The same arguments give the same text.
    """
    attacks, noise = card.sections["attacks"].figures, card.sections["noise"].figures
    accuracy, misclassified = card.sections["clean"].figures
    changes = {change.figure.key: change for change in comparison.changes} if comparison else {}
    fallen = comparison.regressions if comparison else ()
    fell = {change.figure.key for change in fallen}
    return render(
        "report/audit.html.jinja",
        title=title,
        verdict=card.headline.verdict,
        sentence=card.headline.sentence.replace(" %", f"{NBSP}%"),
        tolerated=_number(TOLERATED, "fraction"),
        enough=_number(ENOUGH_ACCURACY, "fraction"),
        tables={name: _table(name, part, changes, fell) for name, part in card.sections.items()},
        plots={
            "attacks": _svg(attacks_figure(attacks, misclassified), "attacks", attacks),
            "noise": _svg(noise_figure(noise, accuracy), "noise", noise),
        },
        against=comparison_sentence(comparison) if comparison else "",
        not_compared=", ".join(comparison.not_compared) if comparison else "",
        fallen=[_fallen(change) for change in fallen],
        origin=[
            ("Suite", "; ".join(f"{name}: {_listed(value)}" for name, value in card.suite.items())),
            *provenance_rows(asdict(card.provenance)),
        ],
    )


def comparison_sentence(comparison: Comparison) -> str:
    """Return a summary of a comparison."""
    regressions = comparison.regressions
    text = (
        f"Compared with {comparison.baseline.path} (verdict: {comparison.baseline.verdict}): "
        f"{len(regressions)} of {len(comparison.changes)} results are less robust by more than "
        f"{100 * comparison.margin:g} percentage points"
    )
    if not regressions:
        return f"{text}."
    significant = sum(change.supported is True for change in regressions)
    return f"{text}, {significant} of them significantly (95 % interval above 0)."


def _table(name: str, section: Section, changes: Mapping[str, Change], fell: set[str]) -> _Table:
    columns = list(dict.fromkeys(figure.column for figure in section.figures))
    rows: dict[str, list[Figure]] = {}
    for figure in section.figures:
        rows.setdefault(figure.row, []).append(figure)
    return _Table(
        name,
        _TITLES[name],
        section.description,
        columns,
        [
            _Row(
                row,
                "" if (bare := figures[0].clean_error_rate) is None else _number(bare, "fraction"),
                [_value(figure, changes.get(figure.key), figure.key in fell) for figure in figures],
            )
            for row, figures in rows.items()
        ],
        list(section.skipped.items()),
    )


def _value(figure: Figure, change: Change | None, fell: bool) -> _Value:
    interval = ""
    if figure.ci95 is not None:
        low, high = (_number(end, figure.unit, sign="") for end in figure.ci95)
        interval = f"{low} to {high}"
    before = "" if change is None else _number(change.before, figure.unit)
    return _Value(_number(figure.value, figure.unit), interval, before, fell)


def _fallen(change: Change) -> _Fallen:
    unit = change.figure.unit
    fall = f"{100 * change.fall:.1f}"
    if change.fall_ci95 is not None:
        low, high = (100 * end for end in change.fall_ci95)
        fall += f" ({_minus(f'{low:.1f}')} to {high:.1f})"
    words = {True: "yes", False: "no", None: "unknown"}
    return _Fallen(
        change.figure.key,
        _number(change.before, unit),
        _number(change.figure.value, unit),
        fall,
        words[change.supported],
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
    words = "; ".join(
        f"{figure.row}, {figure.column}: {_number(figure.value, figure.unit)}" for figure in figures
    )
    return Markup(plots.inline_svg(drawing, words, name))  # noqa: S704
