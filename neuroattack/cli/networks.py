"""Commands that train models and convert them to networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neuroattack.cli.arguments.options import DatasetName, Json, Seed, Steps
from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.report.terminal import console, tables

if TYPE_CHECKING:
    from neuroattack.training.recipes import Progress

__all__ = ["convert", "fine_tune", "train"]


_Recipe = Annotated[
    str,
    typer.Option(
        help="Training recipe: 'fine-tuned'; 'fine-tuned,adversarial_l2=1.5', fine-tuned on "
        "adversarial images within this L2 distance; 'paper', contrastive divergence only; or "
        "'dnn', a conventional network of the same size."
    ),
]
_Out = Annotated[Path | None, typer.Option(help="Model file. Default: runs/DATASET-RECIPE.h5.")]
_Resume = Annotated[
    bool, typer.Option("--resume", help="Resume from the checkpoint next to the model file.")
]


def train(
    dataset: DatasetName = "digits",
    recipe: _Recipe = "fine-tuned",
    seed: Seed = 0,
    out: _Out = None,
    resume: _Resume = False,
    json: Json = False,
) -> None:
    """Train a spiking deep belief network (SDBN) or a DNN.

    After Ctrl-C, --resume continues from a checkpoint. The recipe 'dnn' trains the DNN of the
    paper, with the same number of units, by scaled conjugate gradients.
    """
    from neuroattack.datasets import load_dataset
    from neuroattack.experiments.training import (
        checkpoint_of,
        describe_progress,
        train_dnn_to_file,
        train_to_file,
    )
    from neuroattack.training.recipes import RECIPES, find_recipe

    name, comma, settings = recipe.partition(",")
    if name not in (known := (*RECIPES, "dnn")):
        raise UnknownNameError("recipe", name, known)
    if name != "dnn":
        recipe = find_recipe(recipe).name
    elif comma:
        raise ValidationError("recipe 'dnn'", settings, "an SDBN with fine-tuning for this setting")
    target = out or Path("runs") / f"{dataset}-{recipe}.h5"
    images = load_dataset(dataset)
    with console.resumable(checkpoint_of(target)), console.progress_bars() as show:

        def report(progress: Progress) -> None:
            show("Training", progress.fraction, describe_progress(progress))

        if recipe == "dnn":
            dnn = train_dnn_to_file(target, images, seed=seed, resume=resume, progress=report)
            accuracy, seconds = {"accuracy": dnn.model.accuracy}, dnn.seconds
        else:
            sdbn = train_to_file(
                target, images, recipe=recipe, seed=seed, resume=resume, progress=report
            )
            accuracy, seconds = {"rate_accuracy": sdbn.model.rate_accuracy}, sdbn.seconds
    figures = {
        **accuracy,
        "seconds": seconds,
        "recipe": recipe,
        "dataset": dataset,
        "dataset_checksum": images.checksum,
        "seed": seed,
        "model": str(target),
    }
    if json:
        console.print_json(figures)
        return
    console.print_figures(
        "Trained model",
        {
            "accuracy" if recipe == "dnn" else "accuracy of the rate network": ", ".join(
                f"{100 * (value or 0):.2f} %" for value in accuracy.values()
            ),
            "time": f"{seconds:.0f} s",
            "model": str(target),
        },
    )


def convert(
    model: Annotated[Path, typer.Argument(help="Model file written by 'train'.")],
    out: Annotated[
        Path | None, typer.Option(help="Network file to write. Default: MODEL-network.h5.")
    ] = None,
    dt: Annotated[float, typer.Option(help="Time step in seconds.")] = 1e-3,
    input_rate: Annotated[
        float | None,
        typer.Option(
            help="Input rate in Hz of a pixel of intensity 1; not for direct coding. Default: "
            "that of the training."
        ),
    ] = None,
    readout_gain: Annotated[
        float, typer.Option(help="Divisor of the readout threshold; above 1, more output spikes.")
    ] = 1.0,
    encoder: Annotated[
        Literal["poisson", "regular", "direct", "events"],
        typer.Option(help="Encoder of the images; 'events' for a model trained on events."),
    ] = "poisson",
    tau_m: Annotated[
        float | None,
        typer.Option(
            help="Membrane time constant in seconds. Default: that of the training; with a shorter "
            "one the network depends on the timing of its input."
        ),
    ] = None,
    gain: Annotated[
        float, typer.Option(help="Divisor of all thresholds, to make up for a stronger leak.")
    ] = 1.0,
    json: Json = False,
) -> None:
    """Convert a trained model to a network of spiking neurons."""
    from neuroattack.encoding.registry import ENCODERS
    from neuroattack.ir.storage import save_network
    from neuroattack.training import conversion
    from neuroattack.training.storage import load_model

    target = out or model.parent / f"{model.stem}-network.h5"
    console.check_other_file("--out", target, model)
    converted = conversion.convert(
        load_model(model),
        dt_s=dt,
        input_rate_hz=input_rate,
        readout_gain=readout_gain,
        encoder=ENCODERS[encoder],
        tau_m_s=tau_m,
        gain=gain,
    )
    save_network(target, converted.network)
    network = converted.network
    figures = {
        "network": str(target),
        "network_checksum": network.checksum(),
        "populations": {p.name: p.size for p in network.populations},
        "dt_s": network.dt_s,
        "input_rate_hz": network.input.encoder.settings().get("max_rate_hz"),
        "encoder": network.input.encoder.kind,
        "readout_gain": readout_gain,
        "largest_rounding_v": converted.largest_rounding_v,
        "largest_relative_rounding": converted.largest_relative_rounding,
    }
    if json:
        console.print_json(figures)
        return
    tables.print_conversion(figures, network.input.size)


def fine_tune(
    network: Annotated[Path, typer.Argument(help="Network file.")],
    dataset: DatasetName = "digits",
    epochs: Annotated[int, typer.Option(help="Number of passes over the training samples.")] = 8,
    learning_rate: Annotated[
        float,
        typer.Option(help="Step size relative to the standard deviation of the weights."),
    ] = 0.03,
    steps: Steps = None,
    sensor_noise: Annotated[
        str | None,
        typer.Option(
            metavar="<name:number+...>",
            help="Noise of the sensor in training, such as 'drop:0.05+background_hz:1'.",
        ),
    ] = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Network file to write. Default: NETWORK-fine-tuned.h5.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume from the checkpoint next to the output file.")
    ] = False,
    json: Json = False,
) -> None:
    """Train a spiking network through time.

    Trains the weights of a converted or imported network by surrogate gradients (Neftci et al.
    2019). Needs the extra torch. After Ctrl-C, --resume continues from a checkpoint.
    """
    from neuroattack.datasets import load_dataset
    from neuroattack.encoding.events import EventEncoder
    from neuroattack.experiments.training import (
        checkpoint_of,
        describe_progress,
        fine_tune_to_file,
    )
    from neuroattack.ir.storage import load_network

    target = out or network.parent / f"{network.stem}-fine-tuned.h5"
    console.check_other_file("--out", target, network)
    given = load_network(network)
    encoder = None if sensor_noise is None else EventEncoder.from_text(sensor_noise)
    images = load_dataset(dataset)
    accuracy: list[float | None] = [None]
    with console.resumable(checkpoint_of(target)), console.progress_bars() as show:

        def report(progress: Progress) -> None:
            accuracy[0] = progress.accuracy
            show("Training", progress.fraction, describe_progress(progress))

        trained = fine_tune_to_file(
            target,
            given,
            images,
            steps=steps,
            epochs=epochs,
            learning_rate=learning_rate,
            seed=seed,
            encoder=encoder,
            resume=resume,
            progress=report,
        )
    figures = {
        "spiking_accuracy": accuracy[0],
        "seconds": trained.seconds,
        "dataset": dataset,
        "dataset_checksum": images.checksum,
        "seed": seed,
        "network": str(target),
        "network_checksum": trained.model.checksum(),
    }
    if json:
        console.print_json(figures)
        return
    shown = "not measured" if accuracy[0] is None else f"{100 * accuracy[0]:.2f} %"
    console.print_figures(
        "Trained network",
        {
            "spiking accuracy": shown,
            "time": f"{trained.seconds:.0f} s",
            "network": str(target),
        },
    )
