"""The command that audits a network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuroattack.cli.arguments.deployments import GivenDeployment, with_deployment
from neuroattack.cli.arguments.options import (
    Json,
    NetworkDataset,
    NetworkFile,
    SubstituteNames,
    Workers,
)
from neuroattack.report.terminal import audit_tables, console

if TYPE_CHECKING:
    from neuroattack.experiments.audit.comparison import Baseline

__all__ = ["audit"]


_Images = Annotated[int, typer.Option(help="Number of test images to attack, from the first.")]
_Quick = Annotated[
    bool, typer.Option("--quick", help="Use fewer queries and trials; takes less than a minute.")
]
_Goals = Annotated[
    str,
    typer.Option(
        help="Goals of the attacks, separated by commas: class, and energy, synaptic-operations, "
        "spikes, latency, output-spikes or uncertainty, which are maximized while the class is "
        "kept; and faults, random bit flips in memory."
    ),
]
_Against = Annotated[
    Path | None,
    typer.Option(
        help="Earlier audit.json to compare with; exit code 1 if robustness has decreased."
    ),
]
_Margin = Annotated[
    float,
    typer.Option(
        help="Largest decrease in robustness that --against tolerates: 0.05 is 5 percentage points."
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder for audit.html and audit.json; an interrupted run resumes from it. Default: "
        "runs/audit-NETWORK."
    ),
]


@with_deployment(leave_out=("defense",))
def audit(
    network: NetworkFile,
    deployment: GivenDeployment,
    dataset: NetworkDataset = None,
    images: _Images = 20,
    quick: _Quick = False,
    goals: _Goals = "class",
    substitutes: SubstituteNames = None,
    against: _Against = None,
    margin: _Margin = 0.05,
    workers: Workers = None,
    out: _Out = None,
    json: Json = False,
) -> None:
    """Run a fixed suite of attacks and rate the robustness.

    The suite measures random noise, attacks at three query budgets, a white-box attack as their
    reference, transfer to other deployments, transformed images and energy under attack, with 95 %
    confidence intervals, and writes one page (HTML) and the results (JSON). With --substitutes, it
    also runs attacks that use these models. The verdict holds for the attacks that were run; it is
    no proof of security. With --against, the exit code is 1 if a result is less robust by more than
    --margin, and 2 if the two audits cannot be compared. After an interruption, the same command
    resumes.
    """
    from neuroattack.datasets import load_dataset_of
    from neuroattack.experiments.audit.audit import audit as run_audit
    from neuroattack.experiments.audit.comparison import check_margin, compare
    from neuroattack.experiments.audit.suite import QUICK, Suite
    from neuroattack.experiments.substitutes import prepare_substitutes
    from neuroattack.files import check_writable
    from neuroattack.ir.storage import load_network
    from neuroattack.report.audit import FIGURES, PAGE, save_card

    out = Path("runs") / f"audit-{network.stem}" if out is None else out
    check_margin(margin)
    spec = deployment()
    loaded = load_network(network)
    source = load_dataset_of(dataset, loaded.origin)
    chosen = replace(
        QUICK if quick else Suite(),
        images=images,
        substitutes=tuple(substitutes or ()),
        goals=tuple(goal.strip() for goal in goals.split(",")),
    )
    steps = loaded.input.time_steps(spec.steps, source.test.images.shape)
    suite, skipped = chosen.fitting(source).available(
        loaded.input.sample_shape(steps), loaded.classes
    )
    baseline = _baseline(against, out, suite.as_json(source))
    check_writable(out / FIGURES)
    check_writable(out / PAGE)
    with console.kept_in(out), console.progress_bars() as show:
        prepare_substitutes(
            [settings for _, settings in suite.runs.values()],
            lambda fraction: show("Training substitutes", fraction, ""),
        )
        card = run_audit(
            network,
            source,
            spec,
            suite,
            out / "cells",
            skipped=skipped,
            command=console.command_line(),
            workers=workers,
            on_progress=show,
        )
    comparison = None if baseline is None else compare(baseline, card, margin)
    page = save_card(out, card, title=f"Robustness of {network.name}", comparison=comparison)
    figures = card.as_json() | (comparison.as_json() if comparison else {})
    if json:
        console.print_json(figures)
    else:
        audit_tables.print_card(figures)
    for name, reason in skipped.items():
        console.note(f"Skipped: {name}: {reason}")
    console.note(f"Report: {page} (open it in a browser)")
    if comparison is not None and comparison.regressions:
        raise typer.Exit(1)


def _baseline(against: Path | None, out: Path, suite: dict[str, Any]) -> Baseline | None:
    """Return the earlier audit, which must be of the same suite."""
    from neuroattack.experiments.audit.comparison import read_baseline
    from neuroattack.report.audit import FIGURES

    if against is None:
        return None
    console.check_other_file("--out", out / FIGURES, against)
    baseline = read_baseline(against)
    baseline.check_suite(suite)
    return baseline
