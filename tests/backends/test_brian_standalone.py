"""Brian2 in standalone mode: comparison with the reference dynamics, and failing executables."""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
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
from support.brian_networks import (
    assert_exact,
    chain,
    every_feature,
    feed_forward,
    fixed_neuron,
    mixed_inputs,
    mixed_rasters,
)

from benchmarks.registry import Options
from benchmarks.workload import make_workload
from neuroattack.conformance.networks import inputs, networks
from neuroattack.deployment.backend import Workload, load_backend
from neuroattack.deployment.features import FEATURES
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import SimulationError, UnsupportedFeatureError

pytest.importorskip("brian2", reason="needs Brian2: pip install 'neuroattack[brian2]'")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the network with all features once; return its simulator and its cache."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("cache")
    patch.setenv("XDG_CACHE_HOME", str(folder))
    yield standalone(feed_forward()), folder / "neuroattack" / "brian2"
    patch.undo()


@pytest.fixture
def simulator(built, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(built[1].parent.parent))
    return built[0]


@pytest.mark.slow
@NEEDS_COMPILER
def test_batches_of_any_size(simulator):
    network = feed_forward()
    for images in (7, 1, 103, 3):
        assert_exact(simulator, network, mixed_rasters(network, STEPS, images))


@pytest.mark.slow
@NEEDS_COMPILER
@pytest.mark.parametrize(
    ("direct", "quantity"), [(False, "final_potential"), (True, "max_potential")]
)
def test_all_features_at_once(cache, direct, quantity):
    network = every_feature(direct=direct, quantity=quantity)
    simulator = standalone(network)
    for images in (7, 1, 103):
        assert_exact(simulator, network, mixed_inputs(network, STEPS, images))


@pytest.mark.slow
@NEEDS_COMPILER
def test_mixed_features_equal_the_plain_dynamics(cache):
    @settings(max_examples=3, deadline=None, database=None, phases=[Phase.generate])
    @given(st.data())
    def check(data):
        network = data.draw(networks(max_size=20, features=frozenset(FEATURES) - {"fixed_point"}))
        drawn = data.draw(inputs(network))
        assert_exact(load_backend("brian2-standalone").deploy(network), network, drawn)

    check()


@pytest.mark.slow
@NEEDS_COMPILER
def test_it_builds_by_itself_where_that_pays_and_steps_of_odd_length(cache, monkeypatch):
    network = chain(dt_s=1e-7 / 3, delays=(3, 1), refractory_steps=1_000_000, size=65, bias_v=0.02)
    simulator = load_backend("brian2").deploy(network, Workload(10_000, 50))
    assert len(left_behind(cache)) == 1
    assert_exact(simulator, network, mixed_rasters(network, 50, 12))
    # There is no build for another number of steps.
    assert_exact(simulator, network, mixed_rasters(network, 20, 12))
    assert len(left_behind(cache)) == 1
    # Also without the build, if it cannot be built again.
    shutil.rmtree(cache)
    with pytest.raises(SimulationError):
        simulator.run(silence(network, 1, 50))
    monkeypatch.setenv("PATH", "")
    assert_exact(simulator, network, mixed_rasters(network, 50, 12))


@pytest.mark.slow
@NEEDS_COMPILER
def test_a_build_is_found_again_without_brian2(simulator):
    network = feed_forward()
    again = standalone(network)
    assert_exact(again, network, mixed_rasters(network, STEPS))
    either = load_backend("brian2").deploy(network)
    assert_exact(either, network, mixed_rasters(network, STEPS))
    program = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        from support.brian_networks import *
        from neuroattack.deployment.backend import load_backend
        network = feed_forward()
        simulator = load_backend("brian2").deploy(network)
        assert_exact(simulator, network, mixed_rasters(network, {STEPS}))
        assert "brian2" not in sys.modules
    """)
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@pytest.mark.slow
@NEEDS_COMPILER
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("kill -SEGV $$", r"ended by signal 11 \(SIGSEGV\)"),
        ("kill -KILL $$", r"ended by signal 9 \(SIGKILL\)"),
        ("kill -STOP $$", "exceeded its deadline"),
        ("sleep 1000 & sleep 1000", "exceeded its deadline"),
        ("echo Error writing output file; exit 0", "Error writing output file"),
        ("exit 3", "code 3"),
        ("exit 0", "No such file"),
    ],
)
def test_an_executable_that_fails_is_an_error_and_the_next_query_works(
    simulator, built, monkeypatch, script, said
):
    others = set(descendants(os.getpid()))
    network = feed_forward()
    monkeypatch.setattr("neuroattack.backends.brian.standalone.simulation._START_S", 0.5)
    monkeypatch.setattr("neuroattack.backends.brian.standalone.simulation._SYNAPSE_S", 0.0)
    simulator.run(silence(network))
    (executable,) = built[1].glob("*/main")
    real = executable.rename(executable.with_name("real"))
    executable.write_text(f"#!/bin/sh\n{script}\n")
    executable.chmod(0o755)
    try:
        with pytest.raises(SimulationError, match=said):
            simulator.run(silence(network))
    finally:
        real.replace(executable)
    assert set(descendants(os.getpid())) <= others
    assert len(left_behind(built[1])) == 1
    assert_exact(simulator, network, mixed_rasters(network, STEPS))


@pytest.mark.slow
@NEEDS_COMPILER
def test_when_the_parent_is_killed_its_executable_ends(cache):
    standalone(chain(size=400), 20_000)
    program = DEPLOYS.format(tests=str(Path(__file__).parents[1]))
    parent = subprocess.Popen([sys.executable, "-c", program])
    await_that(lambda: any(map(is_called("main"), descendants(parent.pid))), 60)
    family = descendants(parent.pid)
    time.sleep(0.3)
    assert any(map(is_running, family))
    parent.kill()
    parent.wait()
    await_that(lambda: not any(map(is_running, family)), 5)


@pytest.mark.slow
@NEEDS_COMPILER
@pytest.mark.parametrize("size", [100, 2_000])
def test_results_that_cannot_be_written_are_an_error(simulator, size):
    network = feed_forward()
    simulator.run(silence(network))
    with files_of_at_most(size):
        with pytest.raises(SimulationError):
            simulator.run(SpikeTrains.from_dense(mixed_rasters(network, STEPS)))
    assert_exact(simulator, network, mixed_rasters(network, STEPS))


def test_fixed_point_is_refused(cache):
    for name in ("brian2", "brian2-standalone"):
        with pytest.raises(UnsupportedFeatureError, match="fixed"):
            load_backend(name).deploy(fixed_neuron())


@pytest.mark.slow
@NEEDS_COMPILER
def test_a_hundred_mnist_images_in_both_forms(needs_mnist, cache):
    options = Options(None, "mnist", quick=False, out=cache, say=print)
    workload = make_workload(options, images=100, steps=100)
    native = load_backend("native").deploy(workload.network)
    expected = native.run(workload.inputs, record_spikes=True)
    # First in this process, because there is no build.
    for form in ("brian2", "brian2-standalone"):
        found = load_backend(form).deploy(workload.network).run(workload.inputs, record_spikes=True)
        for name, trains in expected.spikes.items():
            differing = found.spikes[name].to_dense() != trains.to_dense()
            assert not differing.any(), f"{form}, {name}"
            np.testing.assert_array_equal(found.counts[name], expected.counts[name])
        assert expected.counts["output"].any()
