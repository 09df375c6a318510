"""The cost model: what an image costs in draws, updates, additions and bytes, and in time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry import Figures, Table
from benchmarks.rounds import seconds, stated
from benchmarks.workload import Workload
from benchmarks.writing import with_spread
from neuroattack.backends.native import NativeBackend
from neuroattack.deployment.backend import Recording
from neuroattack.ir.network import Network

__all__ = [
    "additions_per_image",
    "cost_table",
    "fitted_cost",
    "measure_breakdown",
    "updates_per_image",
]

_BYTES_A_WEIGHT = 4


def additions_per_image(network: Network, recording: Recording) -> float:
    """Return the weight additions of an image: over all spikes, the neurons that each reaches.

    The spikes of the last steps, which arrive after the end, are counted too: they are few.
    """
    return sum(
        float(recording.counts[projection.source].sum(axis=1).mean())
        * projection.mantissas.shape[1]
        for projection in network.projections
    )


def updates_per_image(network: Network, steps: int) -> int:
    """Return the updates of an image: one for each neuron and step."""
    return steps * sum(population.size for population in network.populations)


def fitted_cost(
    updates: int,
    additions: Mapping[float, float],
    seconds_per_image: Mapping[float, NDArray[np.float64]],
) -> Figures:
    """Fit time = updates * a + additions * b to a curve, each round by itself.

    Parameters
    ----------
    updates : int
        Updates of an image, the same on all of the curve.
    additions : mapping of float to float
        Weight additions of an image, by the curve's x.
    seconds_per_image : mapping of float to float array, shape (rounds,)
        What an image took.
    """
    each = np.array([[updates, additions[x]] for x in seconds_per_image])
    measured = np.stack(list(seconds_per_image.values()))
    # Relative deviations, so that a dim image weighs as much as a bright one.
    fits = [
        np.linalg.lstsq(each / taken_s[:, None], np.ones(len(each)), rcond=None)[0]
        for taken_s in measured.T
    ]
    update_ns, addition_ns = np.array(fits).T * 1e9
    modelled = each @ np.median(fits, axis=0)
    return {
        "largest_deviation": float(np.abs(modelled / np.median(measured, axis=1) - 1).max()),
        **stated("ns_per_update", update_ns),
        **stated("ns_per_addition", addition_ns),
    }


def measure_breakdown(workload: Workload, fitted: Figures, rounds: int) -> Figures:
    """Return what an image of a workload costs, by the model and as measured.

    Parameters
    ----------
    workload : Workload
        Other images or steps than the model was fitted to.
    fitted : dict
        What :func:`fitted_cost` returned.
    rounds : int
        Rounds of timing.
    """
    network, images = workload.network, workload.inputs.images
    simulator = NativeBackend(threads=1).deploy(network)
    recording = simulator.run(workload.inputs)
    taken_s = seconds(
        {"encode": workload.encode, "simulate": lambda: simulator.run(workload.inputs)}, rounds
    )
    draws = float(np.count_nonzero(workload.images)) / images * workload.steps
    additions = additions_per_image(network, recording)
    updates = updates_per_image(network, workload.steps)
    return {
        "steps": workload.steps,
        "draws": draws,
        "updates": updates,
        "additions": additions,
        "weight_bytes": _BYTES_A_WEIGHT * additions,
        "modelled_update_us": updates * fitted["ns_per_update"] / 1e3,
        "modelled_addition_us": additions * fitted["ns_per_addition"] / 1e3,
        **stated("encoder_us", taken_s["encode"] / images * 1e6),
        **stated("ns_per_draw", taken_s["encode"] / (images * draws) * 1e9),
        **stated("simulation_us", taken_s["simulate"] / images * 1e6),
    }


def cost_table(fitted: Figures, found: Figures) -> Table:
    """Return the model and the breakdown as a table."""
    modelled_us = found["modelled_update_us"] + found["modelled_addition_us"]
    return Table(
        f"What an image costs, T = {found['steps']}, batches of 100, one core; the model is fitted "
        f"to the curve of spikes at T = 100, and at most {100 * fitted['largest_deviation']:.0f} % "
        "off there",
        ("", "of an image", "nanoseconds each", "microseconds"),
        [
            [
                "encoder: lit pixels x steps",
                f"{found['draws']:,.0f}",
                with_spread(found, "ns_per_draw"),
                with_spread(found, "encoder_us"),
            ],
            [
                "update of a neuron in a step",
                f"{found['updates']:,}",
                with_spread(fitted, "ns_per_update"),
                f"{found['modelled_update_us']:.0f} by the model",
            ],
            [
                f"addition of a weight ({found['weight_bytes'] / 1e6:.1f} MB of weights)",
                f"{found['additions']:,.0f}",
                with_spread(fitted, "ns_per_addition"),
                f"{found['modelled_addition_us']:.0f} by the model",
            ],
            [
                "simulation, updates and additions",
                "",
                "",
                f"{with_spread(found, 'simulation_us')}; {modelled_us:.0f} by the model",
            ],
        ],
    )
