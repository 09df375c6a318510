"""Commands that study a deployed network."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from neuroattack import console, tables
from neuroattack.cli.options import (
    Backend,
    DatasetName,
    Json,
    NetworkDataset,
    NetworkFile,
    Precision,
    Seed,
    Steps,
)
from neuroattack.errors import ValidationError

__all__ = ["attack", "compare", "demo", "evaluate"]


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


def evaluate(
    network: NetworkFile,
    dataset: NetworkDataset = None,
    images: Annotated[
        int | None, typer.Option(help="Test images, the first so many; by default all.")
    ] = None,
    steps: Steps = 350,
    backend: Backend = "native",
    precision: Precision = None,
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
    with (
        deploy(
            loaded,
            backend=backend,
            precision=precision,
            steps=steps,
            seed=seed,
            expected_images=len(test.labels),
        ) as deployment,
        console.progress_bars() as show,
    ):
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
    search_draws: Annotated[
        Literal["independent", "common"],
        typer.Option(help="A draw of input spikes for each query, or one for each batch of them."),
    ] = "independent",
    draws: Annotated[int, typer.Option(help="Fresh draws by which the result is judged.")] = 50,
    steps: Steps = 350,
    backend: Backend = "native",
    precision: Precision = None,
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
    from neuroattack.studies.attack import attack_image, expected_queries

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
    with (
        deploy(
            loaded,
            backend=backend,
            precision=precision,
            steps=steps,
            seed=seed,
            expected_images=expected_queries(search, draws, budget),
        ) as deployment,
        console.progress_bars() as show,
    ):
        outcome = attack_image(
            deployment,
            search,
            pixels,
            Goal(true_class, target),
            index=index,
            draws=draws,
            budget=budget,
            search_draws=search_draws,
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


def compare(
    network: NetworkFile,
    backends: Annotated[
        str | None,
        typer.Option(help="Names with commas between; by default all that can run here."),
    ] = None,
    dataset: NetworkDataset = None,
    images: Annotated[int, typer.Option(help="Test images, the first so many.")] = 100,
    steps: Steps = 100,
    precision: Annotated[
        Literal["floating", "fixed", "both"],
        typer.Option(help="Arithmetic; 'fixed' rounds the network to Loihi's formats."),
    ] = "both",
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the figures (JSON) and the pictures (PNG).")
    ] = None,
    json: Json = False,
) -> None:
    """Hold backends to the exact dynamics, spike for spike, and measure each.

    Every spike of every population and step is compared with the plain executable form of the
    dynamics, on the same input spikes. Exit code 1 if a spike or a count differs.
    """
    from neuroattack.datasets import load_dataset_of
    from neuroattack.files import check_writable
    from neuroattack.ir.storage import load_network
    from neuroattack.provenance import Provenance
    from neuroattack.simulation import list_backends
    from neuroattack.studies import comparison

    if out:
        from neuroattack.report.comparison import FIGURES, save_comparison

        check_writable(out / FIGURES)
    loaded = load_network(network)
    source = load_dataset_of(dataset, loaded.origin)
    test = source.test.first(images)
    missing = []
    if backends is None:
        found = list_backends()
        chosen = [backend.name for backend in found if backend.available]
        missing = [backend for backend in found if not backend.available]
    else:
        chosen = list(dict.fromkeys(name.strip() for name in backends.split(",")))
    with console.progress_bars() as show:
        result = comparison.compare(
            loaded,
            test.images,
            test.labels,
            backends=chosen,
            precisions=("floating", "fixed") if precision == "both" else (precision,),
            steps=steps,
            seed=seed,
            on_progress=show,
        )
    provenance = Provenance.of_network(
        loaded,
        backends={each.backend: each.backend_version for each in result.backends.values()},
        precisions=sorted({each.precision for each in result.backends.values()}),
        steps=steps,
        seed=seed,
        dataset=source.name,
        dataset_checksum=source.checksum,
        command=console.command_line(),
    )
    figures = result.as_json() | {"provenance": asdict(provenance)}
    if json:
        console.print_json(figures)
    else:
        tables.print_comparison(figures)
    if out:
        for path in save_comparison(out, result, provenance).values():
            console.note(f"Written: {path}")
    for backend in missing:
        console.note(f"Left out: {backend.name}: {backend.reason}")
    if not result.agree:
        console.note("Not all backends do as the plain dynamics do.")
        raise typer.Exit(1)
