"""The command line of the suite."""

from __future__ import annotations

import argparse
import os
import sys

from benchmarks import engine  # noqa: F401  (registers its section)
from benchmarks.machine import describe_machine
from benchmarks.registry import SECTIONS, Options
from neuroattack import console
from neuroattack.datasets import DATA_VARIABLE, DATASETS
from neuroattack.errors import NeuroattackError


def main() -> int:
    """Run the sections asked for; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure neuroattack against its peers."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument(
        "--quick", action="store_true", help="check in seconds that all works; no figures to quote"
    )
    parser.add_argument(
        "--only", action="append", choices=list(SECTIONS), help="run this section only; repeatable"
    )
    parser.add_argument(
        "--model",
        metavar="FILE",
        help="a trained model, as 'neuroattack train' writes it; by default random weights "
        "of the same size, whose rates are similar",
    )
    parser.add_argument(
        "--dataset",
        choices=DATASETS,
        default="mnist" if os.environ.get(DATA_VARIABLE) else "digits",
        help=f"test images; by default mnist where {DATA_VARIABLE} is set, else digits",
    )
    arguments = parser.parse_args()
    options = Options(arguments.model, arguments.dataset, arguments.quick, console.note)
    machine = describe_machine()
    names = [name for name in SECTIONS if name in (arguments.only or SECTIONS)]
    try:
        figures = {name: SECTIONS[name].measure(options) for name in names}
    except NeuroattackError as error:
        console.note(f"error: {error}")
        return 2
    if arguments.json:
        console.print_json({"machine": machine, **figures})
        return 0
    console.print_figures("Machine", {name: str(value) for name, value in machine.items()})
    for name in names:
        SECTIONS[name].show(figures[name])
    return 0


if __name__ == "__main__":
    sys.exit(main())
