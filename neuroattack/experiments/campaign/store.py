"""Where a campaign keeps what is done: SQLite, one transaction a finished attack."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import FileError, NeuroattackError, OutputError
from neuroattack.experiments.campaign.plan import Item

__all__ = ["STORE", "TRIES", "Counts", "Result", "Store"]

STORE = "campaign.sqlite"
"""Name of the file in a campaign's folder."""

TRIES = 3
"""So often an item may fail before it is set aside."""

_OWNERS = "owners"
_SCHEMA_VERSION = 1
_WAIT_S = 60.0
_SCHEMA = """
create table if not exists about (key text primary key, value text not null);
create table if not exists items (
    position integer primary key, key text unique not null, item text not null,
    reference text, state text not null default 'waiting', owner text,
    tries integer not null default 0, error text, record text, arrays blob
);
create index if not exists by_state on items (state, position);
create index if not exists by_owner on items (owner, state);
"""


@dataclass(frozen=True)
class Counts:
    """How far a campaign is.

    Parameters
    ----------
    done, failed, waiting, running : int
        Items; running ones are those that a living process has taken.
    """

    done: int
    failed: int
    waiting: int
    running: int

    @property
    def total(self) -> int:
        """All items."""
        return self.done + self.failed + self.waiting + self.running


@dataclass(frozen=True)
class Result:
    """A finished item and its record."""

    item: Item
    record: dict[str, Any]


class Store:
    """A campaign's results, safe to share between processes, and to kill at any moment.

    What a process works on is marked with its name, and its name is a file that it keeps locked:
    the system unlocks it when the process ends, however it ends, and what was marked is free.

    Parameters
    ----------
    folder : Path
        Of the campaign.
    create : bool, optional
        Whether to begin a store where there is none.

    Raises
    ------
    FileError
        If there is none, or it is damaged or of another version.
    OutputError
        If it cannot be written.
    """

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        self._folder = folder
        self._path = folder / STORE
        self._lock = threading.RLock()
        if not create and not self._path.is_file():
            raise FileError(folder, f"is no campaign: expected {STORE} in it")
        try:
            (folder / _OWNERS).mkdir(parents=True, exist_ok=True)
            self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
            self._own = os.open(
                folder / _OWNERS / self._name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666
            )
            fcntl.flock(self._own, fcntl.LOCK_EX)
        except OSError as error:
            raise OutputError(folder, f"cannot be written: {error.strerror}") from None
        try:
            # Isolation level None: transactions begin and end where this file says so.
            self._db = sqlite3.connect(
                self._path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
            )
            with self._errors():
                self._db.execute("pragma journal_mode = wal")
                # A power cut may take the last transactions, none of which is then half there;
                # the end of a process takes none.
                self._db.execute("pragma synchronous = normal")
                self._db.executescript(_SCHEMA)
                self._check_version()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what this process had taken and not finished."""
        if hasattr(self, "_db"):
            # What cannot be given back is free all the same, once this process's name is.
            with contextlib.suppress(NeuroattackError, sqlite3.Error, ValueError):
                self.release()
            self._db.close()
        with contextlib.suppress(OSError):
            (self._folder / _OWNERS / self._name).unlink()
        with contextlib.suppress(OSError):
            os.close(self._own)

    def _check_version(self) -> None:
        self._db.execute(
            "insert or ignore into about values ('schema_version', ?)",
            (json.dumps(_SCHEMA_VERSION),),
        )
        version = self.about("schema_version")
        if version != _SCHEMA_VERSION:
            raise FileError(self._path, f"schema version {version}, expected {_SCHEMA_VERSION}")

    def about(self, key: str) -> Any:
        """Return what was said of the campaign as a whole; None where nothing was."""
        with self._errors():
            row = self._db.execute("select value from about where key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def plan(self, items: Sequence[Item], about: Mapping[str, Any]) -> None:
        """Add items, those that are there already excepted, and say what they are for, at once."""
        with self._transaction() as db:
            db.executemany(
                "insert or ignore into items (key, item, reference) values (?, ?, ?)",
                [(item.key, json.dumps(asdict(item)), item.reference) for item in items],
            )
            self._set_aside_dependents(db)
            db.executemany(
                "insert or replace into about values (?, ?)",
                [(key, json.dumps(value)) for key, value in about.items()],
            )

    def keys(self) -> set[str]:
        """Return the keys of all items."""
        with self._errors():
            return {key for (key,) in self._db.execute("select key from items")}

    def claim(self, most: int, *, keys: Sequence[str] = ()) -> list[tuple[Item, Any]]:
        """Take items that nobody works on, and whose reference is done.

        Parameters
        ----------
        most : int
            At most so many.
        keys : sequence of str, optional
            Of these only.

        Returns
        -------
        list of (Item, record of its reference or None)
        """
        with self._transaction() as db:
            self._free_the_dead(db)
            among = f"and i.key in ({', '.join('?' * len(keys))})" if keys else ""
            rows = db.execute(
                "select i.key, i.item, r.record from items i "  # noqa: S608  # only marks
                "left join items r on r.key = i.reference where i.state = 'waiting' "
                "and i.owner is null and (i.reference is null or r.state = 'done') "
                f"{among} order by i.position limit ?",
                (*keys, most),
            ).fetchall()
            db.executemany(
                "update items set owner = ? where key = ?",
                [(self._name, key) for key, _, _ in rows],
            )
        return [
            (Item(**json.loads(item)), None if record is None else json.loads(record))
            for _, item, record in rows
        ]

    def finish(self, key: str, record: dict[str, Any], **arrays: NDArray[np.float64]) -> None:
        """Keep an item's result, in one transaction; an item is finished once."""
        packed = io.BytesIO()
        np.savez_compressed(packed, **dict[str, Any](arrays))
        with self._transaction() as db:
            db.execute(
                "update items set state = 'done', owner = null, error = null, record = ?, "
                "arrays = ? where key = ? and state = 'waiting'",
                (json.dumps(record), packed.getvalue(), key),
            )

    def fail(self, key: str, error: str) -> None:
        """Count a failed try; after :data:`TRIES` the item is set aside, and what waits for it."""
        with self._transaction() as db:
            db.execute(
                "update items set tries = tries + 1, owner = null, error = ?, "
                "state = case when tries + 1 >= ? then 'failed' else state end "
                "where key = ? and state = 'waiting'",
                (error, TRIES, key),
            )
            self._set_aside_dependents(db)

    def release(self) -> None:
        """Give back all that this process has taken."""
        with self._transaction() as db:
            db.execute("update items set owner = null where owner = ?", (self._name,))

    def counts(self) -> Counts:
        """Return how far the campaign is; nothing is written."""
        with self._errors():
            rows = self._db.execute(
                "select owner, state, count(*) from items group by owner, state"
            ).fetchall()
        number = {"done": 0, "failed": 0, "waiting": 0, "running": 0}
        for owner, state, count in rows:
            taken = owner is not None and (owner == self._name or self._alive(owner))
            number["running" if taken else state] += count
        return Counts(**number)

    def failures(self) -> list[tuple[Item, str]]:
        """Return the items set aside, each with its last error."""
        with self._errors():
            rows = self._db.execute(
                "select item, error from items where state = 'failed' order by position"
            ).fetchall()
        return [(Item(**json.loads(item)), error) for item, error in rows]

    def results(self) -> Iterator[Result]:
        """Yield what is done, in the order of the plan."""
        with self._errors():
            rows = self._db.execute(
                "select item, record from items where state = 'done' order by position"
            )
            for item, record in rows:
                yield Result(Item(**json.loads(item)), json.loads(record))

    def adversarial(self, key: str) -> NDArray[np.float64]:
        """Return the image that an item found, shape (height, width)."""
        with self._errors():
            row = self._db.execute("select arrays from items where key = ?", (key,)).fetchone()
        if row is None or row[0] is None:
            raise FileError(self._path, f"has no image of item {key}")
        with np.load(io.BytesIO(row[0]), allow_pickle=False) as arrays:
            image: NDArray[np.float64] = arrays["adversarial"]
        return image

    def _set_aside_dependents(self, db: sqlite3.Connection) -> None:
        db.execute(
            "update items set state = 'failed', error = 'its reference was set aside' "
            "where state = 'waiting' and reference in "
            "(select key from items where state = 'failed')"
        )

    def _free_the_dead(self, db: sqlite3.Connection) -> None:
        rows = db.execute("select distinct owner from items where owner is not null").fetchall()
        for (owner,) in rows:
            if owner != self._name and not self._alive(owner):
                db.execute("update items set owner = null where owner = ?", (owner,))

    def _alive(self, owner: str) -> bool:
        path = self._folder / _OWNERS / owner
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            path.unlink(missing_ok=True)
            return False
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            self._db.execute("begin immediate")
            try:
                yield self._db
                self._db.execute("commit")
            except BaseException:
                # A full disk ends a transaction by itself.
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OutputError(self._path, f"cannot be used: {error}") from None
        except sqlite3.DatabaseError as error:
            raise FileError(self._path, f"is damaged: {error}") from None
