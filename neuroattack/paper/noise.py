"""Noise on training and test images: Table I and Figures 2 to 4."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from neuroattack.datasets.noise import Area, Clipping, Noise, NoiseKind
from neuroattack.experiments.noise import NOISY, NoiseCell, Spiking, study_noise
from neuroattack.paper.published import CLEAN_ACCURACY, CORNER, DELTAS, MIDDLE, TABLE_I
from neuroattack.paper.settings import RECIPE, SOURCE, PaperRun, Study
from neuroattack.statistics import mean_interval
from neuroattack.training.conversion import READOUT_GAIN
from neuroattack.training.recipes import find_recipe

__all__ = ["CLIPPING", "COLLAPSED", "RULES", "SMALL_DELTA", "TEST_DELTA", "WITHIN"]
__all__ += ["collapse", "figure_two", "images", "small_noise", "table_one", "test_noise", "windows"]

RULES: tuple[Clipping, ...] = ("range", "zero", "none")

CLIPPING: dict[NoiseKind, Clipping] = {"normal": "range", "uniform": "zero"}
"""Clipping rule of each noise, chosen after comparing all rules with the paper's results on test
images. Part of the agreement with these results is due to this choice."""

SMALL_DELTA = 0.02
"""Training noise under which the paper reports higher accuracy than without noise."""

TEST_DELTA = 0.08
"""Smallest test noise at which accuracy is compared with the paper."""

WITHIN = 0.06
"""Maximum difference in accuracy from the paper that counts as agreement."""

COLLAPSED = 0.5
"""Accuracy below which training on noise counts as a collapse."""

# Noise magnitude in Figure 4.
_WINDOW_DELTA = 0.3

# Normal training noise at which the paper's network collapses and ours does not, and further decays
# of the fast weights per step that are tested at this noise.
_RETRAINING_DELTA, _FAST_DECAYS = 0.15, (0.05, 0.95)


def _study(run: PaperRun, task: str, noises: Sequence[Noise], **options: Any) -> list[NoiseCell]:
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
        else lambda step, part, state: show(f"{task}: {step.lower()}", part, state),
        **{"modes": NOISY, "spiking": spiking, "seeds": (run.settings.seed,), **options},
    )


def table_one(run: PaperRun) -> Study:
    """Return Table I: every cell with the paper's value.

    The results also contain the DNN under test noise, every clipping rule and training seed of the
    SDBN under test noise, small training noise for several seeds, and one training noise with every
    clipping rule and with other decays of the fast weights.
    """
    noises = [Noise(kind, delta, CLIPPING[kind]) for kind in TABLE_I for delta in DELTAS]
    small = [noise for noise in noises if noise.delta == SMALL_DELTA]
    clipped = [replace(noise, clipping=rule) for noise in noises for rule in RULES]
    retraining_noises = [Noise("normal", _RETRAINING_DELTA, rule) for rule in RULES]
    seeds = range(run.settings.seed, run.settings.seed + run.settings.training_seeds)
    own_decay = find_recipe(RECIPE).layers.parameters.fast_decay
    as_trained = Spiking(run.settings.steps, run.settings.backend, 1.0)
    test, train = {"modes": ("test",)}, {"modes": ("train",)}
    all_cells = _study(run, "Table I", noises)
    of_dnn = _study(run, "Table I, DNN", noises, networks=("dnn",), **test)
    repeated = _study(run, "Small noise", small, seeds=seeds, **train)
    by_rule = _study(run, "Clipping rules", clipped, **test)
    by_seed = _study(run, "Test noise", noises, seeds=seeds, spiking=None, **test)
    by_decay = {own_decay: _study(run, "Clipping in training", retraining_noises, **train)}
    for decay in _FAST_DECAYS:
        noise = retraining_noises[:1]
        options: dict[str, Any] = {"fast_decay": decay, **train}
        by_decay[decay] = _study(run, "Fast weights in training", noise, **options)
    (readout,) = _study(run, "Readout as trained", [], spiking=as_trained, **test)
    dnn = {(cell.noise, cell.mode): cell.accuracy for cell in of_dnn}
    cells = [
        cell.as_json()
        | {"paper_accuracy": _published(cell.noise.kind, cell.mode, cell.noise.delta)}
        | {"dnn_accuracy": dnn.get((cell.noise, cell.mode))}
        for cell in all_cells
        if cell.noise is not None
    ]
    clean = all_cells[0].as_json()
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
            "spiking_accuracy_as_trained": readout.spiking_accuracy,
        },
        "small_noise": small_noise(repeated),
        "test_noise": test_noise(cells, by_rule, by_seed),
        "collapse": collapse(cells, by_decay) | {"fast_decay": own_decay},
    }, {}


def figure_two(run: PaperRun) -> Study:
    """Return Figure 2: the results of Table I that it shows."""
    table, _ = table_one(run)
    kept = ("cells", "clean_accuracy", "paper_clean_accuracy", "clipping", "test_noise")
    return {name: table[name] for name in kept}, {}


def windows(run: PaperRun) -> Study:
    """Return Figure 3: normal test noise in the corner and in the middle.

    The paper gives the window in the middle as (x, y) = ([14 17], [10 14]). With x as the column,
    this is :data:`MIDDLE`. The results also contain the window with x as the row.
    """
    swapped = Area(MIDDLE.left, MIDDLE.top, MIDDLE.width, MIDDLE.height)
    areas = {"corner": CORNER, "middle": MIDDLE, "middle, x as row": swapped}
    names = {area: name for name, area in areas.items()}
    noises = [
        Noise("normal", delta, CLIPPING["normal"], area)
        for area, delta in itertools.product(areas.values(), DELTAS)
    ]
    found = [
        *_study(run, "Noise in a window", noises, modes=("test",)),
        *_study(run, "Noise in a window, DNN", noises, modes=("test",), networks=("dnn",)),
    ]
    curves = []
    for cell in found:
        area = None if cell.noise is None else cell.noise.area
        curves.append({"window": None if area is None else names[area], **cell.as_json()})
    pixels = {name: vars(area) for name, area in areas.items()}
    return {"curves": curves, "areas": pixels, "clean_accuracy": found[0].accuracy}, {}


def images(run: PaperRun) -> Study:
    """Return Figure 4: the first test "five", clean and with noise in either window."""
    test = run.dataset.test
    image = test.images[[int(np.flatnonzero(test.labels == SOURCE)[0])]]
    found = {"clean": image[0]}
    for name, area in (("corner", CORNER), ("middle", MIDDLE)):
        noise = Noise("normal", _WINDOW_DELTA, CLIPPING["normal"], area)
        found[name] = noise.add(image, np.random.default_rng(run.settings.seed))[0]
    return {"noise": "normal", "delta": _WINDOW_DELTA}, dict(found)


def small_noise(cells: Sequence[NoiseCell]) -> list[dict[str, Any]]:
    """Return the change in accuracy due to small training noise, for each kind of noise."""
    clean = {cell.seed: cell for cell in cells if cell.noise is None}
    found = []
    for kind in TABLE_I:
        noisy = _of_kind(cells, kind)
        pairs = [(cell, clean[cell.seed]) for cell in noisy]
        differences = [cell.accuracy - other.accuracy for cell, other in pairs]
        spiking = [
            cell.spiking_accuracy - other.spiking_accuracy
            for cell, other in pairs
            if cell.spiking_accuracy is not None and other.spiking_accuracy is not None
        ]
        found.append(
            {
                "noise": kind,
                "delta": SMALL_DELTA,
                "seeds": [cell.seed for cell in noisy],
                "clean": [other.accuracy for _, other in pairs],
                "noisy": [cell.accuracy for cell in noisy],
                **_mean("difference", differences),
                **_mean("spiking_difference", spiking),
                "paper_difference": _published(kind, "train", SMALL_DELTA) - CLEAN_ACCURACY / 100,
            }
        )
    return found


def _mean(name: str, values: Sequence[float]) -> dict[str, Any]:
    interval = mean_interval(values)
    return {name: float(np.mean(values)), f"{name}_ci95": interval and list(interval)}


def test_noise(
    cells: Sequence[Mapping[str, Any]], by_rule: Sequence[NoiseCell], by_seed: Sequence[NoiseCell]
) -> list[dict[str, Any]]:
    """Return the difference from the paper under test noise, for each kind of noise.

    The results also contain the accuracy under each clipping rule, as rates and spiking, and for
    each training seed.
    """
    found = []
    for kind, columns in TABLE_I.items():
        differences = {
            cell["delta"]: cell["accuracy"] - cell["paper_accuracy"]
            for cell in cells
            if (cell["noise"], cell["mode"]) == (kind, "test") and cell["delta"] >= TEST_DELTA
        }
        farthest = max(differences, key=lambda delta: abs(differences[delta]))
        rules: list[dict[str, Any]] = []
        for rule in RULES:
            column = _of_kind(by_rule, kind, rule)
            rates = [cell.accuracy for cell in column]
            spiking = [cell.spiking_accuracy for cell in column]
            rules.append({"clipping": rule, "rates": rates, "spiking": spiking})
        seeds = [
            {"seed": seed, "rates": [o.accuracy for o in _of_kind(by_seed, kind) if o.seed == seed]}
            for seed in sorted({cell.seed for cell in by_seed})
        ]
        found.append(
            {
                "noise": kind,
                "clipping": CLIPPING[kind],
                "farthest_delta": farthest,
                "farthest": differences[farthest],
                "within_6_points": sorted(d for d, by in differences.items() if abs(by) <= WITHIN),
                "beyond_6_points": sorted(d for d, by in differences.items() if abs(by) > WITHIN),
                "deltas": list(DELTAS),
                "paper": [value / 100 for value in columns["test"]],
                "rules": rules,
                "seeds": seeds,
            }
        )
    return found


def collapse(
    cells: Sequence[Mapping[str, Any]], by_decay: Mapping[float, Sequence[NoiseCell]]
) -> dict[str, Any]:
    """Return the training noise at which accuracy collapses, and the lowest accuracy.

    `by_decay` maps decays of the fast weights to further trainings, of which the first is without
    noise.
    """
    columns = []
    for kind, mode in itertools.product(TABLE_I, ("train", "train+test")):
        column = [cell for cell in cells if (cell["noise"], cell["mode"]) == (kind, mode)]
        lowest = min(column, key=lambda cell: cell["accuracy"])
        paper = [_published(kind, mode, delta) for delta in DELTAS]
        columns.append(
            {
                "noise": kind,
                "mode": mode,
                "delta": _first_collapsed(cell["accuracy"] for cell in column),
                "paper_delta": _first_collapsed(paper),
                "lowest": lowest["accuracy"],
                "lowest_delta": lowest["delta"],
                "paper_lowest": min(paper),
            }
        )
    retrained = [
        {
            "noise": cell.noise.kind,
            "delta": cell.noise.delta,
            "clipping": cell.noise.clipping,
            "fast_decay": decay,
            "accuracy": cell.accuracy,
            "clean_accuracy": of_decay[0].accuracy,
            "paper_accuracy": _published(cell.noise.kind, "train", cell.noise.delta),
        }
        for decay, of_decay in sorted(by_decay.items())
        for cell in of_decay
        if cell.noise is not None
    ]
    return {"below": COLLAPSED, "columns": columns, "retrained": retrained}


def _first_collapsed(accuracies: Iterable[float]) -> float | None:
    """Return the smallest noise with an accuracy below the threshold of a collapse."""
    pairs = zip(DELTAS, accuracies, strict=True)
    return next((delta for delta, accuracy in pairs if accuracy < COLLAPSED), None)


def _published(kind: NoiseKind, mode: Any, delta: float) -> float:
    return TABLE_I[kind][mode][DELTAS.index(delta)] / 100


def _of_kind(
    cells: Iterable[NoiseCell], kind: NoiseKind, rule: Clipping | None = None
) -> list[NoiseCell]:
    noisy = [cell for cell in cells if cell.noise is not None and cell.noise.kind == kind]
    return [cell for cell in noisy if rule in (None, cell.noise and cell.noise.clipping)]
