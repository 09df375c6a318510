"""Networks whose answers are graded, rates or probabilities, behind the black box of spike counts.

So one attack serves a spiking network and a conventional one. Noiseless, an answer is each class's
share of it in parts of 10**9: shares of those counts are the network's own to nine digits. Or it is
sampled, as counts of spikes that a spiking network might have fired: what remains between such a
network and a spiking one is not the noise of counting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import ValidationError
from neuroattack.targets.black_box import BlackBox
from neuroattack.validation import check_positive, check_whole

__all__ = ["WHOLE", "GradedDeployment", "fractions_as_counts"]

WHOLE = 10**9
"""Parts that a noiseless answer is given in."""

_MAX_SEED = 2**63 - 1
_MOST_SPIKES = 10**8


def fractions_as_counts(fractions: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return shares in [0, 1] as integers, in parts of :data:`WHOLE`."""
    return np.rint(fractions * WHOLE).astype(np.int32)


@dataclass(frozen=True, eq=False)
class GradedDeployment:
    """A network of graded answers, as it is attacked.

    Parameters
    ----------
    outputs : callable
        Takes intensities, float64 array of shape (images, pixels), and returns rates or
        probabilities, not negative, shape (images, classes).
    image_shape : tuple of int
        Shape of one image.
    classes : int
        Classes it tells apart.
    seed : int, optional
        Of the sampling.
    spikes : float, optional
        Sampled with so many spikes an image in the mean, each class's count Poisson; noiseless by
        default.

    Raises
    ------
    ValidationError
        If a value is out of range.
    """

    outputs: Callable[[NDArray[np.float64]], NDArray[np.floating[Any]]]
    image_shape: tuple[int, ...]
    classes: int
    seed: int = 0
    spikes: float | None = None

    def __post_init__(self) -> None:
        check_whole("seed", self.seed, 0, _MAX_SEED)
        if self.spikes is not None:
            check_positive("output spikes an image", self.spikes)
            if self.spikes > _MOST_SPIKES:
                raise ValidationError(
                    "output spikes an image", self.spikes, f"at most {_MOST_SPIKES:,}"
                )

    def fractions(self, intensities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return each class's share of the answer, all 0 where that is all 0.

        Parameters
        ----------
        intensities : float64 array, shape (images, pixels)
            Relative to full scale.

        Returns
        -------
        float64 array, shape (images, classes)
        """
        answers = np.asarray(self.outputs(intensities), np.float64)
        total = answers.sum(axis=1, keepdims=True)
        fractions = np.zeros_like(answers)
        np.divide(answers, total, out=fractions, where=total > 0)
        return fractions

    def black_box(self, stream: int, budget: int | None = None) -> BlackBox:
        """Return it as an attacker meets it.

        Parameters
        ----------
        stream : int
            Which of the seed's independent streams of draws to use; they differ if sampled.
        budget : int, optional
            Queries that are answered at most.
        """
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(stream,)))

        def answer(rows: NDArray[np.float64]) -> NDArray[np.int32]:
            fractions = self.fractions(rows)
            if self.spikes is None:
                return fractions_as_counts(fractions)
            return rng.poisson(fractions * self.spikes).astype(np.int32)

        return BlackBox(answer, self.image_shape, self.classes, budget)
