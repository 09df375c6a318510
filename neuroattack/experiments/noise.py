"""Accuracy of networks with noise on training or test images (Section III of the paper)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets import Dataset, Labels
from neuroattack.datasets.noise import Noise
from neuroattack.deployment.deployment import check_settings, deploy
from neuroattack.encoding.encoders import RateEncoder, highest_rate_hz
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.experiments.engine.cells import Cell
from neuroattack.experiments.engine.running import run_cells
from neuroattack.experiments.evaluation import evaluate
from neuroattack.experiments.model_cells import (
    NetworkKind,
    dataset_of_cell,
    keep_model,
    model_of_cell,
    training_cell,
)
from neuroattack.ir.network import Input, Network
from neuroattack.statistics import wilson_interval
from neuroattack.training.conversion import convert, readout_gain_of
from neuroattack.training.recipes import find_recipe
from neuroattack.validation import check_positive

__all__ = [
    "NOISY",
    "NoiseCell",
    "Noisy",
    "Spiking",
    "measure_noise",
    "noise_cell",
    "spiking_settings",
    "study_noise",
    "widened",
]

Noisy = Literal["train", "test", "train+test"]

NOISY: tuple[Noisy, ...] = get_args(Noisy)
"""Noisy images: training images, test images, or both."""

# Seconds on one core for 10,000 images, for the estimate of the remaining time.
_RATES_COST, _SPIKING_COST = 2.0, 10.0

_TEST_NOISE_STREAM = 2


@dataclass(frozen=True)
class Spiking:
    """Settings for running an SDBN as a spiking network.

    Parameters
    ----------
    steps : int
        Number of time steps T per image.
    backend : str
        Backend.
    readout_gain : float or None
        As in :func:`neuroattack.training.conversion.convert`; None for that of the model's recipe.

    Raises
    ------
    ValidationError
        If a value is out of range.
    UnknownNameError, BackendUnavailableError
        If the backend is unknown or not available.
    """

    steps: int = 350
    backend: str = "native"
    readout_gain: float | None = None

    def __post_init__(self) -> None:
        check_settings(self.backend, self.steps, 0)
        if self.readout_gain is not None:
            check_positive("readout gain", self.readout_gain)


@dataclass(frozen=True)
class NoiseCell:
    """Accuracy under one noise condition.

    Parameters
    ----------
    network : {"sdbn", "dnn"}
        Kind of network.
    mode : {"train", "test", "train+test"} or None
        Noisy images; None without noise.
    noise : Noise or None
        Added noise.
    seed : int
        Random seed of training, noise and input spikes.
    images : int
        Number of test images.
    correct : int
        Number classified correctly, for an SDBN with rates.
    correct_spiking : int or None
        Number classified correctly by the spiking network; None if it was not run.
    """

    network: NetworkKind
    mode: Noisy | None
    noise: Noise | None
    seed: int
    images: int
    correct: int
    correct_spiking: int | None

    @property
    def accuracy(self) -> float:
        """Fraction classified correctly, for an SDBN with rates."""
        return self.correct / self.images

    @property
    def spiking_accuracy(self) -> float | None:
        """Fraction classified correctly by the spiking network."""
        return None if self.correct_spiking is None else self.correct_spiking / self.images

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values, with 95 % Wilson intervals."""
        spiking = self.correct_spiking
        return {
            "network": self.network,
            "noise": None if self.noise is None else self.noise.kind,
            "delta": 0.0 if self.noise is None else self.noise.delta,
            "clipping": None if self.noise is None else self.noise.clipping,
            "mode": self.mode,
            "accuracy": self.accuracy,
            "accuracy_ci95": list(wilson_interval(self.correct, self.images)),
            "spiking_accuracy": self.spiking_accuracy,
            "spiking_ci95": None
            if spiking is None
            else list(wilson_interval(spiking, self.images)),
            "images": self.images,
            "seed": self.seed,
        }


def spiking_settings(spiking: Spiking | None) -> dict[str, Any] | None:
    """Return the settings as an argument of a cell."""
    return None if spiking is None else dict(vars(spiking))


def study_noise(
    dataset: Dataset,
    noises: Sequence[Noise],
    folder: Path,
    *,
    modes: Sequence[Noisy] = NOISY,
    networks: Sequence[NetworkKind] = ("sdbn",),
    models: Mapping[NetworkKind, Path] | None = None,
    recipe: str = "paper",
    fast_decay: float | None = None,
    spiking: Spiking | None = None,
    images: int | None = None,
    seeds: Sequence[int] = (0,),
    workers: int | None = None,
    on_progress: Callable[[str, float, str], None] | None = None,
) -> list[NoiseCell]:
    """Measure accuracy with each noise, and without noise (first for each network and seed).

    Finished cells and trained models are stored in `folder`; the same call resumes an interrupted
    study.
    """
    find_recipe(recipe)
    shape = (dataset.test.images.shape[1], dataset.test.images.shape[2])
    for area in {noise.area for noise in noises}:
        if area is not None:
            area.mask(shape)
    dataset.test.first(images)
    given = {kind: keep_model(path, kind, folder) for kind, path in (models or {}).items()}

    def progress_of(stage: str) -> Callable[[float, str], None] | None:
        if on_progress is None:
            return None
        return lambda fraction, state: on_progress(stage, fraction, state)

    noisy_training = {"train", "train+test"} & set(modes)
    trainings: dict[tuple[NetworkKind, int, Noise | None], Cell] = {}
    for kind, seed in itertools.product(networks, seeds):
        if kind not in given:
            trainings[kind, seed, None] = training_cell(
                kind, dataset, seed=seed, recipe=recipe, fast_decay=fast_decay
            )
        for added in noises if noisy_training else ():
            trainings[kind, seed, added] = training_cell(
                kind, dataset, seed=seed, recipe=recipe, noise=added, fast_decay=fast_decay
            )
    trained = run_cells(
        folder, list(trainings.values()), workers=workers, on_progress=progress_of("Training")
    )
    files = {key: result["model"] for key, result in zip(trainings, trained, strict=True)}
    files |= {(kind, seed, None): file for kind, file in given.items() for seed in seeds}

    plan: list[tuple[NetworkKind, int, Noisy | None, Noise | None, Cell]] = []
    conditions: list[tuple[Noisy | None, Noise | None]] = [(None, None)]
    conditions += itertools.product(modes, noises)
    for kind, seed in itertools.product(networks, seeds):
        for mode, noise in conditions:
            cell = noise_cell(
                files[kind, seed, noise if mode in noisy_training else None],
                kind,
                None if mode == "train" else noise,
                dataset,
                images=images,
                seed=seed,
                spiking=spiking if kind == "sdbn" else None,
            )
            plan.append((kind, seed, mode, noise, cell))
    # Modes that test the same model on clean images share a cell.
    distinct = {cell.key: cell for *_, cell in plan}
    results = run_cells(
        folder, list(distinct.values()), workers=workers, on_progress=progress_of("Classifying")
    )
    counts = dict(zip(distinct, results, strict=True))
    return [
        NoiseCell(
            kind,
            mode,
            noise,
            seed,
            counts[cell.key]["images"],
            counts[cell.key]["correct"],
            counts[cell.key]["correct_spiking"],
        )
        for kind, seed, mode, noise, cell in plan
    ]


def noise_cell(
    model: str,
    kind: NetworkKind,
    noise: Noise | None,
    dataset: Dataset,
    *,
    images: int | None,
    seed: int,
    spiking: Spiking | None,
) -> Cell:
    """Return the cell of :func:`measure_noise` for a model of the folder."""
    label = "clean" if noise is None else f"{noise.kind}-{noise.delta:g}"
    return Cell(
        f"test-{kind}-{seed}-{label}",
        measure_noise,
        {
            "model": model,
            "kind": kind,
            "noise": None if noise is None else noise.as_json(),
            "dataset": dataset.name,
            "checksum": dataset.checksum,
            "images": images,
            "seed": seed,
            "spiking": spiking_settings(spiking),
        },
        _RATES_COST + (_SPIKING_COST if spiking else 0.0),
    )


def measure_noise(
    *,
    model: str,
    kind: NetworkKind,
    noise: Mapping[str, Any] | None,
    dataset: str,
    checksum: str,
    images: int | None,
    seed: int,
    spiking: Mapping[str, Any] | None,
    folder: Path,
) -> dict[str, Any]:
    """Classify test images with a model of the folder; see :func:`noise_cell`."""
    test = dataset_of_cell(dataset, checksum).test.first(images)
    pixels = test.images
    if noise is not None:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_TEST_NOISE_STREAM,)))
        pixels = Noise.from_json(noise).add(pixels, rng)
    network = model_of_cell(folder / model, kind)
    decided = network.outputs(pixels.reshape(len(pixels), -1)).argmax(axis=1)
    return {
        "images": len(pixels),
        "correct": int(np.count_nonzero(decided == test.labels)),
        "correct_spiking": None
        if spiking is None
        else _correct_in_spikes(network, pixels, test.labels, seed, Spiking(**spiking)),
    }


def _correct_in_spikes(
    model: Any,
    pixels: NDArray[np.float32],
    labels: Labels,
    seed: int,
    spiking: Spiking,
) -> int:
    given = spiking.readout_gain
    gain = readout_gain_of(model) if given is None else given
    network, scale = widened(convert(model, readout_gain=gain).network)
    # Rates are limited to between 0 and one spike per time step.
    intensities = np.clip(pixels.astype(np.float64) / scale, 0.0, 1.0)
    with deploy(
        network,
        backend=spiking.backend,
        steps=spiking.steps,
        seed=seed,
        expected_images=len(intensities),
    ) as deployment:
        evaluation = evaluate(deployment, intensities, labels)
    return round(evaluation.accuracy * evaluation.images)


def widened(network: Network) -> tuple[Network, float]:
    """Return the network with an input range up to one spike per time step, and the rate ratio.

    The ratio is that of the new to the former maximum rate. Intensities divided by it give the same
    rates as before, and intensities above 1, which result from noise, are not clipped.
    """
    encoder = network.input.encoder
    if not isinstance(encoder, RateEncoder):
        raise UnsupportedFeatureError(
            f"noise outside [0, 1]: got a {encoder.kind} encoder, expected a rate encoder"
        )
    highest_hz = highest_rate_hz(network.dt_s)
    wide = replace(
        network, input=Input(network.input.shape, replace(encoder, max_rate_hz=highest_hz))
    )
    return wide, highest_hz / encoder.max_rate_hz
