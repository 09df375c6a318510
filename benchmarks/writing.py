"""Output files of a run: Markdown tables, JSON and plots."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.registry import SECTIONS, Figures, Table
from neuroattack.files import atomic_path, write_json, write_text

__all__ = ["machine_table", "markdown", "with_spread", "write_results"]

_DOTS_PER_INCH = 110


def write_results(
    folder: Path, machine: Figures, figures: Mapping[str, Figures], summary: Table
) -> list[Path]:
    """Write ``benchmarks.md``, ``benchmarks.json`` and the plots; return the files.

    Parameters
    ----------
    folder : Path
        Folder to write to.
    machine : dict
        Result of :func:`benchmarks.machine.describe_machine`.
    figures : mapping of str to dict
        Figures of every section that ran.
    summary : Table
        Table to write before those of the sections.

    Raises
    ------
    OutputError
        If the folder cannot be written to.
    """
    plots = {}
    for name, found in figures.items():
        for plot, figure in SECTIONS[name].plots(found).items():
            plots[plot] = folder / f"{plot}.png"
            with atomic_path(plots[plot]) as path:
                figure.savefig(path, format="png", dpi=_DOTS_PER_INCH)
    parts = ["# Benchmarks", markdown(machine_table(machine)), markdown(summary)]
    for name, found in figures.items():
        parts += [f"## {name.capitalize()}", *map(markdown, SECTIONS[name].tables(found))]
    parts += [f"![{plot}]({path.name})" for plot, path in plots.items()]
    text, data = folder / "benchmarks.md", folder / "benchmarks.json"
    write_text(text, "\n\n".join(parts) + "\n")
    write_json(data, {"machine": machine, **figures})
    return [text, data, *plots.values()]


def machine_table(machine: Figures) -> Table:
    """Return the table of the machine and the versions."""
    return Table("Machine", ("", ""), [[name, _said(value)] for name, value in machine.items()])


def _said(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value))
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def with_spread(
    figures: Figures, key: str, unit: str = "", digits: int = 3, absent: str = "not measured"
) -> str:
    """Return a figure with its spread in brackets, to a number of significant digits."""
    value, ends = figures[key], figures[f"{key}_spread"]
    if value is None or ends is None:
        return absent
    shown, low, high = (_significant(each, digits) for each in (value, *ends))
    return f"{shown}{unit} ({low} to {high})"


def _significant(value: float, digits: int) -> str:
    whole = len(f"{abs(value):.0f}") if abs(value) >= 1 else 0
    return f"{value:,.{max(digits - whole, 0)}f}"


def markdown(table: Table) -> str:
    """Return a table as Markdown, with its title above."""
    lines = [table.header, ["---"] * len(table.header), *table.rows]
    rows = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return f"**{table.title}**\n\n" + "\n".join(rows)
