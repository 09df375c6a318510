"""Speed-up of two threads that only compute, the limit of the speed-up of two cores.

The calling thread and another one compute the two halves of a batch, as in the native backend, but
in registers only. The limit is below 2, because threads must be started and waited for, and other
virtual machines may use a core at that time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from numpy.typing import NDArray

from benchmarks.rounds import seconds

__all__ = ["CoreLimit"]

_ONE, _TWO = "computation, one core", "computation, two cores"
# Iterations that take milliseconds, and runs of them.
_TRIAL, _TRIALS = 4_000_000, 5


class CoreLimit:
    """Computation that takes as long on one core as a batch of images.

    Parameters
    ----------
    batch_s : float
        Time of a batch on one core in seconds.
    """

    def __init__(self, batch_s: float) -> None:
        _compute(1)
        trial_s = seconds({_ONE: lambda: _compute(_TRIAL)}, _TRIALS)[_ONE].min()
        self._half = max(1, round(_TRIAL * batch_s / trial_s / 2))
        self._helper = ThreadPoolExecutor(1)

    def subjects(self) -> dict[Hashable, Callable[[], object]]:
        """Return the callables to time."""
        return {_ONE: self._on_one_core, _TWO: self._on_two_cores}

    def speed_up(self, timed: dict[Hashable, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the speed-up of two cores in each round."""
        return timed[_ONE] / timed[_TWO]

    def _on_one_core(self) -> None:
        for _ in range(2):
            _compute(self._half)

    def _on_two_cores(self) -> None:
        other = self._helper.submit(_compute, self._half)
        _compute(self._half)
        other.result()


@numba.njit(nogil=True)
def _compute(iterations: int) -> int:
    # Each iteration needs the result of the one before, so that none can be left out.
    value = 1
    for _ in range(iterations):
        value = value * 6364136223846793005 + 1442695040888963407
    return value
