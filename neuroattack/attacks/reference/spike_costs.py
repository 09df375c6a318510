"""Cost of a spike of each neuron in the quantity of a meter, for white-box attacks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroattack.deployment.deployment import EVALUATION_STREAM, Deployment
from neuroattack.deployment.meters import Meter
from neuroattack.ir.network import INPUT

__all__ = ["spike_costs"]

_IMAGES = 64


def spike_costs(
    deployment: Deployment, quantity: str, original: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Return the cost of a spike of each neuron, by population.

    For spikes and synaptic operations it is exact. Energy also depends on where spikes go and on
    the time of the slowest core; its cost per spike of a population is a least-squares fit to
    simulations of the image with random changes of brightness, plus a constant.

    Parameters
    ----------
    deployment : Deployment
        Simulated deployment.
    quantity : str
        Quantity of a meter.
    original : float64 array of the network's image shape
        Image around which the energy is fitted.
    """
    network = deployment.network
    if quantity == "spikes":
        return {p.name: np.ones(p.size) for p in network.populations}
    if quantity == "synaptic-operations":
        return {
            name: np.sum([p.fan_out() for p in network.outgoing(name)], axis=0, dtype=np.float64)
            for name in network.sizes
            if network.outgoing(name)
        }
    rng = np.random.default_rng(0)
    brightness = rng.uniform(0.5, 1.5, (_IMAGES, *[1] * original.ndim))
    noise = rng.normal(0, 0.1, (_IMAGES, *original.shape))
    images = np.clip(brightness * original + noise, 0.0, 1.0)
    indices = np.arange(_IMAGES)
    recording = deployment.record(
        images, indices=indices, stream=EVALUATION_STREAM, record_spikes=deployment.needs_spikes
    )
    quantities, _ = deployment.quantities(recording)
    readings = Meter(quantity).read(
        quantities, seed=deployment.seed, stream=EVALUATION_STREAM, indices=indices
    )
    names = [INPUT, *(p.name for p in network.populations)]
    features = np.column_stack(
        [*(recording.counts[name].sum(axis=1) for name in names), np.ones(_IMAGES)]
    )
    fitted, *_ = np.linalg.lstsq(features.astype(np.float64), readings, rcond=None)
    return {
        name: np.full(network.sizes[name], cost) for name, cost in zip(names, fitted, strict=False)
    }
