"""The command that audits a network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuroattack.cli.arguments.deployments import GivenDeployment, with_deployment
from neuroattack.cli.arguments.options import Json, NetworkDataset, NetworkFile, Workers
from neuroattack.report.terminal import audit_tables, console

if TYPE_CHECKING:
    from neuroattack.experiments.audit.comparison import Baseline

__all__ = ["audit"]


_Images = Annotated[int, typer.Option(help="Test images that are attacked, the first so many.")]
_Quick = Annotated[
    bool, typer.Option("--quick", help="Fewer queries and draws: less than a minute.")
]
_Against = Annotated[
    Path | None,
    typer.Option(help="An audit.json to compare with; exit code 1 if robustness has fallen."),
]
_Margin = Annotated[
    float, typer.Option(help="Fall that is still allowed --against it: 0.05 is 5 points.")
]
_Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder for audit.html and audit.json, in which an interrupted run goes on; "
        "by default runs/audit-NETWORK."
    ),
]


@with_deployment()
def audit(
    network: NetworkFile,
    deployment: GivenDeployment,
    dataset: NetworkDataset = None,
    images: _Images = 20,
    quick: _Quick = False,
    against: _Against = None,
    margin: _Margin = 0.05,
    workers: Workers = None,
    out: _Out = None,
    json: Json = False,
) -> None:
    """Run a fixed suite against a network, and write a one-page verdict as HTML and JSON.

    Noise, attacks at three budgets, transfer to other deployments, transformed images, and energy
    under attack; each figure with a 95 % interval. The verdict says how the network held against
    what was tried, and is no proof of security. With --against, exit code 1 if a figure is less
    robust by more than --margin, 2 if the two verdicts cannot be compared. After an interruption,
    the same command resumes.
    """
    from neuroattack.datasets import load_dataset_of
    from neuroattack.experiments.audit.audit import audit as run_audit
    from neuroattack.experiments.audit.comparison import check_margin, compare
    from neuroattack.experiments.audit.suite import QUICK, Suite
    from neuroattack.files import check_writable
    from neuroattack.ir.storage import load_network
    from neuroattack.report.audit import FIGURES, PAGE, save_card

    out = Path("runs") / f"audit-{network.stem}" if out is None else out
    check_margin(margin)
    suite, skipped = replace(QUICK if quick else Suite(), images=images).available()
    source = load_dataset_of(dataset, load_network(network).origin)
    baseline = _baseline(against, out, suite.as_json(source))
    check_writable(out / FIGURES)
    check_writable(out / PAGE)
    with console.kept_in(out), console.progress_bars() as show:
        card = run_audit(
            network,
            source,
            deployment(),
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
    """Return the audit to compare with, of the same suite."""
    from neuroattack.experiments.audit.comparison import read_baseline
    from neuroattack.report.audit import FIGURES

    if against is None:
        return None
    console.check_other_file("--out", out / FIGURES, against)
    baseline = read_baseline(against)
    baseline.check_suite(suite)
    return baseline
