"""Store of an experiment's results: SQLite, one transaction per finished cell."""

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

__all__ = ["STORE", "TRIES", "Claimed", "Counts", "Done", "Packed", "Store"]

STORE = "results.sqlite"
"""File name in an experiment's folder."""

TRIES = 3
"""Number of attempts after which a cell has failed."""

# File name of version 0.1.0, whose rows contain only the arguments of a cell.
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
create index if not exists free on items (position) where state = 'waiting' and owner is null;
"""


@dataclass(frozen=True)
class Counts:
    """Progress of an experiment.

    Parameters
    ----------
    done, failed, waiting, running : int
        Numbers of cells; running cells are claimed by a live process.
    """

    done: int
    failed: int
    waiting: int
    running: int

    @property
    def total(self) -> int:
        """Number of all cells."""
        return self.done + self.failed + self.waiting + self.running


@dataclass(frozen=True)
class Claimed:
    """A claimed cell.

    Parameters
    ----------
    key : str
        Key of the cell.
    module, function : str
        Function to call.
    arguments : dict
        Arguments of the function.
    before : dict or None
        Result of the cell on which it depends.
    """

    key: str
    module: str
    function: str
    arguments: dict[str, Any]
    before: dict[str, Any] | None


@dataclass(frozen=True)
class Done:
    """A finished cell: key, arguments, and result without arrays."""

    key: str
    arguments: dict[str, Any]
    result: dict[str, Any]


@dataclass(frozen=True)
class Packed:
    """A result as stored: JSON text, and the arrays as a compressed npz archive.

    Parameters
    ----------
    record : str
        JSON values.
    arrays : bytes or None
        Archive of the arrays; None without arrays.
    """

    record: str
    arrays: bytes | None

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Packed:
        """Pack a result of JSON values and arrays."""
        arrays = {name: value for name, value in result.items() if isinstance(value, np.ndarray)}
        record = {name: value for name, value in result.items() if name not in arrays}
        archive = io.BytesIO()
        if arrays:
            np.savez_compressed(archive, **dict[str, Any](arrays))
        return cls(json.dumps(record), archive.getvalue() if arrays else None)

    def result(self) -> dict[str, Any]:
        """Return the result."""
        result: dict[str, Any] = json.loads(self.record)
        if self.arrays is not None:
            with np.load(io.BytesIO(self.arrays), allow_pickle=False) as archive:
                result.update({name: archive[name] for name in archive.files})
        return result


class Store:
    """Results of an experiment, safe for concurrent processes that may be killed at any time.

    Each process marks its claimed cells with its name, and holds a lock on a file of this name. The
    operating system releases the lock when the process ends, which frees the cells.

    Parameters
    ----------
    folder : Path
        Folder of the experiment.
    create : bool, optional
        Whether to create a store if there is none.

    Raises
    ------
    FileError
        If there is no store, or it is damaged or of another version.
    OutputError
        If the store cannot be written.
    """

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        self._folder = folder
        former = folder / _FORMER_STORE
        self._is_former = former.is_file()
        self._path = former if self._is_former else folder / STORE
        self._lock = threading.RLock()
        self._filter = "key is not null"
        if not create and not self._path.is_file():
            raise FileError(folder, f"contains no results, expected the file {STORE}")
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
            # Isolation level None: transactions are explicit.
            self._db = sqlite3.connect(
                self._path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
            )
            with self._errors():
                self._db.execute("pragma journal_mode = wal")
                # A power failure may lose the last transactions as a whole; killing a process
                # loses none.
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
        """Release the unfinished cells of this process, and close the store."""
        if hasattr(self, "_db"):
            # Cells that cannot be released are freed with this process's lock file.
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
            raise FileError(self._path, f"has schema version {version}, expected {_SCHEMA_VERSION}")

    def about(self, key: str) -> Any:
        """Return a stored property of the experiment; None if it is not set."""
        with self._errors():
            row = self._db.execute("select value from about where key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def plan(self, cells: Sequence[Cell], about: Mapping[str, Any] | None = None) -> None:
        """Add new cells and properties of the experiment in one transaction."""
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
        self._filter = "key in (select key from wanted)"

    def claim(self, *, key: str | None = None) -> Claimed | None:
        """Claim a cell that is free and ready to run; None if there is none.

        Parameters
        ----------
        key : str, optional
            Key of the only cell to claim.
        """
        with self._transaction() as db:
            row = self._first_free(db, key)
            if row is None:
                # Only now, so that the time of a claim does not grow with the number of owned
                # cells.
                self._release_dead(db)
                row = self._first_free(db, key)
            if row is None:
                return None
            claimed, item, record, arrays = row
            db.execute("update items set owner = ? where key = ?", (self._name, claimed))
        cell = json.loads(item)
        before = None if record is None else Packed(record, arrays).result()
        return Claimed(claimed, cell["module"], cell["function"], cell["arguments"], before)

    def _first_free(self, db: sqlite3.Connection, key: str | None) -> Any:
        only = "" if key is None else "and i.key = ?"
        return db.execute(
            "select i.key, i.item, r.record, r.arrays from items i "  # noqa: S608  # constants
            "left join items r on r.key = i.reference where i.state = 'waiting' "
            "and i.owner is null and (i.reference is null or r.state = 'done') "
            f"and i.{self._filter} {only} order by i.position limit 1",
            () if key is None else (key,),
        ).fetchone()

    def finish(self, key: str, result: Packed) -> None:
        """Store the result of a cell, unless it is already finished."""
        with self._transaction() as db:
            db.execute(
                "update items set state = 'done', owner = null, error = null, record = ?, "
                "arrays = ? where key = ? and state = 'waiting'",
                (result.record, result.arrays, key),
            )

    def fail(self, key: str, error: str) -> None:
        """Count a failed attempt; after :data:`TRIES` attempts the cell and its dependents fail."""
        with self._transaction() as db:
            db.execute(
                "update items set tries = tries + 1, owner = null, error = ?, "
                "state = case when tries + 1 >= ? then 'failed' else state end "
                "where key = ? and state = 'waiting'",
                (error, TRIES, key),
            )
            self._fail_dependents(db)

    def forget(self, keys: Sequence[str]) -> None:
        """Delete the results of cells, so that they run again."""
        with self._transaction() as db:
            db.executemany(
                "update items set state = 'waiting', record = null, arrays = null where key = ?",
                [(key,) for key in keys],
            )

    def release(self) -> None:
        """Release all cells claimed by this process."""
        with self._transaction() as db:
            db.execute("update items set owner = null where owner = ?", (self._name,))

    def counts(self) -> Counts:
        """Return the progress of the experiment, without writing to the store."""
        # A claim in another thread would change the rows that are being counted.
        with self._lock, self._errors():
            rows = self._db.execute(
                "select owner, state, count(*) from items "  # noqa: S608  # a constant
                f"where {self._filter} group by owner, state"
            ).fetchall()
        number = {"done": 0, "failed": 0, "waiting": 0, "running": 0}
        for owner, state, count in rows:
            running = owner is not None and (owner == self._name or self._alive(owner))
            number["running" if running else state] += count
        return Counts(**number)

    def failures(self) -> list[tuple[dict[str, Any], str]]:
        """Return the arguments and last error of each failed cell."""
        with self._errors():
            rows = self._db.execute(
                "select item, error from items where state = 'failed' order by position"
            ).fetchall()
        return [(self._arguments(item), error) for item, error in rows]

    def results(self) -> Iterator[Done]:
        """Yield finished cells in the order of the plan."""
        with self._errors():
            rows = self._db.execute(
                "select key, item, record from items where state = 'done' order by position"
            )
            for key, item, record in rows:
                yield Done(key, self._arguments(item), self._read(record))

    def result(self, key: str) -> dict[str, Any] | None:
        """Return the result of a cell including arrays; None if it is not finished."""
        with self._errors():
            row = self._db.execute(
                "select record, arrays from items where key = ? and state = 'done'", (key,)
            ).fetchone()
        try:
            return None if row is None else Packed(*row).result()
        except Exception as error:
            # Damaged data raise errors of JSON, zip, zlib or NumPy's header parser.
            raise FileError(self._path, f"damaged result of {key}") from error

    def _fail_dependents(self, db: sqlite3.Connection) -> None:
        db.execute(
            "update items set state = 'failed', error = 'the cell on which it depends failed' "
            "where state = 'waiting' and reference in "
            "(select key from items where state = 'failed')"
        )

    def _release_dead(self, db: sqlite3.Connection) -> None:
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
                # SQLite ends the transaction itself if the disk is full.
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise

    def _read(self, text: str) -> dict[str, Any]:
        """Return stored values; those of version 0.1.0 under their present names."""
        values: dict[str, Any] = json.loads(text)
        return _renamed(values) if self._is_former else values

    def _arguments(self, item: str) -> dict[str, Any]:
        values = self._read(item)
        arguments: dict[str, Any] = values.get("arguments", values)
        return arguments

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OutputError(self._path, f"cannot be used: {error}") from None
        except sqlite3.DatabaseError as error:
            raise FileError(self._path, f"damaged: {error}") from None


def _renamed(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments or results of an attack, with the names of version 0.1.0 replaced.

    That version wrote `place`, `limit` and `draws`; its numeric `bound` is `max_distance` now.
    """
    values = dict(stored)
    if "limit" in values:
        values["bound"] = values.pop("limit")
    elif "success" in values and "bound" in values:
        values["max_distance"] = values.pop("bound")
    if "place" in values:
        values["deployment"] = values.pop("place")
    for name in ("success", "clean_success"):
        if name in values and "draws" in values[name]:
            old = values[name]
            values[name] = {"successes": old["successes"], "trials": old["draws"]}
    return values
