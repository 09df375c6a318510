"""Work for cells that leave a trace, so that what was done, where and how often can be counted."""

import os
import signal
import time
from pathlib import Path

from neuroattack.backends.native import NativeBackend
from neuroattack.errors import DoesNotFitError
from neuroattack.experiments.engine.cells import Cell
from neuroattack.experiments.engine.store import Packed, Store
from neuroattack.experiments.engine.workers import attempt


def _trace(log, text):
    # One write of a line that is opened for appending: lines of several processes do not mix.
    with Path(log).open("a") as file:
        file.write(f"{text} {os.getpid()}\n")


def square(*, number, log, folder, seconds=0.05):
    _trace(log, number)
    time.sleep(seconds)
    return {"square": number**2, "pair": (number, number + 1)}


def count_threads(*, workers, folder):
    """Return the number of threads that the native backend takes by default."""
    del workers, folder
    return {"threads": NativeBackend()._threads}


def squares(log, numbers, seconds=0.05, cost=1.0):
    log.touch()
    return [
        Cell(
            f"square-{number}",
            square,
            {"number": number, "log": str(log), "seconds": seconds},
            cost,
        )
        for number in numbers
    ]


def leave_a_file(*, log, folder):
    _trace(log, "file")
    (folder / "large.txt").write_text("large")
    return {"kept": "large.txt"}


def leaving_a_file(log):
    return Cell("file", leave_a_file, {"log": str(log)}, files=("kept",))


def refuse(*, log, folder):
    _trace(log, "refuse")
    raise DoesNotFitError(
        "population 'hidden1'",
        "neurons",
        "loihi",
        resource="neurons",
        population="hidden1",
        used=5000,
        available=1024,
    )


def be_killed_once(*, log, folder):
    first = "killed" not in Path(log).read_text()
    _trace(log, "killed")
    if first:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"alive": True}


class DyingAttempt:
    """Does items, but dies over one attack on one image."""

    def __init__(self, deadly):
        self.deadly = deadly

    def __call__(self, task):
        if (
            task.arguments["attack"] == "count-regression"
            and task.arguments["index"] == self.deadly
        ):
            os.kill(os.getpid(), signal.SIGKILL)
        return attempt(task)


def keep_result(folder, cell, result):
    """Store a result as if the cell had been done."""
    with Store(folder, create=True) as store:
        store.plan([cell])
        store.claim(key=cell.key)
        store.finish(cell.key, Packed.of(result))


def results_of(folder, prefix):
    """Return the results of the cells whose keys begin so, by key."""
    with Store(folder) as store:
        return {one.key: one.result for one in store.results() if one.key.startswith(prefix)}
