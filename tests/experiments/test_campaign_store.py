import os
import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from neuroattack.errors import FileError
from neuroattack.experiments.campaign.plan import Item
from neuroattack.experiments.campaign.store import STORE, TRIES, Counts, Store


def item(index, reference=None):
    return Item("native", "adaptive", {}, "l2=1", 10, index, 0, None, 0, reference)


def taken(claims):
    return [one.index for one, _ in claims]


def test_an_item_is_taken_once_done_once_and_read_back(tmp_path):
    items = [item(index) for index in range(3)]
    with Store(tmp_path, create=True) as store, Store(tmp_path) as other:
        store.plan(items, {})
        store.plan(items, {})
        assert taken(store.claim(2)) == [0, 1]
        assert taken(other.claim(5)) == [2]
        store.finish(items[0].key, {"queries": 7}, adversarial=np.eye(2))
        store.finish(items[0].key, {"queries": 8}, adversarial=np.zeros((2, 2)))
        assert store.counts() == Counts(done=1, failed=0, waiting=0, running=2)
        assert [(one.item, one.record) for one in other.results()] == [(items[0], {"queries": 7})]
        np.testing.assert_array_equal(other.adversarial(items[0].key), np.eye(2))


def test_what_waits_for_a_reference_is_taken_after_it_with_its_record(tmp_path):
    first = item(0)
    with Store(tmp_path, create=True) as store:
        store.plan([first, item(1, first.key)], {})
        assert taken(store.claim(9)) == [0]
        assert store.claim(9) == []
        store.finish(first.key, {"distance": 3.0}, adversarial=np.eye(2))
        [(waiting, record)] = store.claim(9)
        assert (waiting.index, record) == (1, {"distance": 3.0})


def test_after_three_tries_an_item_is_set_aside_with_its_error_and_what_waits_for_it(tmp_path):
    first = item(0)
    with Store(tmp_path, create=True) as store:
        store.plan([first, item(1, first.key)], {})
        for attempt in range(TRIES):
            assert taken(store.claim(9)) == [0]
            store.fail(first.key, f"boom {attempt}")
        assert store.claim(9) == []
        assert [(one.index, error) for one, error in store.failures()] == [
            (0, "boom 2"),
            (1, "its reference was set aside"),
        ]
        assert store.counts() == Counts(done=0, failed=2, waiting=0, running=0)


def test_what_is_planned_later_does_not_wait_for_what_was_set_aside(tmp_path):
    first = item(0)
    with Store(tmp_path, create=True) as store:
        store.plan([first], {})
        for _ in range(TRIES):
            store.claim(9)
            store.fail(first.key, "boom")
        store.plan([first, item(1, first.key)], {})
        assert store.counts() == Counts(done=0, failed=2, waiting=0, running=0)


def test_what_a_closed_store_had_taken_is_free(tmp_path):
    with Store(tmp_path, create=True) as store:
        store.plan([item(0)], {})
        with Store(tmp_path) as other:
            other.claim(1)
            assert store.claim(1) == []
        assert taken(store.claim(1)) == [0]


def test_what_a_killed_process_had_taken_is_free_and_counts_as_no_try(tmp_path):
    with Store(tmp_path, create=True) as store:
        store.plan([item(0)], {})
        code = (
            "import sys; from pathlib import Path\n"
            "from neuroattack.experiments.campaign.store import Store\n"
            "store = Store(Path(sys.argv[1])); store.claim(1); print('taken', flush=True)\n"
            "sys.stdin.read()"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout.readline() == b"taken\n"
        assert store.claim(1) == []
        assert store.counts().running == 1
        for _ in range(TRIES + 1):
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                process.communicate()
            assert taken(store.claim(1)) == [0]
            store.release()
        assert store.counts() == Counts(done=0, failed=0, waiting=1, running=0)


def test_a_folder_without_a_store_a_damaged_and_a_newer_one_are_named(tmp_path):
    with pytest.raises(FileError, match="is no campaign"):
        Store(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    (tmp_path / STORE).write_bytes(b"no database" * 1000)
    with pytest.raises(FileError, match="is damaged"):
        Store(tmp_path)
    assert list((tmp_path / "owners").iterdir()) == []
    (tmp_path / STORE).unlink()
    Store(tmp_path, create=True).close()
    with sqlite3.connect(tmp_path / STORE) as db:
        db.execute("update about set value = '2' where key = 'schema_version'")
    db.close()
    with pytest.raises(FileError, match="schema version 2, expected 1"):
        Store(tmp_path)
