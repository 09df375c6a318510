"""What an item of the report consists of, for the page and for the Markdown alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["LEAD", "TITLE", "Section", "SummaryRow", "Table"]

TITLE = "\u201cIs Spiking Secure?\u201d, reproduced"
"""Of the whole report."""

LEAD = (
    "Every table and figure of A. Marchisio, G. Nanfa, F. Khalid, M. A. Hanif, M. Martina and "
    "M. Shafique, \u201cIs Spiking Secure? A Comparative Study on the Security Vulnerabilities of "
    "Spiking and Deep Neural Networks\u201d, IJCNN 2020, recomputed and laid beside the paper's "
    "numbers; then the same attack on populations of images, which the paper leaves open. All "
    "sentences below are made from the numbers of this run. Points are percentage points."
)
"""What the report is."""


@dataclass(frozen=True)
class Table:
    """A table for people.

    Parameters
    ----------
    caption : str
        What it shows, with its units.
    columns : sequence of str
        Heads.
    rows : sequence of sequence of str
        Cells, as many in each as there are columns.
    words : int
        Columns from the left that hold words; the others hold numbers.
    of_paper : frozenset of int
        Rows that are the paper's.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    of_paper: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Section:
    """An item: its picture, what it shows, and its tables.

    Parameters
    ----------
    item : str
        Its name, which its files have.
    title : str
        Heading.
    caption : str
        Below the picture: how to read it.
    alt : str
        The picture in words.
    sentences : sequence of str
        What was found, made of the figures; a paragraph each.
    tables : sequence of Table
        Its figures.
    """

    item: str
    title: str
    caption: str
    alt: str
    sentences: Sequence[str]
    tables: Sequence[Table] = ()


@dataclass(frozen=True)
class SummaryRow:
    """A claim of the paper, or a figure to reach, beside what was found.

    Parameters
    ----------
    about : str
        What it concerns.
    paper : str
        What the paper says.
    found : str
        What the run found.
    verdict : str
        In a word or two.
    """

    about: str
    paper: str
    found: str
    verdict: str
