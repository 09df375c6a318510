"""The command line: each command parses options, calls a function of the library and prints.

Everything but the options is imported inside the commands, so that --help does not wait for it.
"""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TextIO

import typer

from neuroattack.cli.arguments.examples import example
from neuroattack.cli.arguments.help import PanelCommand, PanelGroup
from neuroattack.cli.attacks import attack, demo
from neuroattack.cli.audit import audit
from neuroattack.cli.campaigns import campaign
from neuroattack.cli.catalogs import backends, doctor
from neuroattack.cli.chips.faults import bit_flips, faults
from neuroattack.cli.chips.profiles import profiles
from neuroattack.cli.chips.studies import energy, latency, precision
from neuroattack.cli.events import events
from neuroattack.cli.exchange import export, import_nir
from neuroattack.cli.networks import convert, fine_tune, train
from neuroattack.cli.paper import noise, paper
from neuroattack.cli.serving import serve
from neuroattack.cli.show import show
from neuroattack.cli.studies import compare, evaluate
from neuroattack.cli.transfer import preflight, transfer
from neuroattack.errors import NeuroattackError
from neuroattack.memory import is_out_of_memory
from neuroattack.report.terminal import console

__all__ = ["app", "main"]

app = typer.Typer(
    cls=PanelGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Black-box adversarial attacks on spiking neural networks that run on emulated "
    "neuromorphic hardware.",
)


def _print_version(requested: bool) -> None:
    if requested:
        from neuroattack import __version__

        console.print_text(f"neuroattack {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


_COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "Train and import": (train, convert, fine_tune, import_nir, export, events),
    "Attack": (demo, attack, transfer, preflight),
    "Evaluate": (evaluate, audit, compare, noise, paper, show),
    "Hardware": (energy, precision, latency, faults, bit_flips),
    "Serve": (serve,),
    "Installation": (backends, doctor),
}
for panel, commands in _COMMANDS.items():
    for command in commands:
        name = command.__name__.removesuffix("_nir").replace("_", "-")
        app.command(name, cls=PanelCommand, epilog=example(name), rich_help_panel=panel)(command)
for name, group, panel in (("campaign", campaign, "Attack"), ("profiles", profiles, "Hardware")):
    app.add_typer(group, name=name, epilog=example(name), rich_help_panel=panel)


def main() -> None:
    """Run the command line; expected errors print one sentence and exit with code 2."""
    if sys.stdout is None:
        # The shell's >&- closes stdout; then nobody reads the output.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            app()
    except NeuroattackError as error:
        console.note(f"neuroattack: {error}")
        sys.exit(2)
    except OSError as error:
        console.note(f"neuroattack: the operating system reports: {error}")
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split()) or "an allocation failed"
        console.note(
            f"neuroattack: out of memory: {reason}; use fewer images or time steps, or a smaller "
            "network"
        )
        sys.exit(2)
    except SystemError as error:
        if not console.is_interruption(error):
            raise
        sys.exit(130)
    finally:
        # On exit the interpreter would look for cycles among half a million objects, most of them
        # numba's, for a quarter of a second.
        gc.freeze()


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning about a deprecated name in one line, and others as Python does."""
    if issubclass(category, FutureWarning):
        console.note(f"neuroattack: warning: {message}")
    else:
        text = warnings.formatwarning(message, category, filename, lineno, line)
        (file or sys.stderr).write(text)
