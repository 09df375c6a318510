"""The cost model: random numbers, updates, additions, bytes and time per image."""

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
    """Return the weight additions per image: the sum over all spikes of their target neurons.

    The few spikes of the last steps, which arrive after the end, are counted too.
    """
    return sum(
        float(recording.counts[projection.source].sum(axis=1).mean())
        * projection.mantissas.shape[1]
        for projection in network.projections
    )


def updates_per_image(network: Network, steps: int) -> int:
    """Return the neuron updates per image: one for each neuron and step."""
    return steps * sum(population.size for population in network.populations)


def fitted_cost(
    updates: int,
    additions: Mapping[float, float],
    seconds_per_image: Mapping[float, NDArray[np.float64]],
) -> Figures:
    """Fit time = updates * a + additions * b to a curve, separately in each round.

    Parameters
    ----------
    updates : int
        Neuron updates per image, the same for the whole curve.
    additions : mapping of float to float
        Weight additions per image, by the curve's x.
    seconds_per_image : mapping of float to float array, shape (rounds,)
        Time per image.
    """
    each = np.array([[updates, additions[x]] for x in seconds_per_image])
    measured = np.stack(list(seconds_per_image.values()))
    # Relative deviations, so that dim and bright images have equal weight.
    fits = [
        np.linalg.lstsq(each / taken_s[:, None], np.ones(len(each)), rcond=None)[0]
        for taken_s in measured.T
    ]
    update_ns, addition_ns = np.array(fits).T * 1e9
    modeled = each @ np.median(fits, axis=0)
    return {
        "largest_deviation": float(np.abs(modeled / np.median(measured, axis=1) - 1).max()),
        **stated("ns_per_update", update_ns),
        **stated("ns_per_addition", addition_ns),
    }


def measure_breakdown(workload: Workload, fitted: Figures, rounds: int) -> Figures:
    """Return the cost of an image of a workload, modeled and measured.

    Parameters
    ----------
    workload : Workload
        Images or steps that differ from those the model was fitted to.
    fitted : dict
        Result of :func:`fitted_cost`.
    rounds : int
        Number of timing rounds.
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
        "modeled_update_us": updates * fitted["ns_per_update"] / 1e3,
        "modeled_addition_us": additions * fitted["ns_per_addition"] / 1e3,
        **stated("encoder_us", taken_s["encode"] / images * 1e6),
        **stated("ns_per_draw", taken_s["encode"] / (images * draws) * 1e9),
        **stated("simulation_us", taken_s["simulate"] / images * 1e6),
    }


def cost_table(fitted: Figures, found: Figures) -> Table:
    """Return the table of the model and the breakdown."""
    modeled_us = found["modeled_update_us"] + found["modeled_addition_us"]
    return Table(
        f"Cost of an image, T = {found['steps']}, batches of 100, one core; the model is fitted to "
        "the curve over spikes at T = 100, with a largest deviation of "
        f"{100 * fitted['largest_deviation']:.0f} %",
        ("", "count per image", "nanoseconds each", "microseconds"),
        [
            [
                "encoder: nonzero pixels x steps",
                f"{found['draws']:,.0f}",
                with_spread(found, "ns_per_draw"),
                with_spread(found, "encoder_us"),
            ],
            [
                "neuron updates",
                f"{found['updates']:,}",
                with_spread(fitted, "ns_per_update"),
                f"{found['modeled_update_us']:.0f} (model)",
            ],
            [
                f"weight additions ({found['weight_bytes'] / 1e6:.1f} MB of weights)",
                f"{found['additions']:,.0f}",
                with_spread(fitted, "ns_per_addition"),
                f"{found['modeled_addition_us']:.0f} (model)",
            ],
            [
                "simulation (updates and additions)",
                "",
                "",
                f"{with_spread(found, 'simulation_us')}; {modeled_us:.0f} (model)",
            ],
        ],
    )
