"""The command line: one command a study, and no logic of its own.

Everything but the options is imported inside the commands, so that --help does not wait for it.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from neuroattack.cli.arguments.examples import example
from neuroattack.cli.attacks import attack, demo
from neuroattack.cli.audit import audit
from neuroattack.cli.campaigns import campaign
from neuroattack.cli.catalogues import backends, doctor
from neuroattack.cli.exchange import export_nir, import_nir
from neuroattack.cli.hardware import energy, precision
from neuroattack.cli.networks import convert, export_brian2, train
from neuroattack.cli.paper import noise, paper
from neuroattack.cli.profiles import profiles
from neuroattack.cli.serving import serve
from neuroattack.cli.studies import compare, evaluate
from neuroattack.cli.transfer import preflight, transfer
from neuroattack.errors import NeuroattackError
from neuroattack.report.terminal import console

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # rich's help takes half as long again to appear, and puts a box around each error.
    rich_markup_mode=None,
    help="Is this spiking network, on this neuromorphic hardware, secure?",
)


def _print_version(asked: bool) -> None:
    if asked:
        from neuroattack import __version__

        console.print_text(f"neuroattack {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print it and exit."
        ),
    ] = False,
) -> None:
    pass


for command in (
    *(demo, train, convert, evaluate, preflight, attack, transfer, compare),
    *(audit, energy, precision, noise, paper, serve, export_brian2, backends, doctor),
):
    app.command(epilog=example(command.__name__.replace("_", "-")))(command)
app.command("import", epilog=example("import"))(import_nir)
app.command("export", epilog=example("export"))(export_nir)
app.add_typer(campaign, name="campaign", epilog=example("campaign"))
app.add_typer(profiles, name="profiles", epilog=example("profiles"))


def main() -> None:
    """Run the command line; an error that users can act on is one sentence and exit code 2."""
    if sys.stdout is None:
        # A shell's >&- closes it; what would be printed is then for nobody.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    try:
        app()
    except NeuroattackError as error:
        console.note(f"neuroattack: {error}")
        sys.exit(2)
    except OSError as error:
        console.note(f"neuroattack: cannot go on: {error}")
        sys.exit(2)
    except SystemError as error:
        if not console.is_interruption(error):
            raise
        sys.exit(130)
    finally:
        # The interpreter would look for cycles among half a million objects on its way out, most
        # of them numba's: a quarter of a second.
        gc.freeze()
