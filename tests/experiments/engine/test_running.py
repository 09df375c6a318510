"""Cells run once each, with any number of workers and after kills."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import cell_work
from support.cell_work import count_threads, squares

from neuroattack.errors import (
    DoesNotFitError,
    FileError,
    OutputError,
    SimulationError,
    ValidationError,
)
from neuroattack.experiments.engine import running as engine
from neuroattack.experiments.engine.cells import Cell, read_kept
from neuroattack.experiments.engine.running import do_cells, run_cells
from neuroattack.experiments.engine.store import STORE, Packed, Store
from neuroattack.experiments.engine.workers import Finished, Task, Workers, attempt
from neuroattack.files import write_arrays

TESTS = Path(__file__).parents[2]


def done(log):
    """Return the started cells in order, without process ids."""
    return [line.split()[0] for line in log.read_text().splitlines()]


def result_of(number):
    return {"square": number**2, "pair": [number, number + 1]}


def test_workers_compress_results(tmp_path, log):
    arguments = {"number": 3, "log": str(log)}
    task = Task("key", cell_work.__name__, "square", arguments, tmp_path, 1)
    found = attempt(task)
    assert isinstance(found, Finished)
    assert isinstance(found.result, Packed)
    assert found.result.result() == result_of(3)


def test_progress_takes_a_small_part_of_the_time(tmp_path, log, monkeypatch):
    def slow_counts(store):
        time.sleep(0.3)
        return count(store)

    count = Store.counts
    monkeypatch.setattr(Store, "counts", slow_counts)
    monkeypatch.setattr(engine, "_REPORT_EVERY_S", 0.0)
    with Store(tmp_path, create=True) as store:
        store.plan(squares(log, range(8), 0.01))
    seen = []
    do_cells(tmp_path, Workers(2), {}, lambda counts, _: seen.append(counts.done))
    # Before the first cell, perhaps after one of them, and after the last.
    assert len(seen) <= 4
    assert (seen[0], seen[-1]) == (0, 8)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log.txt"


def test_results_are_in_order_with_any_number_of_workers(tmp_path, log):
    numbers = [3, 1, 4, 1, 5]
    expected = [result_of(number) for number in numbers]
    for workers in (1, 2):
        cells = squares(log, numbers)
        assert run_cells(tmp_path / str(workers), cells, workers=workers) == expected
    # The repeated cell ran once in each of the two folders.
    assert sorted(done(log)) == sorted(["1", "3", "4", "5"] * 2)
    # The second call runs nothing and reads the computed results.
    assert run_cells(tmp_path / "2", squares(log, numbers[::-1])) == expected[::-1]
    assert len(done(log)) == 8


def test_the_number_of_processes_is_that_of_workers(tmp_path, log):
    run_cells(tmp_path, squares(log, range(6), seconds=0.3), workers=2)
    processes = [line.split()[1] for line in log.read_text().splitlines()]
    assert len(set(processes)) == 2
    assert str(os.getpid()) not in processes


def test_a_cell_whose_file_is_missing_runs_again(tmp_path, log):
    cells = [cell_work.leaving_a_file(log)]
    first = run_cells(tmp_path, cells)
    assert run_cells(tmp_path, cells) == first
    assert done(log) == ["file"]
    (tmp_path / first[0]["kept"]).unlink()
    assert run_cells(tmp_path, cells) == first
    assert done(log) == ["file", "file"]
    assert (tmp_path / first[0]["kept"]).read_text() == "large"


def kept(folder, cell):
    """Return the stored result of a cell; None if it is not finished."""
    with Store(folder) as store:
        return store.result(cell.key)


def test_two_processes_share_the_work_in_one_folder(tmp_path, log):
    study = Study(tmp_path, log, 12, 0.2)
    while not (log.exists() and done(log)):
        time.sleep(0.02)
    cells = squares(log, range(12), 0.2)
    assert run_cells(tmp_path / "cells", cells) == [result_of(number) for number in range(12)]
    out, err = study.process.communicate()
    assert (out, err) == ("finished\n", "")
    assert sorted(map(int, done(log))) == list(range(12))
    assert len({line.split()[1] for line in log.read_text().splitlines()}) == 4


def damaged_archives(whole):
    cut, flipped = whole[: len(whole) // 2], bytearray(whole)
    flipped[len(whole) // 3] ^= 0xFF
    return {"cut": cut, "flipped": bytes(flipped), "text": b"x", "empty": b""}


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "empty", "gone"])
def test_a_damaged_archive_is_named(tmp_path, damage):
    path = tmp_path / "images.npz"
    write_arrays(path, {"adversarial": np.arange(60.0)})
    (back,) = read_kept(path, "adversarial")
    np.testing.assert_array_equal(back, np.arange(60.0))
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(damaged_archives(path.read_bytes())[damage])
    with pytest.raises(FileError, match=r"images\.npz: damaged"):
        read_kept(path, "adversarial")


def test_the_longest_cell_starts_first_and_progress_is_by_cost(tmp_path, log):
    short, long = squares(log, [1]), squares(log, [2], cost=3.0)
    seen = []
    run_cells(tmp_path, short + long, workers=1, on_progress=lambda *state: seen.append(state))
    assert done(log) == ["2", "1"]
    assert seen == [(0.0, "0 of 2"), (0.75, "1 of 2"), (1.0, "2 of 2")]
    seen.clear()
    run_cells(tmp_path, short + long, on_progress=lambda *state: seen.append(state))
    assert seen == [(1.0, "2 of 2")]
    seen.clear()
    assert run_cells(tmp_path, [], on_progress=lambda *state: seen.append(state)) == []
    assert seen == [(1.0, "0 of 0")]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


several = st.dictionaries(st.text(max_size=3), values, max_size=3)


@settings(deadline=None)
@given(several, several)
def test_keys_are_equal_if_arguments_are_equal(one, other):
    def key(arguments, work=cell_work.square, name="a", cost=1.0):
        return Cell(name, work, arguments, cost).key

    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (key(one) == key(other)) == same
    assert key(one) == key(dict(reversed(one.items())))
    assert key(one) == key(one, cost=7.0)
    assert key(one) != key(one, work=cell_work.refuse)
    assert key(one) != key(one, name="b")


def test_nan_is_not_an_argument():
    with pytest.raises(ValueError, match="not JSON compliant"):
        _ = Cell("nan", cell_work.square, {"number": float("nan")}).key


def test_errors_of_cells_are_raised(tmp_path, log):
    before, after = squares(log, [1], cost=9.0), squares(log, [2])
    refused = Cell("refuse", cell_work.refuse, {"log": str(log)}, 5.0)
    with pytest.raises(DoesNotFitError) as raised:
        run_cells(tmp_path, [*after, refused, *before], workers=1)
    assert str(raised.value) == "population 'hidden1' needs 5,000 neurons, loihi has 1,024"
    assert vars(raised.value) == {
        "resource": "neurons",
        "population": "hidden1",
        "used": 5000,
        "available": 1024,
    }
    assert kept(tmp_path, before[0]) == result_of(1)
    assert kept(tmp_path, refused) is None
    with pytest.raises(DoesNotFitError):
        run_cells(tmp_path, [refused, *before], workers=1)
    assert done(log).count("1") == 1


def test_a_killed_worker_is_reported_and_the_next_call_resumes(tmp_path, log):
    cells = squares(log, [1, 2], cost=5.0)
    killed = Cell("killed", cell_work.be_killed_once, {"log": str(log)})
    with pytest.raises(SimulationError, match="worker process"):
        run_cells(tmp_path, [killed, *cells], workers=1)
    assert done(log) == ["1", "2", "killed"]
    expected = [{"alive": True}, result_of(1), result_of(2)]
    assert run_cells(tmp_path, [killed, *cells], workers=2) == expected
    assert done(log) == ["1", "2", "killed", "killed"]


@pytest.mark.parametrize("workers", [0, -1, 257, 1.5, True])
def test_workers_are_an_integer(tmp_path, log, workers):
    with pytest.raises(ValidationError, match=f"workers: got {workers}"):
        run_cells(tmp_path, squares(log, [1]), workers=workers)
    assert done(log) == []


def test_an_unusable_folder_is_refused_before_any_work(tmp_path, log):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        run_cells(tmp_path / "file" / "cells", squares(log, [1]))
    assert done(log) == []


def test_workers_share_the_cores(tmp_path):
    cores = joblib.cpu_count()
    for workers in (1, 2, cores + 1):
        cell = Cell("threads", count_threads, {"workers": workers})
        (found,) = run_cells(tmp_path, [cell], workers=workers)
        assert found["threads"] == max(1, cores // workers)
    assert joblib.cpu_count() == cores


def test_the_affinity_limits_the_threads():
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("needs an affinity of processes to cores")
    code = (
        "import os; os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1]);"
        "from support.cell_work import count_threads;"
        "print(count_threads(workers=1, folder=None)['threads'])"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    found = subprocess.check_output([sys.executable, "-c", code], text=True, env=environment)
    assert found == "1\n"


SCRIPT = """
import signal
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.cell_work import count_threads, squares
from neuroattack.experiments.engine.running import run_cells

if __name__ == "__main__":
    # The signal is ignored if a shell started the tests in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder, log, count, seconds = Path(sys.argv[2]), Path(sys.argv[3]), *map(float, sys.argv[4:])
    try:
        print("ready", flush=True)
        run_cells(folder, squares(log, range(int(count)), seconds), workers=2)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.exit(130)
    print("finished", flush=True)
"""


class Study:
    """A study in a separate process that leads a session with its workers."""

    def __init__(self, tmp_path, log, count, seconds):
        script = tmp_path / "study.py"
        script.write_text(SCRIPT)
        self.process = subprocess.Popen(
            [sys.executable, script, TESTS, tmp_path / "cells", log, str(count), str(seconds)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout.readline() == "ready\n"

    def members(self):
        """Return the processes of the session, without zombies."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, *rest = stat.read_text().rpartition(")")[2].split()
            except OSError:  # It ended meanwhile.
                continue
            if int(rest[2]) == self.process.pid and state != "Z":
                found.append(int(stat.parent.name))
        return found

    def is_left_by_all(self, within_s=60.0):
        """Wait until the session has no processes."""
        deadline = time.monotonic() + within_s
        while self.members() and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self.members()


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


@needs_proc
def test_a_study_killed_at_any_time_resumes(tmp_path, log):
    cells = squares(log, range(24), 0.05)
    folder = tmp_path / "cells"
    rng = np.random.default_rng(1)
    before = 0
    for delay_s in rng.uniform(0.5, 2.5, 3):
        study = Study(tmp_path, log, 24, 0.05)
        time.sleep(delay_s)
        # Only the study is killed; its workers must notice.
        os.kill(study.process.pid, signal.SIGKILL)
        assert study.is_left_by_all()
        study.process.communicate()
        if (folder / STORE).exists():
            with Store(folder) as store:
                found = {one.key: one.result for one in store.results()}
            assert len(found) >= before
            before = len(found)
            assert all(found[c.key] == result_of(n) for n, c in enumerate(cells) if c.key in found)
    begun = len(done(log))
    assert run_cells(folder, cells, workers=2) == [result_of(number) for number in range(24)]
    assert len(done(log)) - begun == 24 - before
    assert {int(number) for number in done(log)} == set(range(24))


@needs_proc
@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.3, None])
def test_ctrl_c_ends_all_processes_without_waiting(tmp_path, log, delay_s):
    study = Study(tmp_path, log, 4, 300.0)
    if delay_s is None:
        deadline = time.monotonic() + 60
        while not log.exists() or len(done(log)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert len(study.members()) >= 3
    else:
        time.sleep(delay_s)
    # Like a terminal, to the study and its workers.
    os.killpg(study.process.pid, signal.SIGINT)
    out, err = study.process.communicate(timeout=120)
    assert (study.process.returncode, out, err) == (130, "interrupted\n", "")
    assert study.is_left_by_all()
