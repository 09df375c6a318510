"""Commands that list what there is."""

from __future__ import annotations

from dataclasses import asdict

import typer

from neuroattack.cli.arguments.options import Json
from neuroattack.report.terminal import console

__all__ = ["backends", "doctor"]


def backends(json: Json = False) -> None:
    """List the simulator backends, and why one is missing."""
    from neuroattack.deployment.backend import list_backends

    found = list_backends()
    if json:
        console.print_json({"backends": [asdict(backend) for backend in found]})
        return
    console.print_rows(
        "Backends",
        ["name", "available", "version", "why not"],
        [[b.name, "yes" if b.available else "no", b.version, b.reason] for b in found],
    )


def doctor(json: Json = False) -> None:
    """Say what this machine has and lacks, and what to do about it; exit code 1 if it matters."""
    from neuroattack.experiments.doctor import examine

    findings = examine()
    bad = [finding.name for finding in findings if finding.state == "bad"]
    if json:
        console.print_json({"bad": bad, "findings": [asdict(finding) for finding in findings]})
    else:
        console.print_rows(
            "What is here",
            ["", "", "found", "what to do"],
            [[f.name, f.state, f.found, f.advice] for f in findings],
        )
    if bad:
        raise typer.Exit(1)
