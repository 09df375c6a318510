"""Output of commands: results on stdout, as tables or one JSON object; the rest on stderr."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from neuroattack.errors import ValidationError

if TYPE_CHECKING:
    from neuroattack.report.table import Table as Results

__all__ = [
    "check_other_file",
    "command_line",
    "is_interruption",
    "kept_in",
    "note",
    "print_figures",
    "print_json",
    "print_rows",
    "print_table",
    "print_text",
    "progress_bars",
    "resumable",
]

_LONGEST_WORK_S = 24 * 3600.0


def command_line() -> str:
    """Return the command line, quoted for a shell."""
    given = shlex.join(["neuroattack", *sys.argv[1:]])
    # File names may contain bytes that are not text; these are escaped.
    return given.encode("utf-8", "backslashreplace").decode()


def check_other_file(option: str, output: Path, source: Path) -> None:
    """Raise ValidationError if an output would overwrite its source."""
    if output.resolve() == source.resolve():
        raise ValidationError(option, output, "a file other than the input file")


def note(text: str) -> None:
    """Print a message on stderr."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)


def print_json(value: Mapping[str, Any]) -> None:
    """Print exactly one JSON object on stdout."""
    sys.stdout.write(json.dumps(value, allow_nan=False) + "\n")


def print_text(text: str) -> None:
    """Print text on stdout without formatting."""
    sys.stdout.write(text)


def print_figures(title: str, figures: Mapping[str, str]) -> None:
    """Print named results on stdout, one per line."""
    table = Table(title=Text(title), title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, figure in figures.items():
        table.add_row(name, figure)
    _print(table)


def print_rows(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout."""
    table = Table(title=Text(title), title_justify="left")
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    _print(table)


def print_table(table: Results) -> None:
    """Print a table of results on stdout."""
    print_rows(table.title, table.heads, table.cells)


def _print(table: Table) -> None:
    # In a pipe, wide lines are easier to search than lines that are wrapped at 80 columns.
    width = None if sys.stdout.isatty() else 160
    Console(highlight=False, width=width).print(table, markup=False)


@contextlib.contextmanager
def progress_bars() -> Iterator[Callable[[str, float, str], None]]:
    """Yield a function that shows progress: bars on a terminal, nothing in a pipe.

    Yields
    ------
    callable
        Takes the description of a task, which has its own bar, the fraction done, 0 to 1, and a
        short text on its state.
    """
    console = Console(stderr=True)
    bars: dict[str, TaskID] = {}
    with Progress(
        TextColumn("{task.description:<14}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:3.0f} %"),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        # Single steps may take minutes, longer than rich's default window of 30 s.
        speed_estimate_period=_LONGEST_WORK_S,
        disable=not console.is_terminal,
    ) as progress:

        def show(what: str, fraction: float, state: str) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=1.0, state="")
            progress.update(bars[what], completed=fraction, state=state)

        yield show


def is_interruption(error: BaseException | None) -> bool:
    """Return whether Ctrl-C caused an exception.

    If Ctrl-C arrives while numba's C code prepares the arguments of a compiled function, Python
    raises a SystemError with the KeyboardInterrupt as its cause.
    """
    while isinstance(error, SystemError):
        error = error.__cause__
    return isinstance(error, KeyboardInterrupt)


@contextlib.contextmanager
def resumable(*kept: Path) -> Iterator[None]:
    """After Ctrl-C, print how to resume if one of the files exists."""
    try:
        yield
    except (KeyboardInterrupt, SystemError) as error:
        found = next((path for path in kept if path.exists()), None)
        if found is not None and is_interruption(error):
            note(f"Interrupted: resume from {found} with the same command and --resume")
        raise


@contextlib.contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """After Ctrl-C, print that the same command resumes from a folder."""
    try:
        yield
    except (KeyboardInterrupt, SystemError) as error:
        if is_interruption(error):
            note(f"Interrupted: resume from {folder} with the same command")
        raise
