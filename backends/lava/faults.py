"""Reporting of failures of ProcessModels.

Lava does not support this: after an exception in a model, ``run()`` waits forever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

__all__ = ["reporting"]

# Below PIPE_BUF, so that messages of several processes on one pipe are not mixed.
_LONGEST = 2000


@contextmanager
def reporting(faults: Connection, process: str) -> Iterator[None]:
    """Report an exception in the block of a Lava process, then re-raise it."""
    try:
        yield
    except Exception as error:
        text = f"{process}: {type(error).__name__}: {error}".strip()
        faults.send_bytes(text.encode(errors="replace")[:_LONGEST])
        raise
