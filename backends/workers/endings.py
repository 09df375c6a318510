"""Exit codes and signals of child processes."""

from __future__ import annotations

import os
import signal

__all__ = ["describe_end", "find_end"]


def describe_end(code: int) -> str:
    """Return a description of an exit code; negative codes are signals."""
    if code >= 0:
        return f"exited with code {code}"
    # Real-time signals have no names.
    name = f" ({signal.Signals(-code).name})" if -code in set(signal.Signals) else ""
    return f"was ended by signal {-code}{name}"


def find_end(process: int, options: int = 0) -> int | None:
    """Return the exit code of a child process without reaping it.

    With the option ``os.WNOHANG``, return None if the process is still running.
    """
    ended = os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT | options)
    if ended is None:
        return None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
