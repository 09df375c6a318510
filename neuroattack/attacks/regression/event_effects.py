"""Effects of events on the class counts, by regression on blocks of space and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.events.changes import best_event_change
from neuroattack.attacks.regression.effects import EffectEstimator, Effects, Scale

__all__ = ["EventEffects"]

Samples = NDArray[np.float64]

_MOST_BLOCKS = 9
# Prior correlation of the effects of a neuron in different blocks, for inserted and deleted events.
_BLOCK_CORRELATION = 0.8
# Size of random perturbations, as a multiple of the bound: larger numbers of inserted and deleted
# events teach more about each, but larger shifts teach less about the allowed ones.
_REACH = 3.0


class EventEffects:
    """Estimate the effect of an event of each neuron in each block of time steps on each class.

    It is the regression of :class:`~neuroattack.attacks.regression.effects.EffectEstimator` on
    features of the perturbation. If events are inserted or deleted, the feature of a neuron and
    block is the number of its inserted minus deleted events in the block: the effect of an event is
    constant in a block. If they are retimed, it is the total shift of its events in the block, in
    time steps: the effect of an event is linear in its time, with a slope per block. Neighboring
    neurons have correlated effects; so have the blocks of a neuron, if events are inserted or
    deleted.

    Parameters
    ----------
    original : float64 array, shape (steps, ...)
        Clean sample.
    bound : Bound
        Bound on events.
    correlations_px : sequence of float
        Candidates for the correlation length of the effects in pixels.
    """

    def __init__(self, original: Samples, bound: Bound, correlations_px: Sequence[float]) -> None:
        self._original = original
        self._bound = bound
        self._block = -(-len(original) // _MOST_BLOCKS)
        self._blocks = -(-len(original) // self._block)
        shape = (self._blocks, *original.shape[1:])
        self._estimator = EffectEstimator(
            np.zeros(shape),
            correlations_px,
            channel_correlation=0.0 if bound.is_retiming else _BLOCK_CORRELATION,
        )

    def add(
        self, images: Samples, counts: NDArray[np.integer], *, shared_randomness: bool = False
    ) -> None:
        """Add the results of a batch of queries."""
        self._estimator.add(
            self._features(images - self._original), counts, shared_randomness=shared_randomness
        )

    def fit(self, *scales: Scale) -> list[Effects]:
        """Return the estimated effects of an event of each step and neuron, on each scale."""
        return [
            replace(effects, slopes=self._per_cell(effects.slopes))
            for effects in self._estimator.fit(*scales)
        ]

    def perturbed(
        self,
        rng: np.random.Generator,
        count: int,
        length: float,
        slopes: NDArray[np.float64] | None,
    ) -> Samples:
        """Return random samples: within the bound if events are retimed, else three times as far.

        Each maximizes a random linear score, whose coefficients have the correlations of the prior
        with a length in pixels. Estimated slopes of shape (cells,) are added to it, with the same
        variance.
        """
        reach = 1.0 if self._bound.is_retiming else _REACH
        # Without the patch of the bound: where it is best is learned from all pixels.
        wider = replace(self._bound, maximum=reach * self._bound.maximum, patch_px=0)
        fields = self._estimator.correlated(rng, count, length)
        samples = np.empty((count, *self._original.shape))
        for sample, field in zip(samples, fields, strict=True):
            scores = self._per_cell(field.reshape(-1, 1))[:, 0]
            scores /= scores.std() or 1.0
            if slopes is not None:
                scores += slopes / (slopes.std() or 1.0)
            # Of cells with equal scores, random ones.
            scores += 0.1 * rng.normal(size=scores.shape)
            change = best_event_change(wider, self._original, scores)
            sample[:] = self._original + change.reshape(self._original.shape)
        return samples

    def _features(self, changes: Samples) -> Samples:
        """Return the features of perturbations, shape (samples, blocks, ...)."""
        if self._bound.is_retiming:
            # The sum over later steps: an event that moves by d steps counts in d steps.
            changes = np.cumsum(changes[:, ::-1], axis=1)[:, ::-1]
        padding = self._blocks * self._block - changes.shape[1]
        padded = np.pad(changes, ((0, 0), (0, padding), *[(0, 0)] * (changes.ndim - 2)))
        blocks: Samples = padded.reshape(
            len(changes), self._blocks, self._block, *changes.shape[2:]
        ).sum(axis=2)
        return blocks

    def _per_cell(self, slopes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return slopes of cells, shape (cells, columns), from those of features."""
        by_block = slopes.reshape(self._blocks, -1, slopes.shape[1])
        by_step = np.repeat(by_block, self._block, axis=0)[: len(self._original)]
        if self._bound.is_retiming:
            by_step = np.cumsum(by_step, axis=0)
        return by_step.reshape(-1, slopes.shape[1])
