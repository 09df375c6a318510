"""Smallest weight errors that explain the recorded spikes of a neuron.

Between two resets, the potential of a neuron is linear in its weights. Whether some errors of the
weights explain all spikes of a neuron is therefore a linear program: minimize the largest error
subject to a potential above the threshold in every step with a spike, and not above it in all
others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroattack.experiments.divergence.replay import Replay
from neuroattack.ir.network import FixedPopulation

__all__ = ["smallest_weight_error"]


def smallest_weight_error(replay: Replay, neuron: int) -> float | None:
    """Return the smallest largest weight error that explains the recorded spikes of a neuron.

    Parameters
    ----------
    replay : Replay
        Recorded spikes of the population.
    neuron : int
        Position among the neurons of the replay.

    Returns
    -------
    float or None
        Error in volts per spike; None if no errors of the weights explain the spikes, with an
        infinite threshold, or in fixed point, where potentials are not linear in the weights.
    """
    # Imported here, because it takes a fifth of a second.
    import scipy.sparse as sp
    from scipy.optimize import linprog

    if isinstance(replay.population, FixedPopulation) or np.isinf(replay.threshold[neuron]):
        return None
    weights, arrived = replay.incoming(neuron)
    used = weights != 0
    effect, free = _effects(replay, neuron, arrived[..., used])
    result = replay.run()
    recorded = replay.recorded[..., neuron][free]
    gap = (replay.threshold[neuron] - result.potentials[..., neuron])[free]
    rows = effect[free]
    # Above the threshold: gap - rows @ errors < 0, otherwise >= 0.
    sign = np.where(recorded, -1.0, 1.0)
    margin = 1e-9 * max(abs(float(replay.threshold[neuron])), 1e-300)
    count = rows.shape[1]
    identity, ones = sp.identity(count), np.ones((count, 1))
    found = linprog(
        np.r_[np.zeros(count), 1.0],
        A_ub=sp.bmat(
            [
                [sign[:, None] * rows, np.zeros((len(rows), 1))],
                [identity, -ones],
                [-identity, -ones],
            ],
            format="csr",
        ),
        b_ub=np.r_[sign * gap - margin * recorded, np.zeros(2 * count)],
        bounds=[(None, None)] * count + [(0, None)],
        method="highs",
    )  # fmt: skip
    return float(found.x[-1]) if found.success else None


def _effects(
    replay: Replay, neuron: int, arrived: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the effect of each weight on the potential, and the steps that are not refractory.

    Shapes are (images, steps, weights) and (images, steps).
    """
    population = replay.population
    if isinstance(population, FixedPopulation):
        raise TypeError("potentials in fixed point are not linear in the weights")
    own = replay.neurons[neuron]
    decay = population.decay(replay.dt_s)[own]
    current_decay = population.current_decay(replay.dt_s)[own]
    period = population.refractory_steps[own]
    images, steps, count = arrived.shape
    effect, free = np.zeros(arrived.shape), np.zeros((images, steps), bool)
    v, u = np.zeros((images, count)), np.zeros((images, count))
    left = np.zeros(images, np.int64)
    for k in range(steps):
        before, u = u, u * current_decay + arrived[:, k]
        drive = before if population.input_after_update else u
        free[:, k] = left == 0
        v = np.where(free[:, k, None], v * decay + drive, v)
        effect[:, k] = v
        fired = replay.recorded[:, k, neuron]
        if population.reset == "value":
            v = np.where(fired[:, None], 0.0, v)
        left = np.where(fired, period, np.maximum(left - 1, 0))
    return effect, free
