"""Files of a run: JSON, pictures, tables and verdicts of every item, and one HTML page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from neuroattack.files import atomic_path, write_json, write_text
from neuroattack.paper.items import ITEMS
from neuroattack.paper.settings import Study
from neuroattack.report.plots import inline_svg
from neuroattack.report.table import Table
from neuroattack.report.templates import render

__all__ = ["PAGE", "item_tables", "save_paper", "verdict_table"]

PAGE = "report.html"
"""Name of the page in the folder."""

_DPI = 150


def verdict_table(found: Mapping[str, Study], name: str = "verdicts") -> Table:
    """Return the claims of items with their verdicts."""
    claims = [
        {"item": item, **claim._asdict()}
        for item, (figures, _) in found.items()
        for claim in ITEMS[item].claims(figures)
    ]
    return Table.of(name, "Claims of the paper", claims, "item claim paper here verdict")


def item_tables(item: str, figures: Mapping[str, Any]) -> list[Table]:
    """Return the tables of an item, the verdicts on its claims last where it has some."""
    verdicts = verdict_table({item: (dict(figures), {})}, f"{item}-verdicts")
    return [*ITEMS[item].tables(figures), *([verdicts] if verdicts.rows else [])]


def save_paper(out: Path, found: Mapping[str, Study], origin: Mapping[str, str]) -> Path:
    """Write all results; return the path of the page.

    For every item ``<item>.json``, ``.png`` and ``.svg``, and for each of its tables ``.md`` and
    ``.csv``; ``verdicts.md`` and ``.csv``; the page. Only the page depends on `origin`, provenance
    by name: all else is the same bytes for the same results.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    sections = []
    for item, (figures, images) in found.items():
        title, _, draw, *_ = ITEMS[item]
        write_json(out / f"{item}.json", figures)
        figure, tables = draw(figures, images), item_tables(item, figures)
        _write_picture(out / item, figure)
        _write_tables(out, tables)
        # Equal images have equal identifiers, of which a page may have one; nothing refers to them.
        svg = re.sub(r' id="image[0-9a-f]+"', "", inline_svg(figure, title, item))
        sections.append({"item": item, "title": title, "svg": Markup(svg), "tables": tables})  # noqa: S704
    verdicts = verdict_table(found)
    _write_tables(out, [verdicts])
    page = render(
        "paper/page.html.jinja", sections=sections, verdicts=verdicts, origin=dict(origin)
    )
    write_text(out / PAGE, page)
    return out / PAGE


def _write_tables(out: Path, tables: list[Table]) -> None:
    for table in tables:
        write_text(out / f"{table.name}.md", table.markdown())
        write_text(out / f"{table.name}.csv", table.csv())


def _write_picture(stem: Path, figure: Figure) -> None:
    # Letters as outlines look alike wherever the file is opened.
    with matplotlib.rc_context({"svg.hashsalt": stem.name, "svg.fonttype": "path"}):
        for form, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            with atomic_path(stem.with_suffix(f".{form}")) as path:
                figure.savefig(path, format=form, dpi=_DPI, metadata=metadata)
