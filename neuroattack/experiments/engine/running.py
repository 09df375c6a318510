"""Run the cells of an experiment in parallel processes, each cell once."""

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
from neuroattack.experiments.engine.store import STORE, Claimed, Counts, Store
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

_WAIT_FOR_OTHERS_S = 0.5
_REPORT_EVERY_S = 1.0
# Longest part of the time that counting the cells for a report may take.
_REPORT_SHARE = 0.05


def run_cells(
    folder: Path,
    cells: Sequence[Cell],
    *,
    workers: int | None = None,
    on_progress: Callable[[float, str], None] | None = None,
) -> list[dict[str, Any]]:
    """Run all unfinished cells, and return the results of all cells in order.

    Parameters
    ----------
    folder : Path
        Folder of the results.
    cells : sequence of Cell
        Cells to run.
    workers : int, optional
        Number of processes; by default the number of usable cores. Results do not depend on it.
    on_progress : callable, optional
        Called with the completed fraction of the total cost and a status text after each cell.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    Exception
        Error of a cell; the results of finished cells are kept.
    SimulationError
        If a worker process was killed.
    """
    chosen = Workers(workers)
    check_writable(folder / STORE)
    with Store(folder, create=True) as store:
        # Longest cells first, so that workers finish at about the same time.
        store.plan(sorted(cells, key=lambda cell: -cell.cost))
        done = {}
        for cell in cells:
            result = store.result(cell.key)
            if result is not None and not _has_files(cell, result, folder):
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
                _Run(
                    *(store, folder, parallel, chosen.threads(parallel), {}, report),
                    stop_at_failure=True,
                ).until_done()
        return [_require(store.result(cell.key)) for cell in cells]


def do_cells(
    folder: Path,
    workers: Workers,
    common: Mapping[str, Any],
    on_progress: Callable[[Counts, float], None] | None = None,
) -> Counts:
    """Run all planned cells of a folder; several processes may do so at once.

    A cell that raises an error or kills its worker is tried again; it fails after three attempts.

    Returns
    -------
    Counts
        Final counts, without waiting cells.
    """
    began = time.monotonic()
    finished, due = 0, began
    with Store(folder) as store, workers.ready() as parallel:

        def report(key: str | None) -> None:
            nonlocal finished, due
            finished += key is not None
            now = time.monotonic()
            if on_progress and (key is None or now >= due):
                on_progress(store.counts(), finished / max(now - began, 1e-9))
                after = time.monotonic()
                due = after + max(_REPORT_EVERY_S, (after - now) / _REPORT_SHARE)

        threads = workers.threads(parallel)
        run = _Run(store, folder, parallel, threads, common, report, stop_at_failure=False)
        return run.until_done()


def count_done(folder: Path) -> int:
    """Return the number of finished cells in a folder; 0 without a store."""
    try:
        with Store(folder) as store:
            return store.counts().done
    except NeuroattackError:
        return 0


def _has_files(cell: Cell, result: Mapping[str, Any], folder: Path) -> bool:
    return all((folder / str(result.get(key))).is_file() for key in cell.files)


def _require(result: dict[str, Any] | None) -> dict[str, Any]:
    if result is None:
        raise SimulationError("a result was deleted from the store while it was read")
    return result


@contextlib.contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    """Block Ctrl-C while worker processes start: they inherit the mask and leave it to us."""
    # Starting these processes would unblock Ctrl-C, so they are started before.
    loky_tracker.ensure_running()
    resource_tracker.ensure_running()
    received: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    installable = callable(handler) and threading.current_thread() is threading.main_thread()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    if installable:
        # Another thread, such as one of BLAS, may receive the signal; it is handled here.
        signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    try:
        yield
    finally:
        if installable:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if received:
            signal.raise_signal(signal.SIGINT)


def _silence_pool_thread() -> None:
    """Ignore errors in loky's thread, which may look for tasks of a pool that was just ended."""
    handle = threading.excepthook

    def handle_others(args: threading.ExceptHookArgs) -> None:
        if args.thread is None or args.thread.name != "ExecutorManagerThread":
            handle(args)

    threading.excepthook = handle_others


class _Run:
    """Run ready cells, then the cells that depend on them, until none are left."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        parallel: int,
        threads: int,
        common: Mapping[str, Any],
        report: Callable[[str | None], None],
        *,
        stop_at_failure: bool,
    ) -> None:
        self._store = store
        self._folder = folder.absolute()
        self._parallel = parallel
        self._threads = threads
        self._common = common
        self._report = report
        self._stop_at_failure = stop_at_failure
        self._in_progress: set[str] = set()
        self._lock = threading.Lock()

    def until_done(self) -> Counts:
        while True:
            self._report(None)
            try:
                finished = self._run_parallel()
            except WORKER_DIED:
                if self._stop_at_failure:
                    raise SimulationError(
                        "a worker process was killed or ran out of memory; the same command "
                        "resumes where it stopped"
                    ) from None
                self._run_singly(sorted(self._in_progress))
                continue
            counts = self._store.counts()
            if not counts.waiting and not counts.running:
                self._report(None)
                return counts
            if not finished:
                # The remaining cells, or cells they depend on, run in another process.
                time.sleep(_WAIT_FOR_OTHERS_S)

    def _run_parallel(self) -> int:
        """Run all available cells; return their number."""
        finished = 0
        with (
            warnings.catch_warnings(),
            joblib.Parallel(
                # With one job, joblib would run cells in this process, which a crash would end.
                max(2, self._parallel),
                return_as="generator_unordered",
                batch_size=1,
                pre_dispatch="2*n_jobs" if self._parallel > 1 else 1,
            ) as pool,
            contextlib.ExitStack() as stack,
        ):
            # loky replaces workers whose memory has grown; the warning does not matter.
            warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
            # Cells interrupted while running are run again.
            warnings.filterwarnings("ignore", message=r"\d+ tasks which were still being")
            try:
                with _ctrl_c_blocked():
                    results = pool(joblib.delayed(attempt)(task) for task in self._tasks())
                    stack.enter_context(contextlib.closing(results))
                for result in results:
                    self._keep(result)
                    finished += 1
            except KeyboardInterrupt:
                _silence_pool_thread()
                raise
        return finished

    def _run_singly(self, suspects: Sequence[str]) -> None:
        """Run cells one at a time that were running when a worker died, to find the cause."""
        self._in_progress.clear()
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
            # joblib calls this from its own threads.
            with self._lock:
                cell = self._store.claim()
                if cell is None:
                    return
                self._in_progress.add(cell.key)
            yield self._task(cell)

    def _task(self, cell: Claimed) -> Task:
        arguments = {**self._common, **cell.arguments}
        if cell.before is not None:
            arguments["before"] = cell.before
        return Task(cell.key, cell.module, cell.function, arguments, self._folder, self._threads)

    def _keep(self, result: Finished | Failed) -> None:
        key = result.key
        self._in_progress.discard(key)
        if isinstance(result, Finished):
            self._store.finish(key, result.result)
        elif self._stop_at_failure:
            raise result.error
        else:
            self._store.fail(key, result.text)
        self._report(key)
