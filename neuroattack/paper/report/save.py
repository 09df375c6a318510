"""What a run of the paper's items leaves in a folder: figures, pictures, the page, the Markdown."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuroattack.files import atomic_path, write_json, write_text
from neuroattack.paper.report.markdown import render_markdown
from neuroattack.paper.report.page import render_page
from neuroattack.paper.report.pictures import draw_item, write_picture
from neuroattack.paper.report.provenance import provenance_rows
from neuroattack.paper.report.rows import csv_text, further_rows, item_rows
from neuroattack.paper.report.sections import section_of
from neuroattack.paper.report.summary import summary_rows
from neuroattack.paper.whole import Paper
from neuroattack.report.plots import inline_svg

__all__ = ["MARKDOWN", "PAGE", "save_paper"]

PAGE = "report.html"
"""Name of the page in the folder."""

MARKDOWN = "paper.md"
"""Name of the same as Markdown; its pictures are in the folder ``paper`` beside it."""


def save_paper(out: Path, paper: Paper, meta: Mapping[str, Any]) -> Path:
    """Write all that a run found; return the page's path.

    Of every item ``<item>.json``, ``.csv``, ``.png`` and ``.svg``, of some ``<item>-<name>.csv``
    too; the page; and the Markdown with its pictures in ``paper/``. Only the page and the Markdown
    depend on `meta`, in their section on where results come from; all else is the same bytes for
    the same figures.

    Parameters
    ----------
    out : Path
        Folder.
    paper : Paper
        What was found; a page of the items that it has.
    meta : mapping
        ``dataset``, ``dataset_checksum``, ``seed``, ``settings`` (mapping), ``seconds`` of this
        run, ``done_before`` (cells that its folder had), ``versions``, ``machine``, ``command``.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    sections, drawn = [], {}
    for item, figures in paper.items.items():
        images = {
            name.removeprefix(f"{item}/"): array
            for name, array in paper.arrays.items()
            if name.startswith(f"{item}/")
        }
        section = section_of(item, figures)
        write_json(out / f"{item}.json", figures)
        write_text(out / f"{item}.csv", csv_text(item_rows(item, figures, images)))
        for name, rows in further_rows(item, figures).items():
            write_text(out / f"{item}-{name}.csv", csv_text(rows))
        figure = draw_item(item, figures, images)
        write_picture(out / item, figure)
        with atomic_path(out / "paper" / f"{item}.png") as path:
            shutil.copyfile(out / f"{item}.png", path)
        # Equal images have equal identifiers, of which a page may have one; nothing refers to them.
        svg = inline_svg(figure, section.alt, item)
        drawn[item] = re.sub(r' id="image[0-9a-f]+"', "", svg)
        sections.append(section)
    summary, origin = summary_rows(paper.items), provenance_rows(meta)
    write_text(out / MARKDOWN, render_markdown(sections, summary, origin))
    write_text(out / PAGE, render_page(sections, drawn, summary, origin))
    return out / PAGE
