"""Table I and Figures 2 to 4: noise on all pixels, and in a window."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets.noise import Area, Clipping, Noise, NoiseKind
from neuroattack.experiments.noise import NOISY, NoiseCell, Spiking, study_noise
from neuroattack.paper.attacked import READOUT_GAIN
from neuroattack.paper.published import (
    CLEAN_ACCURACY,
    CORNER,
    DELTAS,
    MIDDLE,
    TABLE_I,
)
from neuroattack.paper.settings import RECIPE, PaperRun
from neuroattack.statistics import mean_interval
from neuroattack.training.recipes import find_recipe

__all__ = [
    "CLIPPING",
    "COLLAPSED",
    "COLLAPSED_TO_CHANCE",
    "WINDOW_DELTA",
    "WITHIN",
    "noisy_images",
    "table_one",
    "window_noise",
]

CLIPPING: dict[NoiseKind, Clipping] = {"normal": "range", "uniform": "zero"}
"""The rule under which test noise acts most as in the paper's columns, chosen after comparing all
with those columns; the others are tried too."""

RULES: tuple[Clipping, ...] = ("range", "zero", "none")

SMALL_DELTA = 0.02
"""The training noise with which the paper finds a higher accuracy than without."""

WINDOW_DELTA = 0.3
"""Magnitude of the noise in Figure 4."""

WITHIN = 0.06
"""Difference of accuracies that counts as near the paper's."""

COLLAPSED = 0.5
"""Accuracy below which training on noise counts as collapsed."""

COLLAPSED_TO_CHANCE = 0.2
"""Accuracy above which a collapse stops short of the paper's, which goes on to guessing."""

RETRIED_DELTA = 0.15
"""Normal training noise under which the paper's network has collapsed and this one has not."""

FAST_DECAYS = (0.05, 0.95)
"""Parts of the fast weights forgotten a step that are tried beside the recipe's."""


def table_one(run: PaperRun) -> dict[str, Any]:
    """Return Table I as JSON values: every cell beside the paper's, and what they show.

    Test noise is classified by the DNN too, under every clipping rule, and by other trainings of
    the SDBN; training with small noise is repeated with further seeds; one training noise under
    every clipping rule, and with fast weights that forget otherwise.
    """
    noises = [Noise(kind, delta, CLIPPING[kind]) for kind in TABLE_I for delta in DELTAS]
    seeds = range(run.settings.seed, run.settings.seed + run.settings.training_seeds)
    whole = _study(run, "Table I", noises)
    of_dnn = _study(run, "Table I, DNN", noises, networks=("dnn",), modes=("test",))
    repeated = _study(
        run,
        "Small noise",
        [noise for noise in noises if noise.delta == SMALL_DELTA],
        modes=("train",),
        seeds=seeds,
    )
    rules = _study(
        run,
        "Clipping rules",
        [replace(noise, clipping=rule) for noise in noises for rule in RULES],
        modes=("test",),
    )
    reseeded = _study(run, "Test noise", noises, modes=("test",), seeds=seeds, spiking=None)
    own_decay = find_recipe(RECIPE).layers.parameters.fast_decay
    retried = {
        own_decay: _study(
            run,
            "Clipping in training",
            [Noise("normal", RETRIED_DELTA, rule) for rule in RULES],
            modes=("train",),
        )
    }
    for decay in FAST_DECAYS:
        retried[decay] = _study(
            run,
            "Fast weights in training",
            [Noise("normal", RETRIED_DELTA, CLIPPING["normal"])],
            modes=("train",),
            fast_decay=decay,
        )
    (as_trained,) = _study(
        run,
        "Readout as trained",
        [],
        modes=("test",),
        spiking=Spiking(run.settings.steps, run.settings.backend, 1.0),
    )
    dnn = {(cell.noise, cell.mode): cell.as_json() for cell in of_dnn}
    cells = []
    for cell in whole:
        if cell.noise is None or cell.mode is None:
            continue
        found = cell.as_json()
        published = TABLE_I[cell.noise.kind][cell.mode][DELTAS.index(cell.noise.delta)]
        of_other = dnn.get((cell.noise, cell.mode))
        found["paper_accuracy"] = published / 100
        found["dnn_accuracy"] = None if of_other is None else of_other["accuracy"]
        cells.append(found)
    clean = whole[0].as_json()
    return {
        "cells": cells,
        "clean_accuracy": clean["accuracy"],
        "clean": clean,
        "clean_dnn": of_dnn[0].as_json(),
        "paper_clean_accuracy": CLEAN_ACCURACY / 100,
        "clipping": CLIPPING,
        "recipe": RECIPE,
        "readout": {
            "gain": READOUT_GAIN[RECIPE],
            "spiking_accuracy_as_trained": _accuracy(as_trained, spiking=True),
        },
        "small_noise": _small_noise(repeated),
        "test_noise": _test_noise(cells, rules, reseeded),
        "collapse": _collapse(cells, retried) | {"fast_decay": own_decay},
    }


def window_noise(run: PaperRun) -> dict[str, Any]:
    """Return Figure 3 as JSON values: normal test noise in the corner, and in the middle.

    The paper gives the window in the middle as (x, y) = ([14 17], [10 14]). Read with x as the
    column it is :data:`MIDDLE`; read with x as the row it is tried too.
    """
    swapped = Area(MIDDLE.left, MIDDLE.top, MIDDLE.width, MIDDLE.height)
    places = {"corner": CORNER, "middle": MIDDLE, "middle, x as row": swapped}
    names = {area: name for name, area in places.items()}
    noises = [
        Noise("normal", delta, CLIPPING["normal"], area)
        for area, delta in itertools.product(places.values(), DELTAS)
    ]
    found = [
        *_study(run, "Noise in a window", noises, modes=("test",)),
        *_study(run, "Noise in a window, DNN", noises, modes=("test",), networks=("dnn",)),
    ]
    curves = []
    for cell in found:
        place = None if cell.noise is None or cell.noise.area is None else names[cell.noise.area]
        curves.append({"place": place, **cell.as_json()})
    return {
        "curves": curves,
        "areas": {name: vars(area) for name, area in places.items()},
        "clean_accuracy": found[0].as_json()["accuracy"],
    }


def noisy_images(run: PaperRun) -> dict[str, NDArray[np.float32]]:
    """Return Figure 4: a test image without noise, with noise in the corner, and in the middle.

    The image is the first test "five".
    """
    test = run.dataset.test
    image = test.images[[int(np.flatnonzero(test.labels == 5)[0])]]
    found = {"clean": image[0]}
    for name, area in (("corner", CORNER), ("middle", MIDDLE)):
        noise = Noise("normal", WINDOW_DELTA, CLIPPING["normal"], area)
        found[name] = noise.add(image, np.random.default_rng(run.settings.seed))[0]
    return found


def _study(run: PaperRun, what: str, noises: list[Noise], **options: Any) -> list[NoiseCell]:
    show = run.on_progress
    spiking = Spiking(run.settings.steps, run.settings.backend, READOUT_GAIN[RECIPE])
    return study_noise(
        run.dataset,
        noises,
        run.folder,
        recipe=RECIPE,
        images=run.settings.images,
        workers=run.workers,
        on_progress=None
        if show is None
        else lambda step, part, state: show(f"{what}: {step.lower()}", part, state),
        **{"modes": NOISY, "spiking": spiking, "seeds": (run.settings.seed,), **options},
    )


def _small_noise(cells: list[NoiseCell]) -> list[dict[str, Any]]:
    """Return, for both kinds, accuracy after small training noise less that after none."""
    clean = {cell.seed: cell for cell in cells if cell.noise is None}
    found = []
    for kind in TABLE_I:
        noisy = [cell for cell in cells if cell.noise is not None and cell.noise.kind == kind]
        differences, in_spikes = [], []
        for cell in noisy:
            other = clean[cell.seed]
            differences.append((cell.correct - other.correct) / cell.images)
            if cell.correct_spiking is not None and other.correct_spiking is not None:
                in_spikes.append((cell.correct_spiking - other.correct_spiking) / cell.images)
        low_high = mean_interval(differences)
        spiking_low_high = mean_interval(in_spikes)
        published = TABLE_I[kind]["train"][DELTAS.index(SMALL_DELTA)]
        found.append(
            {
                "noise": kind,
                "delta": SMALL_DELTA,
                "seeds": [cell.seed for cell in noisy],
                "clean": [clean[cell.seed].correct / cell.images for cell in noisy],
                "noisy": [cell.correct / cell.images for cell in noisy],
                "difference": float(np.mean(differences)),
                "difference_ci95": None if low_high is None else list(low_high),
                "spiking_difference": float(np.mean(in_spikes)),
                "spiking_difference_ci95": None
                if spiking_low_high is None
                else list(spiking_low_high),
                "paper_difference": (published - CLEAN_ACCURACY) / 100,
            }
        )
    return found


def _test_noise(
    cells: list[dict[str, Any]], rules: list[NoiseCell], reseeded: list[NoiseCell]
) -> list[dict[str, Any]]:
    """Return, for both kinds, how far test noise is from the paper.

    Also what it does under each clipping rule, as rates and in spikes, and to other trainings.
    """
    found = []
    for kind, columns in TABLE_I.items():
        shown = [cell for cell in cells if (cell["noise"], cell["mode"]) == (kind, "test")]
        apart = {
            cell["delta"]: cell["accuracy"] - cell["paper_accuracy"]
            for cell in shown
            if cell["delta"] >= 0.08
        }
        farthest = max(apart, key=lambda delta: abs(apart[delta]))
        tried = [
            {
                "clipping": rule,
                "rates": [_accuracy(cell) for cell in of_rule],
                "spiking": [_accuracy(cell, spiking=True) for cell in of_rule],
            }
            for rule in RULES
            for of_rule in [
                [
                    cell
                    for cell in rules
                    if cell.noise is not None
                    and (cell.noise.kind, cell.noise.clipping) == (kind, rule)
                ]
            ]
        ]
        found.append(
            {
                "noise": kind,
                "clipping": CLIPPING[kind],
                "farthest_delta": farthest,
                "farthest": apart[farthest],
                "within_6_points": sorted(d for d, by in apart.items() if abs(by) <= WITHIN),
                "beyond_6_points": sorted(d for d, by in apart.items() if abs(by) > WITHIN),
                "deltas": list(DELTAS),
                "paper": [value / 100 for value in columns["test"]],
                "rules": tried,
                "seeds": [
                    {
                        "seed": seed,
                        "rates": [
                            _accuracy(cell)
                            for cell in reseeded
                            if cell.seed == seed
                            and cell.noise is not None
                            and cell.noise.kind == kind
                        ],
                    }
                    for seed in sorted({cell.seed for cell in reseeded})
                ],
            }
        )
    return found


def _collapse(
    cells: list[dict[str, Any]], retried: Mapping[float, list[NoiseCell]]
) -> dict[str, Any]:
    """Return at which training noise accuracy collapses and how far, here and in the paper.

    Trainings that were tried again come by the part of the fast weights that is forgotten a step.
    """
    found = []
    for kind, columns in TABLE_I.items():
        for mode in ("train", "train+test"):
            of_mode = [c for c in cells if (c["noise"], c["mode"]) == (kind, mode)]
            lowest = min(of_mode, key=lambda cell: cell["accuracy"])
            found.append(
                {
                    "noise": kind,
                    "mode": mode,
                    "delta": _first_below(DELTAS, [cell["accuracy"] for cell in of_mode]),
                    "paper_delta": _first_below(DELTAS, [p / 100 for p in columns[mode]]),
                    "lowest": lowest["accuracy"],
                    "lowest_delta": lowest["delta"],
                    "paper_lowest": min(columns[mode]) / 100,
                }
            )
    return {
        "below": COLLAPSED,
        "columns": found,
        "retried": [
            {
                "noise": cell.noise.kind,
                "delta": cell.noise.delta,
                "clipping": cell.noise.clipping,
                "fast_decay": decay,
                "accuracy": _accuracy(cell),
                "clean_accuracy": _accuracy(of_decay[0]),
                "paper_accuracy": TABLE_I[cell.noise.kind]["train"][DELTAS.index(cell.noise.delta)]
                / 100,
            }
            for decay, of_decay in sorted(retried.items())
            for cell in of_decay
            if cell.noise is not None
        ],
    }


def _first_below(deltas: tuple[float, ...], accuracies: list[float]) -> float | None:
    below = (d for d, accuracy in zip(deltas, accuracies, strict=True) if accuracy < COLLAPSED)
    return next(below, None)


def _accuracy(cell: NoiseCell, *, spiking: bool = False) -> float | None:
    correct = cell.correct_spiking if spiking else cell.correct
    return None if correct is None else correct / cell.images
