"""Repeated queries: the same image asked several times, its counts added up."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.encoding.images import validate_images
from neuroattack.targets.black_box import Response, Target
from neuroattack.targets.defenses import TargetWrapper
from neuroattack.validation import check_whole

__all__ = ["Repeated"]

_MOST_REPEATS = 10_000


class Repeated(TargetWrapper):
    """A target that shows each image `repeats` times and answers with the sum of its counts.

    The sum has `repeats` times the spikes, and a class's share of it the noise of that many. Every
    showing is a query of the target behind it and counted there; here an image is one query, and
    what remains is counted in images too.

    Parameters
    ----------
    target : Target
        What is asked.
    repeats : int
        How often, at least once.

    Raises
    ------
    ValidationError
        If the repeats are not a whole number of at least 1.
    """

    def __init__(self, target: Target, repeats: int) -> None:
        super().__init__(target)
        self._repeats = check_whole("repeats", repeats, 1, _MOST_REPEATS)
        self._before = target.queries

    @property
    def response(self) -> Response:
        """Counts: sums of labels are votes."""
        return "counts"

    @property
    def queries(self) -> int:
        """Images asked about so far, each once, however often it was shown."""
        return (super().queries - self._before) // self._repeats

    @property
    def remaining(self) -> int | None:
        """Images that can still be asked about, with all their showings; None without a budget."""
        left = super().remaining
        return None if left is None else left // self._repeats

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return summed counts; see :meth:`neuroattack.targets.black_box.Target.query`."""
        rows = validate_images(images, self.image_shape)
        counts = super().query(np.repeat(rows, self._repeats, axis=0))
        summed = counts.reshape(len(rows), self._repeats, -1).sum(axis=1, dtype=np.int64)
        return np.asarray(np.minimum(summed, np.iinfo(np.int32).max), np.int32)
