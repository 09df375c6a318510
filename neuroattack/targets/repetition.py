"""Repeated queries: sum the counts of several trials of each image."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.encoding.images import validate_images
from neuroattack.targets.black_box import Response, Target
from neuroattack.targets.defenses import TargetWrapper
from neuroattack.validation import check_integer

__all__ = ["Repeated"]

_MAX_REPEATS = 10_000


class Repeated(TargetWrapper):
    """Target that queries each image `repeats` times and returns the sum of the counts.

    The relative noise of the counts decreases accordingly. Each repeat is a query of the wrapped
    target; this wrapper counts images, and its remaining budget is in images too.

    Parameters
    ----------
    target : Target
        Wrapped target.
    repeats : int
        Number of repeats, at least 1.

    Raises
    ------
    ValidationError
        If the number of repeats is not an integer of at least 1.
    """

    def __init__(self, target: Target, repeats: int) -> None:
        super().__init__(target)
        self._repeats = check_integer("repeats", repeats, 1, _MAX_REPEATS)
        self._before = target.queries

    @property
    def response(self) -> Response:
        """``"counts"``: sums of one-hot labels count votes."""
        return "counts"

    @property
    def queries(self) -> int:
        """Number of queried images, independent of the repeats."""
        return (super().queries - self._before) // self._repeats

    @property
    def remaining(self) -> int | None:
        """Number of images that can still be queried with all repeats; None without a budget."""
        left = super().remaining
        return None if left is None else left // self._repeats

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return summed counts, or mean scores if sums exceed 32 bits.

        See :meth:`neuroattack.targets.black_box.Target.query`.
        """
        rows = validate_images(images, self.image_shape)
        counts = super().query(np.repeat(rows, self._repeats, axis=0))
        summed = counts.reshape(len(rows), self._repeats, -1).sum(axis=1, dtype=np.int64)
        # Scores from potentials or probabilities, whose total is the same for all images.
        if summed.sum(axis=1).max() > np.iinfo(np.int32).max:
            summed //= self._repeats
        return np.asarray(np.minimum(summed, np.iinfo(np.int32).max), np.int32)
