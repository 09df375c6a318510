"""Processes that do cells: on this machine, or those of a Dask scheduler."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_limits

from neuroattack.errors import SimulationError, UnsupportedFeatureError, ValidationError
from neuroattack.validation import check_whole

__all__ = ["WORKER_DIED", "Failed", "Finished", "Task", "Workers", "attempt", "usable_cores"]

_MOST_WORKERS = 256
_LOOK_AGAIN_S = 0.5

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Workers:
    """Where cells are done.

    Parameters
    ----------
    cores : int, optional
        Processes on this machine; by default one per core that this process may use. Results do
        not depend on it.
    scheduler : str, optional
        Address of a Dask scheduler whose workers do it instead.

    Raises
    ------
    ValidationError
        If the number is out of range, or both are given.
    """

    cores: int | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.cores is not None:
            check_whole("workers", self.cores, 1, _MOST_WORKERS)
            if self.scheduler is not None:
                raise ValidationError(
                    "workers", self.cores, "none beside a scheduler, which has its own"
                )

    @contextlib.contextmanager
    def ready(self) -> Iterator[int]:
        """Make joblib use them; yields how many there are.

        Raises
        ------
        SimulationError
            If there is no such scheduler, or it has no workers.
        UnsupportedFeatureError
            If Dask is not installed.
        """
        if self.scheduler is None:
            cores = usable_cores() if self.cores is None else self.cores
            # Threads of compiled loops in each worker: its share of the cores.
            with joblib.parallel_config(
                "loky",
                inner_max_num_threads=max(1, usable_cores() // cores),
                initializer=_end_with_parent,
                initargs=(os.getpid(),),
            ):
                yield cores
            return
        try:
            from distributed import Client
        except ImportError:
            raise UnsupportedFeatureError(
                "a Dask scheduler needs the extra `campaigns`: pip install 'neuroattack[campaigns]'"
            ) from None
        try:
            client = Client(self.scheduler, timeout="10s", set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise SimulationError(
                f"no Dask scheduler answers at {self.scheduler}: {error}"
            ) from None
        with client:
            cores = sum(client.nthreads().values())
            if not cores:
                raise SimulationError(f"the Dask scheduler at {self.scheduler} has no workers")
            with joblib.parallel_config("dask", scheduler_host=self.scheduler):
                yield cores


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _end_with_parent(parent: int) -> None:
    """Leave Ctrl-C to the parent process, and end soon after it has, however it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_AGAIN_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@dataclass(frozen=True)
class Task:
    """A cell with all that another process needs to do it: key, function, arguments, folder."""

    key: str
    module: str
    function: str
    arguments: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True, eq=False)
class Finished:
    """A cell that is done, and its result."""

    key: str
    result: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Failed:
    """A cell that raised an error."""

    key: str
    error: Exception

    @property
    def text(self) -> str:
        """Kind and message of the error in one line."""
        text = " ".join(str(self.error).split()) or "no message"
        return f"{type(self.error).__name__}: {text}"


def attempt(task: Task) -> Finished | Failed:
    """Do a cell; an error of whatever kind is its result.

    With one thread of BLAS, whose sums depend on how many there are: the same cell gives the same
    result on any number of cores. One cell at a time in a process, for that number is the
    process's, and so is the global random state that ART's attacks use.
    """
    try:
        work = getattr(importlib.import_module(task.module), task.function)
        with _one_at_a_time, threadpool_limits(1, user_api="blas"):
            return Finished(task.key, work(**task.arguments, folder=task.folder))
    except Exception as error:
        return Failed(task.key, error)


def _worker_died() -> tuple[type[BaseException], ...]:
    kinds: list[type[BaseException]] = [TerminatedWorkerError]
    with contextlib.suppress(ImportError):
        from distributed.scheduler import KilledWorker

        kinds.append(KilledWorker)
    return tuple(kinds)


WORKER_DIED = _worker_died()
"""What joblib raises where a worker process died."""
