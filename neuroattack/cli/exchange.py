"""Commands that bring networks in from other tools, and take them out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from neuroattack.cli.arguments.options import Json, NetworkFile
from neuroattack.errors import ValidationError
from neuroattack.report.terminal import console, tables

__all__ = ["export_nir", "import_nir"]


_TimeUnit = Annotated[float | None, typer.Option(help="Seconds in a unit of the file's times.")]
_Integration = Annotated[
    Literal["euler", "hold", "impulse"] | None,
    typer.Option(help="How the equation of a neuron is solved within a step."),
]
_Arrival = Annotated[
    Literal["same-step", "next-step"] | None,
    typer.Option(help="When a spike reaches the next layer, delays aside."),
]
_RefractorySteps = Annotated[
    int | None, typer.Option(help="Whole steps in which a neuron rests after a spike.")
]
_Encoder = Annotated[
    Literal["poisson", "regular"] | None, typer.Option(help="How intensities become spikes.")
]
_InputRate = Annotated[float | None, typer.Option(help="Rate in Hz of a pixel of intensity 1.")]
_ImageShape = Annotated[
    str | None, typer.Option(help="As '28x28'; by default as the file's input.")
]
_AllowLossy = Annotated[
    bool,
    typer.Option("--allow-lossy", help="Drop what cannot be held, and name it in the result."),
]


def import_nir(
    nir: Annotated[Path, typer.Argument(help="A NIR file, of any tool.")],
    out: Annotated[Path | None, typer.Option(help="Network file; by default NIR.h5.")] = None,
    dt: Annotated[float | None, typer.Option(help="Time step in seconds.")] = None,
    time_unit: _TimeUnit = None,
    integration: _Integration = None,
    arrival: _Arrival = None,
    refractory_steps: _RefractorySteps = None,
    encoder: _Encoder = None,
    input_rate: _InputRate = None,
    image_shape: _ImageShape = None,
    allow_lossy: _AllowLossy = False,
    json: Json = False,
) -> None:
    """Bring in a network that another tool wrote as NIR.

    NIR leaves open how its equations become steps. That is asked for, never guessed; only files
    that 'export' wrote say it themselves. docs/nir.md has what each framework needs.
    """
    from neuroattack.ir.nir import importing
    from neuroattack.ir.storage import save_network

    target = out or nir.with_suffix(".h5")
    console.check_other_file("--out", target, nir)
    imported = importing.import_nir(
        nir,
        dt_s=dt,
        time_unit_s=time_unit,
        integration=integration,
        arrival=arrival,
        refractory_steps=refractory_steps,
        encoder=encoder,
        max_rate_hz=input_rate,
        image_shape=None if image_shape is None else _shape(image_shape),
        allow_lossy=allow_lossy,
    )
    save_network(target, imported.network)
    network = imported.network
    figures = {
        "network": str(target),
        "network_checksum": network.checksum(),
        "input_shape": list(network.input.shape),
        "populations": {p.name: p.size for p in network.populations},
        "connections": sum(int(p.fan_out().sum()) for p in network.projections),
        "classes": network.classes,
        "dt_s": network.dt_s,
        "encoder": network.input.encoder.kind,
        "input_rate_hz": network.input.encoder.max_rate_hz,
        "lag_steps": imported.lag_steps,
        "largest_relative_rounding": imported.largest_relative_rounding,
        "losses": list(imported.losses),
        "notes": list(imported.notes),
    }
    if json:
        console.print_json(figures)
        return
    tables.print_import(figures)


def export_nir(
    network: NetworkFile,
    out: Annotated[Path, typer.Argument(help="NIR file to write.")],
    allow_lossy: Annotated[
        bool,
        typer.Option(
            "--allow-lossy", help="Write what NIR has no words for in the file's metadata alone."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Write a network as NIR, for other tools; 'import' reads it back, spike for spike."""
    from neuroattack.ir.nir import exporting
    from neuroattack.ir.storage import load_network

    console.check_other_file("OUT", out, network)
    losses = exporting.export_nir(out, load_network(network), allow_lossy=allow_lossy)
    if json:
        console.print_json({"nir": str(out), "losses": list(losses)})
        return
    tables.print_export(out, losses)


def _shape(text: str) -> tuple[int, ...]:
    sides = text.lower().split("x")
    if not all(side.isascii() and side.isdigit() and int(side) > 0 for side in sides):
        raise ValidationError("--image-shape", repr(text), "sides such as 28x28")
    return tuple(int(side) for side in sides)
