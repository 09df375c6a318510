"""Program in which a simulator runs: ``python -m neuroattack.backends.workers.program``.

It forks into a worker, whose process group contains all processes that the simulator starts, and a
supervisor. The supervisor kills the group and removes its files in shared memory when the worker
ends, on request, and when the parent process ends, even if that was killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys

from .endings import describe_end, find_end
from .leftovers import remove_leftovers

__all__ = ["main"]

_PR_SET_CHILD_SUBREAPER = 36
_LIFELINE = 0
_LOOK_MS = 1000


def main() -> None:
    """Run worker and supervisor: arguments are prefix, socket, parent's process id, and class.

    Standard input is the lifeline: when it is closed, the worker is no longer needed.
    """
    prefix, connection, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    served = sys.argv[4]
    # Separate process groups, so that Ctrl-C in a terminal does not reach them; but in the session
    # of the parent, so that the kernel continues a stopped group when its parent ends.
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    # Become the parent of the simulator's processes when the worker has ended, to wait for them.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    worker = os.fork()
    if worker == 0:
        os.setpgid(0, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), _LIFELINE)
        os.dup2(2, 1)

        from .serving import serve

        serve(connection, prefix, served)
    # Also set here, because either process may run first.
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
    """Wait until the worker ends or is not needed; return why it ended, or an empty string."""
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
        # Do not reap the worker yet: its process id must not be reused before its group is killed.
        code = find_end(worker, os.WNOHANG)
        if code is not None:
            return f"it {describe_end(code)}"
        # Forks of the parent may keep the lifeline open, so also check the parent's process id.
        if _LIFELINE in ready or os.getppid() != parent:
            return ""
        if woken in ready and signal.SIGTERM in os.read(woken, 4096):
            return "it was asked to terminate"


if __name__ == "__main__":
    main()
