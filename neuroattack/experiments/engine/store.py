"""Where an experiment keeps its results: SQLite, one transaction per finished cell."""

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuroattack.errors import FileError, NeuroattackError, OutputError
from neuroattack.experiments.engine.cells import Cell

__all__ = ["STORE", "TRIES", "Counts", "Done", "Store", "Waiting"]

STORE = "results.sqlite"
"""Name of the file in an experiment's folder."""

TRIES = 3
"""Attempts after which a cell has failed for good."""

# What campaigns of version 0.1.0 named theirs; a row of it holds the arguments alone.
_FORMER_STORE = "campaign.sqlite"
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
    """How far an experiment is.

    Parameters
    ----------
    done, failed, waiting, running : int
        Cells; running ones are those that a living process has claimed.
    """

    done: int
    failed: int
    waiting: int
    running: int

    @property
    def total(self) -> int:
        """All cells."""
        return self.done + self.failed + self.waiting + self.running


@dataclass(frozen=True)
class Waiting:
    """A cell to do.

    Parameters
    ----------
    key : str
        The cell's.
    module, function : str
        Its work.
    arguments : dict
        Of its work.
    before : dict or None
        Result of the cell that it waited for.
    """

    key: str
    module: str
    function: str
    arguments: dict[str, Any]
    before: dict[str, Any] | None


@dataclass(frozen=True)
class Done:
    """A finished cell: key, arguments and result without arrays."""

    key: str
    arguments: dict[str, Any]
    result: dict[str, Any]


class Store:
    """An experiment's results, safe to share between processes, and to kill at any moment.

    What a process works on is marked with its name, and its name is a file that it keeps locked:
    the system unlocks it when the process ends, however it ends, and what was marked is free.

    Parameters
    ----------
    folder : Path
        Of the experiment.
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
        former = folder / _FORMER_STORE
        self._path = former if former.is_file() else folder / STORE
        self._lock = threading.RLock()
        self._wanted = "key is not null"
        if not create and not self._path.is_file():
            raise FileError(folder, f"holds no results: expected {STORE} in it")
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
        """Return what is stored of the experiment as a whole; None where nothing is."""
        with self._errors():
            row = self._db.execute("select value from about where key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def plan(self, cells: Sequence[Cell], about: Mapping[str, Any] | None = None) -> None:
        """Add cells, except those that are there already, and facts about the whole, at once."""
        with self._transaction() as db:
            db.executemany(
                "insert or ignore into items (key, item, reference) values (?, ?, ?)",
                [(cell.key, json.dumps(cell.as_json()), cell.after) for cell in cells],
            )
            self._fail_dependents(db)
            db.executemany(
                "insert or replace into about values (?, ?)",
                [(key, json.dumps(value)) for key, value in (about or {}).items()],
            )

    def keys(self) -> set[str]:
        """Return the keys of all cells."""
        with self._errors():
            return {key for (key,) in self._db.execute("select key from items")}

    def wait_for(self, keys: Sequence[str]) -> None:
        """Restrict claims and counts of this process to these cells."""
        with self._lock, self._errors():
            self._db.execute("create temp table if not exists wanted (key text primary key)")
            self._db.execute("delete from wanted")
            self._db.executemany("insert into wanted values (?)", [(key,) for key in keys])
        self._wanted = "key in (select key from wanted)"

    def claim(self, *, key: str | None = None) -> Waiting | None:
        """Claim a cell that nobody works on and that waits for no other; None if there is none.

        Parameters
        ----------
        key : str, optional
            This cell only.
        """
        only = "" if key is None else "and i.key = ?"
        with self._transaction() as db:
            self._free_the_dead(db)
            row = db.execute(
                "select i.key, i.item, r.record, r.arrays from items i "  # noqa: S608  # constants
                "left join items r on r.key = i.reference where i.state = 'waiting' "
                "and i.owner is null and (i.reference is null or r.state = 'done') "
                f"and i.{self._wanted} {only} order by i.position limit 1",
                () if key is None else (key,),
            ).fetchone()
            if row is None:
                return None
            found, item, record, arrays = row
            db.execute("update items set owner = ? where key = ?", (self._name, found))
        cell = json.loads(item)
        before = None if record is None else _unpacked(record, arrays)
        return Waiting(found, cell["module"], cell["function"], cell["arguments"], before)

    def finish(self, key: str, result: Mapping[str, Any]) -> None:
        """Keep a cell's result, in one transaction; a cell is finished once."""
        arrays = {name: value for name, value in result.items() if isinstance(value, np.ndarray)}
        packed = io.BytesIO()
        np.savez_compressed(packed, **dict[str, Any](arrays))
        record = {name: value for name, value in result.items() if name not in arrays}
        with self._transaction() as db:
            db.execute(
                "update items set state = 'done', owner = null, error = null, record = ?, "
                "arrays = ? where key = ? and state = 'waiting'",
                (json.dumps(record), packed.getvalue() if arrays else None, key),
            )

    def fail(self, key: str, error: str) -> None:
        """Count a failed attempt; after :data:`TRIES` the cell has failed, and its dependents."""
        with self._transaction() as db:
            db.execute(
                "update items set tries = tries + 1, owner = null, error = ?, "
                "state = case when tries + 1 >= ? then 'failed' else state end "
                "where key = ? and state = 'waiting'",
                (error, TRIES, key),
            )
            self._fail_dependents(db)

    def forget(self, keys: Sequence[str]) -> None:
        """Let cells be done again."""
        with self._transaction() as db:
            db.executemany(
                "update items set state = 'waiting', record = null, arrays = null where key = ?",
                [(key,) for key in keys],
            )

    def release(self) -> None:
        """Give back all that this process has taken."""
        with self._transaction() as db:
            db.execute("update items set owner = null where owner = ?", (self._name,))

    def counts(self) -> Counts:
        """Return how far the experiment is; nothing is written."""
        with self._errors():
            rows = self._db.execute(
                "select owner, state, count(*) from items "  # noqa: S608  # a constant
                f"where {self._wanted} group by owner, state"
            ).fetchall()
        number = {"done": 0, "failed": 0, "waiting": 0, "running": 0}
        for owner, state, count in rows:
            taken = owner is not None and (owner == self._name or self._alive(owner))
            number["running" if taken else state] += count
        return Counts(**number)

    def failures(self) -> list[tuple[dict[str, Any], str]]:
        """Return the arguments of the cells that failed, each with its last error."""
        with self._errors():
            rows = self._db.execute(
                "select item, error from items where state = 'failed' order by position"
            ).fetchall()
        return [(_arguments(item), error) for item, error in rows]

    def results(self) -> Iterator[Done]:
        """Yield what is done, in the order of the plan."""
        with self._errors():
            rows = self._db.execute(
                "select key, item, record from items where state = 'done' order by position"
            )
            for key, item, record in rows:
                yield Done(key, _arguments(item), json.loads(record))

    def result(self, key: str) -> dict[str, Any] | None:
        """Return the result of a cell, its arrays included; None where it is not done."""
        with self._errors():
            row = self._db.execute(
                "select record, arrays from items where key = ? and state = 'done'", (key,)
            ).fetchone()
        try:
            return None if row is None else _unpacked(*row)
        except Exception as error:
            # Damage shows itself in errors of JSON, zip, zlib and NumPy's header parser alike.
            raise FileError(self._path, f"is damaged in the result of {key}") from error

    def _fail_dependents(self, db: sqlite3.Connection) -> None:
        db.execute(
            "update items set state = 'failed', error = 'the cell it waited for failed' "
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


def _arguments(item: str) -> dict[str, Any]:
    stored = json.loads(item)
    arguments: dict[str, Any] = stored.get("arguments", stored)
    return arguments


def _unpacked(record: str, arrays: bytes | None) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(record)
    if arrays is not None:
        with np.load(io.BytesIO(arrays), allow_pickle=False) as archive:
            result.update({name: archive[name] for name in archive.files})
    return result
