"""Command that converts recordings of events to a data set file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from neuroattack.cli.arguments.options import Json
from neuroattack.errors import ValidationError
from neuroattack.report.terminal import console, tables

__all__ = ["events"]

_Sensor = Annotated[
    str | None,
    typer.Option(
        help="Shape of the sensor, for formats that do not contain it: height x width, such as "
        "34x34, or the number of units. Default: 34x34 for nmnist, 700 for shd.",
        rich_help_panel="Recordings",
    ),
]
_Format = Annotated[
    Literal["auto", "nmnist", "aedat2", "aedat3", "aedat4", "shd", "structured"],
    typer.Option(
        "--format",
        help="Format of the recordings. Default: from names and first bytes of the files.",
        rich_help_panel="Recordings",
    ),
]


def events(
    source: Annotated[
        Path,
        typer.Argument(help="Folder with recordings, as in the original distribution, or a file."),
    ],
    out: Annotated[Path, typer.Option(help="Data set file to write, FILE.npz.")],
    file_format: _Format = "auto",
    sensor: _Sensor = None,
    time_unit: Annotated[
        float,
        typer.Option(
            help="Unit of the times in structured arrays, in seconds.",
            rich_help_panel="Recordings",
        ),
    ] = 1e-6,
    limit: Annotated[
        int | None,
        typer.Option(
            help="Largest number of recordings per split. Default: all.",
            rich_help_panel="Recordings",
        ),
    ] = None,
    steps: Annotated[
        int, typer.Option(help="Time steps T per sample.", rich_help_panel="Samples")
    ] = 150,
    dt: Annotated[
        float, typer.Option(help="Time step in seconds.", rich_help_panel="Samples")
    ] = 2e-3,
    downsample: Annotated[
        int,
        typer.Option(
            help="Number of pixels per side, or of units, that are combined to one.",
            rich_help_panel="Samples",
        ),
    ] = 1,
    json: Json = False,
) -> None:
    """Convert recordings of events to a data set file.

    Reads N-MNIST, N-Caltech101, AEDAT 2.0, 3.1 and 4, SHD, SSC, and structured NumPy arrays. All
    commands accept the result with --dataset FILE.npz. docs/events.md describes the formats.
    """
    from neuroattack.datasets.events.conversion import convert_recordings

    console.check_other_file("--out", out, source)
    with console.progress_bars() as show:

        def report(done: int, total: int) -> None:
            show("Recordings", done / total, f"{done:,} of {total:,}")

        conversion = convert_recordings(
            source,
            out,
            steps=steps,
            dt_s=dt,
            sensor=None if sensor is None else _sides(sensor),
            downsample=downsample,
            limit=limit,
            file_format=file_format,
            time_unit_s=time_unit,
            progress=report,
        )
    figures = {
        "dataset": str(out),
        "format": conversion.file_format,
        "shape": list(conversion.shape),
        "dt_s": dt,
        "classes": list(conversion.classes),
        "splits": {part: vars(counts) for part, counts in conversion.splits.items()},
    }
    if json:
        console.print_json(figures)
        return
    tables.print_events(figures)


def _sides(text: str) -> tuple[int, ...]:
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isascii() and side.isdigit() for side in sides):
        raise ValidationError("--sensor", repr(text), "a shape such as 34x34, or a number of units")
    return tuple(int(side[:9]) for side in sides)
