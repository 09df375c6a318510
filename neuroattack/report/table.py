"""A table of results, written as Markdown, HTML, CSV and to the terminal from the same rows."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Column", "Table", "decimals"]


class Column(NamedTuple):
    """Head of a column, with its unit, and how a value is written.

    Parameters
    ----------
    head : str
        Head.
    write : callable, optional
        Takes a value, or a value and the two ends of its interval; None is left empty. Columns of
        plain text align to the left, others to the right.
    """

    head: str
    write: Callable[[Any], str] = str


def decimals(count: int, *, scale: float = 1.0, sign: bool = False) -> Callable[[Any], str]:
    """Return a function that writes a number, or an estimate with its interval.

    Parameters
    ----------
    count : int
        Decimals.
    scale : float, optional
        Factor from the value's unit to that of the column.
    sign : bool, optional
        Writes the sign of positive numbers too; what rounds to 0 has none.
    """

    def write(value: Any) -> str:
        if isinstance(value, tuple):
            middle, *ends = map(write, value)
            return f"{middle} ({' to '.join(ends)})"
        scaled = scale * value
        if round(scaled, count) == 0:
            return f"{0:.{count}f}"
        return f"{scaled:{'+' if sign else ''},.{count}f}".replace("-", "\u2212")

    return write


_FORMATS: dict[str, tuple[str, Callable[[int], Callable[[Any], str]]]] = {
    "%": (" (%)", lambda count: decimals(count, scale=100.0)),
    "pt": (" (points)", lambda count: decimals(count, scale=100.0, sign=True)),
    "f": ("", decimals),
    "+": ("", lambda count: decimals(count, sign=True)),
}


def _column(key: str, form: str) -> Column:
    head = re.sub(r"[_.]", " ", key)
    if form == "":
        return Column(head)
    if form == "p":
        return Column(head, lambda value: "< 0.001" if value < 0.001 else f"{value:.3f}")
    if form.startswith("g"):
        return Column(head, f"{{:,.{form[1:] or 6}g}}".format)
    unit, write = _FORMATS[form.rstrip("0123456789")]
    return Column(head + unit, write(int(form.lstrip("%ptf+"))))


def _value(row: Mapping[str, Any], key: str) -> Any:
    """Return the value of a key, with the ends of its interval where the row has one."""
    *path, last = key.split(".")
    found: Any = row
    for name in path:
        found = found and found[name]
    if not found or found.get(last) is None:
        return None
    stem = last.rpartition("_")[0]
    for name in (f"{last}_ci95", f"{stem}_ci95", "ci95" if last == "rate" else ""):
        if found.get(name) is not None:
            return (found[last], *found[name])
    return found[last]


@dataclass(frozen=True)
class Table:
    """Rows of values under columns.

    Parameters
    ----------
    name : str
        Stem of its files.
    title : str
        What it holds.
    columns : sequence of Column
        Heads, units and formats.
    rows : sequence of sequence
        A value for each column: text, number, None, or a tuple of an estimate and the ends of its
        interval.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]

    @classmethod
    def of(cls, name: str, title: str, rows: Iterable[Mapping[str, Any]], columns: str) -> Table:
        """Return a table of JSON values.

        Parameters
        ----------
        name, title : str
            As of the class.
        rows : iterable of mapping
            A mapping per row.
        columns : str
            Keys with spaces between, each with a format: ``key`` is text, ``key:g`` a number,
            ``key:g3`` one with three digits, ``key:%1`` a share in percent with one decimal,
            ``key:pt1`` a difference of shares in percentage points, ``key:f2`` a number with two
            decimals, ``key:+2`` the same with its sign, ``key:p`` a p-value.
            ``one.other`` is a key of the mapping under ``one``. The interval under ``key_ci95``,
            or, for ``targeted_success``, under ``targeted_ci95``, is written with the value.
        """
        keys = [column.partition(":")[::2] for column in columns.split()]
        values = [[_value(row, key) for key, _ in keys] for row in rows]
        return cls(name, title, [_column(key, form) for key, form in keys], values)

    @property
    def heads(self) -> list[str]:
        """Heads of the columns."""
        return [column.head for column in self.columns]

    @property
    def cells(self) -> list[list[str]]:
        """All values as text."""
        return [
            [
                "" if value is None else column.write(value)
                for column, value in zip(self.columns, row, strict=True)
            ]
            for row in self.rows
        ]

    @property
    def is_text(self) -> list[bool]:
        """Whether a column holds text rather than numbers."""
        return [column.write is str for column in self.columns]

    def markdown(self) -> str:
        """Return title and table as Markdown; nothing in them is markup."""
        rule = [":--" if text else "--:" for text in self.is_text]
        (title,), *rows = [
            [re.sub(r"([\\*`<|_])", r"\\\1", cell) for cell in row]
            for row in [[self.title], self.heads, *self.cells]
        ]
        lines = [rows[0], rule, *rows[1:]]
        return f"*{title}*\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def csv(self) -> str:
        """Return the values as CSV, unrounded; an interval takes two more columns."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        spread = [
            any(isinstance(row[i], tuple) for row in self.rows) for i in range(len(self.heads))
        ]
        writer.writerow(
            name
            for head, wide in zip(self.heads, spread, strict=True)
            for name in ([head, f"{head} low", f"{head} high"] if wide else [head])
        )
        for row in self.rows:
            flat: list[Any] = []
            for value, wide in zip(row, spread, strict=True):
                parts = value if isinstance(value, tuple) else (value,)
                flat += [*parts, *[None] * (2 * wide + 1 - len(parts))]
            writer.writerow(flat)
        return file.getvalue()
