"""Building networks with Brian2, with faults of compilers, disks and processes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from support.brian_faults import (
    DEPLOYS,
    NEEDS_COMPILER,
    STEPS,
    await_that,
    descendants,
    files_of_at_most,
    is_called,
    is_running,
    left_behind,
    silence,
    standalone,
)
from support.brian_networks import assert_exact, chain, mixed_rasters

from neuroattack.deployment.backend import Workload, list_backends, load_backend
from neuroattack.errors import BackendUnavailableError, SimulationError

pytest.importorskip("brian2", reason="needs Brian2: pip install 'neuroattack[brian2]'")


def assert_runs_in_process():
    network = chain()
    simulator = load_backend("brian2").deploy(network, Workload(1_000_000, STEPS))
    assert_exact(simulator, network, mixed_rasters(network, STEPS))


@pytest.mark.slow
@NEEDS_COMPILER
def test_a_damaged_or_deleted_build_is_built_anew(cache):
    network = chain()
    simulator = standalone(network)
    (array,) = cache.glob("*/static_arrays/*synapses_0_w*")
    array.write_bytes(array.read_bytes()[:-8])
    assert_exact(standalone(network), network, mixed_rasters(network, STEPS))
    shutil.rmtree(cache)
    with pytest.raises(SimulationError):
        simulator.run(silence(network))
    assert_exact(simulator, network, mixed_rasters(network, STEPS))


@pytest.mark.slow
@NEEDS_COMPILER
def test_two_processes_build_once(cache, tmp_path):
    # A compiler that counts how often it links.
    compiler = tmp_path / "counting"
    compiler.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *"-o main"|*"-o main "*) echo >> {tmp_path}/linked;; esac\n'
        'exec g++ "$@"\n'
    )
    compiler.chmod(0o755)
    program = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        from support.brian_networks import *
        from neuroattack.deployment.backend import load_backend
        network = chain()
        simulator = load_backend("brian2-standalone").deploy(network)
        assert_exact(simulator, network, mixed_rasters(network, {STEPS}))
    """)
    environment = os.environ | {"CXX": str(compiler)}
    both = [subprocess.Popen([sys.executable, "-c", program], env=environment) for _ in range(2)]
    assert [process.wait(300) for process in both] == [0, 0]
    assert (tmp_path / "linked").read_text() == "\n"
    assert len(left_behind(cache)) == 1


@pytest.mark.slow
@NEEDS_COMPILER
@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGKILL, BackendUnavailableError), (signal.SIGINT, KeyboardInterrupt)],
)
def test_a_build_that_is_killed_or_interrupted_leaves_nothing(cache, number, error):
    # Workers of other tests may be running.
    others = set(descendants(os.getpid()))

    def send():
        await_that(lambda: any(map(is_called("cc1plus"), descendants(os.getpid()))))
        build = next(pid for pid in descendants(os.getpid()) if pid not in others)
        os.kill(build if number == signal.SIGKILL else os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    with pytest.raises(error, match="SIGKILL" if number == signal.SIGKILL else None):
        standalone(chain())
    sender.join()
    assert set(descendants(os.getpid())) <= others
    assert not left_behind(cache)


@NEEDS_COMPILER
def test_when_the_parent_is_killed_its_build_ends_and_the_next_one_cleans_up(cache):
    program = DEPLOYS.format(tests=str(Path(__file__).parents[1]))
    parent = subprocess.Popen([sys.executable, "-c", program])
    await_that(lambda: any(map(is_called("cc1plus"), descendants(parent.pid))))
    family = descendants(parent.pid)
    parent.kill()
    parent.wait()
    await_that(lambda: not any(map(is_running, family)))
    assert left_behind(cache)
    from neuroattack.backends.brian.standalone.folders import scratch_folder

    with scratch_folder() as scratch:
        assert left_behind(cache) == [scratch.name]


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [("PATH", "", "'g++'"), ("CXX", "no-such-compiler -O1", "'no-such-compiler'")],
)
def test_a_missing_compiler_is_named(cache, monkeypatch, variable, value, named):
    monkeypatch.setenv(variable, value)
    (line,) = [line for line in list_backends() if line.name == "brian2-standalone"]
    assert not line.available
    assert named in line.reason
    with pytest.raises(BackendUnavailableError, match=re.escape(named)):
        load_backend("brian2-standalone")
    assert_runs_in_process()


@NEEDS_COMPILER
def test_a_cache_that_cannot_be_made_is_an_error_and_no_obstacle_without_building(cache):
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(BackendUnavailableError, match="cannot be created"):
        standalone(chain())
    assert_runs_in_process()


@pytest.mark.slow
@NEEDS_COMPILER
def test_a_compiler_that_fails_is_quoted(cache, tmp_path, monkeypatch):
    compiler = tmp_path / "broken"
    compiler.write_text("#!/bin/sh\necho 'fatal error: no room for a program' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(BackendUnavailableError, match="no room for a program"):
        standalone(chain())
    assert not left_behind(cache)


@NEEDS_COMPILER
@pytest.mark.parametrize("size", [100, pytest.param(60_000, marks=pytest.mark.slow)])
def test_a_build_that_cannot_be_written_is_an_error_and_leaves_nothing(cache, size):
    with files_of_at_most(size):
        with pytest.raises(BackendUnavailableError, match="cannot be built"):
            standalone(chain())
    assert not left_behind(cache)
