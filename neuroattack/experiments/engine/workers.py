"""Worker processes that run cells: on this machine or of a Dask scheduler."""

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
from neuroattack.experiments.engine.store import Packed
from neuroattack.validation import check_integer

__all__ = ["WORKER_DIED", "Failed", "Finished", "Task", "Workers", "attempt"]

_MAX_WORKERS = 256
# Limits joblib.cpu_count().
_CORES = "LOKY_MAX_CPU_COUNT"
_PARENT_CHECK_S = 0.5

_cell_lock = threading.Lock()


@dataclass(frozen=True)
class Workers:
    """Worker processes that run cells.

    Parameters
    ----------
    cores : int, optional
        Number of processes on this machine; by default the number of usable cores. Results do not
        depend on it.
    scheduler : str, optional
        Address of a Dask scheduler whose workers are used instead.

    Raises
    ------
    ValidationError
        If the number is out of range, or both are given.
    """

    cores: int | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.cores is not None:
            check_integer("workers", self.cores, 1, _MAX_WORKERS)
            if self.scheduler is not None:
                raise ValidationError(
                    "workers", self.cores, "no number of workers together with a scheduler"
                )

    def threads(self, workers: int) -> int:
        """Return the number of threads of each worker: its part of the cores, or 1 on Dask."""
        return 1 if self.scheduler else max(1, joblib.cpu_count() // workers)

    @contextlib.contextmanager
    def ready(self) -> Iterator[int]:
        """Configure joblib to use the workers; yields their number.

        Raises
        ------
        SimulationError
            If the scheduler does not respond or has no workers.
        UnsupportedFeatureError
            If Dask is not installed.
        """
        if self.scheduler is None:
            cores = joblib.cpu_count() if self.cores is None else self.cores
            # Compiled loops in each worker use an equal number of the cores.
            with joblib.parallel_config(
                "loky",
                inner_max_num_threads=self.threads(cores),
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
                f"no response from a Dask scheduler at {self.scheduler}: {error}"
            ) from None
        with client:
            cores = sum(client.nthreads().values())
            if not cores:
                raise SimulationError(f"the Dask scheduler at {self.scheduler} has no workers")
            with joblib.parallel_config("dask", scheduler_host=self.scheduler):
                yield cores


def _end_with_parent(parent: int) -> None:
    """Ignore Ctrl-C, which the parent process handles, and exit soon after the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_CHECK_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@dataclass(frozen=True)
class Task:
    """A cell as sent to a worker: key, function, arguments, folder and number of threads."""

    key: str
    module: str
    function: str
    arguments: Mapping[str, Any]
    folder: Path
    threads: int


@dataclass(frozen=True, eq=False)
class Finished:
    """Key and packed result of a finished cell."""

    key: str
    result: Packed


@dataclass(frozen=True, eq=False)
class Failed:
    """Key and error of a failed cell."""

    key: str
    error: Exception

    @property
    def text(self) -> str:
        """Type and message of the error in one line."""
        text = " ".join(str(self.error).split()) or "no message"
        return f"{type(self.error).__name__}: {text}"


def attempt(task: Task) -> Finished | Failed:
    """Run a cell, and return its result or error.

    BLAS is limited to one thread, because its rounding depends on the number of threads; results
    are then equal on any number of cores. A process runs one cell at a time, because this limit and
    the random state used by ART are global.
    """
    # Backends take this number of cores, so that workers do not compete for them.
    os.environ[_CORES] = str(task.threads)
    try:
        work = getattr(importlib.import_module(task.module), task.function)
        with _cell_lock, threadpool_limits(1, user_api="blas"):
            result = work(**task.arguments, folder=task.folder)
        # Packed here, because the process that stores the results serves all workers.
        return Finished(task.key, Packed.of(result))
    except Exception as error:
        return Failed(task.key, error)


def _worker_died() -> tuple[type[BaseException], ...]:
    kinds: list[type[BaseException]] = [TerminatedWorkerError]
    with contextlib.suppress(ImportError):
        from distributed.scheduler import KilledWorker

        kinds.append(KilledWorker)
    return tuple(kinds)


WORKER_DIED = _worker_died()
"""Errors raised by joblib if a worker process died."""
