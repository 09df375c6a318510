"""Command line of the benchmark suite."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path
from typing import NoReturn

from benchmarks import (  # noqa: F401  (register)
    attack,
    convolution,
    engine,
    query,
    remote,
    scaling,
    startup,
    training,
)
from benchmarks.machine import describe_machine
from benchmarks.registry import SECTIONS, Figures, Options
from benchmarks.summary import summary_table
from benchmarks.writing import machine_table, write_results
from neuroattack.datasets import DATA_VARIABLE, DATASETS
from neuroattack.errors import NeuroattackError, UnknownNameError
from neuroattack.files import check_writable
from neuroattack.report.terminal import console
from neuroattack.training.storage import load_model

# In the order in which they run: the others use the model that training writes.
_ORDER = (
    *("training", "engine", "convolution", "query"),
    *("attack", "scaling", "startup", "remote"),
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        console.note(f"error: {message}")
        raise SystemExit(2)


def _arguments() -> argparse.Namespace:
    parser = _Parser(
        prog="python -m benchmarks",
        description="Measure the speed of neuroattack, alone and compared with other simulators.",
    )
    parser.add_argument("--json", action="store_true", help="Print one JSON object on stdout.")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="Check quickly that everything works. Do not quote its figures.",
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="SECTIONS",
        help=f"Run these sections only, separated by commas: {', '.join(_ORDER)}.",
    )
    parser.add_argument(
        "--model",
        metavar="FILE",
        help="Trained model, as 'neuroattack train' writes it. Default: the one just trained by "
        "section training; without that section, random weights with similar firing rates.",
    )
    parser.add_argument(
        "--dataset",
        choices=DATASETS,
        help=f"Data set. Default: mnist if {DATA_VARIABLE} is set, else digits; "
        "digits with --quick.",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="Folder for results. Default: runs/benchmarks, or runs/benchmarks-quick with --quick.",
    )
    return parser.parse_args()


def _options(arguments: argparse.Namespace) -> Options:
    on_mnist = os.environ.get(DATA_VARIABLE) and not arguments.quick
    return Options(
        model=arguments.model,
        dataset=arguments.dataset or ("mnist" if on_mnist else "digits"),
        quick=arguments.quick,
        out=arguments.out or Path("runs", "benchmarks-quick" if arguments.quick else "benchmarks"),
        say=console.note,
    )


def _chosen(only: list[str] | None) -> list[str]:
    given = [name.strip() for each in only or _ORDER for name in each.split(",")]
    names = [name for name in given if name] or [""]
    for name in names:
        if name not in _ORDER:
            raise UnknownNameError("section", name, _ORDER)
    return [name for name in _ORDER if name in names]


def _measure(
    names: list[str], options: Options, machine: Figures, figures: dict[str, Figures]
) -> list[Path]:
    """Add the figures of each section, and write all so far; return the files."""
    files = []
    for name in names:
        options.say(f"section {name}")
        started = time.perf_counter()
        figures[name] = SECTIONS[name].measure(options)
        figures[name]["section_s"] = round(time.perf_counter() - started, 1)
        files = write_results(options.out, machine, figures, summary_table(figures))
        if options.model is None and not options.quick:
            options = dataclasses.replace(options, model=figures[name].get("model"))
    return files


def _kept(figures: dict[str, Figures], options: Options) -> str:
    return f"; results of {', '.join(figures)} are in {options.out}" if figures else ""


def main() -> int:
    """Run the selected sections and return the exit code."""
    arguments = _arguments()
    options = _options(arguments)
    machine = describe_machine()
    figures: dict[str, Figures] = {}
    try:
        names = _chosen(arguments.only)
        check_writable(options.out / "benchmarks.json")
        if options.model is not None:
            # Fail early, not after minutes of training.
            load_model(options.model)
        files = _measure(names, options, machine, figures)
    except NeuroattackError as error:
        console.note(f"error: {error}{_kept(figures, options)}")
        return 2
    except (KeyboardInterrupt, SystemError) as error:
        if not console.is_interruption(error):
            raise
        console.note(f"interrupted{_kept(figures, options)}")
        return 130
    try:
        if arguments.json:
            console.print_json({"machine": machine, **figures})
            sys.stdout.flush()
            return 0
        tables = [machine_table(machine), summary_table(figures)]
        tables += [table for name in names for table in SECTIONS[name].tables(figures[name])]
        for table in tables:
            console.print_rows(table.title, table.header, table.rows)
        sys.stdout.flush()
    except OSError as error:
        console.note(f"error: cannot print ({error}); the results are in {options.out}")
        # The rest of the buffer cannot be printed on exit either.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
        return 2
    console.note(f"written: {', '.join(map(str, files))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
