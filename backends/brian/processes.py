"""Child processes that end in time, and leave no process behind however they end."""

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

from ..endings import describe_end, find_end

__all__ = ["Ended", "run_in_group"]

_GROUP_ENDS_S = 5.0


@dataclass(frozen=True)
class Ended:
    """How a child process ended, what it wrote, and whether its deadline had come.

    The code is the negative of a signal that ended it.
    """

    code: int
    output: str
    late: bool

    def problem(self) -> str:
        """Say in a few words what went wrong; empty if it ended well and without a word."""
        if self.late:
            return "it did not end in time and was stopped"
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
    """Run a program in a process group of its own, and end the whole group with it.

    Its output goes to the file `log`. Raises OSError if it cannot be started, or the file cannot
    be written.
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

    # A timer, since waiting with a time-out would look up to 50 ms late.
    timer = threading.Timer(deadline_s, stop)
    timer.daemon = True
    timer.start()
    try:
        # Not waited for yet: until its group is killed, no other may get its number.
        find_end(child.pid)
    finally:
        # An interrupt comes through here too.
        timer.cancel()
        _kill_group(child.pid)
        code = child.wait()
        _await_end(child.pid)
    return Ended(code, log.read_text("utf-8", "replace"), late.is_set())


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _await_end(leader: int) -> None:
    """Wait until the killed group is gone, and with it what it might still write."""
    end = time.monotonic() + _GROUP_ENDS_S
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.killpg(leader, 0)
            time.sleep(0.01)
