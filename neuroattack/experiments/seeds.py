"""Random seeds and target classes derived from an experiment's seed and an image index."""

from __future__ import annotations

import numpy as np

__all__ = ["attack_seed", "random_target_class"]


def attack_seed(seed: int, index: int) -> int:
    """Return the random seed of an attack on an image."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


def random_target_class(seed: int, index: int, label: int, n_classes: int) -> int:
    """Return a random wrong class, uniformly distributed."""
    rng = np.random.default_rng([seed, index])
    return int((label + rng.integers(1, n_classes)) % n_classes)
