"""Made-up results of the paper's items, in the form that the studies return."""

import numpy as np

from neuroattack.attacks.goals import Goal
from neuroattack.datasets.noise import Area, Noise
from neuroattack.datasets.transformations import Transformation
from neuroattack.experiments.noise import NoiseCell
from neuroattack.experiments.transformations.survival import (
    ImageSurvival,
    Survival,
    SurvivalStudy,
    Tally,
)
from neuroattack.paper import noise as study
from neuroattack.paper.adversarial_images import METRICS
from neuroattack.paper.published import (
    ATTACK_CASES,
    CORNER,
    DELTAS,
    MIDDLE,
    TABLE_I,
)
from neuroattack.paper.sample import Sample, attack_figures
from support.population_items import UP, UP_AND_DOWN, attack_of, population, sampling

IMAGES = 1000


def noise_cell(noise, mode, accuracy, seed=0, network="sdbn", images=IMAGES):
    correct = round(accuracy * images)
    spiking = max(correct - 10, 0) if network == "sdbn" else None
    return NoiseCell(network, mode, noise, seed, images, correct, spiking)


def table_one(difference=0.01, gains=(0.004, 0.005, 0.006)):
    """Return Table I with given differences from the paper and gains from small noise."""
    noises = [Noise(kind, delta, study.CLIPPING[kind]) for kind in TABLE_I for delta in DELTAS]
    published = {
        (noise, mode): TABLE_I[noise.kind][mode][DELTAS.index(noise.delta)] / 100
        for noise in noises
        for mode in ("train", "test", "train+test")
    }
    cells = []
    for (noise, mode), paper in published.items():
        cell = noise_cell(noise, mode, min(paper + difference, 1)).as_json()
        cells.append(
            cell | {"paper_accuracy": paper, "dnn_accuracy": 0.5 if mode == "test" else None}
        )
    rules = [
        noise_cell(Noise(noise.kind, noise.delta, rule), "test", 0.9 * published[noise, "test"])
        for noise in noises
        for rule in study.RULES
    ]
    seeds = range(len(gains))
    reseeded = [
        noise_cell(noise, "test", min(published[noise, "test"] + 0.01 * seed, 1), seed)
        for seed in seeds
        for noise in noises
    ]
    repeated = [noise_cell(None, None, 0.96, seed) for seed in seeds]
    repeated += [
        noise_cell(noise, "train", 0.96 + gain, seed)
        for noise in noises
        if noise.delta == study.SMALL_DELTA
        for seed, gain in enumerate(gains)
    ]
    clean_cell = noise_cell(None, None, 0.96)
    retrained = {
        0.5: [
            clean_cell,
            *(
                noise_cell(Noise("normal", 0.15, rule), "train", accuracy)
                for rule, accuracy in zip(study.RULES, (0.9, 0.2, 0.8), strict=True)
            ),
        ]
    }
    for decay, accuracy in ((0.05, 0.1), (0.95, 0.95)):
        noise = Noise("normal", 0.15, study.CLIPPING["normal"])
        retrained[decay] = [clean_cell, noise_cell(noise, "train", accuracy)]
    clean = clean_cell.as_json()
    return {
        "cells": cells,
        "clean_accuracy": clean["accuracy"],
        "clean": clean,
        "clean_dnn": noise_cell(None, None, 0.98, network="dnn").as_json(),
        "paper_clean_accuracy": 0.962,
        "clipping": study.CLIPPING,
        "recipe": "paper",
        "readout": {"gain": 5.0, "spiking_accuracy_as_trained": 0.9},
        "small_noise": study.small_noise(repeated),
        "test_noise": study.test_noise(cells, rules, reseeded),
        "collapse": study.collapse(cells, retrained) | {"fast_decay": 0.5},
    }


def window_noise(corner=0.95, middle=0.8):
    """Return Figure 3 with the given accuracies in the two windows at every delta."""
    windows = {
        "corner": (CORNER, corner),
        "middle": (MIDDLE, middle),
        "middle, x as row": (Area(13, 9, 4, 5), middle),
    }
    curves = []
    for network in ("sdbn", "dnn"):
        curves.append({"window": None, **noise_cell(None, None, 0.96, network=network).as_json()})
        curves += [
            {
                "window": window,
                **noise_cell(
                    Noise("normal", delta, "range", area), "test", accuracy, network=network
                ).as_json(),
            }
            for window, (area, accuracy) in windows.items()
            for delta in DELTAS
        ]
    areas = {window: vars(area) for window, (area, _) in windows.items()}
    return {"curves": curves, "areas": areas, "clean_accuracy": 0.96}


def attack_table(network, histories):
    """Return Table II or III with the given values of P(target) per case."""
    attacks = {
        case: attack_of(history) for case, history in zip(["I", "II"], histories, strict=True)
    }
    windows = {case: {"top": 10, "left": 10, "size": size} for case, size in ATTACK_CASES.items()}
    return attack_figures(network, Sample(15, 0.1, (0.1,) * 10), windows, attacks)


def table_two():
    return attack_table("dnn", (UP, UP))


def table_three():
    others = {
        name: attack_table(name, (UP, UP_AND_DOWN)) for name in ("sdbn-exact", "sdbn-fine-tuned")
    }
    return attack_table("sdbn", (UP_AND_DOWN, UP_AND_DOWN)) | {"other_networks": others}


def transformations(before=8, after=6):
    """Return survival of ten images, with given misclassifications in ten trials each."""
    kinds = [Transformation("none", "none"), Transformation("jpeg-50", "jpeg", 50)]
    images = tuple(
        ImageSurvival(
            index,
            Goal(5, 3),
            0.1 * index,
            Tally(10, after, after if index else 0, 10 - after),
            Tally(10, 0, 1, 9),
            Tally(10, before, before, 10 - before),
        )
        for index in range(10)
    )
    study = SurvivalStudy(10, 0, tuple(Survival(kind, images, 4) for kind in kinds)).as_json()
    networks = dict.fromkeys(("sdbn", "sdbn-exact", "dnn"), study)
    return {"networks": networks, "trials": 10, "pairs": "five-three"}


def imperceptibility():
    points = {"q05": 1.0, "q25": 2.0, "q50": 3.0, "q75": 4.0, "q95": 5.0}
    quantiles = dict.fromkeys(METRICS, points) | {"local_sd_distance": None}
    about = {"pairs": "five-three", "images": 40, "successful": 0, "successful_only": None}
    groups = [
        {"network": network, "case": case, **about, "all": quantiles}
        for network in ("sdbn", "dnn")
        for case in ATTACK_CASES
    ]
    groups[0] |= {"successful": 3, "successful_only": quantiles}
    return {"groups": groups, "metrics": list(METRICS)}


def small_figures():
    """Return Figures 6 to 9."""
    probabilities = attack_of(UP)["spike_fractions"]
    stages = dict(zip(("initial", "intermediate", "final"), probabilities[1:], strict=True))
    paper = {stage: {"p_max_class": 0.6, "p_target": 0.3} for stage in stages}
    where = {stage: {"iteration": i, "distance": 2.5 * i} for i, stage in enumerate(stages)}
    windows = {case: {"top": 10, "left": 9, "size": side} for case, side in ATTACK_CASES.items()}
    return {
        "figure6": {"sample_index": 15, "windows": windows},
        "figure7": {
            "cases": dict.fromkeys(ATTACK_CASES, stages),
            "paper": dict.fromkeys(ATTACK_CASES, paper),
        },
        "figure8": {"cases": dict.fromkeys(ATTACK_CASES, where), "sample_index": 15},
        "figure9": {
            "sample_index": 15,
            "spike_fractions": probabilities[1],
            "trials": 20,
            "paper": {"p_max_class": 0.8269, "p_target": 0.0764},
        },
    }


def all_items():
    """Return all items, in the order of the paper, with their images."""
    table, small = table_one(), small_figures()
    kept = ("cells", "clean_accuracy", "paper_clean_accuracy", "clipping", "test_noise")
    items = {
        "table1": table,
        "figure2": {name: table[name] for name in kept},
        "figure3": window_noise(),
        "figure4": {"noise": "normal", "delta": 0.3},
        "table2": table_two(),
        "table3": table_three(),
        **small,
        "population": population(),
        "sampling": sampling(),
        "transformations": transformations(),
        "imperceptibility": imperceptibility(),
    }
    pixels = np.random.default_rng(0).random((28, 28))
    names = ["figure4/clean", "figure4/corner", "figure4/middle", "figure6/sample"]
    names += [
        f"figure8/{case}-{stage}"
        for case in ATTACK_CASES
        for stage in small["figure8"]["cases"]["I"]
    ]
    return {
        item: (
            {"item": item, "dataset": "digits", "seed": 0, **found},
            {name.partition("/")[2]: pixels for name in names if name.partition("/")[0] == item},
        )
        for item, found in items.items()
    }


ORIGIN = {"Command": "neuroattack paper all", "Data set": "digits", "Time of this run": "3725.0 s"}
