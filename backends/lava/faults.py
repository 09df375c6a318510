"""How a ProcessModel says that it failed.

Lava has no way for it: after an exception in a model, ``run()`` waits for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

__all__ = ["reporting"]

# Below PIPE_BUF, so that messages of several processes on one pipe never mix.
_LONGEST = 2000


@contextmanager
def reporting(faults: Connection, process: str) -> Iterator[None]:
    """Report an exception that leaves the block, then let it go on.

    Parameters
    ----------
    faults : Connection
        Pipe to the worker's main process, shared by all Lava processes.
    process : str
        Name of the process that the block runs in.
    """
    try:
        yield
    except Exception as error:
        text = f"{process}: {type(error).__name__}: {error}".strip()
        faults.send_bytes(text.encode(errors="replace")[:_LONGEST])
        raise
