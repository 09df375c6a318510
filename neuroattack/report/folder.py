"""What a study leaves in a folder: figures as JSON, images as npz, and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neuroattack.experiments.attack import AttackOutcome
from neuroattack.experiments.demo import MAX_DISTANCE, Demo
from neuroattack.files import write_arrays, write_json, write_text
from neuroattack.provenance import Provenance
from neuroattack.report.html import render_report

__all__ = ["PAGE", "save_attack", "save_demo"]

PAGE = "report.html"
"""Name of the page in the folder."""


def save_attack(
    out: Path,
    outcome: AttackOutcome,
    provenance: Provenance,
    *,
    title: str,
    max_distance: float,
    hardware: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``result.json``, ``images.npz`` and the page of one attack; return the page's path.

    Parameters
    ----------
    out : Path
        Folder.
    outcome : AttackOutcome
        What became of the attack.
    provenance : Provenance
        Where it comes from.
    title : str
        Of the page.
    max_distance : float
        D_max of the attack.
    hardware : mapping, optional
        How a chip holds the network, for the JSON.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    page = render_report(
        [outcome],
        title=title,
        provenance=provenance,
        dt_s=provenance.dt_s,
        max_distance=max_distance,
        dropped=(hardware or {}).get("hardware", {}).get("dropped", ()),
    )
    return _save(out, outcome.as_json() | dict(hardware or {}), [outcome], provenance, page)


def save_demo(out: Path, demo: Demo) -> Path:
    """Write ``result.json``, ``images.npz`` and the page of a demo; return the page's path.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    page = render_report(
        demo.outcomes,
        title=f"Attacks on a spiking network trained on {demo.provenance.dataset}",
        provenance=demo.provenance,
        dt_s=demo.provenance.dt_s,
        max_distance=MAX_DISTANCE,
        evaluation=demo.evaluation,
        rate_accuracy=demo.model.rate_accuracy,
    )
    return _save(out, demo.as_json(), demo.outcomes, demo.provenance, page)


def _save(
    out: Path,
    figures: Mapping[str, Any],
    outcomes: Sequence[AttackOutcome],
    provenance: Provenance,
    page: str,
) -> Path:
    write_json(out / "result.json", {"provenance": asdict(provenance), **figures})
    several = len(outcomes) > 1
    write_arrays(
        out / "images.npz",
        {
            f"attack{number}_{name}" if several else name: array
            for number, outcome in enumerate(outcomes)
            for name, array in outcome.arrays().items()
        },
    )
    write_text(out / PAGE, page)
    return out / PAGE
