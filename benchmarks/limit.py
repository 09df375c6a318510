"""The limit: a lower bound on the simulation time, from the weight additions alone.

Every spike that arrives adds one row of weights to the currents of the next population. The limit
is the number of those additions divided by the rate at which this core adds rows. The rate is
measured on the same matrices, with the rows in the order in which the spikes need them, 64 rows
per call, without neurons or time steps. It is the rate of the fastest of six variants, all with
32-bit integers, whose sums are exact: one, four or eight rows at a time, with rows as they are in
memory or aligned to cache lines.

These variants read whole rows, mostly from the second-level cache. The native backend adds the rows
of an image to 64 neurons at a time, whose weights stay in the first-level cache. The seventh
variant adds them in this way, and is reported separately.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import cast

import numba
import numpy as np
from numpy.typing import NDArray

from neuroattack.backends.native.tiles import TILE, in_tiles, sum_tile
from neuroattack.deployment.backend import Recording
from neuroattack.ir.network import Network

__all__ = ["PLAIN", "TILES", "Limit", "adding_weights"]

_ROWS_A_CALL = 64
_CACHE_LINE = 64

PLAIN = "one row at a time"
"""Variant with a plain loop."""

TILES = "64 neurons at a time"
"""Variant that adds the rows of an image to 64 neurons at a time."""

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
        chunk = rows[start : start + _ROWS_A_CALL]
        whole = chunk.size // 4 * 4
        sums[:] = 0
        for i in range(0, whole, 4):
            a, b = weights[chunk[i]], weights[chunk[i + 1]]
            c, d = weights[chunk[i + 2]], weights[chunk[i + 3]]
            for j in range(sums.size):
                sums[j] += (a[j] + b[j]) + (c[j] + d[j])
        for row in chunk[whole:]:
            a = weights[row]
            for j in range(sums.size):
                sums[j] += a[j]
        first_sums += sums[0]
    return first_sums


@numba.njit(cache=True)
def _add_eights(sums: NDArray[np.int32], weights: NDArray[np.int32], rows: _Rows) -> int:
    first_sums = 0
    for start in range(0, rows.size, _ROWS_A_CALL):
        chunk = rows[start : start + _ROWS_A_CALL]
        whole = chunk.size // 8 * 8
        sums[:] = 0
        for i in range(0, whole, 8):
            a, b = weights[chunk[i]], weights[chunk[i + 1]]
            c, d = weights[chunk[i + 2]], weights[chunk[i + 3]]
            e, f = weights[chunk[i + 4]], weights[chunk[i + 5]]
            g, h = weights[chunk[i + 6]], weights[chunk[i + 7]]
            for j in range(sums.size):
                sums[j] += ((a[j] + b[j]) + (c[j] + d[j])) + ((e[j] + f[j]) + (g[j] + h[j]))
        for row in chunk[whole:]:
            a = weights[row]
            for j in range(sums.size):
                sums[j] += a[j]
        first_sums += sums[0]
    return first_sums


@numba.njit(cache=True)
def _add_tiles(
    sums: NDArray[np.int32], tiles: NDArray[np.int32], rows: _Rows, ends: NDArray[np.int64]
) -> int:
    first_sums = 0
    for image in range(ends.size - 1):
        for tile in range(tiles.shape[0]):
            for start in range(ends[image], ends[image + 1], _ROWS_A_CALL):
                end = min(start + _ROWS_A_CALL, ends[image + 1])
                sum_tile(tiles, rows, np.uint64(tile), np.uint64(start), np.uint64(end), sums)
                if tile == 0:
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
    """Weight rows of one projection that the spikes of a run add."""

    name: str
    weights: NDArray[np.int32]
    rows: _Rows
    ends: NDArray[np.int64]  # of the rows of each image, after a zero

    @property
    def additions(self) -> int:
        return self.rows.size * self.weights.shape[1]


class Limit:
    """The weight additions of a recorded run, to be timed in the same rounds as the run itself.

    Parameters
    ----------
    network : Network
        Network that ran; sums of its weights must fit in 32 bits.
    recording : Recording
        Recording of the run, with spikes.
    """

    def __init__(self, network: Network, recording: Recording) -> None:
        if recording.spikes is None:
            raise ValueError("a recording without spikes")
        self._tasks = []
        for projection in network.projections:
            trains = recording.spikes[projection.source]
            # Spikes fired in the last steps arrive after the end.
            ends = trains.offsets[:, max(trains.steps - projection.delay_steps, 0)]
            rows = [
                trains.neurons[start:end]
                for start, end in zip(trains.offsets[:, 0], ends, strict=True)
            ]
            name = f"{projection.source} to {projection.target}"
            lengths = [len(each) for each in rows]
            ends_of_images = np.cumsum([0, *lengths])
            self._tasks.append(
                _Task(name, projection.mantissas, np.concatenate(rows), ends_of_images)
            )
        self._check()

    @property
    def additions(self) -> dict[str, int]:
        """Number of additions by projection."""
        return {task.name: task.additions for task in self._tasks}

    def subjects(self) -> dict[Hashable, Callable[[], object]]:
        """Return the callables to time: each variant on each projection."""
        return {
            (form, task.name): _bound(adds, task, on_cache_lines)
            for form, (adds, on_cache_lines) in _FORMS.items()
            for task in self._tasks
        } | {(TILES, task.name): _bound_tiles(task) for task in self._tasks}

    def seconds(
        self, timed: dict[Hashable, NDArray[np.float64]], form: str | None = None
    ) -> NDArray[np.float64]:
        """Return the time of all additions in each round.

        Parameters
        ----------
        timed : dict of subject to float64 array, shape (rounds,)
            Seconds of the callables that :meth:`subjects` returned.
        form : str, optional
            Name of the variant. Default: in each round and projection, the fastest of those that
            add whole rows.
        """
        forms = _FORMS if form is None else (form,)
        each = [np.min([timed[one, task.name] for one in forms], axis=0) for task in self._tasks]
        return np.sum(each, axis=0)

    def fastest(self, timed: dict[Hashable, NDArray[np.float64]]) -> dict[str, str]:
        """Return, for each projection, the variant with the lowest median time."""
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
                few = _Task(task.name, task.weights, some, np.array([0, some.size]))
                if _bound(adds, few, on_cache_lines)() != expected:
                    raise RuntimeError(f"wrong sum of rows in variant {form!r}")
            if _bound_tiles(few)() != expected:
                raise RuntimeError(f"wrong sum of rows in variant {TILES!r}")


def adding_weights(number: int) -> Callable[[], int]:
    """Return a callable that adds a number of weights, all in the first-level cache."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, _ROWS_A_CALL, -(-number // TILE)).astype(np.int32)
    weights = rng.integers(-1000, 1000, (_ROWS_A_CALL, TILE)).astype(np.int32)
    return _bound_tiles(_Task("any", weights, rows, np.array([0, rows.size])))


def _bound(adds: _Adds, task: _Task, on_cache_lines: bool) -> Callable[[], int]:
    weights = _on_cache_lines(task.weights) if on_cache_lines else task.weights
    sums = _on_cache_lines(np.zeros((1, weights.shape[1]), np.int32))[0]
    return lambda: adds(sums[: weights.shape[1]], weights, task.rows)


def _bound_tiles(task: _Task) -> Callable[[], int]:
    tiles = cast("NDArray[np.int32]", in_tiles(task.weights, np.int32))
    sums = np.empty(TILE, np.int32)
    return lambda: _add_tiles(sums, tiles, task.rows, task.ends)


def _on_cache_lines(weights: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the weights padded with zeros so that every row begins on a cache line."""
    rows, columns = weights.shape
    a_line = _CACHE_LINE // weights.itemsize
    padded = -(-columns // a_line) * a_line
    memory = np.zeros(rows * padded + a_line, np.int32)
    start = -memory.ctypes.data % _CACHE_LINE // weights.itemsize
    aligned = memory[start : start + rows * padded].reshape(rows, padded)
    aligned[:, :columns] = weights
    return aligned
