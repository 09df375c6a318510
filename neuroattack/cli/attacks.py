"""Commands that attack a deployed network."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from neuroattack.cli.chips import chosen_chip
from neuroattack.cli.images import WantedImage
from neuroattack.cli.options import (
    AllowLossy,
    Backend,
    DatasetName,
    Json,
    NetworkDataset,
    Precision,
    ProfileName,
    Seed,
    Steps,
    WeightRounding,
    WeightScale,
)
from neuroattack.cli.served import ServedNetwork, attack_served, check_left_to_server
from neuroattack.errors import ValidationError
from neuroattack.report.terminal import console, hardware_tables, tables

__all__ = ["attack", "demo"]


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
    from neuroattack.experiments.demo import MODEL, run_demo
    from neuroattack.experiments.training import checkpoint_of
    from neuroattack.files import check_writable
    from neuroattack.report.folder import PAGE, save_demo

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


def attack(
    network: Annotated[
        str,
        typer.Argument(
            help="A network file, or the address of a served one: https://…/v2/models/…"
        ),
    ],
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
    profile: ProfileName = None,
    allow_lossy: AllowLossy = False,
    weight_scale: WeightScale = "shared",
    weight_rounding: WeightRounding = "nearest",
    seed: Seed = 0,
    token_file: Annotated[
        Path | None, typer.Option(help="Of a served network: a file with the bearer token alone.")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="Of a served network: certificates (PEM) to verify it by.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report, figures (JSON) and images (npz).")
    ] = None,
    json: Json = False,
) -> None:
    """Attack one image with the paper's Algorithm 1, through spike counts and nothing else.

    Success is the share of fresh draws that reach the goal, with a 95 % interval: the search's
    own draws are not counted. A network that 'serve' offers is attacked by its address; what
    decides how it answers (steps, backend, profile, seed) is then the server's.
    """
    from neuroattack.attacks.greedy import GreedyWindow
    from neuroattack.attacks.perception import Window
    from neuroattack.attacks.result import Goal, Step
    from neuroattack.deployment.deployment import deploy
    from neuroattack.deployment.provenance import provenance_of
    from neuroattack.experiments.attack import attack_image, expected_queries
    from neuroattack.ir.storage import load_network

    served = network.startswith(("http://", "https://"))
    if out:
        from neuroattack.files import check_writable
        from neuroattack.report.folder import PAGE, save_attack

        check_writable(out / PAGE)

    def search_on(shape: tuple[int, ...]) -> GreedyWindow:
        return GreedyWindow(
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

    wanted = WantedImage(dataset, index, image, label)
    if served:
        check_left_to_server(
            backend=backend, precision=precision, profile=profile, search_draws=search_draws
        )
        attack_served(
            ServedNetwork(network, token_file, ca_file),
            search_on,
            wanted,
            target,
            draws=draws,
            budget=budget,
            out=out,
            json=json,
        )
        return
    if token_file is not None or ca_file is not None:
        option, given = ("--token-file", token_file) if token_file else ("--ca-file", ca_file)
        raise ValidationError(option, given, "the address of a served network with it")
    chip = chosen_chip(
        profile,
        allow_lossy=allow_lossy,
        weight_scale=weight_scale,
        weight_rounding=weight_rounding,
        seed=seed,
    )
    loaded = load_network(network)
    chosen = wanted.load(loaded.input.shape, loaded.origin)
    search = search_on(loaded.input.shape)
    with (
        deploy(
            loaded,
            backend=backend,
            precision=precision,
            profile=chip.profile,
            rounding=chip.rounding,
            steps=steps,
            seed=seed,
            expected_images=expected_queries(search, draws, budget),
        ) as deployment,
        console.progress_bars() as show,
    ):

        def on_step(step: Step) -> None:
            show("Attacking", step.distance / d_max, f"iteration {step.iteration}")

        outcome = attack_image(
            deployment,
            search,
            chosen.pixels,
            Goal(chosen.label, target),
            index=index,
            draws=draws,
            budget=budget,
            search_draws=search_draws,
            on_step=on_step,
        )
    provenance = provenance_of(deployment, chosen.name, chosen.checksum, console.command_line())
    hardware = {"hardware": deployment.fitted.as_json()} if deployment.fitted else {}
    figures = outcome.as_json() | hardware | {"provenance": asdict(provenance)}
    if json:
        console.print_json(figures)
    else:
        tables.print_trace(figures["trace"], figures["label"], figures["target_class"])
        tables.print_attacks([figures])
        tables.print_cost(figures["cost"])
        if hardware:
            hardware_tables.print_losses(figures["hardware"])
    if out:
        title = f"Attack on {Path(network).name}"
        page = save_attack(
            out, outcome, provenance, title=title, max_distance=d_max, hardware=hardware
        )
        console.note(f"Report: {page} (open it in a browser)")
