"""Files of a run: JSON, pictures, tables and verdicts of every item, and one HTML page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from neuroattack.files import atomic_path, write_json, write_text
from neuroattack.paper.items import ITEMS
from neuroattack.paper.settings import Study
from neuroattack.report.plots import inline_svg
from neuroattack.report.table import Table
from neuroattack.report.templates import render

__all__ = ["PAGE", "save_paper", "verdict_table"]

PAGE = "report.html"
"""Name of the page in the folder."""

_DPI = 150


def verdict_table(found: Mapping[str, Study]) -> Table:
    """Return the claims of items with their verdicts."""
    claims = [
        {"item": item, **claim._asdict()}
        for item, (figures, _) in found.items()
        for claim in ITEMS[item].claims(figures)
    ]
    return Table.of("verdicts", "Claims of the paper", claims, "item claim paper here verdict")


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
        figure, tables = draw(figures, images), ITEMS[item].tables(figures)
        _write_picture(out / item, figure)
        _write_tables(out, tables)
        verdicts = [verdict_table({item: found[item]})] if ITEMS[item].claims(figures) else []
        # Equal images have equal identifiers, of which a page may have one; nothing refers to them.
        svg = re.sub(r' id="image[0-9a-f]+"', "", inline_svg(figure, title, item))
        about = {"item": item, "title": title, "tables": [*tables, *verdicts]}
        sections.append({**about, "svg": Markup(svg)})  # noqa: S704
    judged = verdict_table(found)
    _write_tables(out, [judged])
    page = render("paper/page.html.jinja", sections=sections, verdicts=judged, origin=origin)
    write_text(out / PAGE, page)
    return out / PAGE


def _write_tables(out: Path, tables: Iterable[Table]) -> None:
    for table in tables:
        write_text(out / f"{table.name}.md", table.markdown())
        write_text(out / f"{table.name}.csv", table.csv())


def _write_picture(stem: Path, figure: Figure) -> None:
    # Letters as outlines look alike wherever the file is opened.
    with matplotlib.rc_context({"svg.hashsalt": stem.name, "svg.fonttype": "path"}):
        for form, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            with atomic_path(stem.with_suffix(f".{form}")) as path:
                figure.savefig(path, format=form, dpi=_DPI, metadata=metadata)
