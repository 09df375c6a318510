"""The program that Lava runs in: ``python -m neuroattack.backends.lava.worker``.

It splits in two at once: a worker, whose process group holds all that Lava starts, and a
supervisor, which ends that group and removes what it left in shared memory when the worker
ends, when it is told to, and when the process that asked for it is gone, by kill -9 too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys

from ..endings import describe_end, find_end
from .leftovers import remove_leftovers

__all__ = ["main"]

_PR_SET_CHILD_SUBREAPER = 36
_LIFELINE = 0
_LOOK_MS = 1000


def main() -> None:
    """Run worker and supervisor: arguments are prefix, socket, and the parent's process id.

    Standard input is the lifeline: its end means that the worker is no longer wanted.
    """
    prefix, connection, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    # Groups of their own, so that Ctrl-C in a terminal reaches neither; but the parent's
    # session, for then the kernel wakes a stopped group when its parent dies.
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    # What Lava started is ours to wait for when the worker is gone.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    worker = os.fork()
    if worker == 0:
        os.setpgid(0, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), _LIFELINE)
        os.dup2(2, 1)

        from .serving import serve

        serve(connection, prefix)
    # Here too: whichever of the two comes first.
    with contextlib.suppress(OSError):
        os.setpgid(worker, worker)
    os.close(connection)
    os.write(1, f"{worker}\n".encode())
    reason = _wait_for_the_end(worker, parent)
    os.killpg(worker, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    remove_leftovers(prefix)
    with contextlib.suppress(OSError):
        os.write(1, reason.encode())


def _wait_for_the_end(worker: int, parent: int) -> str:
    """Return when the worker has ended, why, or is not wanted any more, with nothing to say."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    poll = select.poll()
    poll.register(_LIFELINE, select.POLLIN)
    poll.register(woken, select.POLLIN)
    while True:
        ready = dict(poll.poll(_LOOK_MS))
        # It is not waited for until its group is killed: no other may get its number before.
        code = find_end(worker, os.WNOHANG)
        if code is not None:
            return f"it {describe_end(code)}"
        # The parent's forks may hold the lifeline open after it, hence its number.
        if _LIFELINE in ready or os.getppid() != parent:
            return ""
        if woken in ready and signal.SIGTERM in os.read(woken, 4096):
            return "it was asked to terminate"


if __name__ == "__main__":
    main()
