"""The report as one HTML page that loads nothing from anywhere and runs no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from neuroattack.report.paper.section import LEAD, TITLE, Section, SummaryRow

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
    environment = Environment(
        loader=PackageLoader("neuroattack", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("paper/paper.html.jinja").render(
        title=TITLE,
        lead=LEAD,
        sections=sections,
        # Drawn here, so they are no markup of anyone else's.
        pictures={item: Markup(svg) for item, svg in pictures.items()},  # noqa: S704
        summary=summary,
        origin=origin,
    )
