"""Doing the cells of an experiment: side by side, in any number of processes, never twice."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import joblib
from joblib.externals.loky.backend import resource_tracker as loky_tracker

from neuroattack.errors import NeuroattackError, SimulationError
from neuroattack.experiments.engine.cells import Cell
from neuroattack.experiments.engine.store import STORE, Counts, Store, Waiting
from neuroattack.experiments.engine.workers import (
    WORKER_DIED,
    Failed,
    Finished,
    Task,
    Workers,
    attempt,
)
from neuroattack.files import check_writable

__all__ = ["count_done", "do_cells", "run_cells"]

_OTHERS_AT_WORK_S = 0.5
_REPORT_EVERY_S = 1.0


def run_cells(
    folder: Path,
    cells: Sequence[Cell],
    *,
    workers: int | None = None,
    on_progress: Callable[[float, str], None] | None = None,
) -> list[dict[str, Any]]:
    """Do all cells that are not done, and return the results of all, in their order.

    Parameters
    ----------
    folder : Path
        Where results are kept.
    cells : sequence of Cell
        What to do.
    workers : int, optional
        Processes side by side; by default one per core that this process may use. Results do not
        depend on it.
    on_progress : callable, optional
        Called with the fraction of the cost that is done, and a few words, whenever a cell is.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    Exception
        What a cell raised; the other cells that were done by then are kept.
    SimulationError
        If a worker process was killed.
    """
    chosen = Workers(workers)
    check_writable(folder / STORE)
    with Store(folder, create=True) as store:
        # The longest first, so that none is left to the end while other workers have nothing.
        store.plan(sorted(cells, key=lambda cell: -cell.cost))
        done = {}
        for cell in cells:
            result = store.result(cell.key)
            if result is not None and not _complete(cell, result, folder):
                store.forget([cell.key])
            elif result is not None:
                done[cell.key] = cell.cost
        total = sum(cell.cost for cell in cells) or 1.0
        costs = {cell.key: cell.cost for cell in cells}

        reported = -1

        def report(key: str | None) -> None:
            nonlocal reported
            if key is not None:
                done[key] = costs[key]
            if on_progress and len(done) != reported:
                reported = len(done)
                fraction = sum(done.values()) / total if cells else 1.0
                on_progress(fraction, f"{len(done)} of {len(costs)}")

        report(None)
        left = [key for key in costs if key not in done]
        if left:
            store.wait_for(left)
            with chosen.ready() as parallel:
                _Round(store, folder, parallel, {}, report, stop_at_failure=True).until_done()
        return [_present(store.result(cell.key)) for cell in cells]


def do_cells(
    folder: Path,
    workers: Workers,
    common: Mapping[str, Any],
    on_progress: Callable[[Counts, float], None] | None = None,
) -> Counts:
    """Do all planned cells of a folder, beside other processes that do the same if there are any.

    A cell that raises an error, or kills its worker, is tried again; after three attempts it has
    failed.

    Returns
    -------
    Counts
        In the end: nothing waits.
    """
    began = time.monotonic()
    finished, reported = 0, -_REPORT_EVERY_S
    with Store(folder) as store, workers.ready() as parallel:

        def report(key: str | None) -> None:
            nonlocal finished, reported
            finished += key is not None
            now = time.monotonic()
            if on_progress and (key is None or now - reported >= _REPORT_EVERY_S):
                reported = now
                on_progress(store.counts(), finished / max(now - began, 1e-9))

        return _Round(store, folder, parallel, common, report, stop_at_failure=False).until_done()


def count_done(folder: Path) -> int:
    """Return how many cells of a folder are done, 0 where there is no store."""
    try:
        with Store(folder) as store:
            return store.counts().done
    except NeuroattackError:
        return 0


def _complete(cell: Cell, result: Mapping[str, Any], folder: Path) -> bool:
    return all((folder / str(result.get(key))).is_file() for key in cell.files)


def _present(result: dict[str, Any] | None) -> dict[str, Any]:
    if result is None:
        raise SimulationError("a result vanished from the store while it was read")
    return result


@contextlib.contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Hold Ctrl-C back while worker processes start: they inherit that, and leave it to us."""
    # Their start lets Ctrl-C through again: have them running before.
    loky_tracker.ensure_running()
    resource_tracker.ensure_running()
    came: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    here = callable(handler) and threading.current_thread() is threading.main_thread()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    if here:
        # Another thread, one of BLAS say, may get the signal, and it is handled here nonetheless.
        signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        if here:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if came:
            signal.raise_signal(signal.SIGINT)


class _Round:
    """All that can be done now, then what waited for it, until nothing is left."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        parallel: int,
        common: Mapping[str, Any],
        report: Callable[[str | None], None],
        *,
        stop_at_failure: bool,
    ) -> None:
        self._store = store
        self._folder = folder.absolute()
        self._parallel = parallel
        self._common = common
        self._report = report
        self._stop_at_failure = stop_at_failure
        self._flying: set[str] = set()
        self._lock = threading.Lock()

    def until_done(self) -> Counts:
        while True:
            self._report(None)
            try:
                did = self._side_by_side()
            except WORKER_DIED:
                if self._stop_at_failure:
                    raise SimulationError(
                        "a worker process was killed or ran out of memory; the same command "
                        "resumes where it stopped"
                    ) from None
                self._one_by_one(sorted(self._flying))
                continue
            counts = self._store.counts()
            if not counts.waiting and not counts.running:
                self._report(None)
                return counts
            if not did:
                # Another process has what is left, or that which it waits for.
                time.sleep(_OTHERS_AT_WORK_S)

    def _side_by_side(self) -> int:
        """Do all that can be had now; return how many cells that were."""
        did = 0
        with (
            warnings.catch_warnings(),
            joblib.Parallel(
                # Of one job joblib makes none of another process: what kills it would end us.
                max(2, self._parallel),
                return_as="generator_unordered",
                batch_size=1,
                pre_dispatch="2*n_jobs" if self._parallel > 1 else 1,
            ) as pool,
            contextlib.ExitStack() as stack,
        ):
            # loky replaces a worker whose memory has grown, and says so: no matter to the user.
            warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
            # Interrupted, what was begun is left: it is done again.
            warnings.filterwarnings("ignore", message=r"\d+ tasks which were still being")
            with _ctrl_c_held_back():
                results = pool(joblib.delayed(attempt)(task) for task in self._tasks())
                stack.enter_context(contextlib.closing(results))
            for result in results:
                self._keep(result)
                did += 1
        return did

    def _one_by_one(self, suspects: Sequence[str]) -> None:
        """Do each alone that was at work when a worker died: so it is seen which one kills."""
        self._flying.clear()
        self._store.release()
        for key in suspects:
            cell = self._store.claim(key=key)
            if cell is None:
                continue
            try:
                with joblib.Parallel(2, batch_size=1) as pool:
                    for result in pool([joblib.delayed(attempt)(self._task(cell))]):
                        self._keep(result)
            except WORKER_DIED as error:
                text = " ".join(str(error).split())[:200]
                self._store.fail(key, f"its worker process died: {text}")

    def _tasks(self) -> Iterator[Task]:
        while True:
            # joblib asks from threads of its own.
            with self._lock:
                cell = self._store.claim()
                if cell is None:
                    return
                self._flying.add(cell.key)
            yield self._task(cell)

    def _task(self, cell: Waiting) -> Task:
        arguments = {**self._common, **cell.arguments}
        if cell.before is not None:
            arguments["before"] = cell.before
        return Task(cell.key, cell.module, cell.function, arguments, self._folder)

    def _keep(self, result: Finished | Failed) -> None:
        key = result.key
        self._flying.discard(key)
        if isinstance(result, Finished):
            self._store.finish(key, result.result)
        elif self._stop_at_failure:
            raise result.error
        else:
            self._store.fail(key, result.text)
        self._report(key)
