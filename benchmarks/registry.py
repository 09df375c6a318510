"""The sections of the suite: what each is called, how it measures, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["SECTIONS", "Figures", "Options", "Section", "section"]

Figures = dict[str, Any]
"""What a section measured, ready for JSON."""


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
    say : callable
        Takes a sentence for the person who waits.
    """

    model: str | None
    dataset: str
    quick: bool
    say: Callable[[str], None]


@dataclass(frozen=True)
class Section:
    """A section: `measure` returns its figures, `show` prints them for a person."""

    measure: Callable[[Options], Figures]
    show: Callable[[Figures], None]


SECTIONS: dict[str, Section] = {}
"""Sections by name, in the order they run."""


def section(
    name: str, show: Callable[[Figures], None]
) -> Callable[[Callable[[Options], Figures]], Callable[[Options], Figures]]:
    """Register the decorated function as the measurement of a section."""

    def register(measure: Callable[[Options], Figures]) -> Callable[[Options], Figures]:
        SECTIONS[name] = Section(measure, show)
        return measure

    return register
