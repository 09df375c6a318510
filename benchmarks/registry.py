"""The sections of the suite: what each is called, how it measures, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SECTIONS", "Figures", "Options", "Section", "Table", "section"]

Figures = dict[str, Any]
"""What a section measured, ready for JSON.

A ratio or a time is a median, and ``<key>_spread`` beside it the lowest and the highest. Under
``"model"`` a section may name the file of a model that it trained, for the sections after it.
"""


@dataclass(frozen=True)
class Options:
    """What the command line asks of every section.

    Parameters
    ----------
    model : str or None
        File of a trained model; None for a network of random weights.
    dataset : str
        Images to show.
    quick : bool
        Whether to check that the section works rather than to measure.
    out : Path
        Folder of results, for files that a section leaves beside its figures.
    say : callable
        Takes a sentence for the person who waits.
    """

    model: str | None
    dataset: str
    quick: bool
    out: Path
    say: Callable[[str], None]


@dataclass(frozen=True)
class Table:
    """Rows of text under a title and a header, printed and written as Markdown."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """A section: `measure` returns figures, `tables` says them, `plots` draws them by name."""

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
