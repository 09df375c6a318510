"""Commands that list what there is."""

from __future__ import annotations

from dataclasses import asdict

from neuroattack import console
from neuroattack.cli.options import Json

__all__ = ["backends"]


def backends(json: Json = False) -> None:
    """List the simulator backends, and why one is missing."""
    from neuroattack.simulation import list_backends

    found = list_backends()
    if json:
        console.print_json({"backends": [asdict(backend) for backend in found]})
        return
    console.print_rows(
        "Backends",
        ["name", "available", "version", "why not"],
        [[b.name, "yes" if b.available else "no", b.version, b.reason] for b in found],
    )
