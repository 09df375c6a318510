"""Options that several commands share, and the panels of ``--help`` that group them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["PANELS", "AllowLossy", "Backend", "BoundOption", "DatasetName", "Images", "Json"]
__all__ += [
    "NetworkDataset",
    "NetworkFile",
    "NormName",
    "Precision",
    "ProfileName",
    "Queries",
    "Seed",
]
__all__ += ["Steps", "Trials", "WeightRounding", "WeightScale", "Workers"]

PANELS = {
    "Target": (
        *(
            "backend",
            "backends",
            "deployment",
            "device",
            "dnn",
            "model",
            "networks",
            "recipe",
            "spiking",
        ),
        *("precision", "profile", "profiles", "allow_lossy", "weight_scale", "weight_rounding"),
        *("encoder", "steps", "exit", "readout_gain", "response", "search_randomness", "ca_file"),
        *("token_file", "defense", "sensor_noise", "meter"),
    ),
    "Dynamics": (
        *("exporter", "dt", "time_unit", "integration", "arrival", "reset", "comparison"),
        *("input_order", "refractory_steps"),
    ),
    "Recordings": ("limit",),
    "Samples": ("downsample",),
    "Input and output": ("input_rate", "image_shape", "readout"),
    "Noise": ("kinds", "deltas", "on", "clipping", "window"),
    "Attack": (
        "attack",
        "norm",
        "bound",
        "queries",
        "settings",
        "substitutes",
        "target_class",
        "goal",
        "goals",
    ),
    "Training": ("epochs", "learning_rate", "resume"),
    "Faults": (
        "rates",
        "maps",
        "kind",
        "fault_bits",
        "parameters",
        "protection",
        "methods",
        "flips",
        "block",
    ),
    "Server": ("host", "port", "name", "tls_certificate", "tls_key", "log"),
    "Limits": ("queries_per_client", "max_batch", "max_request_mib", "queue_size", "timeout_s"),
    "Evaluation": (
        *("dataset", "images", "index", "image", "label", "trials", "quick", "against", "margin"),
        *(
            "batch",
            "population",
            "sweep",
            "training_seeds",
            "bits",
            "margins",
            "seed",
            "workers",
            "cross_check",
        ),
    ),
    "Output": ("out", "json"),
}
"""Panels of the help of commands, in order, with the names of their parameters.

An option with a ``rich_help_panel`` is in that panel instead."""

DatasetName = Annotated[
    str,
    typer.Option(
        "--dataset",
        help="Data set: 'digits' or 'event-digits' (built in), 'mnist', or a .npz or .csv file.",
    ),
]
SubstituteNames = Annotated[
    list[str] | None,
    typer.Option(
        "--substitutes",
        help="Models of the attacker, for count-regression, p-rgf and transfer: a data set on "
        "whose training images they are trained (digits, mnist, FILE.npz, FILE.csv), or a file "
        "with models or with a network of the attacker; repeat the option for several.",
    ),
]
Images = Annotated[
    int | None, typer.Option(help="Number of test images, from the first. Default: all.")
]
Seed = Annotated[int, typer.Option(help="Random seed; the same seed gives the same result.")]
Json = Annotated[bool, typer.Option("--json", help="Print the results as one JSON object.")]
Backend = Annotated[str, typer.Option(help="Simulator backend; list them with 'backends'.")]
Precision = Annotated[
    Literal["floating", "fixed"] | None,
    typer.Option(
        help="Arithmetic: 'fixed' quantizes the network to Loihi's number formats. Default: that "
        "of the network file."
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(help="Time steps T per image. Default: 350, or that of the event samples."),
]
NormName = Literal[
    "l0", "l2", "linf", "local-sd", "events", "insertions", "deletions", "jitter", "shift", "moved"
]
BoundOption = Annotated[
    str,
    typer.Option(
        metavar="<number>",
        help="Norm bound: maximum distance between clean and adversarial image. Bounds on events "
        "are per clean event, such as 0.05; 'jitter' is in time steps; 'refractory_steps' and "
        "'patch_px' may follow, as in 0.05,patch_px=5.",
    ),
]
Queries = Annotated[int, typer.Option(help="Query budget per image.")]
Trials = Annotated[
    int, typer.Option(help="Number of fresh trials that verify each adversarial image.")
]
NetworkFile = Annotated[Path, typer.Argument(help="Network file written by 'convert' or 'import'.")]
NetworkDataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Data set: 'digits', 'event-digits', 'mnist', or a .npz or .csv file. Default: the "
        "one that the network was trained on.",
    ),
]
ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile", help="Hardware profile: a name that 'profiles' lists, or a .toml file."
    ),
]
AllowLossy = Annotated[
    bool,
    typer.Option(
        "--allow-lossy",
        help="Drop features that the hardware profile does not support, and report them, instead "
        "of refusing the network.",
    ),
]
WeightScale = Annotated[
    Literal["shared", "per_projection"],
    typer.Option(
        help="Scale factor of quantized weights: shared by all projections into a population, or "
        "one per projection."
    ),
]
WeightRounding = Annotated[
    Literal["nearest", "stochastic"],
    typer.Option(help="Rounding of weights to the hardware profile's number format."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Number of parallel processes. Default: one per core. Results do not depend on it."
    ),
]
