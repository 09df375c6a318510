"""Compare backends with the reference dynamics on the same images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets import Labels
from neuroattack.deployment.backend import Recording
from neuroattack.deployment.deployment import EVALUATION_STREAM, check_settings
from neuroattack.encoding.images import validate_images
from neuroattack.encoding.readout import decide
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import SimulationError, UnsupportedFeatureError, ValidationError
from neuroattack.experiments.comparison.backend_run import BackendRun, run_backend
from neuroattack.experiments.divergence.difference import differing_events
from neuroattack.hardware.quantization.quantization import Quantized, fixed_format, quantize
from neuroattack.ir.dynamics import simulate_with_potentials
from neuroattack.ir.network import INPUT, Network, Precision
from neuroattack.memory import check_memory
from neuroattack.statistics import wilson_interval

if TYPE_CHECKING:
    # Imported at run time only for a profile, because reading one imports pydantic.
    from neuroattack.hardware.fitting import Fitted

__all__ = ["BackendComparison", "Comparison", "compare"]


@dataclass(frozen=True)
class BackendComparison:
    """Comparison of one backend with the reference dynamics.

    Parameters
    ----------
    backend, backend_version : str
        Registered name, and version of the simulator.
    precision : {"floating", "fixed"}
        Arithmetic of the network.
    network_checksum : str
        SHA-256 of the network in this arithmetic.
    differing_spikes, differing_counts : int
        Number of spikes present in only one of the two, and of different counts, over all
        populations.
    differing_potentials : int or None
        Number of different output potentials; None if the output is spike counts.
    differing_spikes_in, differing_counts_in : dict of str to int
        Differing spikes and counts of each population, including ``"input"`` if it spikes.
    first_difference : dict or None
        ``"population"``, ``"image"``, ``"step"`` and ``"neuron"`` of the first different spike;
        populations are in network order, the input first.
    class_agreement : float
        Fraction of the images with the same predicted class.
    accuracy, accuracy_ci95 : float, (float, float)
        Fraction of the images classified correctly, and its 95 % Wilson interval.
    images_per_s, setup_s, peak_rss_mib : float
        As in :class:`neuroattack.experiments.comparison.backend_run.BackendRun`.
    """

    backend: str
    backend_version: str
    precision: Precision
    network_checksum: str
    differing_spikes: int
    differing_counts: int
    differing_potentials: int | None
    differing_spikes_in: dict[str, int]
    differing_counts_in: dict[str, int]
    first_difference: dict[str, str | int] | None
    class_agreement: float
    accuracy: float
    accuracy_ci95: tuple[float, float]
    images_per_s: float
    setup_s: float
    peak_rss_mib: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Results of a comparison.

    Parameters
    ----------
    images, steps, seed : int
        Number of images, number of time steps per image, and random seed.
    backends : dict of str to BackendComparison
        Comparisons by backend name, with the suffix ``-fixed`` in fixed point.
    refused, failed : dict of str to str
        Error message by name, for backends that do not support the network or that failed.
    fixed_point : dict or None
        Effect of rounding in the reference dynamics, if both precisions were compared: accuracies,
        correlation and equality of output counts, agreement of classes, and the rounding of each
        population and projection.
    rasters : dict of str to SpikeTrains
        Spikes of one population for the first image, by backend name; the reference dynamics are
        ``"dynamics"`` and ``"dynamics-fixed"``.
    raster_population : str
        Population of the rasters: the last hidden population, or the readout without one.
    """

    images: int
    steps: int
    seed: int
    backends: dict[str, BackendComparison]
    refused: dict[str, str]
    failed: dict[str, str]
    fixed_point: dict[str, Any] | None
    rasters: dict[str, SpikeTrains] = field(repr=False)
    raster_population: str

    @property
    def agree(self) -> bool:
        """Whether no backend failed and none differs from the reference.

        Spikes, counts and output potentials are compared.
        """
        return not self.failed and not any(
            each.differing_spikes or each.differing_counts or each.differing_potentials
            for each in self.backends.values()
        )

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        names = ("images", "steps", "seed", "agree", "refused", "failed", "fixed_point")
        backends = {name: asdict(each) for name, each in self.backends.items()}
        return {name: getattr(self, name) for name in names} | {"backends": backends}


@dataclass(frozen=True, eq=False)
class _Reference:
    """Spikes of the reference dynamics, and output potentials if they are the network's output."""

    input_counts: NDArray[np.int32]
    spikes: dict[str, SpikeTrains]
    potentials: NDArray[np.float64] | None

    @property
    def recording(self) -> Recording:
        counts = {name: each.counts() for name, each in self.spikes.items()}
        return Recording({INPUT: self.input_counts, **counts}, self.spikes)

    def outputs(self, readout: str) -> NDArray[np.int32] | NDArray[np.float64]:
        return self.spikes[readout].counts() if self.potentials is None else self.potentials


def compare(
    network: Network,
    images: NDArray[np.float32],
    labels: Labels,
    *,
    backends: Sequence[str],
    precisions: Sequence[Precision] = ("floating", "fixed"),
    fitted: Fitted | None = None,
    steps: int = 100,
    seed: int = 0,
    on_progress: Callable[[str, float, str], None],
    observe: Callable[[Recording], None] | None = None,
) -> Comparison:
    """Run backends on the same input, and compare each with the reference dynamics.

    `observe` is called with the activity of the `fitted` network in the reference dynamics, from
    which the energy of a chip can be estimated.
    """
    if not backends or not len(images):
        raise ValidationError("compare", "no backend or no image", "at least one of each")
    for name in backends:
        check_settings(name, steps, seed)
    versions, rounding, refused = _versions(network, precisions, fitted)
    references = {
        suffix: _reference(version, images, steps, seed, partial(on_progress, f"dynamics{suffix}"))
        for suffix, version in versions.items()
    }
    if fitted is not None and observe is not None:
        # The fitted network has the suffix of the profile, unless it was in fixed point before.
        chip = f"-{fitted.profile.id}"
        observe(references[chip if chip in references else "-fixed"].recording)
    hidden = [p.name for p in network.populations if p.name != network.readout]
    population = hidden[-1] if hidden else network.readout
    compared: dict[str, BackendComparison] = {}
    failed: dict[str, str] = {}
    rasters = {
        f"dynamics{suffix}": reference.spikes[population][:1]
        for suffix, reference in references.items()
    }
    for backend in backends:
        for suffix, version in versions.items():
            name = f"{backend}{suffix}"
            on_progress(name, 0.0, "")
            try:
                run = run_backend(version, images, backend=backend, steps=steps, seed=seed)
            except UnsupportedFeatureError as error:
                refused[name] = str(error)
            except SimulationError as error:
                failed[name] = str(error)
            else:
                compared[name] = _comparison(backend, version, run, references[suffix], labels)
                rasters[name] = _spikes(run)[population][:1]
            on_progress(name, 1.0, "")
    if failed and not compared:
        raise SimulationError("; ".join(failed.values()))
    if not compared:
        raise UnsupportedFeatureError("; ".join(refused.values()))
    fixed_point = None
    if rounding is not None and len(references) == 2:
        floating, fixed = (each.outputs(network.readout) for each in references.values())
        fixed_point = {
            "numbers": "Loihi's fixed point" if fitted is None else fitted.profile.name,
            **_rounding_effect(floating, fixed, labels),
            **rounding.roundings_as_json(),
        }
    return Comparison(
        len(images), steps, seed, compared, refused, failed, fixed_point, rasters, population
    )


def _rounding_effect(
    floating: NDArray[Any], fixed: NDArray[Any], labels: Labels
) -> dict[str, float | None]:
    """Compare outputs, shape (images, classes), before and after rounding."""
    decided = decide(floating), decide(fixed)
    before, after = (float((classes == labels).mean()) for classes in decided)
    varies = floating.std() > 0 and fixed.std() > 0
    correlation = float(np.corrcoef(floating.ravel(), fixed.ravel())[0, 1]) if varies else None
    return {
        "accuracy_floating": before,
        "accuracy_fixed": after,
        "accuracy_drop": before - after,
        "count_correlation": correlation,
        "equal_counts": float((floating == fixed).mean()),
        "class_agreement": float((decided[0] == decided[1]).mean()),
    }


def _versions(
    network: Network, precisions: Sequence[Precision], fitted: Fitted | None
) -> tuple[dict[str, Network], Quantized | None, dict[str, str]]:
    """Return the network in each arithmetic, by name suffix, and the rounding if any.

    The third value is the reason by suffix, if the network is not supported in fixed point but
    compared in floating point.
    """
    if network.precision == "fixed":
        if "fixed" not in precisions:
            raise ValidationError(
                "precision", "'floating'", "'fixed', the precision of the network"
            )
        return {"-fixed": network}, None, {}
    versions = {"": network} if "floating" in precisions else {}
    if "fixed" not in precisions:
        return versions, None, {}
    if fitted is not None:
        return versions | {f"-{fitted.profile.id}": fitted.network}, fitted.quantized, {}
    try:
        rounding = quantize(network, fixed_format())
    except UnsupportedFeatureError as error:
        if not versions:
            raise
        return versions, None, {"fixed": str(error)}
    return versions | {"-fixed": rounding.network}, rounding, {}


def _reference(
    network: Network,
    images: NDArray[np.float32],
    steps: int,
    seed: int,
    on_progress: Callable[[float, str], None],
) -> _Reference:
    rows = validate_images(images, network.input.sample_shape(steps))
    parts: dict[str, list[SpikeTrains]] = {}
    input_counts, potentials = [], []
    held_bytes = 0
    for index in range(len(rows)):
        inputs = network.input.encoder.encode(
            rows[index : index + 1],
            indices=np.array([index]),
            steps=steps,
            dt_s=network.dt_s,
            seed=seed,
            stream=EVALUATION_STREAM,
        )
        input_counts.append(inputs.counts())
        dense = inputs.to_dense()[0]
        spikes, course = simulate_with_potentials(network, dense)
        for name, raster in spikes.items():
            parts.setdefault(name, []).append(SpikeTrains.from_dense(raster[None]))
        held_bytes += sum(trains[-1].nbytes for trains in parts.values())
        check_memory(
            f"comparing the spikes of {len(rows):,} images",
            # Those of the remaining images, and all of them a second time to join them.
            held_bytes / (index + 1) * (2 * len(rows) - index - 1),
            "compare fewer images or time steps",
        )
        if network.readout_quantity == "final_potential":
            potentials.append(course[-1])
        elif network.readout_quantity == "max_potential":
            potentials.append(course.max(axis=0))
        on_progress((index + 1) / len(rows), "")
    return _Reference(
        np.concatenate(input_counts),
        {name: SpikeTrains.concatenate(trains) for name, trains in parts.items()},
        np.array(potentials) if potentials else None,
    )


def _spikes(run: BackendRun) -> Mapping[str, SpikeTrains]:
    return run.recording.spikes or {}


def _comparison(
    backend: str,
    network: Network,
    run: BackendRun,
    reference: _Reference,
    labels: Labels,
) -> BackendComparison:
    spikes_in, counts_in = {}, {}
    first: dict[str, str | int] | None = None
    for name, expected in reference.spikes.items():
        differing = differing_events(_spikes(run)[name], expected)
        spikes_in[name] = len(differing)
        if len(differing) and first is None:
            image, step, neuron = map(int, differing[0])
            first = {"population": name, "image": image, "step": step, "neuron": neuron}
        counts = expected.counts()
        wrong = run.recording.counts[name] != counts
        counts_in[name] = int((wrong | (run.recorded_counts[name] != counts)).sum())
    decided = decide(run.recording.outputs(network.readout))
    correct = int((decided == labels).sum())
    return BackendComparison(
        backend=backend,
        backend_version=run.backend_version,
        precision=network.precision,
        network_checksum=network.checksum(),
        differing_spikes=sum(spikes_in.values()),
        differing_counts=sum(counts_in.values()),
        differing_potentials=_differing_potentials(run, reference.potentials),
        differing_spikes_in=spikes_in,
        differing_counts_in=counts_in,
        first_difference=first,
        class_agreement=float((decided == decide(reference.outputs(network.readout))).mean()),
        accuracy=correct / len(labels),
        accuracy_ci95=wilson_interval(correct, len(labels)),
        images_per_s=run.images_per_s,
        setup_s=run.setup_s,
        peak_rss_mib=run.peak_rss_mib,
    )


def _differing_potentials(run: BackendRun, expected: NDArray[np.float64] | None) -> int | None:
    if expected is None:
        return None
    wrong = np.zeros(expected.shape, np.bool_)
    for found in (run.recording.potentials, run.recorded_potentials):
        wrong |= True if found is None else found != expected
    return int(wrong.sum())
