"""Commands that look at a target before an attack, and at images after it, elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neuroattack.cli.arguments.deployments import Deployments, GivenDeployment, with_deployment
from neuroattack.cli.arguments.options import (
    BoundOption,
    Json,
    NetworkDataset,
    NetworkFile,
    Queries,
    Seed,
    Trials,
    Workers,
)
from neuroattack.report.terminal import console

if TYPE_CHECKING:
    from neuroattack.experiments.transfer import Transfer

_USUAL = ("native", "native,precision=fixed", "native,steps=100", "native,encoder=regular")

__all__ = ["preflight", "transfer"]

DnnFile = Annotated[
    Path | None, typer.Option(help="A conventional model, as 'train --recipe dnn' writes it.")
]


@with_deployment(target=True)
def preflight(
    network: Annotated[str, typer.Argument(help="Network file, or address of a served network.")],
    deployment: GivenDeployment,
    dataset: NetworkDataset = None,
    index: Annotated[int, typer.Option(help="Index of the test image.")] = 0,
    queries: Annotated[int, typer.Option(help="Queries to spend.")] = 100,
    json: Json = False,
) -> None:
    """Measure how random a target's answers are: noise, saturation, suggested repeats per query."""
    from neuroattack.datasets import load_dataset_of
    from neuroattack.deployment.deployment import search_stream
    from neuroattack.deployment.spec import is_address, open_target
    from neuroattack.experiments.preflight import measure_randomness
    from neuroattack.ir.storage import load_network

    spec = deployment(backend=network) if is_address(network) else deployment()
    loaded = load_network(network) if spec.kind == "network" else None
    source = load_dataset_of(dataset, {} if loaded is None else loaded.origin)
    image, label = source.test.pick(index)
    dnn = Path(network) if spec.kind == "dnn" else None
    with open_target(spec, loaded, dnn) as opened:
        found = measure_randomness(
            opened(search_stream(index, None), None, spec.search_randomness),
            image,
            label,
            trials=queries,
        )
    # Adding up repeats is what more time steps do; others than spiking networks have none.
    steps = spec.steps * found.repeats if spec.kind == "network" else None
    if json:
        described = {"deployment": str(spec), "index": index, "steps": steps}
        console.print_json({**described, **found.as_json()})
        return
    console.print_figures(
        f"Image {index} on {spec}",
        {
            "answers": "deterministic" if found.deterministic else "random",
            "output spikes": f"{found.mean_spikes:,.1f}",
            "gap to the best wrong class": f"{found.mean_gap:,.1f}, SD {found.gap_sd:,.2f}",
            "correct": f"{found.correct:.1%}",
            "silent or tied": f"{found.undecided:.1%}",
            "saturated: one class has all spikes": f"{found.saturated:.1%}",
            "suggested repeats per query": f"{found.repeats:,}"
            + ("" if steps is None else f", or T = {steps:,}"),
            "queries to see an effect of one spike": f"{found.queries_for_one_spike:,}",
        },
    )


_Images = Annotated[
    int, typer.Option(help="Number of test images, which all deployments classify correctly.")
]
_Norm = Annotated[
    Literal["l0", "l2", "local-sd"], typer.Option(help="Norm of the perturbation bound.")
]
_Goal = Annotated[
    Literal["untargeted", "random"],
    typer.Option(help="Goal of the attack: any wrong class, or a random wrong class per image."),
]
_Out = Annotated[
    Path,
    typer.Option(help="Folder for figures and picture, in which an interrupted run goes on."),
]


def transfer(
    network: NetworkFile,
    dataset: NetworkDataset = None,
    deployment: Deployments = None,
    dnn: DnnFile = None,
    attack: Annotated[str, typer.Option(help="Attack that makes the images.")] = "count-regression",
    norm: _Norm = "l2",
    bound: BoundOption = 2.0,
    queries: Queries = 500,
    images: _Images = 20,
    goal: _Goal = "untargeted",
    trials: Trials = 50,
    seed: Seed = 0,
    workers: Workers = None,
    out: _Out = Path("runs/transfer"),
    json: Json = False,
) -> None:
    """Make adversarial images on each deployment, and try them on all others.

    Prints a matrix: row by row where images were made, column by column where they were shown, the
    share of fresh draws that reach the goal. By default the network in floating point, in Loihi's
    fixed point, with 100 steps, and with regular input spikes.
    """
    from neuroattack.attacks.bounds import Bound
    from neuroattack.datasets import load_dataset_of
    from neuroattack.deployment.spec import DeploymentSpec
    from neuroattack.experiments.transfer import TransferSettings
    from neuroattack.experiments.transfer import transfer as run_transfer
    from neuroattack.files import check_writable
    from neuroattack.ir.storage import load_network
    from neuroattack.provenance import versions_text
    from neuroattack.report.transfer import FIGURES, save_transfer

    texts = deployment or [*_USUAL, *(["dnn"] if dnn else [])]
    settings = TransferSettings(
        tuple(DeploymentSpec.from_text(text) for text in texts),
        attack,
        Bound(norm.replace("-", "_"), bound),
        queries,
        images,
        goal,
        trials,
        seed,
    )
    source = load_dataset_of(dataset, load_network(network).origin)
    check_writable(out / FIGURES)
    with console.kept_in(out), console.progress_bars() as show:
        found = run_transfer(
            network, dnn, source, settings, out / "cells", workers=workers, on_progress=show
        )
    provenance = {
        "command": console.command_line(),
        "dataset": source.name,
        "dataset_checksum": source.checksum,
        "versions": versions_text(),
    }
    paths = save_transfer(out, found, provenance)
    if json:
        console.print_json(found.as_json() | {"provenance": provenance})
    else:
        _print(found)
    console.note(f"Picture: {paths['picture']}, table: {paths['table']}")


def _print(found: Transfer) -> None:
    several = range(len(found.names))
    console.print_rows(
        "Fresh trials that reach the goal, by where images were made and shown",
        ("made on", *found.names),
        [
            (
                name,
                *(
                    "{:.0%} ({:.0%} to {:.0%})".format(
                        found.success(row, column), *found.ci95(row, column)
                    )
                    for column in several
                ),
            )
            for row, name in enumerate(found.names)
        ],
    )
