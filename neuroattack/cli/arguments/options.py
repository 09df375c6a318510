"""Options that several commands share, and the panels of ``--help`` that group them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "ATTACK",
    "DYNAMICS",
    "EVALUATION",
    "INPUT",
    "LIMITS",
    "NOISE",
    "OUTPUT",
    "PANELS",
    "SERVER",
    "TARGET",
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

TARGET, ATTACK, EVALUATION, OUTPUT = "Target", "Attack", "Evaluation", "Output"
DYNAMICS, INPUT, NOISE, SERVER, LIMITS = "Dynamics", "Input", "Noise", "Server", "Limits"
PANELS = (TARGET, DYNAMICS, INPUT, NOISE, ATTACK, SERVER, LIMITS, EVALUATION, OUTPUT)
"""Panels of a command's help, in the order in which they are shown."""

DatasetName = Annotated[
    str,
    typer.Option(
        "--dataset",
        help="Data set: 'digits' (built in), 'mnist', or a .npz or .csv file.",
        rich_help_panel=EVALUATION,
    ),
]
Images = Annotated[
    int | None,
    typer.Option(
        help="Number of test images, from the first. Default: all.", rich_help_panel=EVALUATION
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        help="Random seed; the same seed gives the same result.", rich_help_panel=EVALUATION
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print the results as one JSON object.", rich_help_panel=OUTPUT),
]
Backend = Annotated[
    str,
    typer.Option(help="Simulator backend; list them with 'backends'.", rich_help_panel=TARGET),
]
Precision = Annotated[
    Literal["floating", "fixed"] | None,
    typer.Option(
        help="Arithmetic: 'fixed' quantizes the network to Loihi's number formats. Default: that "
        "of the network file.",
        rich_help_panel=TARGET,
    ),
]
Steps = Annotated[int, typer.Option(help="Time steps T per image.", rich_help_panel=TARGET)]
BoundOption = Annotated[
    float,
    typer.Option(
        help="Norm bound: maximum distance between clean and adversarial image.",
        rich_help_panel=ATTACK,
    ),
]
Queries = Annotated[int, typer.Option(help="Query budget per image.", rich_help_panel=ATTACK)]
Trials = Annotated[
    int,
    typer.Option(
        help="Number of fresh trials that verify each adversarial image.",
        rich_help_panel=EVALUATION,
    ),
]
NetworkFile = Annotated[Path, typer.Argument(help="Network file written by 'convert' or 'import'.")]
NetworkDataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Data set: 'digits', 'mnist', or a .npz or .csv file. Default: the one that the "
        "network was trained on.",
        rich_help_panel=EVALUATION,
    ),
]
ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help="Hardware profile: a name that 'profiles' lists, or a .toml file.",
        rich_help_panel=TARGET,
    ),
]
AllowLossy = Annotated[
    bool,
    typer.Option(
        "--allow-lossy",
        help="Drop features that the hardware profile does not support, and report them, instead "
        "of refusing the network.",
        rich_help_panel=TARGET,
    ),
]
WeightScale = Annotated[
    Literal["shared", "per_projection"],
    typer.Option(
        help="Scale factor of quantized weights: shared by all projections into a population, or "
        "one per projection.",
        rich_help_panel=TARGET,
    ),
]
WeightRounding = Annotated[
    Literal["nearest", "stochastic"],
    typer.Option(
        help="Rounding of weights to the hardware profile's number format.", rich_help_panel=TARGET
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Number of parallel processes. Default: one per core. Results do not depend on it.",
        rich_help_panel=EVALUATION,
    ),
]
