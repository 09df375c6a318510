"""Sections of the suite: name, measurement, tables and plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SECTIONS", "Figures", "Options", "Section", "Table", "section"]

Figures = dict[str, Any]
"""Results of a section as JSON values.

Ratios and times are medians; ``<key>_spread`` has the minimum and maximum. Under ``"model"`` a
section may give the file of a model that it trained, for later sections.
"""


@dataclass(frozen=True)
class Options:
    """Command-line options of every section.

    Parameters
    ----------
    model : str or None
        File of a trained model; None for a network of random weights.
    dataset : str
        Name of the data set.
    quick : bool
        Whether to check only that the section works.
    out : Path
        Folder for results and other files of a section.
    say : callable
        Prints a progress message.
    """

    model: str | None
    dataset: str
    quick: bool
    out: Path
    say: Callable[[str], None]


@dataclass(frozen=True)
class Table:
    """Table of text with a title and a header, printed and written as Markdown."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """A section: `measure` returns figures; `tables` and `plots` display them."""

    measure: Callable[[Options], Figures]
    tables: Callable[[Figures], list[Table]]
    plots: Callable[[Figures], dict[str, Figure]]


SECTIONS: dict[str, Section] = {}
"""Sections by name."""


def section(
    name: str,
    tables: Callable[[Figures], list[Table]],
    plots: Callable[[Figures], dict[str, Figure]] = lambda _: {},
) -> Callable[[Callable[[Options], Figures]], Callable[[Options], Figures]]:
    """Register the decorated function as the measurement of a section."""

    def register(measure: Callable[[Options], Figures]) -> Callable[[Options], Figures]:
        SECTIONS[name] = Section(measure, tables, plots)
        return measure

    return register
