"""The report as Markdown, with links to its pictures."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from neuroattack.paper.report.section import LEAD, TITLE, Section, SummaryRow, Table

__all__ = ["render_markdown"]

_FOLDED = 26
"""Rows from which a table is folded."""


def render_markdown(
    sections: Sequence[Section],
    summary: Sequence[SummaryRow],
    origin: Sequence[tuple[str, str]],
) -> str:
    """Return the report as Markdown.

    Parameters
    ----------
    sections : sequence of Section
        The items.
    summary : sequence of SummaryRow
        The paper's claims beside what was found.
    origin : sequence of (name, value)
        Where results come from.
    """
    parts = [f"# {_text(TITLE)}", _text(LEAD)]
    if summary:
        heads = ("", "the paper", "found here", "verdict")
        cells = [(row.about, row.paper, row.found, row.verdict) for row in summary]
        parts += ["## In short", _table(Table("", heads, cells, words=4))]
    for section in sections:
        parts += [
            f"## {_text(section.title)}",
            f"![{_text(section.alt)}](paper/{section.item}.png)",
            f"*{_text(section.caption)}*",
            *(_text(sentence) for sentence in section.sentences),
        ]
        for table in section.tables:
            if len(table.rows) < _FOLDED:
                parts += [_text(table.caption), _table(table)]
            else:
                # Raw HTML up to the blank line, in which no Markdown is read.
                caption = html.escape(table.caption, quote=False)
                parts += [f"<details><summary>{caption}</summary>", _table(table), "</details>"]
    parts += [
        "## Where these results come from",
        _table(Table("", ("", ""), [(name, value) for name, value in origin], words=2)),
    ]
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    """Return a table; the paper's rows in italics."""
    lines = [_line(table.columns)]
    lines.append(_line([":--" if i < table.words else "--:" for i in range(len(table.columns))]))
    for number, row in enumerate(table.rows):
        cells = [_text(cell).replace("|", "\\|") for cell in row]
        if number in table.of_paper:
            cells = [f"*{cell}*" if cell else "" for cell in cells]
        lines.append(_line(cells))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(text: str) -> str:
    """Return text in which nothing is taken for markup."""
    return re.sub(r"([\\*`<])", r"\\\1", text)
