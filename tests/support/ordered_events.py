"""Event samples whose class is the order of equally many spikes of two groups, and a network."""

import numpy as np

from neuroattack.datasets import Dataset, Split
from neuroattack.encoding.events import EventEncoder
from neuroattack.ir.network import Input, Network, Population, Projection

STEPS = 20


def ordered_events():
    """Return the data set."""
    return Dataset.of("order", _order_of_spikes(192, 1), _order_of_spikes(100, 2), 2, dt_s=1e-3)


def ordered_network(encoder=None, seed=0):
    rng = np.random.default_rng(seed)
    return Network(
        1e-3,
        Input((6,), encoder or EventEncoder()),
        (
            Population("hidden", 30, 0.01, threshold_v=1.0),
            Population("output", 2, 0.01, threshold_v=1.0),
        ),
        (
            Projection.from_weights("input", "hidden", rng.normal(0.1, 0.3, (6, 30))),
            Projection.from_weights("hidden", "output", rng.normal(0.1, 0.3, (30, 2))),
        ),
        "output",
    )


def _order_of_spikes(count, seed):
    """Return samples whose class is the order in time of equally many spikes of two groups."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    samples = np.zeros((count, STEPS, 6), bool)
    for sample, label in zip(samples, labels, strict=True):
        early, late = (slice(0, 3), slice(3, 6)) if label else (slice(3, 6), slice(0, 3))
        for group, first in ((early, 0), (late, 8)):
            for neuron in range(group.start, group.stop):
                sample[first + rng.choice(8, 4, replace=False), neuron] = True
    return Split(samples, labels)
