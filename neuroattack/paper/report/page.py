"""The report as one HTML page that loads nothing from anywhere and runs no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from neuroattack.paper.report.section import LEAD, TITLE, Section, SummaryRow
from neuroattack.report.templates import render

__all__ = ["render_page"]


def render_page(
    sections: Sequence[Section],
    pictures: Mapping[str, str],
    summary: Sequence[SummaryRow],
    origin: Sequence[tuple[str, str]],
) -> str:
    """Return the report as a page.

    Parameters
    ----------
    sections : sequence of Section
        The items.
    pictures : mapping of str to str
        Of every item its picture, as an ``<svg>`` element.
    summary : sequence of SummaryRow
        The paper's claims beside what was found.
    origin : sequence of (name, value)
        Where results come from.
    """
    return render(
        "paper/report/paper.html.jinja",
        title=TITLE,
        lead=LEAD,
        sections=sections,
        # Drawn here, so they are no markup of anyone else's.
        pictures={item: Markup(svg) for item, svg in pictures.items()},  # noqa: S704
        summary=summary,
        origin=origin,
    )
