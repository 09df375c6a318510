"""Table of results, for Markdown, HTML, CSV and the terminal."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Column", "Table", "decimals"]


class Column(NamedTuple):
    """Column of a table.

    Parameters
    ----------
    head : str
        Header, with the unit.
    write : callable, optional
        Returns the text of a value, or of a tuple of an estimate and the ends of its interval; by
        default for plain text, which is aligned to the left. None is left empty.
    """

    head: str
    write: Callable[[Any], str] = str


def decimals(count: int, *, scale: float = 1.0, sign: bool = False) -> Callable[[Any], str]:
    """Return a function that formats a number, or an estimate with its interval.

    Parameters
    ----------
    count : int
        Number of decimals.
    scale : float, optional
        Factor from the unit of the value to that of the column.
    sign : bool, optional
        Whether positive numbers have a sign; numbers that round to 0 have none.
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
    """Return the value of a key, with the ends of its interval if the row has one."""
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
        Stem of its file names.
    title : str
        Title.
    columns : sequence of Column
        Headers and formats.
    rows : sequence of sequence
        One value per column: text, number, None, or a tuple of an estimate and the ends of its
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
            As in the constructor.
        rows : iterable of mapping
            One mapping per row.
        columns : str
            Keys separated by spaces, each with a format: ``key`` is text, ``key:g`` a number,
            ``key:g3`` one with three digits, ``key:%1`` a fraction in percent with one decimal,
            ``key:pt1`` a difference of fractions in percentage points, ``key:f2`` a number with
            two decimals, ``key:+2`` the same with its sign, ``key:p`` a p-value.
            ``outer.inner`` is the key ``inner`` of the mapping under ``outer``. An interval under
            ``key_ci95``, or, for ``targeted_success``, under ``targeted_ci95``, is added.
        """
        keys = [column.partition(":")[::2] for column in columns.split()]
        values = [[_value(row, key) for key, _ in keys] for row in rows]
        return cls(name, title, [_column(key, form) for key, form in keys], values)

    @property
    def heads(self) -> list[str]:
        """Headers of the columns."""
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
        """Whether each column contains text rather than numbers."""
        return [column.write is str for column in self.columns]

    def markdown(self) -> str:
        """Return title and table as Markdown, with special characters escaped."""
        rule = [":--" if text else "--:" for text in self.is_text]
        (title,), *rows = [
            [re.sub(r"([\\*`<|_])", r"\\\1", cell) for cell in row]
            for row in [[self.title], self.heads, *self.cells]
        ]
        lines = [rows[0], rule, *rows[1:]]
        return f"*{title}*\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def csv(self) -> str:
        """Return the unrounded values as CSV, with two more columns per interval."""
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
