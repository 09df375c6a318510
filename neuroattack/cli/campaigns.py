"""Commands for campaigns: run, resume, status, export."""

from __future__ import annotations

import difflib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from neuroattack.cli.arguments.examples import example
from neuroattack.cli.arguments.options import Json
from neuroattack.cli.arguments.options import Workers as WorkerNumber
from neuroattack.errors import UnknownNameError
from neuroattack.report.terminal import console
from neuroattack.report.terminal.audit_tables import print_bracket

if TYPE_CHECKING:
    from neuroattack.experiments.engine.store import Counts
    from neuroattack.experiments.engine.workers import Workers

__all__ = ["campaign"]

Folder = Annotated[Path, typer.Argument(help="Folder of the campaign.")]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler whose workers run the attacks.")
]


class _RunByDefault(TyperGroup):
    """A group that runs the file given in place of a subcommand."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            near = difflib.get_close_matches(args[0], self.commands, n=1)
            if near and not Path(args[0]).suffix and not Path(args[0]).exists():
                raise UnknownNameError("command of 'campaign'", args[0], self.commands)
            args = ["run", *args]
        return super().parse_args(ctx, args)


campaign = typer.Typer(
    cls=_RunByDefault,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Run many attacks, as described in a TOML file.\n\n'campaign FILE' is short for 'campaign "
    "run FILE'. The attacks are distributed over all cores, or over machines with Dask.",
)


@campaign.command(epilog=example("campaign run"))
def run(
    config: Annotated[
        Path, typer.Argument(help="TOML file; docs/campaigns.md describes its keys.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the campaign. Default: runs/NAME, with the name of the file."),
    ] = None,
    workers: WorkerNumber = None,
    scheduler: Scheduler = None,
    json: Json = False,
) -> None:
    """Run or resume a campaign and print its results.

    After an interruption, the same command resumes. Several processes may share one folder. The
    exit code is 1 if attacks failed.
    """
    from neuroattack.experiments.campaign.config import read_config
    from neuroattack.experiments.campaign.running import begin
    from neuroattack.experiments.engine.workers import Workers
    from neuroattack.experiments.substitutes import prepare_substitutes

    chosen = Workers(workers, scheduler)
    settings = read_config(config)
    folder = out or Path("runs") / config.stem
    with console.progress_bars() as show:
        prepare_substitutes(
            (attack.settings for attack in settings.attacks),
            lambda fraction: show("Training substitutes", fraction, ""),
        )
    begin(folder, settings)
    _carry_on(folder, chosen, json)


@campaign.command(epilog=example("campaign resume"))
def resume(
    folder: Folder, workers: WorkerNumber = None, scheduler: Scheduler = None, json: Json = False
) -> None:
    """Resume a campaign and print its results."""
    from neuroattack.experiments.engine.workers import Workers

    _carry_on(folder, Workers(workers, scheduler), json)


@campaign.command(epilog=example("campaign status"))
def status(folder: Folder, json: Json = False) -> None:
    """Print the progress of a campaign and the failed attacks."""
    from neuroattack.experiments.engine.store import Store

    with Store(folder) as store:
        counts, failures = store.counts(), store.failures()
    failed = [{"error": error, **settings} for settings, error in failures]
    if json:
        console.print_json({**asdict(counts), "total": counts.total, "failures": failed})
        return
    console.print_figures(
        f"Campaign in {folder}",
        {
            "done": f"{counts.done:,} of {counts.total:,}",
            "running": f"{counts.running:,}",
            "waiting": f"{counts.waiting:,}",
            "failed": f"{counts.failed:,}",
        },
    )
    _print_failures(failed)


@campaign.command(epilog=example("campaign export"))
def export(
    folder: Folder,
    csv: Annotated[Path | None, typer.Option(help="CSV file, one row per attack.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="Parquet file, one row per attack.")] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="npz file of the adversarial images, in the order of the rows."),
    ] = None,
    curves: Annotated[
        Path | None,
        typer.Option(help="PNG file: success rate against query budget and norm bound."),
    ] = None,
    json: Json = False,
) -> None:
    """Print the results of a campaign, and write them to files."""
    import numpy as np

    from neuroattack.experiments.campaign.export import (
        first_attack,
        result_rows,
        summarize,
        write_csv,
        write_parquet,
    )
    from neuroattack.experiments.engine.store import Store
    from neuroattack.files import write_arrays

    with Store(folder) as store:
        rows = result_rows(store.results())
        counts, failures = store.counts(), store.failures()
        first = first_attack(store)
        if images:
            found = [(store.result(each.key) or {})["adversarial"] for each in store.results()]
            write_arrays(images, {"adversarial": np.array(found)})
    if csv:
        write_csv(csv, rows)
    if parquet:
        write_parquet(parquet, rows)
    if curves:
        from neuroattack.report.curves import save_curves

        save_curves(curves, [row for row in summarize(rows) if row["images"]])
    _print(rows, failures, first, counts, json)


def _carry_on(folder: Path, workers: Workers, json: bool) -> None:
    from neuroattack.experiments.campaign.export import first_attack, result_rows
    from neuroattack.experiments.campaign.running import resume as resume_campaign
    from neuroattack.experiments.engine.store import Store

    with console.kept_in(folder), console.progress_bars() as show:

        def report(counts: Counts, rate: float) -> None:
            finished = counts.done + counts.failed
            left = (counts.total - finished) / rate if rate else 0.0
            status = f"{finished:,} of {counts.total:,}, {rate:.2f} per second"
            if rate:
                status += f", {left / 60:.0f} min left"
            show("Attacking", finished / max(counts.total, 1), status)

        counts = resume_campaign(folder, workers, report)
    with Store(folder) as store:
        rows = result_rows(store.results())
        failures = store.failures()
        first = first_attack(store)
    _print(rows, failures, first, counts, json)
    if failures:
        console.note(f"{len(failures)} attacks failed: see 'campaign status {folder}'")
        raise typer.Exit(1)


def _print(
    rows: list[dict[str, Any]],
    failures: list[tuple[dict[str, Any], str]],
    first: dict[str, Any] | None,
    counts: Counts,
    json: bool,
) -> None:
    from neuroattack.experiments.campaign.bracket import bracket_of
    from neuroattack.experiments.campaign.export import summarize
    from neuroattack.report.numbers import attack_text, budget_text

    attacks = summarize(rows, [settings for settings, _ in failures], first)
    finished = {row["attack"] for row in rows}
    bracket = bracket_of(
        rows,
        {
            settings["attack"]: error
            for settings, error in failures
            if settings["attack"] not in finished
        },
    ).as_json()
    if json:
        console.print_json({"attacks": attacks, "bracket": bracket, "progress": asdict(counts)})
        return
    console.print_rows(
        "Success rates on fresh trials, with 95 % intervals over images",
        (
            "attack",
            "threat model",
            "deployment",
            "bound",
            "query budget",
            "goal",
            "images",
            "success rate",
            "median increase",
            "median distance",
            "difference from first attack (points)",
        ),
        [
            (
                attack_text(row["attack"], row["settings"]),
                row["threat_model"] or "unknown",
                row["deployment"],
                row["bound"] or "none",
                budget_text(row["budget"], row["threat_model"]),
                row["goal"],
                *_figures(row),
            )
            for row in attacks
        ],
    )
    if bracket["verdict"] != "no-reference":
        print_bracket(bracket)


def _figures(row: dict[str, Any]) -> tuple[str, ...]:
    images = f"{row['images']:,}"
    if row["failed"]:
        images += f", {row['failed']:,} failed"
    if not row["images"]:
        return images, "none", "", "none", ""
    rates = (100 * rate for rate in (row["success"], *row["success_ci95"]))
    success = "{:.1f} % ({:.1f} to {:.1f} %)".format(*rates)
    increase = difference = ""
    if row["median_increase"] is not None:
        increase = f"{100 * row['median_increase']:+.1f} %"
    if row["median_increase_ci95"] is not None:
        low, high = (100 * end for end in row["median_increase_ci95"])
        increase += f" ({low:+.1f} to {high:+.1f} %)"
    if row["difference"] is not None:
        difference = f"{100 * row['difference']:+.1f}"
    if row["difference_ci95"] is not None:
        low, high = (100 * end for end in row["difference_ci95"])
        difference += f" ({low:+.1f} to {high:+.1f})"
    return images, success, increase, f"{row['median_distance']:.2f}", difference


def _print_failures(failed: list[dict[str, Any]]) -> None:
    if failed:
        console.print_rows(
            "Failed attacks",
            ("attack", "deployment", "image", "error"),
            [(one["attack"], one["deployment"], str(one["index"]), one["error"]) for one in failed],
        )
