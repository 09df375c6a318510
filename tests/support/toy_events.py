"""Event samples, and a target that keeps the samples that it is queried on."""

import numpy as np

from neuroattack.attacks.goals import Goal
from neuroattack.targets.black_box import BlackBox

SHAPE = (24, 2, 8, 8)
SPARSE = (np.random.default_rng(1).random(SHAPE) < 0.02).astype(float)


def recorder(shape=SHAPE, budget=None, response="counts"):
    """Return a black box with random counts and the list of the samples that it is queried on."""
    seen = []
    rng = np.random.default_rng(0)

    def counts(rows):
        seen.extend(row.reshape(shape) for row in rows)
        found = rng.integers(0, 50, (len(rows), 3))
        if response == "labels":
            found = np.eye(3)[found.argmax(axis=1)]
        return found.astype(np.int32)

    return BlackBox(counts, shape, 3, budget, response=response), seen


def queried(attack, sample=SPARSE, **settings):
    """Run an attack on such a target; return its result and the queried samples."""
    target, seen = recorder(sample.shape, **settings)
    return attack.run(target, sample, Goal(0)), seen
