"""How a process ended, in words."""

from __future__ import annotations

import os
import signal

__all__ = ["describe_end", "find_end"]


def describe_end(code: int) -> str:
    """Return what became of a process.

    Parameters
    ----------
    code : int
        Its exit code; for a signal that ended it, the signal's number below 0.
    """
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        # Real-time signals have no names.
        name = ""
    return f"was ended by signal {-code}{name}"


def find_end(process: int, options: int = 0) -> int | None:
    """Return the exit code of a child, which stays to be waited for; None if there is none yet.

    Parameters
    ----------
    process : int
        Its process id.
    options : int, optional
        ``os.WNOHANG`` to return at once.
    """
    ended = os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT | options)
    if ended is None:
        return None
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
