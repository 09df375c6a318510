"""The command line: one command a study, and no logic of its own."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from neuroattack import console, tables
from neuroattack.errors import NeuroattackError, ValidationError

# Everything else is imported inside the commands, so that --help does not wait for it.

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Is this spiking network, on this neuromorphic hardware, secure?",
)

DatasetName = Annotated[
    str, typer.Option("--dataset", help="Images: 'digits' (built in) or 'mnist'.")
]
Seed = Annotated[int, typer.Option(help="Of all randomness: the same seed, the same result.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Backend = Annotated[str, typer.Option(help="Simulator to run on; see 'backends'.")]
Steps = Annotated[int, typer.Option(help="Time steps T that an image is shown for.")]
NetworkFile = Annotated[Path, typer.Argument(help="A network file, as 'convert' writes it.")]
NetworkDataset = Annotated[
    str | None,
    typer.Option("--dataset", help="Images; by default those the network was trained on."),
]


@app.command()
def demo(
    dataset: DatasetName = "digits",
    seed: Seed = 0,
    backend: Backend = "native",
    steps: Steps = 350,
    out: Annotated[Path, typer.Option(help="Folder for all that it leaves.")] = Path("runs/demo"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on where Ctrl-C left off.")] = False,
    json: Json = False,
) -> None:
    """Train a spiking network, attack it as a black box, and leave a report for the browser.

    About a minute on the built-in digits, a few on MNIST.
    """
    from neuroattack.datasets import load_dataset
    from neuroattack.files import check_writable
    from neuroattack.report.folder import PAGE, save_demo
    from neuroattack.studies.demo import MODEL, run_demo
    from neuroattack.studies.training import checkpoint_of

    check_writable(out / PAGE)
    images = load_dataset(dataset)
    with (
        console.resumable(checkpoint_of(out / MODEL), out / MODEL),
        console.progress_bars() as show,
    ):
        result = run_demo(
            images,
            out,
            seed=seed,
            backend=backend,
            steps=steps,
            resume=resume,
            command=console.command_line(),
            on_progress=show,
        )
    page = save_demo(out, result)
    if json:
        console.print_json(result.as_json() | {"report": str(page)})
        return
    tables.print_evaluation(asdict(result.evaluation), result.model.rate_accuracy)
    tables.print_attacks([outcome.as_json() for outcome in result.outcomes])
    console.note(f"Report: {page} (open it in a browser)")


@app.command()
def train(
    dataset: DatasetName = "digits",
    recipe: Annotated[
        str, typer.Option(help="'fine-tuned', or 'paper' (contrastive divergence only).")
    ] = "fine-tuned",
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Model file; by default runs/DATASET-RECIPE.h5.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint beside the model file.")
    ] = False,
    json: Json = False,
) -> None:
    """Train a spiking deep belief network; Ctrl-C leaves a checkpoint to --resume from."""
    from neuroattack.datasets import load_dataset
    from neuroattack.studies.training import checkpoint_of, describe_progress, train_to_file

    target = out or Path("runs") / f"{dataset}-{recipe}.h5"
    images = load_dataset(dataset)
    with console.resumable(checkpoint_of(target)), console.progress_bars() as show:
        trained = train_to_file(
            target,
            images,
            recipe=recipe,
            seed=seed,
            resume=resume,
            progress=lambda p: show("Training", p.fraction, describe_progress(p)),
        )
    figures = {
        "rate_accuracy": trained.model.rate_accuracy,
        "seconds": trained.seconds,
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
        "Trained",
        {
            "accuracy as rates": f"{100 * (trained.model.rate_accuracy or 0):.2f} %",
            "time": f"{trained.seconds:.0f} s",
            "model": str(target),
        },
    )


@app.command()
def convert(
    model: Annotated[Path, typer.Argument(help="A model file, as 'train' writes it.")],
    out: Annotated[
        Path | None, typer.Option(help="Network file; by default MODEL-network.h5.")
    ] = None,
    dt: Annotated[float, typer.Option(help="Time step in seconds.")] = 1e-3,
    input_rate: Annotated[
        float | None,
        typer.Option(help="Rate in Hz of a pixel of intensity 1; by default as trained."),
    ] = None,
    readout_gain: Annotated[
        float, typer.Option(help="Divides the readout's threshold: more output spikes.")
    ] = 1.0,
    encoder: Annotated[
        Literal["poisson", "regular"], typer.Option(help="How intensities become spikes.")
    ] = "poisson",
    json: Json = False,
) -> None:
    """Convert a trained model to a network of spiking neurons."""
    from neuroattack import conversion
    from neuroattack.ir.storage import save_network
    from neuroattack.spikes import ENCODERS
    from neuroattack.training.storage import load_model

    target = out or model.parent / f"{model.stem}-network.h5"
    console.check_other_file("--out", target, model)
    converted = conversion.convert(
        load_model(model),
        dt_s=dt,
        input_rate_hz=input_rate,
        readout_gain=readout_gain,
        encoder=ENCODERS[encoder],
    )
    save_network(target, converted.network)
    network = converted.network
    figures = {
        "network": str(target),
        "network_checksum": network.checksum(),
        "populations": {p.name: p.size for p in network.populations},
        "dt_s": network.dt_s,
        "input_rate_hz": network.input.encoder.max_rate_hz,
        "encoder": network.input.encoder.kind,
        "readout_gain": readout_gain,
        "largest_rounding_v": converted.largest_rounding_v,
        "largest_relative_rounding": converted.largest_relative_rounding,
    }
    if json:
        console.print_json(figures)
        return
    tables.print_conversion(figures, network.input.size)


@app.command()
def evaluate(
    network: NetworkFile,
    dataset: NetworkDataset = None,
    images: Annotated[
        int | None, typer.Option(help="Test images, the first so many; by default all.")
    ] = None,
    steps: Steps = 350,
    backend: Backend = "native",
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="JSON file for the figures and where they come from.")
    ] = None,
    json: Json = False,
) -> None:
    """Classify test images with the deployed network, and count its spikes."""
    from neuroattack.datasets import load_dataset_of
    from neuroattack.deployment import deploy
    from neuroattack.files import check_writable, write_json
    from neuroattack.ir.storage import load_network
    from neuroattack.provenance import Provenance
    from neuroattack.studies import evaluation

    if out:
        check_writable(out)
        console.check_other_file("--out", out, network)
    loaded = load_network(network)
    source = load_dataset_of(dataset, loaded.origin)
    test = source.test.first(images)
    deployment = deploy(loaded, backend=backend, steps=steps, seed=seed)
    with console.progress_bars() as show:
        found = evaluation.evaluate(
            deployment,
            test.images,
            test.labels,
            lambda done, correct: show(
                "Evaluating", done / len(test.labels), f"{correct}/{done} correct"
            ),
        )
    provenance = Provenance.of(deployment, source.name, source.checksum, console.command_line())
    figures = asdict(found) | {"provenance": asdict(provenance)}
    if json:
        console.print_json(figures)
    else:
        tables.print_evaluation(figures, None)
    if out:
        write_json(out, figures)


@app.command()
def attack(
    network: NetworkFile,
    dataset: NetworkDataset = None,
    index: Annotated[
        int, typer.Option(help="Test image to attack; it also picks the attack's draws.")
    ] = 0,
    image: Annotated[
        Path | None,
        typer.Option(help="Attack this image instead (.npy or picture); needs --label."),
    ] = None,
    label: Annotated[int | None, typer.Option(help="True class of --image.")] = None,
    target: Annotated[
        int | None, typer.Option(help="Class it is to be taken for; by default any wrong one.")
    ] = None,
    window: Annotated[int, typer.Option(help="Side N of the square window, in pixels.")] = 7,
    top: Annotated[
        int | None, typer.Option(help="First row of the window; by default centred.")
    ] = None,
    left: Annotated[
        int | None, typer.Option(help="First column of the window; by default centred.")
    ] = None,
    moved_pixels: Annotated[int, typer.Option("--m", help="M, pixels moved an iteration.")] = 10,
    delta: Annotated[float, typer.Option(help="Size of a move, in intensities 0 to 1.")] = 0.1,
    d_max: Annotated[float, typer.Option(help="Distance D not to be passed (Eq. 2).")] = 22.0,
    score: Annotated[
        Literal["share", "rate"], typer.Option(help="Share of the output spikes, or spikes a step.")
    ] = "share",
    sd_of: Annotated[
        Literal["original", "current"],
        typer.Option(help="Image whose standard deviation (Eq. 1) is used."),
    ] = "original",
    clipping: Annotated[
        Literal["clip", "skip"],
        typer.Option(help="Cut moves short at 0 and 1, or leave such pixels out."),
    ] = "clip",
    overshoot: Annotated[
        Literal["discard", "keep"],
        typer.Option(help="Drop the first image beyond D_max, or keep it."),
    ] = "discard",
    max_iterations: Annotated[int, typer.Option(help="Iterations at most.")] = 100,
    budget: Annotated[
        int | None, typer.Option(help="Queries the search may spend; by default no limit.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Fresh draws by which the result is judged.")] = 50,
    steps: Steps = 350,
    backend: Backend = "native",
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report, figures (JSON) and images (npz).")
    ] = None,
    json: Json = False,
) -> None:
    """Attack one image with the paper's Algorithm 1, through spike counts and nothing else.

    Success is the share of fresh draws that reach the goal, with a 95 % interval: the search's
    own draws are not counted.
    """
    from neuroattack.attack.greedy import GreedyWindow
    from neuroattack.attack.perception import Window
    from neuroattack.attack.result import Goal
    from neuroattack.datasets import load_dataset_of
    from neuroattack.deployment import deploy
    from neuroattack.files import check_writable
    from neuroattack.image_files import image_checksum, read_image
    from neuroattack.ir.storage import load_network
    from neuroattack.provenance import Provenance
    from neuroattack.studies.attack import attack_image

    if out:
        from neuroattack.report.folder import PAGE, save_attack

        check_writable(out / PAGE)
    loaded = load_network(network)
    shape = loaded.input.shape
    if image is None:
        source = load_dataset_of(dataset, loaded.origin)
        if label is not None:
            raise ValidationError("--label", label, "--image with it: a test image has its own")
        pixels, true_class = source.test.pick(index)
        name, checksum = source.name, source.checksum
    else:
        if dataset is not None:
            raise ValidationError("--dataset", dataset, "either a test image or --image, not both")
        if label is None:
            raise ValidationError("--label", "none", "the true class of --image")
        pixels, true_class = read_image(image, shape), label
        name, checksum = str(image), image_checksum(pixels)
    search = GreedyWindow(
        Window.centred(shape, window, top=top, left=left),
        moved_pixels=moved_pixels,
        delta=delta,
        max_distance=d_max,
        score=score,
        steps=steps,
        sd_of=sd_of,
        clipping=clipping,
        overshoot=overshoot,
        max_iterations=max_iterations,
    )
    deployment = deploy(loaded, backend=backend, steps=steps, seed=seed)
    with console.progress_bars() as show:
        outcome = attack_image(
            deployment,
            search,
            pixels,
            Goal(true_class, target),
            index=index,
            draws=draws,
            budget=budget,
            on_step=lambda step: show(
                "Attacking", step.distance / d_max, f"iteration {step.iteration}"
            ),
        )
    provenance = Provenance.of(deployment, name, checksum, console.command_line())
    figures = outcome.as_json() | {"provenance": asdict(provenance)}
    if json:
        console.print_json(figures)
    else:
        tables.print_trace(figures["trace"], figures["label"], figures["target_class"])
        tables.print_attacks([figures])
    if out:
        title = f"Attack on {network.name}"
        page = save_attack(out, outcome, provenance, title=title, max_distance=d_max)
        console.note(f"Report: {page} (open it in a browser)")


@app.command()
def backends(json: Json = False) -> None:
    """List the simulator backends, and why one is missing."""
    from neuroattack.simulation import list_backends

    found = list_backends()
    if json:
        console.print_json({"backends": [asdict(backend) for backend in found]})
        return
    console.print_rows(
        "Backends",
        ["name", "available", "version", "why not"],
        [[b.name, "yes" if b.available else "no", b.version, b.reason] for b in found],
    )


def main() -> None:
    """Run the command line; an error that users can act on is one sentence and exit code 2."""
    if sys.stdout is None:
        # A shell's >&- closes it; what would be printed is then for nobody.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    try:
        app()
    except NeuroattackError as error:
        console.note(f"neuroattack: {error}")
        sys.exit(2)
    except OSError as error:
        console.note(f"neuroattack: cannot go on: {error}")
        sys.exit(2)
