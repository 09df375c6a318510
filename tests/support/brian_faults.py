"""What the tests of Brian2 compiled share: processes to look for, and disks to fill."""

import contextlib
import resource
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from neuroattack.deployment.backend import Workload, load_backend
from neuroattack.encoding.spikes import SpikeTrains

NEEDS_COMPILER = pytest.mark.skipif(
    not (shutil.which("g++") and shutil.which("make")), reason="needs g++ and make"
)

STEPS = 40

DEPLOYS = """
import sys
sys.path.insert(0, {tests!r})
from support.brian_networks import *
from neuroattack.deployment.backend import Workload, load_backend
network = chain(size=400)
simulator = load_backend("brian2-standalone").deploy(network, Workload(steps=20_000))
simulator.run(SpikeTrains.from_dense(np.ones((4, 20_000, 400), bool)))
"""


def standalone(network, steps=STEPS):
    return load_backend("brian2-standalone").deploy(network, Workload(steps=steps))


def silence(network, images=1, steps=STEPS):
    return SpikeTrains.from_dense(np.zeros((images, steps, network.input.size), bool))


def descendants(pid):
    """Return the processes that come from one, by process id, ended ones aside."""
    parents = {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                parents[int(folder.name)] = int(fields[1])
    found = [pid]
    for ancestor in found:
        found += [child for child, parent in parents.items() if parent == ancestor]
    return found[1:]


def await_that(condition, seconds=30):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return value


def is_running(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def is_called(name):
    def among(pid):
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/comm").read_text().strip() == name
        return False

    return among


def left_behind(cache):
    return [path.name for path in cache.glob("*") if path.suffix != ".lock"]


@contextlib.contextmanager
def files_of_at_most(size):
    """Make all longer writes fail, in this process and its children, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
