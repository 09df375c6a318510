"""Brian2 in this process compared with the reference dynamics, spike for spike."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.brian_networks import (
    assert_exact,
    chain,
    every_feature,
    feed_forward,
    mixed_inputs,
    mixed_rasters,
)

from neuroattack.conformance.networks import inputs, networks, rasters
from neuroattack.deployment.backend import load_backend
from neuroattack.deployment.features import FEATURES, features_of
from neuroattack.encoding.constant import ConstantInput
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import BackendUnavailableError, UnsupportedFeatureError, ValidationError
from neuroattack.ir.network import Projection

pytest.importorskip("brian2", reason="needs Brian2: pip install 'neuroattack[brian2]'")


@pytest.fixture(autouse=True)
def no_builds(tmp_path_factory, monkeypatch):
    """Use an empty cache, so that networks run in this process."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "no-builds"))


def deploy(network):
    return load_backend("brian2").deploy(network)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_every_spike_equals_the_plain_dynamics(data):
    network = data.draw(networks())
    assert_exact(deploy(network), network, data.draw(rasters(network.input.size)))


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_mixed_features_equal_the_plain_dynamics(data):
    features = frozenset(FEATURES) - {"fixed_point"}
    network = data.draw(networks(max_size=30, features=features))
    assert_exact(deploy(network), network, data.draw(inputs(network)))


@pytest.mark.parametrize("quantity", ["final_potential", "max_potential"])
@pytest.mark.parametrize("direct", [False, True])
def test_all_features_at_once(direct, quantity):
    network = every_feature(direct=direct, quantity=quantity)
    missing = set(FEATURES) - set(features_of(network))
    assert missing == {"fixed_point"} | (set() if direct else {"direct_input"})
    simulator = deploy(network)
    # As many steps as the longest delay, and fewer.
    for steps in (30, 3, 1):
        assert_exact(simulator, network, mixed_inputs(network, steps))


def test_potentials_of_images_without_steps_are_0():
    network = every_feature()
    recording = deploy(network).run(SpikeTrains.from_dense(np.zeros((3, 0, 40), bool)))
    np.testing.assert_array_equal(recording.potentials, np.zeros((3, 5)))


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("images", [1, 5])
def test_one_simulator_runs_batches_of_any_size(direct, images):
    network = every_feature(direct=direct)
    simulator = deploy(network)
    given = mixed_inputs(network, 20)
    assert_exact(simulator, network, given)
    assert_exact(simulator, network, given[:images])


@pytest.mark.parametrize("dt_s", [1e-15, 1e12])
def test_direct_coding_with_steps_of_any_length(dt_s):
    network = replace(every_feature(direct=True), dt_s=dt_s)
    assert_exact(deploy(network), network, mixed_inputs(network, 20))


def test_the_other_kind_of_input_is_refused():
    for direct in (False, True):
        given = mixed_inputs(every_feature(direct=not direct), 5)
        shown = given if isinstance(given, ConstantInput) else SpikeTrains.from_dense(given)
        with pytest.raises(ValidationError, match="input"):
            deploy(every_feature(direct=direct)).run(shown)


def test_a_loop_that_is_too_short_is_refused():
    network = every_feature()
    loop = Projection.from_weights("late", "map", np.ones((6, 24)), 1)
    with pytest.raises(UnsupportedFeatureError, match="loop"):
        deploy(replace(network, projections=(*network.projections, loop)))


def test_too_many_synapses_are_refused(monkeypatch):
    network = every_feature()
    connections = sum(projection.connections for projection in network.projections)
    monkeypatch.setattr("neuroattack.backends.brian.support._MOST_SYNAPSES", connections)
    deploy(network)
    monkeypatch.setattr("neuroattack.backends.brian.support._MOST_SYNAPSES", connections - 1)
    with pytest.raises(UnsupportedFeatureError, match=f"{connections:,}"):
        deploy(network)


def full_and_empty(steps=12):
    dense = np.zeros((5, steps, 3), bool)
    dense[[0, 2, 3]] = True
    return dense


@pytest.mark.parametrize(
    "network",
    [
        chain(),
        chain(delays=(5, 3)),
        chain(delays=(11, 1)),
        chain(delays=(12, 1)),
        chain(delays=(10_000, 2)),
        chain(refractory_steps=30),
        chain(refractory_steps=1_000_000),
        chain(refractory_steps=1, reset_v=-3.0),
        chain(bias_v=0.2),
        chain(bias_v=[0.6, 0.0, -2.0], delays=(4, 7), refractory_steps=3),
        chain(bias_v=-1e308, tau_m_s=float("inf"), threshold_v=1.0),
        chain(tau_m_s=float("inf"), threshold_v=0.625),
        chain(tau_m_s=1e-9),
        chain(threshold_v=-0.5, reset_v=-1.0, refractory_steps=2),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_nothing_survives_from_one_image_to_the_next(network):
    assert_exact(deploy(network), network, full_and_empty())


@pytest.mark.parametrize("steps", [1, 25, 60])
def test_delays_biases_and_refractory_periods(steps):
    network = feed_forward()
    assert_exact(deploy(network), network, mixed_rasters(network, steps))


@pytest.mark.parametrize("dt_s", [1e-15, 1e-7 / 3, 0.1, 1e12])
def test_steps_of_any_length(dt_s):
    network = chain(dt_s=dt_s, refractory_steps=2, delays=(3, 1))
    assert_exact(deploy(network), network, full_and_empty())


@pytest.mark.parametrize("dt_s", [1e-16, 1e13])
def test_steps_beyond_what_brian2_counts_are_refused(dt_s):
    with pytest.raises(UnsupportedFeatureError, match="time steps of"):
        deploy(chain(dt_s=dt_s))


def test_one_simulator_shows_images_of_several_lengths():
    network = chain(delays=(2, 5), bias_v=0.01, refractory_steps=2)
    simulator = deploy(network)
    rng = np.random.default_rng(0)
    for images, steps in [(3, 20), (1, 1), (2, 20), (4, 3), (2, 0), (3, 20)]:
        assert_exact(simulator, network, rng.random((images, steps, 3)) < 0.5)


def test_a_user_of_brian2_finds_everything_as_it_was():
    before = {"excepthook": sys.excepthook, "handlers": list(logging.getLogger().handlers)}
    before["state"] = np.random.get_state()[1].tolist()  # noqa: NPY002
    before["interrupt"] = signal.getsignal(signal.SIGINT)
    before["warn"] = warnings.showwarning
    first, second = chain(), chain(delays=(2, 3), refractory_steps=1)
    simulators = [deploy(first), deploy(second)]
    assert_exact(simulators[0], first, full_and_empty())

    import brian2
    from brian2.devices.device import reset_device

    brian2.prefs.codegen.target = "cython"
    brian2.prefs.core.default_float_dtype = np.float32
    brian2.defaultclock.dt = 0.5 * brian2.ms
    brian2.set_device("cpp_standalone", build_on_run=False)
    try:
        assert_exact(simulators[1], second, full_and_empty())
        assert_exact(simulators[0], first, full_and_empty())
        assert brian2.prefs.codegen.target == "cython"
        assert brian2.prefs.core.default_float_dtype is np.float32
        assert brian2.get_device() is brian2.all_devices["cpp_standalone"]
        assert not brian2.get_device().build_on_run
        assert brian2.defaultclock.dt == 0.5 * brian2.ms
    finally:
        reset_device()
        brian2.prefs.codegen.target = "numpy"
        brian2.prefs.core.default_float_dtype = np.float64
    group = brian2.NeuronGroup(1, "dv/dt = 1 / second : 1", method="euler", name="neuron")
    network = brian2.Network(group)
    network.run(2 * brian2.ms)
    assert group.v[0] == pytest.approx(2e-3)
    assert_exact(simulators[1], second, full_and_empty())
    assert before["excepthook"] is sys.excepthook
    assert before["handlers"] == logging.getLogger().handlers
    assert before["state"] == np.random.get_state()[1].tolist()  # noqa: NPY002
    assert before["interrupt"] is signal.getsignal(signal.SIGINT)
    assert before["warn"] is warnings.showwarning


def test_importing_leaves_no_trace_and_listing_does_not_import(tmp_path):
    program = textwrap.dedent("""
        import logging, signal, sys, warnings
        from neuroattack.deployment.backend import list_backends
        list_backends()
        assert "brian2" not in sys.modules
        from neuroattack.backends.brian.importing import import_brian2
        before = sys.excepthook, signal.getsignal(signal.SIGINT), warnings.showwarning
        import_brian2()
        assert before == (sys.excepthook, signal.getsignal(signal.SIGINT), warnings.showwarning)
        assert not logging.getLogger().handlers
        assert not logging.getLogger("py.warnings").handlers
    """)
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=120)
    assert not list(tmp_path.iterdir())


def test_interrupting_a_run_is_an_error_and_not_an_early_end():
    network = chain(bias_v=0.1)
    simulator = deploy(network)
    silent = SpikeTrains.from_dense(np.zeros((100, 1000, 3), bool))
    # Interrupts are ignored in the background of a shell without job control.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(1.5, signal.raise_signal, [signal.SIGINT])
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            simulator.run(silent)
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
    assert_exact(simulator, network, full_and_empty())


def test_without_brian2_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in ("brian2", "brian2-standalone"):
        with pytest.raises(BackendUnavailableError, match=r"pip install 'neuroattack\[brian2\]'"):
            load_backend(name)
