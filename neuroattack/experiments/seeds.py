"""Random choices of an experiment, each from its seed and an image's index."""

from __future__ import annotations

import numpy as np

__all__ = ["attack_seed", "random_target_class"]


def attack_seed(seed: int, index: int) -> int:
    """Return the seed of an attack's own random choices on an image."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


def random_target_class(seed: int, index: int, label: int, n_classes: int) -> int:
    """Return a wrong class for an image, each with the same probability."""
    rng = np.random.default_rng([seed, index])
    return int((label + rng.integers(1, n_classes)) % n_classes)
