"""Section ``scaling``: time against images, steps, spikes, width, depth and cores; and memory.

The native backend simulates; input spikes are generated beforehand. Networks of other sizes than
the trained one have random weights, scaled so that every layer fires at the same rate.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.cost import (
    additions_per_image,
    cost_table,
    fitted_cost,
    measure_breakdown,
    updates_per_image,
)
from benchmarks.memory import measure_memory
from benchmarks.registry import Figures, Options, Table, section
from benchmarks.rounds import seconds, spread, stated
from benchmarks.workload import Workload, encode, layered_network, make_workload
from benchmarks.writing import with_spread
from neuroattack.backends.native import NativeBackend
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import Network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["measure_scaling", "slopes"]

_STEPS = 100
_BY_SPIKES_IMAGES = 100

# The quantity on the x axis, and what is held constant.
_CURVES = {
    "images": ("images in a batch", "T = 100"),
    "steps": ("time steps T", "50 images"),
    "spikes": ("spikes per image, all populations", "T = 100, 100 images"),
    "width": ("neurons in each of two hidden layers", "T = 100, 20 images"),
    "depth": ("hidden layers of 500 neurons", "T = 100, 50 images"),
    "cores": ("cores", "T = 100, 1,000 images"),
}

_WIDTHS = (100, 200, 500, 1000, 2000, 4000)

_Points = dict[float, Callable[[], object]]


def _runs(network: Network, inputs: SpikeTrains, threads: int = 1) -> Callable[[], object]:
    simulator = NativeBackend(threads=threads).deploy(network)
    return lambda: simulator.run(inputs)


def _by_images(workload: Workload, most: int) -> _Points:
    return {
        images: _runs(workload.network, workload.inputs[:images])
        for images in (10, 30, 100, 300, 1000)
        if images <= most
    }


def _by_steps(workload: Workload, most: int) -> _Points:
    images = workload.images[:50]
    return {
        steps: _runs(workload.network, encode(workload.network, images, steps))
        for steps in (50, 100, 200, 500, 1000)
        if steps <= most
    }


def _by_spikes(workload: Workload) -> tuple[_Points, dict[float, float]]:
    """Return the callables to time, and the weight additions per image, by spikes per image."""
    network = workload.network
    brightest = network.input.encoder.max_rate_hz
    points: _Points = {}
    additions = {}
    for factor in (1 / 8, 1 / 4, 1 / 2, 1, 2, 4):
        encoder = dataclasses.replace(network.input.encoder, max_rate_hz=brightest * factor)
        inputs = encoder.encode(
            workload.images[:_BY_SPIKES_IMAGES],
            indices=np.arange(_BY_SPIKES_IMAGES),
            steps=_STEPS,
            dt_s=network.dt_s,
            seed=0,
        )
        recording = NativeBackend(threads=1).deploy(network).run(inputs)
        counted = sum(float(counts.sum()) for counts in recording.counts.values())
        spikes = counted / _BY_SPIKES_IMAGES
        points[spikes] = _runs(network, inputs)
        additions[spikes] = additions_per_image(network, recording)
    return points, additions


def _by_width(workload: Workload, widths: tuple[int, ...]) -> _Points:
    points = {}
    for width in widths:
        network = layered_network((784, width, width, 10), workload.images)
        points[float(width)] = _runs(network, encode(network, workload.images[:20], _STEPS))
    return points


def _by_depth(workload: Workload, depths: tuple[int, ...]) -> _Points:
    points = {}
    for depth in depths:
        network = layered_network((784, *[500] * depth, 10), workload.images)
        points[float(depth)] = _runs(network, encode(network, workload.images[:50], _STEPS))
    return points


def _by_cores(workload: Workload) -> _Points:
    return {
        float(threads): _runs(workload.network, workload.inputs, threads)
        for threads in range(1, (os.cpu_count() or 1) + 1)
    }


def _curve(measured: Mapping[float, NDArray[np.float64]]) -> Figures:
    medians, ends = zip(*(spread(each) for each in measured.values()), strict=True)
    return {"x": list(measured), "y": list(medians), "y_spread": list(ends)}


def slopes(timed: Mapping[float, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the least-squares slope of log time against log x in each round."""
    return np.polyfit(np.log(list(timed)), np.log(np.stack(list(timed.values()))), 1)[0]


def _tables(figures: Figures) -> list[Table]:
    few, many = figures["memory_images"]
    low, high = figures["memory_peak_mib"]
    return [
        Table(
            f"Native backend, one core: median of {figures['rounds']} rounds",
            (
                "quantity",
                "constant",
                "seconds at each value; for cores the speed-up",
                "slope, log-log",
            ),
            [
                [
                    what,
                    kept,
                    ", ".join(
                        f"{x:,.0f}: {y:.3g}" for x, y in zip(curve["x"], curve["y"], strict=True)
                    ),
                    with_spread(figures["slopes"], name) if name in figures["slopes"] else "",
                ]
                for name, (what, kept) in _CURVES.items()
                for curve in (figures["curves"][name],)
            ],
        ),
        cost_table(figures["cost_model"], figures["cost"]),
        Table(
            f"Peak memory of a process, T = {figures['memory_steps']}, all cores",
            ("", "MiB"),
            [
                [f"{few:,} images", f"{low:.0f}"],
                [f"{many:,} images", f"{high:.0f}"],
                ["images and counts in the difference", _mib(figures)],
                [
                    f"{figures['wide_network']}, {figures['wide_network_images']} images",
                    f"{figures['wide_network_peak_mib']:.0f}",
                ],
            ],
        ),
    ]


def _mib(figures: Figures) -> str:
    return f"{figures['images_and_counts_mib']:.0f}"


def _plots(figures: Figures) -> dict[str, Figure]:
    from benchmarks.plots import Curve, curves_figure

    curves = []
    for name, (what, kept) in _CURVES.items():
        found = figures["curves"][name]
        low, high = zip(*found["y_spread"], strict=True)
        note = (
            f"speed-up {found['y'][-1]:.2f} on {found['x'][-1]:.0f} cores"
            if name == "cores"
            else f"slope {figures['slopes'][name]:.2f}"
        )
        curves.append(
            Curve(
                title=f"{name} ({kept})",
                x_label=what,
                y_label="speed-up over one core" if name == "cores" else "seconds",
                x=found["x"],
                y=found["y"],
                low=low,
                high=high,
                note=note,
            )
        )
    return {"scaling": curves_figure(curves)}


@section("scaling", _tables, _plots)
def measure_scaling(options: Options) -> Figures:
    """Measure the curves, the cost model and memory."""
    rounds = 2 if options.quick else 9
    most = 100 if options.quick else 1000
    workload = make_workload(options, images=most, steps=_STEPS)
    figures: Figures = {"network": workload.origin, "dataset": workload.dataset, "rounds": rounds}
    figures |= {"curves": {}, "slopes": {}}
    spikes, counted = _by_spikes(workload)
    curves = {
        "images": _by_images(workload, most),
        "steps": _by_steps(workload, most),
        "spikes": spikes,
        "width": _by_width(workload, (50, 100) if options.quick else _WIDTHS),
        "depth": _by_depth(workload, (2, 4) if options.quick else (2, 3, 4, 6, 8)),
        "cores": _by_cores(workload),
    }
    for name, points in curves.items():
        options.say(f"timing against {name}")
        timed = seconds(points, rounds)
        if name == "cores":
            timed = {cores: timed[1] / taken_s for cores, taken_s in timed.items()}
        else:
            figures["slopes"] |= stated(name, slopes(timed))
        if name == "spikes":
            per_image = {x: taken_s / _BY_SPIKES_IMAGES for x, taken_s in timed.items()}
            updates = updates_per_image(workload.network, _STEPS)
            figures["cost_model"] = fitted_cost(updates, counted, per_image)
        figures["curves"][name] = _curve(timed)
    shown = dataclasses.replace(workload, images=workload.images[:100]).with_steps(350)
    figures["cost"] = measure_breakdown(shown, figures["cost_model"], rounds)
    options.say("measuring memory")
    few, many = (64, 128) if options.quick else (512, 2560)
    widest = (784, 500, 500, 10) if options.quick else (784, 4000, 4000, 10)
    figures["wide_network"] = "-".join(map(str, widest))
    wide = layered_network(widest, workload.images)
    return figures | measure_memory(shown, wide, few, many)
