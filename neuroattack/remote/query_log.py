"""Log of a server's queries and results, so that no query is lost or counted twice."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import BudgetExceededError, FileError, OutputError, ValidationError

__all__ = ["QueryLog"]

_LAYOUT = """
CREATE TABLE IF NOT EXISTS requests (
    client TEXT NOT NULL,
    key TEXT NOT NULL,
    images INTEGER NOT NULL,
    content TEXT NOT NULL,
    accepted_s REAL NOT NULL,
    counts BLOB,
    PRIMARY KEY (client, key)
)
"""

_VERSION = 1


class QueryLog:
    """Query log in an SQLite file, with one row per request, written before the simulation.

    A request is identified by its client and a key chosen by the client. It is counted once, when
    it is accepted. A repeated key denotes the same request, which gets the same counts, from the
    log if available, even after the server was killed. Not thread-safe.

    Without a file, the log is kept in memory. Raises OutputError or FileError if the file cannot be
    created or is not a query log.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._path = path
        try:
            if path is not None:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                ":memory:" if path is None else path, isolation_level=None, check_same_thread=False
            )
            self._prepare()
        except sqlite3.OperationalError as error:
            raise OutputError(path, f"cannot be opened: {error}") from error
        except (OSError, sqlite3.DatabaseError) as error:
            raise FileError(path, f"is not a query log: {error}") from error

    def _prepare(self) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        tables = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version != _VERSION and tables:
            raise FileError(self._path, "is another database, expected a query log")
        self._database.execute("PRAGMA journal_mode = WAL")
        # A power failure may lose the last rows; if the process is killed, no rows are lost.
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(_LAYOUT)
        self._database.execute(f"PRAGMA user_version = {_VERSION}")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all changes made in this context together, or none after an exception."""
        with self._database:
            # Lock at once: other servers may use the same file.
            self._database.execute("BEGIN IMMEDIATE")
            yield

    def accept(
        self,
        client: str,
        key: str,
        images: int,
        content: bytes,
        *,
        budget: int | None = None,
        remaining: int | None = None,
    ) -> NDArray[np.int32] | None:
        """Count a request unless it was counted before; return its counts if available.

        `content` detects other requests with the same key. Counts are an int32 array of shape
        (batch, classes).

        Raises
        ------
        BudgetExceededError
            If the images exceed the client's total budget, or the `remaining` budget of the
            target; the request is not counted.
        ValidationError
            If the key was used for another request.
        """
        digest = hashlib.sha256(content).hexdigest()
        known = self._database.execute(
            "SELECT content, counts FROM requests WHERE client = ? AND key = ?", (client, key)
        ).fetchone()
        if known is not None:
            if known[0] != digest:
                raise ValidationError(
                    "Idempotency-Key", repr(key), "a new key for a request with other images"
                )
            if known[1] is not None:
                return np.frombuffer(known[1], "<i4").reshape(images, -1).astype(np.int32)
        if remaining is not None and images > remaining:
            raise BudgetExceededError(images, remaining)
        if known is not None:
            return None
        if budget is not None:
            left = budget - self.counted(client)
            if images > left:
                raise BudgetExceededError(images, left)
        self._database.execute(
            "INSERT INTO requests VALUES (?, ?, ?, ?, ?, NULL)",
            (client, key, images, digest, time.time()),
        )
        return None

    def store(self, client: str, key: str, counts: NDArray[np.int32]) -> None:
        """Store the counts of an accepted request."""
        self._database.execute(
            "UPDATE requests SET counts = ? WHERE client = ? AND key = ?",
            (np.ascontiguousarray(counts, "<i4").tobytes(), client, key),
        )

    def counted(self, client: str | None = None) -> int:
        """Return the number of counted images of one client or of all clients."""
        chosen = ("", ()) if client is None else (" WHERE client = ?", (client,))
        (images,) = self._database.execute(
            f"SELECT coalesce(sum(images), 0) FROM requests{chosen[0]}",  # noqa: S608
            chosen[1],
        ).fetchone()
        return int(images)

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(sqlite3.Error):
            self._database.close()
