"""Commands that measure the randomness of a target and the transfer of adversarial images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from neuroattack.cli.arguments.deployments import Deployments, GivenDeployment, with_deployment
from neuroattack.cli.arguments.options import (
    BoundOption,
    Json,
    NetworkDataset,
    NetworkFile,
    NormName,
    Queries,
    Seed,
    Trials,
    Workers,
)
from neuroattack.report.terminal import console, tables

_USUAL = ("native", "native,precision=fixed")
_USUAL_OF_IMAGES = ("native,steps=100", "native,encoder=regular")

__all__ = ["preflight", "transfer"]

DnnFile = Annotated[
    Path | None,
    typer.Option(
        help="File of the conventional network for the deployment 'dnn', as 'train --recipe dnn' "
        "writes it."
    ),
]
_Index = Annotated[int, typer.Option(help="Index of the test image.")]
_Queries = Annotated[int, typer.Option(help="Number of queries.", rich_help_panel="Evaluation")]


@with_deployment(target=True, leave_out=("meter",))
def preflight(
    network: Annotated[
        str,
        typer.Argument(
            help="Network file; address of a served network, https://HOST/v2/models/NAME; or, with "
            "--backend dnn, file of a conventional network."
        ),
    ],
    deployment: GivenDeployment,
    dataset: NetworkDataset = None,
    index: _Index = 0,
    queries: _Queries = 100,
    json: Json = False,
) -> None:
    """Measure how random the responses of a target are.

    Queries one image many times and reports the noise level, saturation, and a suggested number of
    repeats per query.
    """
    from neuroattack.datasets import load_dataset_of
    from neuroattack.deployment.deployment import search_stream
    from neuroattack.deployment.opening import open_target
    from neuroattack.deployment.spec import is_address
    from neuroattack.encoding.readout import SCORES_PER_UNIT
    from neuroattack.experiments.preflight import measure_randomness
    from neuroattack.ir.storage import load_network

    spec = deployment(backend=network) if is_address(network) else deployment()
    spec = spec.metered(None)
    loaded = load_network(network) if spec.kind == "network" else None
    source = load_dataset_of(dataset, {} if loaded is None else loaded.origin)
    spec = spec.for_samples(loaded, source.test.images)
    image, label = source.test.pick(index)
    dnn = Path(network) if spec.kind == "dnn" else None
    with open_target(spec, loaded, dnn) as opened:
        found = measure_randomness(
            opened(search_stream(index, None), None, spec.search_randomness),
            image,
            label,
            trials=queries,
        )
        deployed = opened.deployment
    # For a spiking network, more time steps have the same effect as repeats that are added up.
    steps = None if deployed is None else deployed.steps * found.repeats
    if json:
        described = {"deployment": str(spec), "index": index, "steps": steps}
        console.print_json({**described, **found.as_json()})
        return
    # Scores of potentials are in units of 1e-9.
    is_graded = loaded is not None and loaded.readout_quantity != "spike_count"
    gap = f"{found.mean_gap:,.1f}, SD {found.gap_sd:,.2f}"
    if is_graded:
        gap = f"{found.mean_gap / SCORES_PER_UNIT:.9f}, SD {found.gap_sd / SCORES_PER_UNIT:.9f}"
    console.print_figures(
        f"Image {index} on {spec}",
        {
            "responses": "deterministic" if found.deterministic else "random",
            **({} if is_graded else {"mean output spikes": f"{found.mean_spikes:,.1f}"}),
            "mean gap to the best wrong class": gap,
            "correct": f"{100 * found.correct:.1f} %",
            "silent or tied": f"{100 * found.undecided:.1f} %",
            f"saturated (one class has {'score 1' if is_graded else 'all spikes'})": (
                f"{100 * found.saturated:.1f} %"
            ),
            "suggested repeats per query": f"{found.repeats:,}"
            + ("" if steps is None else f", or T = {steps:,}"),
            **(
                {}
                if is_graded
                else {"queries to detect a change of one spike": f"{found.queries_for_one_spike:,}"}
            ),
        },
    )


_Images = Annotated[
    int,
    typer.Option(help="Number of random test images that all deployments classify correctly."),
]
_Attack = Annotated[
    str, typer.Option(help="Attack that makes the adversarial images; see 'attack'.")
]
_Norm = Annotated[NormName, typer.Option(help="Norm of the bound.")]
_Goal = Annotated[
    Literal["untargeted", "random"],
    typer.Option(help="Goal of the attack: any wrong class, or a random target class per image."),
]
_Out = Annotated[
    Path,
    typer.Option(
        help="Folder for the results (JSON, CSV) and the figure (PNG); an interrupted run resumes "
        "from it."
    ),
]


def transfer(
    network: NetworkFile,
    dataset: NetworkDataset = None,
    deployment: Deployments = None,
    dnn: DnnFile = None,
    attack: _Attack = "count-regression",
    norm: _Norm = "l2",
    bound: BoundOption = "2",
    queries: Queries = 500,
    images: _Images = 20,
    goal: _Goal = "untargeted",
    trials: Trials = 50,
    seed: Seed = 0,
    workers: Workers = None,
    out: _Out = Path("runs/transfer"),
    json: Json = False,
) -> None:
    """Test how adversarial images transfer between deployments.

    Prints a matrix of success rates on fresh trials: one row per deployment that was attacked, one
    column per deployment on which the images were tested. Default deployments: floating point,
    Loihi's fixed point, for images 100 time steps and the regular encoder, and, with --dnn, the
    DNN.
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

    loaded = load_network(network)
    texts = deployment or [
        *_USUAL,
        *(() if loaded.input.reads_events else _USUAL_OF_IMAGES),
        *(["dnn"] if dnn else []),
    ]
    settings = TransferSettings(
        tuple(DeploymentSpec.from_text(text) for text in texts),
        attack,
        Bound.from_text(f"{norm.replace('-', '_')}={bound}"),
        queries,
        images,
        goal,
        trials,
        seed,
    )
    source = load_dataset_of(dataset, loaded.origin)
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
        tables.print_transfer(found.as_json())
    console.note(f"Figure: {paths['picture']}, table: {paths['table']}")
