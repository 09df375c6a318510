import os
import signal
import sqlite3
import subprocess
import sys
import threading

import numpy as np
import pytest
from support import cell_work

from neuroattack.errors import FileError
from neuroattack.experiments.engine.cells import Cell
from neuroattack.experiments.engine.store import STORE, TRIES, Counts, Packed, Store


def cell(index, after=None):
    return Cell("square", cell_work.square, {"number": index}, after=after)


def claimed(store, most=9):
    """Claim up to `most` cells; return their numbers."""
    found = []
    while len(found) < most and (one := store.claim()) is not None:
        found.append(one.arguments["number"])
    return found


def test_a_cell_is_claimed_once_finished_once_and_read(tmp_path):
    cells = [cell(index) for index in range(3)]
    with Store(tmp_path, create=True) as store, Store(tmp_path) as other:
        store.plan(cells)
        store.plan(cells)
        assert claimed(store, 2) == [0, 1]
        assert claimed(other) == [2]
        store.finish(cells[0].key, Packed.of({"queries": 7, "image": np.eye(2)}))
        store.finish(cells[0].key, Packed.of({"queries": 8, "image": np.zeros((2, 2))}))
        assert store.counts() == Counts(done=1, failed=0, waiting=0, running=2)
        assert [(one.key, one.arguments, one.result) for one in other.results()] == [
            (cells[0].key, {"number": 0}, {"queries": 7})
        ]
        result = other.result(cells[0].key)
        assert result["queries"] == 7
        np.testing.assert_array_equal(result["image"], np.eye(2))
        assert other.result(cells[1].key) is None


def test_a_dependent_cell_is_claimed_afterwards_with_the_result(tmp_path):
    first = cell(0)
    with Store(tmp_path, create=True) as store:
        store.plan([first, cell(1, first.key)])
        assert claimed(store) == [0]
        store.finish(first.key, Packed.of({"distance": 3.0, "image": np.ones(2)}))
        waiting = store.claim()
        assert waiting.arguments == {"number": 1}
        assert waiting.before["distance"] == 3.0
        np.testing.assert_array_equal(waiting.before["image"], np.ones(2))


def test_counts_are_exact_while_another_thread_claims(tmp_path):
    with Store(tmp_path, create=True) as store:
        store.plan([cell(index) for index in range(2000)])
        thread = threading.Thread(target=claimed, args=(store, 2000))
        thread.start()
        while thread.is_alive():
            assert store.counts().total == 2000
        thread.join()


def test_claims_and_counts_can_be_restricted(tmp_path):
    cells = [cell(index) for index in range(3)]
    with Store(tmp_path, create=True) as store:
        store.plan(cells)
        store.wait_for([cells[2].key])
        assert store.counts().total == 1
        assert claimed(store) == [2]


@pytest.mark.parametrize("dependent", [False, True])
def test_claims_do_not_take_longer_with_many_owned_cells(tmp_path, dependent):
    def instructions():
        executed = []
        store._db.set_progress_handler(lambda: executed.append(1), 1)
        assert store.claim() is not None
        store._db.set_progress_handler(None, 1)
        return len(executed)

    first = cell(0)
    with Store(tmp_path, create=True) as store:
        store.plan([first])
        claimed(store)
        store.finish(first.key, Packed.of({}))
        store.plan([cell(index, first.key if dependent else None) for index in range(1, 2000)])
        few = instructions()
        claimed(store, 1500)
        assert instructions() < few + 100


def test_a_forgotten_cell_runs_again(tmp_path):
    with Store(tmp_path, create=True) as store:
        store.plan([cell(0)])
        claimed(store)
        store.finish(cell(0).key, Packed.of({"queries": 7}))
        store.forget([cell(0).key])
        assert store.result(cell(0).key) is None
        assert claimed(store) == [0]


def test_after_three_attempts_a_cell_and_its_dependents_fail(tmp_path):
    first = cell(0)
    with Store(tmp_path, create=True) as store:
        store.plan([first, cell(1, first.key)])
        for attempt in range(TRIES):
            assert claimed(store) == [0]
            store.fail(first.key, f"boom {attempt}")
        assert claimed(store) == []
        (one, error), (other, _) = store.failures()
        assert (one["number"], error, other["number"]) == (0, "boom 2", 1)
        # Dependents planned later fail too.
        store.plan([cell(2, first.key)])
        assert store.counts() == Counts(done=0, failed=3, waiting=0, running=0)


def test_cells_claimed_by_a_closed_store_are_free(tmp_path):
    with Store(tmp_path, create=True) as store:
        store.plan([cell(0)])
        with Store(tmp_path) as other:
            other.claim()
            assert store.claim() is None
        assert claimed(store) == [0]


def test_cells_claimed_by_a_killed_process_are_free_without_an_attempt(tmp_path):
    with Store(tmp_path, create=True) as store:
        store.plan([cell(0)])
        code = (
            "import sys; from pathlib import Path\n"
            "from neuroattack.experiments.engine.store import Store\n"
            "store = Store(Path(sys.argv[1])); store.claim(); print('claimed', flush=True)\n"
            "sys.stdin.read()"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout.readline() == b"claimed\n"
        assert store.claim() is None
        assert store.counts().running == 1
        for _ in range(TRIES + 1):
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                process.communicate()
            assert claimed(store) == [0]
            store.release()
        assert store.counts() == Counts(done=0, failed=0, waiting=1, running=0)


def test_missing_damaged_and_newer_stores_are_refused(tmp_path):
    with pytest.raises(FileError, match=STORE):
        Store(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    (tmp_path / STORE).write_bytes(b"no database" * 1000)
    with pytest.raises(FileError, match="damaged"):
        Store(tmp_path)
    assert list((tmp_path / "owners").iterdir()) == []
    (tmp_path / STORE).unlink()
    Store(tmp_path, create=True).close()
    with sqlite3.connect(tmp_path / STORE) as db:
        db.execute("update about set value = '2' where key = 'schema_version'")
    db.close()
    with pytest.raises(FileError, match="schema version 2, expected 1"):
        Store(tmp_path)


def test_a_damaged_result_is_named(tmp_path):
    with Store(tmp_path, create=True) as store:
        store.plan([cell(0)])
        claimed(store)
        store.finish(cell(0).key, Packed.of({"image": np.eye(3)}))
    with sqlite3.connect(tmp_path / STORE) as db:
        db.execute("update items set arrays = substr(arrays, 1, 40)")
    db.close()
    with Store(tmp_path) as store, pytest.raises(FileError, match="damaged"):
        store.result(cell(0).key)


def test_a_store_of_version_0_1_0_is_read(tmp_path):
    with Store(tmp_path, create=True) as store:
        store.plan([cell(0)])
    (tmp_path / STORE).rename(tmp_path / "campaign.sqlite")
    with sqlite3.connect(tmp_path / "campaign.sqlite") as db:
        db.execute(
            'update items set item = \'{"place": "native", "index": 4}\', state = \'done\', '
            "record = '{\"queries\": 9}'"
        )
    db.close()
    with Store(tmp_path) as store:
        (one,) = store.results()
    assert one.arguments == {"deployment": "native", "index": 4}
    assert one.result == {"queries": 9}
