"""Fit, accuracy and energy of one network under several hardware profiles."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets import Labels
from neuroattack.deployment.backend import Recording
from neuroattack.deployment.deployment import check_settings, deploy
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import DoesNotFitError, UnsupportedFeatureError, ValidationError
from neuroattack.experiments.chips.cells import (
    check_inputs,
    keep_images,
    keep_network,
    read_images,
)
from neuroattack.experiments.chips.cross_check import OtherEstimate, load_cross_check
from neuroattack.experiments.chips.differences import compare_estimates
from neuroattack.experiments.chips.metering import ActivityMeter
from neuroattack.experiments.engine.cells import Cell
from neuroattack.experiments.engine.running import run_cells
from neuroattack.experiments.evaluation import evaluate
from neuroattack.hardware.energy.conventional import compare_conventional
from neuroattack.hardware.energy.energy import EnergyEstimate
from neuroattack.hardware.energy.neurobench import (
    NeuroBenchMetrics,
    footprint_in_format,
    neurobench_metrics,
)
from neuroattack.hardware.energy.terms import as_ends
from neuroattack.hardware.fitting import Fitted, fit
from neuroattack.hardware.profiles.profile import Profile
from neuroattack.hardware.quantization.quantization import Rounding
from neuroattack.ir.network import INPUT, Network
from neuroattack.ir.storage import load_network

__all__ = ["measure_on_chip", "study_energy"]

# Figures that are None if a chip does not support the network.
_NONE_IF_REFUSED = (
    "cores_used",
    "accuracy",
    "accuracy_ci95",
    "spikes_per_image",
    "synaptic_operations_per_image",
    "energy_pj_per_image",
    "subtotal_pj",
    "latency_ms",
    "basis",
)
_EVALUATION_KEYS = (
    "accuracy",
    "accuracy_ci95",
    "precision",
    "spikes_per_image",
    "synaptic_operations_per_image",
)


def study_energy(
    network: Network,
    images: NDArray[np.float32],
    labels: Labels,
    profiles: Sequence[Profile],
    *,
    folder: Path,
    rounding: Rounding | None = None,
    steps: int = 350,
    backend: str = "native",
    seed: int = 0,
    workers: int | None = None,
    cross_check: str | None = None,
    on_progress: Callable[[float, str], None] | None = None,
) -> dict[str, Any]:
    """Fit a network to each hardware profile, run it on images, and estimate the energy.

    Each profile is one cell in the folder; finished cells are not repeated. `cross_check` is the
    name of another tool, which simulates the same images, see
    :mod:`neuroattack.experiments.chips.cross_check`.

    Returns
    -------
    dict
        JSON values: the ``"reference"``, its ``"neurobench"`` metrics, a ``"conventional"`` network
        for comparison, and under ``"profiles"`` the results by profile.
    """
    check_inputs("energy", network, images, profiles)
    check_settings(backend, steps, seed)
    names = [profile.id for profile in profiles]
    if len(set(names)) < len(names):
        raise ValidationError("profiles", ", ".join(names), "different ids")
    checked = {} if cross_check is None else {"cross_check": cross_check}
    if cross_check is not None:
        load_cross_check(cross_check, names)
    common = {
        "network": keep_network(folder, network),
        "images": keep_images(folder, images, labels),
        "rounding": asdict(rounding or Rounding()),
        "steps": steps,
        "backend": backend,
        "seed": seed,
    }
    cells = [Cell("energy-reference", measure_on_chip, common | {"chip": None})]
    cells += [
        Cell(
            f"energy-{profile.id}", measure_on_chip, common | checked | {"chip": profile.as_json()}
        )
        for profile in profiles
    ]
    alone, *chips = run_cells(folder, cells, workers=workers, on_progress=on_progress)
    operations = alone["reference"]["synaptic_operations_per_image"]
    multiplications = alone["neurobench"]["synaptic_operations_per_image"]["effective_macs"]
    return {
        "images": len(images),
        "steps": steps,
        "backend": backend,
        **alone,
        "conventional": compare_conventional(network, operations, steps, multiplications),
        "profiles": dict(zip(names, chips, strict=True)),
    }


def measure_on_chip(
    *,
    network: str,
    images: str,
    chip: Mapping[str, Any] | None,
    rounding: Mapping[str, Any],
    steps: int,
    backend: str,
    seed: int,
    folder: Path,
    cross_check: str | None = None,
) -> dict[str, Any]:
    """Run a network on images, optionally fitted to a chip, in one cell.

    Returns
    -------
    dict
        Without a chip, the evaluation as ``"reference"``, the ``"neurobench"`` metrics and the
        ``"backend_version"``; with a chip, whether the network ``"fits"``, and all figures.
    """
    network_used, fitted = load_network(folder / network), None
    if chip is not None:
        profile = Profile.from_json(chip)
        try:
            fitted = fit(network_used, profile, Rounding(**rounding))
        except (DoesNotFitError, UnsupportedFeatureError) as error:
            return {
                "fits": False,
                "refused": str(error),
                "profile": profile.id,
                "profile_checksum": profile.checksum,
                "without_coefficient": [],
            } | dict.fromkeys(_NONE_IF_REFUSED)
        network_used = fitted.network
    pixels, labels = read_images(folder, images)
    meter = None if fitted is None else ActivityMeter(fitted, steps)
    metrics: list[NeuroBenchMetrics] = []
    recordings: list[Recording] = []

    def observe(recording: Recording) -> None:
        if meter is not None:
            meter(recording)
        spikes = recording.spikes or {}
        metrics.append(neurobench_metrics(network_used, spikes, recording.counts))
        if cross_check is not None:
            recordings.append(recording)

    with deploy(
        network_used, backend=backend, steps=steps, seed=seed, expected_images=len(pixels)
    ) as deployment:
        evaluation = asdict(
            evaluate(deployment, pixels, labels, observe=observe, record_spikes=True)
        )
        version = deployment.backend_version
    neurobench = NeuroBenchMetrics.concatenate(metrics).as_json()
    if fitted is None or meter is None:
        return {"reference": evaluation, "neurobench": neurobench, "backend_version": version}
    estimate = fitted.estimate(meter.activity)
    checked = {}
    if cross_check is not None:
        checked["cross_check"] = _cross_check(cross_check, fitted, estimate, recordings)
    per_correct = estimate.subtotal_per_correct_classification_pj(evaluation["accuracy"])
    return {
        "fits": True,
        "refused": "",
        **{name: evaluation[name] for name in _EVALUATION_KEYS},
        **fitted.as_json(),
        **estimate.as_json(),
        "subtotal_pj_per_correct_image": as_ends(per_correct),
        "neurobench": neurobench,
        "footprint": footprint_in_format(network_used, fitted.profile.number_format()),
        **checked,
    }


def _cross_check(
    name: str, fitted: Fitted, estimate: EnergyEstimate, recordings: Sequence[Recording]
) -> dict[str, Any]:
    """Let another tool simulate the recorded input, and compare its estimate with ours."""
    spikes = [recording.spikes or {} for recording in recordings]
    tool = load_cross_check(name, [fitted.profile.id])
    with contextlib.closing(tool.deploy(fitted)) as estimator:
        other = OtherEstimate.concatenate([estimator.run(each[INPUT]) for each in spikes])
    joined = {
        population: SpikeTrains.concatenate([each[population] for each in spikes])
        for population in fitted.network.sizes
    }
    return compare_estimates(fitted, estimate, joined, other)
