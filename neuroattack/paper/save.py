"""Output files of a run: JSON, figures, tables and verdicts, and one HTML page."""

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
"""File name of the HTML page."""

_DPI = 150


def verdict_table(found: Mapping[str, Study]) -> Table:
    """Return a table of the claims of items, with their verdicts."""
    claims = [
        {"item": item, **claim._asdict()}
        for item, (figures, _) in found.items()
        for claim in ITEMS[item].claims(figures)
    ]
    return Table.of("verdicts", "Claims of the paper", claims, "item claim paper here verdict")


def save_paper(out: Path, found: Mapping[str, Study], origin: Mapping[str, str]) -> Path:
    """Write all results; return the path of the HTML page.

    Every item has the files ``<item>.json``, ``.png`` and ``.svg``; each of its tables, and
    ``verdicts``, has the files ``.md`` and ``.csv``. For the same results, all files except the
    page are identical byte by byte.

    Parameters
    ----------
    out : Path
        Output folder.
    found : mapping of str to Study
        Results of each item.
    origin : mapping of str to str
        Provenance, shown on the page.

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
        _write_figure(out / item, figure)
        _write_tables(out, tables)
        verdicts = [verdict_table({item: found[item]})] if ITEMS[item].claims(figures) else []
        # Identical images have the same identifier, which must be unique on a page. Nothing refers
        # to these identifiers.
        svg = re.sub(r' id="image[0-9a-f]+"', "", inline_svg(figure, title, item))
        section = {"item": item, "title": title, "tables": [*tables, *verdicts]}
        sections.append({**section, "svg": Markup(svg)})  # noqa: S704
    all_verdicts = verdict_table(found)
    _write_tables(out, [all_verdicts])
    page = render("paper/page.html.jinja", sections=sections, verdicts=all_verdicts, origin=origin)
    write_text(out / PAGE, page)
    return out / PAGE


def _write_tables(out: Path, tables: Iterable[Table]) -> None:
    for table in tables:
        write_text(out / f"{table.name}.md", table.markdown())
        write_text(out / f"{table.name}.csv", table.csv())


def _write_figure(stem: Path, figure: Figure) -> None:
    # Text as outlines looks the same in every viewer.
    with matplotlib.rc_context({"svg.hashsalt": stem.name, "svg.fonttype": "path"}):
        for form, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            with atomic_path(stem.with_suffix(f".{form}")) as path:
                figure.savefig(path, format=form, dpi=_DPI, metadata=metadata)
