"""Command that draws a sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuroattack.cli.arguments.options import Json
from neuroattack.report.terminal import console, tables

__all__ = ["show"]


def show(
    source: Annotated[
        str,
        typer.Argument(
            help="Data set: 'digits', 'event-digits', 'mnist', or a .npz or .csv file; or the "
            "images.npz that 'attack --out' writes."
        ),
    ],
    index: Annotated[
        int, typer.Option(help="Index of the test image, or position in images.npz.")
    ] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the pictures (PNG, GIF).")] = Path(
        "runs/show"
    ),
    json: Json = False,
) -> None:
    """Draw an image or an event sample.

    Event samples are drawn as frames, as an animation, and as a space-time plot with one row per
    neuron. Adversarial samples are drawn next to the clean ones.
    """
    from neuroattack.files import check_writable
    from neuroattack.report.events.samples import load_sample, save_pictures

    sample = load_sample(source, index)
    check_writable(out / "image.png")
    figures = {"source": source, "index": index, **sample.as_json()}
    figures["files"] = save_pictures(out, sample)
    if json:
        console.print_json(figures)
        return
    tables.print_sample(figures)
