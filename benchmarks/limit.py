"""The limit: what the weight additions alone would take, as fast as this core can add rows.

Every spike that arrives adds one row of weights to the currents of the next population. The limit
is the number of those additions over the rate at which this core adds rows, measured on the same
matrices, with the rows in the order in which the spikes ask for them, and nothing else to do: no
neurons, no steps, 64 rows a call. The rate is that of the fastest form known here, of whole
numbers of 32 bits, whose sums are exact: one, four or eight rows at a time, as the matrices lie in
memory, or with rows that begin on a cache line.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from neuroattack.deployment.backend import Recording
from neuroattack.ir.network import Network

__all__ = ["PLAIN", "Limit"]

_ROWS_A_CALL = 64
_CACHE_LINE = 64

PLAIN = "one row at a time"
"""The form that a plain loop has."""

_Rows = NDArray[np.int32]
_Adds = Callable[[NDArray[np.int32], NDArray[np.int32], _Rows], int]


@numba.njit(cache=True)
def _add_ones(sums: NDArray[np.int32], weights: NDArray[np.int32], rows: _Rows) -> int:
    first_sums = 0
    for start in range(0, rows.size, _ROWS_A_CALL):
        sums[:] = 0
        for row in rows[start : start + _ROWS_A_CALL]:
            a = weights[row]
            for j in range(sums.size):
                sums[j] += a[j]
        first_sums += sums[0]
    return first_sums


@numba.njit(cache=True)
def _add_fours(sums: NDArray[np.int32], weights: NDArray[np.int32], rows: _Rows) -> int:
    first_sums = 0
    for start in range(0, rows.size, _ROWS_A_CALL):
        asked = rows[start : start + _ROWS_A_CALL]
        whole = asked.size // 4 * 4
        sums[:] = 0
        for i in range(0, whole, 4):
            a, b = weights[asked[i]], weights[asked[i + 1]]
            c, d = weights[asked[i + 2]], weights[asked[i + 3]]
            for j in range(sums.size):
                sums[j] += (a[j] + b[j]) + (c[j] + d[j])
        for row in asked[whole:]:
            a = weights[row]
            for j in range(sums.size):
                sums[j] += a[j]
        first_sums += sums[0]
    return first_sums


@numba.njit(cache=True)
def _add_eights(sums: NDArray[np.int32], weights: NDArray[np.int32], rows: _Rows) -> int:
    first_sums = 0
    for start in range(0, rows.size, _ROWS_A_CALL):
        asked = rows[start : start + _ROWS_A_CALL]
        whole = asked.size // 8 * 8
        sums[:] = 0
        for i in range(0, whole, 8):
            a, b = weights[asked[i]], weights[asked[i + 1]]
            c, d = weights[asked[i + 2]], weights[asked[i + 3]]
            e, f = weights[asked[i + 4]], weights[asked[i + 5]]
            g, h = weights[asked[i + 6]], weights[asked[i + 7]]
            for j in range(sums.size):
                sums[j] += ((a[j] + b[j]) + (c[j] + d[j])) + ((e[j] + f[j]) + (g[j] + h[j]))
        for row in asked[whole:]:
            a = weights[row]
            for j in range(sums.size):
                sums[j] += a[j]
        first_sums += sums[0]
    return first_sums


_FORMS: dict[str, tuple[_Adds, bool]] = {
    PLAIN: (_add_ones, False),
    "four rows at a time": (_add_fours, False),
    "eight rows at a time": (_add_eights, False),
    "one row at a time, rows on cache lines": (_add_ones, True),
    "four rows at a time, rows on cache lines": (_add_fours, True),
    "eight rows at a time, rows on cache lines": (_add_eights, True),
}


@dataclass(frozen=True, eq=False)
class _Task:
    """The rows that the spikes of a run ask of one projection's weights."""

    name: str
    weights: NDArray[np.int32]
    rows: _Rows

    @property
    def additions(self) -> int:
        return self.rows.size * self.weights.shape[1]


class Limit:
    """The weight additions of a recorded run, to be timed in turn with the run itself.

    Parameters
    ----------
    network : Network
        What ran; weights whose sums fit 32 bits.
    recording : Recording
        Of the run, with its spikes.
    """

    def __init__(self, network: Network, recording: Recording) -> None:
        if recording.spikes is None:
            raise ValueError("a recording without spikes")
        self._tasks = []
        for projection in network.projections:
            trains = recording.spikes[projection.source]
            # What is fired in the last steps arrives after the end.
            ends = trains.offsets[:, max(trains.steps - projection.delay_steps, 0)]
            rows = [
                trains.neurons[start:end]
                for start, end in zip(trains.offsets[:, 0], ends, strict=True)
            ]
            name = f"{projection.source} to {projection.target}"
            self._tasks.append(_Task(name, projection.mantissas, np.concatenate(rows)))
        self._check()

    @property
    def additions(self) -> dict[str, int]:
        """Additions of each projection."""
        return {task.name: task.additions for task in self._tasks}

    def subjects(self) -> dict[Hashable, Callable[[], object]]:
        """Return what is to be timed: each form on each projection."""
        return {
            (form, task.name): _bound(adds, task, on_cache_lines)
            for form, (adds, on_cache_lines) in _FORMS.items()
            for task in self._tasks
        }

    def seconds(
        self, timed: dict[Hashable, NDArray[np.float64]], form: str | None = None
    ) -> NDArray[np.float64]:
        """Return what all additions took, round by round.

        Parameters
        ----------
        timed : dict of subject to float64 array, shape (rounds,)
            Seconds of what :meth:`subjects` gave.
        form : str, optional
            Its name; by default the fastest of each round and projection.
        """
        forms = _FORMS if form is None else (form,)
        each = [np.min([timed[one, task.name] for one in forms], axis=0) for task in self._tasks]
        return np.sum(each, axis=0)

    def fastest(self, timed: dict[Hashable, NDArray[np.float64]]) -> dict[str, str]:
        """Return, for each projection, the form of the least median time."""
        return {
            task.name: min(_FORMS, key=lambda form: float(np.median(timed[form, task.name])))
            for task in self._tasks
        }

    def _check(self) -> None:
        for task in self._tasks:
            some = task.rows[:100]
            expected = sum(
                int(task.weights[some[start : start + _ROWS_A_CALL], 0].sum())
                for start in range(0, some.size, _ROWS_A_CALL)
            )
            for form, (adds, on_cache_lines) in _FORMS.items():
                few = _Task(task.name, task.weights, some)
                if _bound(adds, few, on_cache_lines)() != expected:
                    raise RuntimeError(f"rows added {form} have another sum")


def _bound(adds: _Adds, task: _Task, on_cache_lines: bool) -> Callable[[], int]:
    weights = _on_cache_lines(task.weights) if on_cache_lines else task.weights
    sums = _on_cache_lines(np.zeros((1, weights.shape[1]), np.int32))[0]
    return lambda: adds(sums[: weights.shape[1]], weights, task.rows)


def _on_cache_lines(weights: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the weights with zeros after each row, so that all begin on a cache line."""
    rows, columns = weights.shape
    a_line = _CACHE_LINE // weights.itemsize
    padded = -(-columns // a_line) * a_line
    memory = np.zeros(rows * padded + a_line, np.int32)
    start = -memory.ctypes.data % _CACHE_LINE // weights.itemsize
    aligned = memory[start : start + rows * padded].reshape(rows, padded)
    aligned[:, :columns] = weights
    return aligned
