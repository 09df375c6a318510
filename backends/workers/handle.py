"""Handle of a worker process: start, queries, and termination with all its child processes."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from typing import IO, Any

from neuroattack.errors import SimulationError

from .channel import Channel, Deadline
from .endings import describe_end
from .leftovers import new_prefix, remove_leftovers

__all__ = ["Worker"]

_TERMINATION_S = 5.0
_REPORT_S = 2.0
_TAIL_BYTES = 4096
_KEPT_BYTES = 2**28


class Worker:
    """Worker process with a network.

    Raises SimulationError if the worker fails or exceeds a deadline; it is then ended completely.

    Parameters
    ----------
    backend : str
        Name of the backend in error messages.
    served : str
        ``module:class`` of the network in the worker. The class is called with the plan, and has
        the method ``query(query, abandon)``; `abandon` becomes readable when the result is no
        longer needed.
    plan : object
        Description of the network.
    deadline_s : float
        Maximum time until the network is built.
    """

    def __init__(self, backend: str, served: str, plan: object, deadline_s: float) -> None:
        self._backend = backend
        deadline = Deadline(deadline_s)
        try:
            self._processes = _Processes(served, deadline)
        except (OSError, TimeoutError) as error:
            raise SimulationError(f"{backend}: the worker could not be started: {error}") from error
        self._end = weakref.finalize(self, self._processes.end)
        self._exchange("build the network", plan, deadline)

    def query(self, query: object, deadline_s: float) -> Any:
        """Return the result of the method ``query`` of the served network."""
        return self._exchange("complete the query", query, Deadline(deadline_s))

    @property
    def usable(self) -> bool:
        """Whether the worker can be used: it has not ended, and belongs to this process."""
        return self._end.alive and self._processes.owner == os.getpid()

    def end(self) -> None:
        """Kill the worker and all its child processes."""
        self._end()

    def _exchange(self, what: str, message: object, deadline: Deadline) -> Any:
        processes = self._processes
        try:
            processes.channel.send(message, deadline)
            kind, content = processes.channel.receive(deadline)
        except TimeoutError:
            self.end()
            raise self._failed(f"{what} within {deadline.seconds:g} s and was ended") from None
        except EOFError:
            processes.await_report()
            self.end()
            raise self._failed(f"{what}: {processes.end_reason}") from None
        except BaseException:
            # For example Ctrl-C: the result of the worker is not needed any more.
            self.end()
            raise
        if kind == "fault":
            self.end()
            raise self._failed(f"{what}: {content}")
        return content

    def _failed(self, what: str) -> SimulationError:
        return SimulationError(
            f"{self._backend}: the worker did not {what}; the next run starts a new one"
        )


class _Processes:
    """Worker and supervisor processes, and the connections to them."""

    def __init__(self, served: str, deadline: Deadline) -> None:
        self.owner = os.getpid()
        self._prefix = new_prefix()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the worker
        self.end_reason = ""
        program = sys.executable, "-m", "neuroattack.backends.workers.program"
        ours, theirs = socket.socketpair()
        # Block SIGINT until the supervisor has its own process group: Ctrl-C must not reach it.
        unmasked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            self._supervisor = subprocess.Popen(  # noqa: S603  # this Python, a module of ours
                [*program, self._prefix, str(theirs.fileno()), str(self.owner), served],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                pass_fds=[theirs.fileno()],
                cwd="/",
                env=_environment(),
                bufsize=0,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unmasked)
            theirs.close()
        if self._supervisor.stdin is None or self._supervisor.stdout is None:
            raise RuntimeError("no pipes")
        self._lifeline, self._status = self._supervisor.stdin, self._supervisor.stdout
        self._group = 0
        self.channel = Channel(ours, self._status.fileno())
        try:
            self._group = self._read_group(deadline)
        except BaseException:
            self.end()
            raise

    def _read_group(self, deadline: Deadline) -> int:
        """Return the worker's process group, which the supervisor writes first."""
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        line = b""
        while not line.endswith(b"\n"):
            deadline.wait(poll)
            part = self._status.read(1)
            if not part:
                raise OSError("its program ended immediately")
            line += part
        return int(line)

    def await_report(self) -> None:
        """Wait until the supervisor has reported why the worker ended."""
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        poll.poll(_REPORT_S * 1e3)

    def end(self) -> None:
        """Kill all processes and remove their shared memory and sockets."""
        with contextlib.suppress(OSError):
            self._lifeline.close()
        self.channel.close()
        if os.getpid() != self.owner:
            return
        try:
            self._supervisor.wait(_TERMINATION_S)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()
        if self._supervisor.returncode != 0:
            # The supervisor was killed or stopped before it could clean up.
            if self._group:
                with contextlib.suppress(OSError):
                    os.killpg(self._group, signal.SIGKILL)
            remove_leftovers(self._prefix)
        self.end_reason = self._read_end_reason()
        self._status.close()
        self._log.close()

    def _read_end_reason(self) -> str:
        """Return the reason why the worker ended."""
        if self._supervisor.returncode:
            reason = f"its supervisor {describe_end(self._supervisor.returncode)}"
        else:
            reason = (self._status.read() or b"").decode(errors="replace") or "it ended"
        size = os.fstat(self._log.fileno()).st_size
        tail = os.pread(self._log.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        lines = tail.decode(errors="replace").strip().splitlines()
        return f"{reason} ({lines[-1]})" if lines else reason


def _environment() -> dict[str, str]:
    environment = dict(os.environ)
    # The worker's working folder is /, so that files of the user do not shadow libraries.
    if "PYTHONPATH" in environment:
        folders = environment["PYTHONPATH"].split(os.pathsep)
        # Not Path.resolve(), which would resolve symbolic links.
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(f) for f in folders)  # noqa: PTH100
    # Each simulator process is single-threaded; additional BLAS threads would only compete.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        environment[name] = "1"
    # Arrays of the same sizes are allocated for every message: let the C library keep their pages
    # instead of returning them to the system, which takes a seventh of the time of a query.
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        environment[name] = str(_KEPT_BYTES)
    return environment
