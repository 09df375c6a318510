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
    """Report an exception that leaves the block of a Lava process, then let it go on."""
    try:
        yield
    except Exception as error:
        text = f"{process}: {type(error).__name__}: {error}".strip()
        faults.send_bytes(text.encode(errors="replace")[:_LONGEST])
        raise
