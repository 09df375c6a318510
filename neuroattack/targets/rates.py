"""Black boxes for networks that output rates or probabilities instead of spikes.

Attacks on spike counts can then be compared between spiking and conventional networks. Outputs are
normalized over classes and returned as integers in units of 1e-9, or as Poisson counts with a given
mean number of spikes. The latter reproduces the counting noise of a spiking network, so that a
remaining difference has another cause.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.readout import fractions_as_scores
from neuroattack.errors import ValidationError
from neuroattack.targets.black_box import BlackBox
from neuroattack.validation import check_integer, check_positive

__all__ = ["GradedDeployment"]

_MAX_SEED = 2**63 - 1
_MAX_SPIKES = 10**8


@dataclass(frozen=True, eq=False)
class GradedDeployment:
    """Deployment of a network that outputs rates or probabilities.

    Parameters
    ----------
    outputs : callable
        Function of intensities, float64 array of shape (images, pixels), that returns nonnegative
        rates or probabilities of shape (images, classes).
    image_shape : tuple of int
        Shape of one image.
    classes : int
        Number of classes.
    seed : int, optional
        Random seed of the sampling.
    spikes : float, optional
        Mean number of output spikes per image; counts of the classes are then Poisson. Noiseless
        by default.

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
        check_integer("seed", self.seed, 0, _MAX_SEED)
        if self.spikes is not None:
            check_positive("output spikes per image", self.spikes)
            if self.spikes > _MAX_SPIKES:
                raise ValidationError(
                    "output spikes per image", self.spikes, f"at most {_MAX_SPIKES:,}"
                )

    def fractions(self, intensities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the outputs normalized over classes; all 0 if the outputs are all 0.

        Parameters
        ----------
        intensities : float64 array, shape (images, pixels)
            Intensities in [0, 1].

        Returns
        -------
        float64 array, shape (images, classes)
        """
        outputs = np.asarray(self.outputs(intensities), np.float64)
        total = outputs.sum(axis=1, keepdims=True)
        fractions = np.zeros_like(outputs)
        np.divide(outputs, total, out=fractions, where=total > 0)
        return fractions

    def black_box(self, stream: int, budget: int | None = None) -> BlackBox:
        """Return a black box of the deployment.

        Parameters
        ----------
        stream : int
            Random stream of the seed; without effect if noiseless.
        budget : int, optional
            Maximum number of queries; unlimited by default.
        """
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(stream,)))

        def respond(rows: NDArray[np.float64]) -> NDArray[np.int32]:
            fractions = self.fractions(rows)
            if self.spikes is None:
                return fractions_as_scores(fractions)
            return rng.poisson(fractions * self.spikes).astype(np.int32)

        return BlackBox(respond, self.image_shape, self.classes, budget)
