"""Cells: pieces of a study that are done side by side, each kept when done and never done twice.

A cell is a function of the toolkit and its arguments, JSON values all. Its result is a file whose
name ends in a digest of function, arguments and version, so that one folder serves any number of
studies, whatever their settings; what is there is not done again. Results are written atomically:
a study that was interrupted, or killed, goes on with the cells that are left.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack import __version__
from neuroattack.errors import FileError, OutputError, SimulationError
from neuroattack.files import check_writable, write_json
from neuroattack.validation import check_whole

__all__ = ["Cell", "digest_of", "read_kept", "run_cells", "usable_cores"]

_MOST_WORKERS = 256

Work = Callable[..., Mapping[str, Any]]


@dataclass(frozen=True)
class Cell:
    """A piece of work.

    Parameters
    ----------
    name : str
        For people, and the beginning of its file's name; a file name's characters.
    work : callable
        A public function of a module of the toolkit. Called with the arguments by name, and with
        `folder`: where it may keep what is too large for its result, under names of its own.
    arguments : mapping of str to JSON value
        What decides the result.
    cost : float, optional
        Time it takes, in any unit, for the estimate of the time left.
    files : tuple of str, optional
        Keys of its result that name a file in the folder each, without which it is not done.
    """

    name: str
    work: Work
    arguments: Mapping[str, Any]
    cost: float = 1.0
    files: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its name with a digest of all that decides its result."""
        identity = [self.work.__module__, self.work.__qualname__, __version__, self.arguments]
        return f"{self.name}-{digest_of(identity)}"

    def path(self, folder: Path) -> Path:
        """Return the file of its result."""
        return folder / f"{self.key}.json"

    def result(self, folder: Path) -> dict[str, Any] | None:
        """Return the result that is kept in the folder; None where there is none."""
        try:
            kept = json.loads(self.path(folder).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(kept, dict) or kept.get("arguments") != _as_read(self.arguments):
            return None
        result = kept.get("result")
        if not isinstance(result, dict):
            return None
        there = all((folder / str(result.get(key))).is_file() for key in self.files)
        return result if there else None


def read_kept(path: Path, *names: str) -> list[NDArray[Any]]:
    """Return the arrays of these names in an npz file that a cell left in the folder.

    Raises
    ------
    FileError
        If it cannot be read; it says what to do.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except Exception as error:
        # Damage shows itself in errors of zip, zlib and NumPy's header parser alike.
        raise FileError(
            path, "is damaged, expected an archive of arrays; delete it and it is made anew"
        ) from error


def digest_of(values: Any) -> str:
    """Return twelve hexadecimal digits that tell JSON values from all others."""
    text = json.dumps(values, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


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
        What to do; none may wait for another.
    workers : int, optional
        Processes side by side; by default one for each core this process may use. Results do not
        depend on it.
    on_progress : callable, optional
        Called with the fraction of the cost that is done, and a few words, whenever a cell is.

    Raises
    ------
    OutputError
        If the folder cannot be written, or another process does cells in it.
    NeuroattackError
        What a cell raised; the other cells that were done by then are kept.
    SimulationError
        If a process of a cell was killed.
    """
    workers = check_whole(
        "workers", usable_cores() if workers is None else workers, 1, _MOST_WORKERS
    )
    results = {cell.key: cell.result(folder) for cell in cells}
    left = {cell.key: cell for cell in cells if results[cell.key] is None}
    total = sum(cell.cost for cell in cells)
    check_writable(folder / "cell.json")

    def report() -> None:
        if on_progress:
            done = sum(cell.cost for cell in cells if cell.key not in left)
            count = sum(cell.key not in left for cell in cells)
            on_progress(done / total if total else 1.0, f"{count} of {len(cells)}")

    def keep(key: str, result: dict[str, Any]) -> None:
        results[key] = result
        del left[key]
        report()

    report()
    if left:
        with _alone_in(folder):
            _run(folder, list(left.values()), min(workers, len(left)), keep)
    # What was just computed is taken as it is read next time, tuples as lists.
    return [_as_read(results[cell.key]) for cell in cells]


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _run(
    folder: Path,
    cells: Sequence[Cell],
    workers: int,
    keep: Callable[[str, dict[str, Any]], None],
) -> None:
    context = multiprocessing.get_context("spawn")
    # Nothing is ever sent: it ends when the last process that could send is gone, which is this.
    line, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, _begin_worker, (line,))
    # The longest first, so that none is left to the end while the other workers have nothing.
    waiting = sorted(cells, key=lambda cell: -cell.cost)[::-1]
    running: dict[Future[dict[str, Any]], str] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                cell = waiting.pop()
                place = cell.work.__module__, cell.work.__qualname__
                arguments = dict(cell.arguments)
                with _ctrl_c_held_back():
                    task = pool.submit(_do, place, arguments, folder, cell.path(folder))
                running[task] = cell.key
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                keep(running.pop(done), done.result())
    except BaseException as error:
        # What they still do is for nobody.
        held.close()
        if isinstance(error, BrokenProcessPool):
            raise SimulationError(
                "a worker process ended without a word, killed or out of memory; the same command "
                "goes on where it stopped"
            ) from None
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        held.close()
        line.close()


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from doing cells in a folder: they would train into the same files."""
    lock = folder / ".lock"
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise OutputError(lock, f"cannot be written: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                folder, "another process is at work in this folder; wait for it, or choose another"
            ) from None
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Hold Ctrl-C back, also from a process that is started meanwhile.

    It would else interrupt a worker that has not yet got to leaving it to the parent, or one whose
    parent has only begun to tell it what it is.
    """
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


def _begin_worker(line: Connection) -> None:
    """Leave Ctrl-C to the parent, and end when it hangs up or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        with contextlib.suppress(EOFError, OSError):
            line.recv_bytes()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _do(
    place: tuple[str, str], arguments: dict[str, Any], folder: Path, path: Path
) -> dict[str, Any]:
    module, name = place
    work = getattr(importlib.import_module(module), name)
    result: dict[str, Any] = dict(work(**arguments, folder=folder))
    write_json(path, {"arguments": arguments, "result": result})
    return result


def _as_read(value: Any) -> Any:
    return json.loads(json.dumps(value))
