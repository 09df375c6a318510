"""Section ``attack``: the query of one attack iteration, and whole attacks as in the paper.

An iteration of Algorithm 1 queries 99 images one pixel apart: one image, and the same image with
each of 49 pixels increased and decreased. Such a query is timed on one core, with independent and
with shared randomness, and compared with 99 images of a data set. Whole attacks run on all cores.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry import Figures, Options, Table, section
from benchmarks.rounds import seconds, stated
from benchmarks.workload import Workload, check_recording, make_workload
from benchmarks.writing import with_spread
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.perception import Window
from neuroattack.attacks.result import verify
from neuroattack.backends.native import NativeBackend
from neuroattack.datasets import load_dataset
from neuroattack.deployment.deployment import Deployment, deploy
from neuroattack.targets.black_box import BlackBox

__all__ = ["measure_attack"]

_IMAGES = 99
_SIDE = 7
_DELTA = 0.1
_MAX_DISTANCE = 22.0
_LABEL, _TARGET_CLASS = 5, 3
_VERIFICATION_TRIALS = 50
_CHECKED_IMAGES = 2


def _tables(figures: Figures) -> list[Table]:
    query = [
        [
            "speed-up over unrelated images, shared randomness",
            with_spread(figures, "crn_speedup", " x"),
        ],
        [
            "speed-up over unrelated images, independent randomness",
            with_spread(figures, "independent_ratio", " x"),
        ],
        ["encoder's fraction of the time", with_spread(figures, "encoder_share")],
        [
            "encoder's fraction, shared randomness",
            with_spread(figures, "encoder_share_common"),
        ],
        *(
            [f"images per second, {name}", with_spread(found, "images_per_s")]
            for name, found in figures["queries"].items()
        ),
    ]
    paper = [
        [
            randomness,
            with_spread(figures, f"{key}_s", " s"),
            with_spread(figures, f"{key}_search_s", " s"),
            with_spread(figures, f"{key}_verification_s", " s"),
            ", ".join(str(sample["iterations"]) for sample in figures[key]),
            ", ".join(str(sample["queries"]) for sample in figures[key]),
        ]
        for randomness, key in (
            ("independent", "paper_attack"),
            ("shared", "paper_attack_common"),
        )
    ]
    return [
        Table(
            f"A query of {_IMAGES} images one pixel apart, T = {figures['steps']}, one core; "
            f"median (lowest to highest of {figures['rounds']} rounds)",
            ("", ""),
            [
                *query,
                ["network", figures["network"]],
                [
                    "checked",
                    f"counts of {_CHECKED_IMAGES} images against the reference dynamics, with "
                    "independent and shared randomness",
                ],
            ],
        ),
        Table(
            f"An attack as in the paper: N = {_SIDE}, M = 10, delta = {_DELTA}, D_max = "
            f"{_MAX_DISTANCE:g}, T = {figures['steps']}, class 5 to class 3, all cores; median "
            "(lowest to highest image)",
            (
                "randomness",
                "total",
                "search",
                f"{_VERIFICATION_TRIALS} fresh trials",
                "iterations",
                "search queries",
            ),
            paper,
        ),
    ]


@section("attack", _tables)
def measure_attack(options: Options) -> Figures:
    """Measure the query of an iteration, and whole attacks."""
    steps = 50 if options.quick else 350
    workload = make_workload(options, images=_IMAGES, steps=steps)
    test = load_dataset(options.dataset).test
    fives = np.flatnonzero(test.labels == _LABEL)
    options.say("timing the query of an attack iteration")
    # An image with a typical number of spikes.
    brightness = test.images[fives].mean(axis=(1, 2))
    typical = fives[np.argmin(np.abs(brightness - workload.images.mean()))]
    return {
        "network": workload.origin,
        "network_checksum": workload.network.checksum(),
        "dataset": workload.dataset,
        "steps": steps,
        **_measure_queries(workload, test.images[typical].astype(np.float64), options),
        **_measure_attacks(workload, test.images, fives[: 1 if options.quick else 7], options),
    }


def _one_pixel_apart(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an image and its copies with each pixel of the window changed up and down, as rows."""
    area = Window.centered(image.shape, _SIDE).slices
    middle = image.copy()
    # So that every change is possible, as it mostly is after some iterations.
    middle[area] = middle[area].clip(_DELTA, 1 - _DELTA)
    images = np.repeat(middle[None], 2 * _SIDE**2 + 1, axis=0)
    for pixel in range(_SIDE**2):
        row, column = divmod(pixel, _SIDE)
        for place, change in ((2 * pixel + 1, _DELTA), (2 * pixel + 2, -_DELTA)):
            moved = images[place][area]
            moved[row, column] = np.clip(moved[row, column] + change, 0, 1)
    return images.reshape(len(images), -1)


def _measure_queries(workload: Workload, image: NDArray[np.float64], options: Options) -> Figures:
    network, steps = workload.network, workload.steps
    backend = NativeBackend(threads=1)
    version = backend.availability().version
    deployment = Deployment(network, backend.deploy(network), "native", version, steps, seed=0)
    near, unrelated = _one_pixel_apart(image), workload.images
    _check_queries(deployment, near)

    def encoding(images: NDArray[np.float64], *, common: bool) -> Callable[[], object]:
        indices = np.zeros(_IMAGES, np.int64) if common else np.arange(_IMAGES)
        return lambda: network.input.encoder.encode(
            images, indices=indices, steps=steps, dt_s=network.dt_s, seed=0
        )

    boxes = {
        "99 unrelated images": (deployment.black_box(stream=1), unrelated),
        "one pixel apart, independent randomness": (deployment.black_box(stream=2), near),
        "one pixel apart, shared randomness": (
            deployment.black_box(stream=3, randomness="shared"),
            near,
        ),
    }
    rounds = 1 if options.quick else 15
    timed = seconds(
        {name: _bind_query(box, images) for name, (box, images) in boxes.items()}
        | {
            "encoding": encoding(near, common=False),
            "encoding, shared randomness": encoding(near, common=True),
        },
        rounds,
    )
    unrelated_s, independent_s, common_s = (timed[name] for name in boxes)
    return {
        "rounds": rounds,
        **stated("crn_speedup", unrelated_s / common_s),
        **stated("independent_ratio", unrelated_s / independent_s),
        **stated("encoder_share", timed["encoding"] / independent_s),
        **stated("encoder_share_common", timed["encoding, shared randomness"] / common_s),
        "queries": {name: stated("images_per_s", _IMAGES / timed[name]) for name in boxes},
    }


def _bind_query(box: BlackBox, images: NDArray[np.float64]) -> Callable[[], object]:
    return lambda: box.query(images)


def _check_queries(deployment: Deployment, images: NDArray[np.float64]) -> None:
    """Raise RuntimeError unless the counts of black boxes equal the reference dynamics."""
    network = deployment.network
    for randomness, indices in (
        ("independent", np.arange(len(images))),
        ("shared", np.zeros(len(images), np.int64)),
    ):
        recording = deployment.record(images, indices=indices, stream=4)
        inputs = network.input.encoder.encode(
            images,
            indices=indices,
            steps=deployment.steps,
            dt_s=network.dt_s,
            seed=deployment.seed,
            stream=4,
        )
        check_recording(network, inputs, recording, images=_CHECKED_IMAGES)
        counts = deployment.black_box(stream=4, randomness=randomness).query(images)
        if not np.array_equal(counts, recording.counts[network.readout]):
            raise RuntimeError(f"wrong counts of a black box with {randomness} randomness")


def _measure_attacks(
    workload: Workload,
    images: NDArray[np.float32],
    chosen: NDArray[np.intp],
    options: Options,
) -> Figures:
    """Attack each image with independent and with shared randomness, on all cores."""
    attack = GreedyWindow(
        queries=None,
        window=Window.centered((28, 28), _SIDE),
        delta=_DELTA,
        max_distance=_MAX_DISTANCE,
        max_iterations=2 if options.quick else 100,
    )
    goal = Goal(_LABEL, _TARGET_CLASS)
    samples: dict[str, list[Figures]] = {"paper_attack": [], "paper_attack_common": []}
    with deploy(workload.network, steps=workload.steps, seed=0) as deployment:
        for index in chosen:
            options.say(f"attacking test image {index}")
            image = images[index].astype(np.float64)
            for key, randomness in zip(samples, ("independent", "shared"), strict=True):
                started = time.perf_counter()
                box = deployment.black_box(stream=int(2 * index + 1), randomness=randomness)
                search = attack.run(box, image, goal)
                searched = time.perf_counter()
                judge = deployment.black_box(stream=int(2 * index + 2))
                verdict = verify(judge, search.adversarial, goal, _VERIFICATION_TRIALS)
                ended = time.perf_counter()
                samples[key].append(
                    {
                        "index": int(index),
                        "iterations": len(search.trace),
                        "queries": search.queries,
                        "distance": search.best.distance,
                        "stopped_by": search.stopped_by,
                        "success_rate": verdict.rate,
                        "search_s": searched - started,
                        "verification_s": ended - searched,
                    }
                )
    figures: Figures = dict(samples)
    for key, found in samples.items():
        search_s = np.array([sample["search_s"] for sample in found])
        verification_s = np.array([sample["verification_s"] for sample in found])
        figures |= stated(f"{key}_s", search_s + verification_s)
        figures |= stated(f"{key}_search_s", search_s)
        figures |= stated(f"{key}_verification_s", verification_s)
    return figures
