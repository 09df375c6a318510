"""Child processes with a deadline, which leave no processes behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...workers.endings import describe_end, find_end

__all__ = ["Ended", "run_in_group"]

_GROUP_ENDS_S = 5.0


@dataclass(frozen=True)
class Ended:
    """Result of a child process: exit code, output, and whether it exceeded its deadline.

    A negative code is that of the signal that ended the process.
    """

    code: int
    output: str
    late: bool

    def problem(self) -> str:
        """Return a short description of the failure; empty if it succeeded without output."""
        if self.late:
            return "it exceeded its deadline and was stopped"
        if self.code < 0:
            return f"it {describe_end(self.code)}"
        lines = self.output.strip().splitlines()
        if lines:
            return lines[-1].strip().rstrip(".")
        return f"it ended with code {self.code}" if self.code else ""


def run_in_group(
    command: Sequence[str | os.PathLike[str]],
    *,
    folder: Path,
    log: Path,
    deadline_s: float,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a program in a new process group, and kill the whole group when it ends.

    The output is written to the file `log`. Raises OSError if the program cannot be started, or the
    file cannot be written.
    """
    late = threading.Event()
    with log.open("wb") as output:
        child = subprocess.Popen(  # noqa: S603  # programs that we name or built
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def stop() -> None:
        late.set()
        _kill_group(child.pid)

    # A timer, because waiting with a timeout polls and may detect the end up to 50 ms late.
    timer = threading.Timer(deadline_s, stop)
    timer.daemon = True
    timer.start()
    try:
        # Do not reap the child yet: its process id must not be reused before the group is killed.
        find_end(child.pid)
    finally:
        # Also reached after an interrupt.
        timer.cancel()
        _kill_group(child.pid)
        code = child.wait()
        _await_end(child.pid)
    return Ended(code, log.read_text("utf-8", "replace"), late.is_set())


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _await_end(leader: int) -> None:
    """Wait until all processes of the killed group have ended and cannot write any more."""
    end = time.monotonic() + _GROUP_ENDS_S
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.killpg(leader, 0)
            time.sleep(0.01)
