"""Commands that import and export networks via NIR."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from neuroattack.cli.arguments.options import Json, NetworkFile
from neuroattack.errors import ValidationError
from neuroattack.report.terminal import console, tables

__all__ = ["export_nir", "import_nir"]


_Out = Annotated[
    Path | None, typer.Option(help="Network file to write. Default: the NIR file with suffix .h5.")
]
_Dt = Annotated[float | None, typer.Option(help="Time step in seconds.")]
_TimeUnit = Annotated[
    float | None, typer.Option(help="Unit of the times in the NIR file, in seconds.")
]
_Integration = Annotated[
    Literal["euler", "hold", "impulse"] | None,
    typer.Option(help="Numerical integration of the neuron equation within a time step."),
]
_Arrival = Annotated[
    Literal["same-step", "next-step"] | None,
    typer.Option(help="Time step in which a spike reaches the next layer, synaptic delays aside."),
]
_RefractorySteps = Annotated[int | None, typer.Option(help="Refractory period in time steps.")]
_Encoder = Annotated[
    Literal["poisson", "regular", "direct"] | None,
    typer.Option(help="Encoder of the images.", rich_help_panel="Input"),
]
_InputRate = Annotated[
    float | None,
    typer.Option(help="Input rate in Hz of a pixel of intensity 1; not for direct coding."),
]
_ImageShape = Annotated[
    str | None,
    typer.Option(help="Shape of an image, such as 28x28. Default: that of the file's input."),
]
_AllowLossy = Annotated[
    bool,
    typer.Option(
        "--allow-lossy",
        help="Drop features that the network format does not support, and report them, instead of "
        "refusing the file.",
        rich_help_panel="Output",
    ),
]


def import_nir(
    nir: Annotated[Path, typer.Argument(help="NIR file of any framework.")],
    out: _Out = None,
    dt: _Dt = None,
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
    """Import a network via NIR from another framework.

    NIR does not define how its equations are discretized in time, so --dt, --time-unit,
    --integration, --arrival and --refractory-steps are required, and so are --encoder and,
    unless it is direct, --input-rate. Files written by 'export' contain these settings.
    docs/nir.md lists the settings of each framework.
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
        "input_rate_hz": network.input.encoder.settings().get("max_rate_hz"),
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
            "--allow-lossy",
            help="Write features that NIR cannot express to the file's metadata only, instead of "
            "refusing the network.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Export a network via NIR to other frameworks.

    'import' reads the file back to a network with the same spikes.
    """
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
        raise ValidationError("--image-shape", repr(text), "a shape such as 28x28")
    return tuple(int(side) for side in sides)
