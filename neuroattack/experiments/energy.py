"""One network on many chips: whether it fits, how well it classifies there, what it costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets import Labels
from neuroattack.deployment.backend import Recording
from neuroattack.deployment.deployment import deploy
from neuroattack.errors import DoesNotFitError, UnsupportedFeatureError, ValidationError
from neuroattack.experiments.evaluation import Evaluation, evaluate
from neuroattack.experiments.metering import ActivityMeter
from neuroattack.hardware.energy.conventional import ConventionalComparison, compare_conventional
from neuroattack.hardware.energy.energy import EnergyEstimate
from neuroattack.hardware.energy.neurobench import (
    NeuroBenchMetrics,
    footprint_in_format,
    neurobench_metrics,
)
from neuroattack.hardware.fitting import Fitted, fit
from neuroattack.hardware.profiles.profile import Profile
from neuroattack.hardware.quantization.quantization import Rounding
from neuroattack.ir.network import Network, Precision

__all__ = ["ChipResult", "EnergyStudy", "study_energy"]

# Of a chip that cannot hold the network.
_ABSENT = (
    "cores_used",
    "accuracy",
    "accuracy_ci95",
    "spikes_per_image",
    "synaptic_operations_per_image",
    "energy_pj_per_image",
    "priced_subtotal_pj",
    "latency_ms",
    "basis",
)


@dataclass(frozen=True, eq=False)
class ChipResult:
    """A network on one chip.

    Parameters
    ----------
    profile : Profile
        The chip's.
    refused : str
        Why the chip cannot hold the network; empty where it can.
    fitted : Fitted or None
        The network there, None where it does not fit.
    evaluation : Evaluation or None
        How it classifies.
    estimate : EnergyEstimate or None
        What it costs, over all images.
    metrics : NeuroBenchMetrics or None
        NeuroBench's, of the network as the chip holds it.
    """

    profile: Profile
    refused: str
    fitted: Fitted | None = None
    evaluation: Evaluation | None = None
    estimate: EnergyEstimate | None = None
    metrics: NeuroBenchMetrics | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values; None where there is none."""
        if (
            self.fitted is None
            or self.evaluation is None
            or self.estimate is None
            or self.metrics is None
        ):
            return {
                "fits": False,
                "refused": self.refused,
                "profile": self.profile.id,
                "profile_checksum": self.profile.checksum,
                "unpriced": [],
            } | dict.fromkeys(_ABSENT)
        number_format = self.fitted.profile.number_format()
        return {
            "fits": True,
            "refused": "",
            **self.fitted.as_json(),
            "accuracy": self.evaluation.accuracy,
            "accuracy_ci95": list(self.evaluation.accuracy_ci95),
            "precision": self.evaluation.precision,
            "spikes_per_image": self.evaluation.spikes_per_image,
            "synaptic_operations_per_image": self.evaluation.synaptic_operations_per_image,
            **self.estimate.as_json(),
            "priced_pj_per_correct_image": _ends(
                self.estimate.priced_per_correct_classification_pj(self.evaluation.accuracy)
            ),
            "neurobench": self.metrics.as_json(),
            "footprint": footprint_in_format(self.fitted.network, number_format),
        }


def _ends(bounds: tuple[float, float] | None) -> dict[str, float] | None:
    return bounds and {"lower": bounds[0], "upper": bounds[1]}


@dataclass(frozen=True, eq=False)
class EnergyStudy:
    """A network on many chips, beside itself in floating point.

    Parameters
    ----------
    reference : Evaluation
        The network as it is, on no chip.
    backend_version : str
        Of the simulator it ran on.
    metrics : NeuroBenchMetrics
        NeuroBench's, of the network as it is.
    conventional : ConventionalComparison
        A conventional network of the same sizes, and this one on the same operations.
    chips : mapping of str to ChipResult
        By the id of the profile.
    """

    reference: Evaluation
    backend_version: str
    metrics: NeuroBenchMetrics
    conventional: ConventionalComparison
    chips: Mapping[str, ChipResult]

    @property
    def precisions(self) -> list[Precision]:
        """Arithmetics that were simulated."""
        held = {chip.fitted.network.precision for chip in self.chips.values() if chip.fitted}
        return sorted({"floating", *held})

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "images": self.reference.images,
            "steps": self.reference.steps,
            "backend": self.reference.backend,
            "reference": asdict(self.reference),
            "neurobench": self.metrics.as_json(),
            "conventional": self.conventional.as_json(),
            "profiles": {name: chip.as_json() for name, chip in self.chips.items()},
        }


def study_energy(
    network: Network,
    images: NDArray[np.float32],
    labels: Labels,
    profiles: Sequence[Profile],
    *,
    rounding: Rounding | None = None,
    steps: int = 350,
    backend: str = "native",
    seed: int = 0,
    on_progress: Callable[[str, float, str], None],
) -> EnergyStudy:
    """Fit a network to each chip, show it the images there, and price what happens.

    Parameters
    ----------
    network : Network
        In floating point.
    images : float array, shape (images, height, width)
        Intensities in [0, 1]; the position of an image is the index of its draw.
    labels : int array, shape (images,)
        True classes.
    profiles : sequence of Profile
        Of the chips, each once.
    rounding : Rounding, optional
        How to round to each chip's numbers.
    steps, backend, seed : int, str, int, optional
        As in :func:`neuroattack.deployment.deployment.deploy`.
    on_progress : callable
        Called with what is being done, the fraction of it done, and how it stands.

    Raises
    ------
    ValidationError
        If there is no image or profile, one twice, or a setting is out of range.
    UnsupportedFeatureError
        If the network is in fixed point already.
    """
    if network.precision == "fixed":
        raise UnsupportedFeatureError(
            "the network is in fixed point already: chips are compared on one in floating point"
        )
    if not len(images) or not profiles:
        raise ValidationError("energy", "no image or no profile", "at least one of each")
    names = [profile.id for profile in profiles]
    if len(set(names)) < len(names):
        raise ValidationError("profiles", ", ".join(names), "each id once")

    found: dict[str, ChipResult] = {}
    # Chips that hold the same numbers run the same network: it is simulated once for them.
    alike: dict[str, list[Fitted]] = {}
    for profile in profiles:
        try:
            fitted = fit(network, profile, rounding)
        except (DoesNotFitError, UnsupportedFeatureError) as error:
            found[profile.id] = ChipResult(profile, str(error))
        else:
            alike.setdefault(fitted.network.checksum(), []).append(fitted)

    def run(version: Network, chips: Sequence[Fitted]) -> _Run:
        meters = [ActivityMeter(chip, steps) for chip in chips]
        metrics: list[NeuroBenchMetrics] = []

        def observe(recording: Recording) -> None:
            for meter in meters:
                meter(recording)
            metrics.append(neurobench_metrics(version, recording.spikes or {}))

        name = ", ".join(chip.profile.id for chip in chips) or "floating point"
        with deploy(
            version, backend=backend, steps=steps, seed=seed, expected_images=len(images)
        ) as deployment:
            evaluation = evaluate(
                deployment,
                images,
                labels,
                lambda done, right: on_progress(
                    name, done / len(images), f"{right}/{done} correct"
                ),
                observe=observe,
                record_spikes=True,
            )
            return _Run(
                evaluation,
                NeuroBenchMetrics.concatenate(metrics),
                [chip.estimate(meter.activity) for chip, meter in zip(chips, meters, strict=True)],
                deployment.backend_version,
            )

    alone = run(network, [])
    for chips in alike.values():
        there = run(chips[0].network, chips)
        for chip, estimate in zip(chips, there.estimates, strict=True):
            found[chip.profile.id] = ChipResult(
                chip.profile, "", chip, there.evaluation, estimate, there.metrics
            )
    return EnergyStudy(
        alone.evaluation,
        alone.backend_version,
        alone.metrics,
        compare_conventional(network, alone.evaluation.synaptic_operations_per_image, steps),
        {name: found[name] for name in names},
    )


class _Run(NamedTuple):
    evaluation: Evaluation
    metrics: NeuroBenchMetrics
    estimates: list[EnergyEstimate]
    backend_version: str
