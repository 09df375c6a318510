"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "AllowLossy",
    "Backend",
    "DatasetName",
    "Images",
    "Json",
    "NetworkDataset",
    "NetworkFile",
    "Precision",
    "ProfileName",
    "Seed",
    "Steps",
    "WeightRounding",
    "WeightScale",
    "Workers",
]

DatasetName = Annotated[
    str,
    typer.Option("--dataset", help="Images: 'digits' (built in), 'mnist', or a .npz or .csv file."),
]
Images = Annotated[
    int | None, typer.Option(help="Number of test images, from the first; by default all.")
]
Seed = Annotated[int, typer.Option(help="Of all randomness: the same seed, the same result.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Backend = Annotated[str, typer.Option(help="Simulator to run on; see 'backends'.")]
Precision = Annotated[
    Literal["floating", "fixed"] | None,
    typer.Option(help="'fixed' rounds the network to Loihi's formats; by default as it is."),
]
Steps = Annotated[int, typer.Option(help="Time steps T that an image is shown for.")]
NetworkFile = Annotated[Path, typer.Argument(help="A network file, as 'convert' writes it.")]
NetworkDataset = Annotated[
    str | None,
    typer.Option("--dataset", help="Images; by default those the network was trained on."),
]
ProfileName = Annotated[
    str | None,
    typer.Option("--profile", help="Hold the network as this chip would: a name or a file."),
]
AllowLossy = Annotated[
    bool,
    typer.Option("--allow-lossy", help="Drop what the chip lacks, and name it in the result."),
]
WeightScale = Annotated[
    Literal["shared", "per_projection"],
    typer.Option(help="Weights of a population on one scale, or each projection on its own."),
]
WeightRounding = Annotated[
    Literal["nearest", "stochastic"],
    typer.Option(help="Weights to the nearest step, or by chance without bias (--seed)."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Processes side by side; by default one a core. Results do not depend on it."
    ),
]
