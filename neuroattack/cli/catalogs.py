"""Commands about the installation."""

from __future__ import annotations

from dataclasses import asdict

import typer

from neuroattack.cli.arguments.options import Json
from neuroattack.report.terminal import console

__all__ = ["backends", "doctor"]


def backends(json: Json = False) -> None:
    """List the simulator backends and their availability.

    Emulators are independent simulators whose spikes may differ from the reference dynamics.
    """
    from neuroattack.deployment.backend import list_backends, list_emulators

    found = {"backends": list_backends(), "emulators": list_emulators()}
    if json:
        console.print_json(
            {kind: [asdict(each) for each in several] for kind, several in found.items()}
        )
        return
    for kind, several in found.items():
        console.print_rows(
            kind.capitalize(),
            ["name", "available", "version", "reason"],
            [[b.name, "yes" if b.available else "no", b.version, b.reason] for b in several],
        )


def doctor(json: Json = False) -> None:
    """Check the installation and suggest fixes.

    The exit code is 1 if a required part is missing or broken.
    """
    from neuroattack.experiments.doctor import examine

    findings = examine()
    bad = [finding.name for finding in findings if finding.state == "bad"]
    if json:
        console.print_json({"bad": bad, "findings": [asdict(finding) for finding in findings]})
    else:
        console.print_rows(
            "Installation",
            ["part", "state", "found", "advice"],
            [[f.name, f.state, f.found, f.advice] for f in findings],
        )
    if bad:
        raise typer.Exit(1)
