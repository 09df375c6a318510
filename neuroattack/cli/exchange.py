"""Commands that import networks via NIR, and export them via NIR or as scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from neuroattack.cli.arguments.options import Json, NetworkFile
from neuroattack.errors import ValidationError
from neuroattack.report.terminal import console, tables

__all__ = ["export", "import_nir"]

_Out = Annotated[
    Path | None, typer.Option(help="Network file to write. Default: the NIR file with suffix .h5.")
]
_From = Annotated[
    Literal["snntorch", "norse", "spikingjelly", "sinabs", "rockpool", "lava-dl"] | None,
    typer.Option(
        "--from",
        help="Framework that wrote the file. Its preset sets all of these settings that are not "
        "given.",
    ),
]
_Dt = Annotated[float | None, typer.Option(help="Time step in seconds.")]
_TimeUnit = Annotated[
    float | None,
    typer.Option(help="Unit of the times in the NIR file, in seconds."),
]
_Integration = Annotated[
    Literal["euler", "hold", "impulse", "unit-gain"] | None,
    typer.Option(help="Numerical integration of the neuron equation within a time step."),
]
_Arrival = Annotated[
    Literal["same-step", "next-step"] | None,
    typer.Option(help="Time step in which a spike reaches the next layer, synaptic delays aside."),
]
_Reset = Annotated[
    Literal["value", "subtract", "subtract_next"] | None,
    typer.Option(
        help="Reset of neurons that spike: to the reset potential, or by subtraction of the "
        "threshold, immediately or in the next time step."
    ),
]
_Comparison = Annotated[
    Literal["strict", "inclusive"] | None,
    typer.Option(help="Whether neurons spike above the threshold, or also at the threshold."),
]
_InputOrder = Annotated[
    Literal["before", "after"] | None,
    typer.Option(
        help="Whether input enters the synaptic current before or after the potential is updated."
    ),
]
_RefractorySteps = Annotated[
    int | None,
    typer.Option(help="Refractory period in time steps."),
]
_Encoder = Annotated[
    Literal["poisson", "regular", "direct"] | None,
    typer.Option(help="Encoder of the images.", rich_help_panel="Input and output"),
]
_InputRate = Annotated[
    float | None,
    typer.Option(help="Input rate in Hz of a pixel of intensity 1; none with direct coding."),
]
_ImageShape = Annotated[
    str | None,
    typer.Option(help="Shape of an image, such as 28x28. Default: that of the file's input."),
]
_Readout = Annotated[
    Literal["spike_count", "final_potential", "max_potential", "output_sum"] | None,
    typer.Option(
        help="Output of the network. A potential is required for a last layer that never spikes "
        "(LI), and output_sum for one without neurons. Default otherwise: spike_count."
    ),
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
    exporter: _From = None,
    dt: _Dt = None,
    time_unit: _TimeUnit = None,
    integration: _Integration = None,
    arrival: _Arrival = None,
    reset: _Reset = None,
    comparison: _Comparison = None,
    input_order: _InputOrder = None,
    refractory_steps: _RefractorySteps = None,
    encoder: _Encoder = None,
    input_rate: _InputRate = None,
    image_shape: _ImageShape = None,
    readout: _Readout = None,
    allow_lossy: _AllowLossy = False,
    json: Json = False,
) -> None:
    """Import a network via NIR from another framework.

    NIR does not define how its equations are discretized in time, nor how images are encoded.
    --from sets what the framework does, except for --encoder and --input-rate; without it, every
    setting is required. Files written by 'export' contain all settings. docs/nir.md explains them.
    """
    from neuroattack.ir.nir import importing
    from neuroattack.ir.storage import save_network

    # Path.with_suffix fails for folders such as ".".
    target = out or nir.parent / f"{nir.stem}.h5"
    console.check_other_file("--out", target, nir)
    imported = importing.import_nir(
        nir,
        dt_s=dt,
        exporter=exporter,
        time_unit_s=time_unit,
        integration=integration,
        arrival=arrival,
        reset=reset,
        comparison=comparison,
        input_order=input_order,
        refractory_steps=refractory_steps,
        encoder=encoder,
        max_rate_hz=input_rate,
        image_shape=None if image_shape is None else _shape(image_shape),
        readout=readout,
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
        "settings": {s.name: {"value": s.value, "source": s.source} for s in imported.settings},
        "lag_steps": imported.lag_steps,
        "largest_relative_rounding": imported.largest_relative_rounding,
        "losses": list(imported.losses),
        "notes": list(imported.notes),
    }
    if json:
        console.print_json(figures)
        return
    tables.print_import(figures)


def export(
    network: NetworkFile,
    out: Annotated[Path, typer.Argument(help="File to write.")],
    file_format: Annotated[
        Literal["nir", "brian2", "pynn"],
        typer.Option(
            "--format", help="Format of the file: NIR, or a Python script for Brian2 or PyNN."
        ),
    ] = "nir",
    allow_lossy: Annotated[
        bool,
        typer.Option(
            "--allow-lossy",
            help="Write features that NIR cannot express to the file's metadata only, instead of "
            "refusing the network. With --format nir only.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Export a network via NIR, or as a Brian2 or PyNN script.

    'import' reads a NIR file back to a network with the same spikes. A script simulates one image.
    It needs NumPy, and Brian2 or PyNN with one of its simulators, but not neuroattack.
    """
    from neuroattack.deployment.exporters import export_text
    from neuroattack.files import write_text
    from neuroattack.ir.nir import exporting
    from neuroattack.ir.storage import load_network

    console.check_other_file("OUT", out, network)
    losses: tuple[str, ...] = ()
    if file_format == "nir":
        losses = exporting.export_nir(out, load_network(network), allow_lossy=allow_lossy)
    elif allow_lossy:
        raise ValidationError("--allow-lossy", f"--format {file_format}", "--format nir")
    else:
        write_text(out, export_text(load_network(network), file_format))
    if json:
        console.print_json({"file": str(out), "format": file_format, "losses": list(losses)})
        return
    tables.print_export(out, file_format, losses)


def _shape(text: str) -> tuple[int, ...]:
    sides = text.lower().split("x")
    if not all(side.isascii() and side.isdigit() and int(side) > 0 for side in sides):
        raise ValidationError("--image-shape", repr(text), "a shape such as 28x28")
    return tuple(int(side) for side in sides)
