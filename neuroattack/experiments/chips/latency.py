"""Accuracy as a function of the time to decision, from one simulation of each image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets import Labels
from neuroattack.deployment.backend import Recording
from neuroattack.deployment.deployment import Deployment
from neuroattack.deployment.spec import DeploymentSpec, profile_checksum
from neuroattack.encoding.early_exit import EarlyExit, leads, steps_until
from neuroattack.encoding.readout import decide
from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.experiments.chips.cells import keep_images, keep_network, read_images
from neuroattack.experiments.engine.cells import Cell
from neuroattack.experiments.engine.running import run_cells
from neuroattack.experiments.evaluation import TimeToDecision
from neuroattack.hardware.energy.energy import EnergyEstimate
from neuroattack.hardware.energy.terms import as_ends, mean_of
from neuroattack.ir.network import Network
from neuroattack.ir.storage import load_network
from neuroattack.statistics import wilson_interval

__all__ = ["decide_images", "measure_latency"]

_CELL_IMAGES = 250
_FIXED_POINTS = 12
_FEWEST_STEPS = 5


def measure_latency(
    network: Network,
    images: NDArray[np.float32],
    labels: Labels,
    deployment: DeploymentSpec,
    *,
    margins: Sequence[int],
    folder: Path,
    workers: int | None = None,
    on_progress: Callable[[float, str], None] | None = None,
) -> dict[str, Any]:
    """Measure accuracy and time to decision by margin, on the same images and input spikes.

    Each image is simulated once for all T steps; all margins and numbers of steps are evaluated on
    its spikes. A cell of the folder has up to 250 images; finished cells are not repeated.

    Parameters
    ----------
    network : Network
        Network whose output is spike counts.
    images : float array, shape (images, ...)
        Intensities in [0, 1].
    labels : int array, shape (images,)
        True classes.
    deployment : DeploymentSpec
        Deployment without early exit.
    margins : sequence of int
        Margins in output spikes.
    folder : Path
        Folder of the cells.
    workers : int, optional
        Number of processes.
    on_progress : callable, optional
        Called with the completed fraction and a status text.

    Returns
    -------
    dict
        JSON values: ``"margins"``, a list with accuracy, 95 % Wilson interval, fraction of silent
        or tied images and time to decision by margin, with a profile also bounds of the mean time
        and energy per image on the chip; ``"fixed"``, accuracy by number of time steps without
        early exit, the last of which is T; and the settings.

    Raises
    ------
    ValidationError
        If there are no images or margins, a margin is out of range, or the deployment exits early
        or has a defense.
    UnsupportedFeatureError
        If the output of the network is a potential.
    """
    if not len(images) or not margins:
        raise ValidationError("latency", "no image or margin", "at least one of each")
    for name in ("exit", "defense"):
        value = getattr(deployment, name)
        if value is not None:
            raise ValidationError(f"{name} of deployment {str(deployment)!r}", value, "none")
    if network.readout_quantity != "spike_count":
        raise UnsupportedFeatureError(
            f"latency: got population {network.readout!r} with a potential as the output, expected "
            "spike counts"
        )
    deployment = deployment.for_samples(network, images)
    steps = network.input.time_steps(deployment.steps, images.shape)
    rules = [EarlyExit(margin) for margin in sorted(set(margins))]
    fixed = _fixed_steps(steps)
    shared = {
        "network": keep_network(folder, network),
        "images": keep_images(folder, images, labels),
        "deployment": str(deployment),
        "profile": profile_checksum(deployment),
        "margins": [rule.margin for rule in rules],
        "fixed": fixed,
    }
    cells = [
        Cell(
            f"latency-{start}",
            decide_images,
            {**shared, "start": start, "end": min(start + _CELL_IMAGES, len(images))},
            float(min(_CELL_IMAGES, len(images) - start)),
        )
        for start in range(0, len(images), _CELL_IMAGES)
    ]
    results = run_cells(folder, cells, workers=workers, on_progress=on_progress)
    joined = {
        name: np.concatenate([np.asarray(result[name]) for result in results], axis=-1)
        for name, value in results[0].items()
        if isinstance(value, np.ndarray)
    }
    has_total = not results[0].get("without_coefficient")
    return {
        "deployment": str(deployment),
        "backend": deployment.backend,
        **{
            name: results[0][name]
            for name in ("backend_version", "precision", "without_coefficient", "basis", "caveats")
            if name in results[0]
        },
        "images": len(images),
        "steps": steps,
        "dt_s": network.dt_s,
        "seed": deployment.seed,
        "margins": [_margin(rule, joined, i, has_total) for i, rule in enumerate(rules)],
        "fixed": [
            {"steps": steps, **_accuracy(joined["fixed_correct"][i])}
            for i, steps in enumerate(fixed)
        ],
    }


def decide_images(
    *,
    network: str,
    images: str,
    deployment: str,
    profile: str,
    margins: Sequence[int],
    fixed: Sequence[int],
    start: int,
    end: int,
    folder: Path,
) -> dict[str, Any]:
    """Decide the images from `start` to `end` by all margins, in one cell.

    Returns
    -------
    dict
        Arrays of shape (margins, images): ``"steps"``, ``"correct"`` and ``"undecided"``, with a
        profile also bounds ``"time_s"`` and ``"energy_pj"``, shape (2, margins, images); and
        ``"fixed_correct"``, shape (numbers of steps, images). Version, precision and qualifications
        of the energy.
    """
    del profile  # Part of the cell's key.
    pixels, labels = read_images(folder, images)
    pixels, labels = pixels[start:end], labels[start:end]
    spec = DeploymentSpec.from_text(deployment)
    parts: list[dict[str, NDArray[Any]]] = []
    with spec.deploy(load_network(folder / network), len(pixels)) as deployed:
        for batch in deployed.batches(len(pixels), record_spikes=True):
            recording = deployed.record(
                pixels[batch],
                indices=np.arange(start, end)[batch],
                record_spikes=True,
            )
            decided, estimate = _decisions(deployed, recording, labels[batch], margins)
            decided["fixed_correct"] = _at_fixed_steps(deployed, recording, labels[batch], fixed)
            parts.append(decided)
        qualified: dict[str, Any] = {
            "backend_version": deployed.backend_version,
            "precision": deployed.network.precision,
        }
    if estimate is not None:
        qualified |= {
            "without_coefficient": list(estimate.without_coefficient),
            "basis": estimate.basis,
            "caveats": list(estimate.caveats),
        }
    return qualified | {
        name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]
    }


def _decisions(
    deployed: Deployment, recording: Recording, labels: Labels, margins: Sequence[int]
) -> tuple[dict[str, NDArray[Any]], EnergyEstimate | None]:
    """Return the decisions by all margins, and the last energy estimate with a profile."""
    if recording.spikes is None:
        raise ValidationError("recording", "spike counts only", "recorded spikes")
    readout = deployed.network.readout
    found = leads(recording.spikes[readout])
    columns: dict[str, list[Any]] = {}
    estimate = None
    for margin in margins:
        steps = steps_until(found, margin)
        classes = decide(recording.spikes[readout].until(steps).counts())
        values: dict[str, Any] = {
            "steps": steps, "correct": classes == labels, "undecided": classes < 0
        }  # fmt: skip
        if deployed.fitted is not None:
            until = recording.until(steps)
            activity = deployed.fitted.activity(until.counts, deployed.steps, until.spikes, steps)
            estimate = deployed.fitted.estimate(activity)
            if estimate.time_s is not None:
                values["time_s"] = np.stack(estimate.time_s)
            if estimate.subtotal_per_image_pj is not None:
                values["energy_pj"] = np.stack(estimate.subtotal_per_image_pj)
        for name, value in values.items():
            columns.setdefault(name, []).append(value)
    return {name: np.stack(each, axis=-2) for name, each in columns.items()}, estimate


def _at_fixed_steps(
    deployed: Deployment, recording: Recording, labels: Labels, fixed: Sequence[int]
) -> NDArray[np.bool_]:
    if recording.spikes is None:
        raise ValidationError("recording", "spike counts only", "recorded spikes")
    output = recording.spikes[deployed.network.readout]
    return np.stack([
        decide(output.until(np.full(len(labels), steps)).counts()) == labels for steps in fixed
    ])  # fmt: skip


def _fixed_steps(steps: int) -> list[int]:
    """Return up to twelve numbers of steps, about evenly spaced on a logarithmic axis."""
    spaced = np.geomspace(min(_FEWEST_STEPS, steps), steps, _FIXED_POINTS)
    return sorted(set(np.rint(spaced).astype(int).tolist()))


def _accuracy(correct: NDArray[np.bool_]) -> dict[str, Any]:
    hits, images = int(correct.sum()), len(correct)
    return {"accuracy": hits / images, "accuracy_ci95": wilson_interval(hits, images)}


def _margin(
    rule: EarlyExit, joined: Mapping[str, NDArray[Any]], i: int, has_total: bool
) -> dict[str, Any]:
    def ends(name: str) -> dict[str, float] | None:
        if name not in joined:
            return None
        return as_ends(mean_of((joined[name][0, i], joined[name][1, i])))

    energy = ends("energy_pj")
    return {
        "margin": rule.margin,
        "exit": str(rule),
        **_accuracy(joined["correct"][i]),
        "undecided_fraction": float(joined["undecided"][i].mean()),
        "decision_steps": asdict(TimeToDecision.of(joined["steps"][i])),
        "time_s": ends("time_s"),
        "energy_pj_per_image": energy if has_total else None,
        "subtotal_pj": energy,
    }
