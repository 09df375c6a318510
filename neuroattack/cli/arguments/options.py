"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "AllowLossy",
    "Backend",
    "BoundOption",
    "DatasetName",
    "Images",
    "Json",
    "NetworkDataset",
    "NetworkFile",
    "Precision",
    "ProfileName",
    "Queries",
    "Seed",
    "Steps",
    "Trials",
    "WeightRounding",
    "WeightScale",
    "Workers",
]

DatasetName = Annotated[
    str,
    typer.Option("--dataset", help="Images: 'digits' (built in), 'mnist', or a .npz or .csv file."),
]
Images = Annotated[
    int | None, typer.Option(help="Number of test images, from the first. Default: all.")
]
Seed = Annotated[int, typer.Option(help="Random seed: the same seed gives the same result.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Backend = Annotated[str, typer.Option(help="Simulator; see 'backends'.")]
Precision = Annotated[
    Literal["floating", "fixed"] | None,
    typer.Option(
        help="Arithmetic: 'fixed' rounds the network to Loihi's formats. Default: as it is."
    ),
]
Steps = Annotated[int, typer.Option(help="Time steps T per image.")]
BoundOption = Annotated[
    float, typer.Option(help="Perturbation bound: maximum distance in that norm.")
]
Queries = Annotated[int, typer.Option(help="Query budget per image.")]
Trials = Annotated[int, typer.Option(help="Fresh trials that verify each adversarial image.")]
NetworkFile = Annotated[Path, typer.Argument(help="Network file, as 'convert' writes it.")]
NetworkDataset = Annotated[
    str | None,
    typer.Option("--dataset", help="Data set. Default: the one the network was trained on."),
]
ProfileName = Annotated[
    str | None,
    typer.Option("--profile", help="Hardware profile, name or file; see 'profiles'."),
]
AllowLossy = Annotated[
    bool,
    typer.Option("--allow-lossy", help="Drop what the profile does not support, and report it."),
]
WeightScale = Annotated[
    Literal["shared", "per_projection"],
    typer.Option(help="Scale of a profile's weights: one per population, or per projection."),
]
WeightRounding = Annotated[
    Literal["nearest", "stochastic"],
    typer.Option(help="Rounding of weights to a profile's numbers."),
]
Workers = Annotated[
    int | None,
    typer.Option(help="Parallel processes. Default: one per core. Results do not depend on it."),
]
