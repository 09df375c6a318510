"""Comparison of backends: correct, faulty and failing ones."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.networks import small_network
from support.output import one_object, refused

from neuroattack.datasets import load_dataset
from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import SimulationError
from neuroattack.experiments.comparison.backend_run import run_backend
from neuroattack.experiments.divergence.difference import differing_events
from neuroattack.hardware.quantization.quantization import fixed_format, quantize
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import Input
from neuroattack.ir.storage import save_network

PLUGIN = '''
import dataclasses, os, time
import numpy as np
from neuroattack.deployment.backend import Availability, Recording, load_backend
from neuroattack.deployment.features import FEATURES
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import SimulationError, UnsupportedFeatureError
from neuroattack.ir.dynamics import readout_potentials, simulate

class Backend:
    name = "plugin"
    def availability(self):
        return Availability(True, version="7.1")

class Late(Backend):
    """Backend that adds one step to every delay."""
    def deploy(self, network, workload):
        if network.precision == "fixed":
            raise UnsupportedFeatureError("no integers here")
        longer = tuple(
            dataclasses.replace(p, delay_steps=p.delay_steps + 1) for p in network.projections
        )
        return load_backend("native").deploy(dataclasses.replace(network, projections=longer))

class Failing(Backend):
    def deploy(self, network, workload):
        raise SimulationError("the board is on fire")

class Crashing(Backend):
    def deploy(self, network, workload):
        raise RuntimeError("segment 7")

class Dying(Backend):
    def deploy(self, network, workload):
        os.kill(os.getpid(), 9)

class Hanging(Backend):
    def deploy(self, network, workload):
        open("hanging.pid", "w").write(str(os.getpid()))
        time.sleep(600)

class Plain(Backend):
    """Backend that runs the reference dynamics, with all features."""
    supported = frozenset(FEATURES)
    off = 0.0
    def deploy(self, network, workload):
        return PlainSimulator(network, self.off)

class Off(Plain):
    """The same, with wrong potentials."""
    off = 1e-12

class PlainSimulator:
    def __init__(self, network, off):
        self.network, self.off = network, off
    def run(self, inputs, *, record_spikes=False):
        network, spikes, potentials = self.network, {}, []
        for dense in inputs.to_dense():
            for name, raster in simulate(network, dense).items():
                spikes.setdefault(name, []).append(raster)
            potentials.append(readout_potentials(network, dense)[-1])
        trains = {name: SpikeTrains.from_dense(np.array(r)) for name, r in spikes.items()}
        counts = {"input": inputs.counts(), **{n: each.counts() for n, each in trains.items()}}
        graded = network.readout_quantity == "final_potential"
        return Recording(
            counts, trains if record_spikes else None,
            np.array(potentials) + self.off if graded else None,
        )
    def close(self):
        pass

class Large(Backend):
    def deploy(self, network, workload):
        self.held = bytearray(os.urandom(1)) * (300 * 2**20)
        time.sleep(0.5)
        return load_backend("native").deploy(network)
'''


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """Install the backends of the plugin."""
    folder = tmp_path / "site"
    (folder / "plugin-7.1.dist-info").mkdir(parents=True)
    (folder / "plugin.py").write_text(PLUGIN)
    (folder / "plugin-7.1.dist-info" / "METADATA").write_text("Name: plugin\nVersion: 7.1\n")
    names = ["Late", "Failing", "Crashing", "Dying", "Hanging", "Plain", "Off", "Large"]
    (folder / "plugin-7.1.dist-info" / "entry_points.txt").write_text(
        "[neuroattack.backends]\n" + "".join(f"{n.lower()} = plugin:{n}\n" for n in names)
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.mark.slow
def test_the_native_backend_agrees_in_both_precisions(command, network_file, tmp_path):
    out_folder = tmp_path / "compared"
    code, out, _ = command(
        "compare",
        network_file,
        *("--backends", "native", "--images", 6, "--steps", 40, "--json", "--out", out_folder),
    )
    assert code == 0
    figures = one_object(out)
    assert figures["agree"] is True
    assert list(figures["backends"]) == ["native", "native-fixed"]
    for name, precision in (("native", "floating"), ("native-fixed", "fixed")):
        found = figures["backends"][name]
        assert found["precision"] == precision
        assert found["differing_spikes"] == found["differing_counts"] == 0
        assert found["differing_spikes_in"] == {"input": 0, "hidden": 0, "output": 0}
        assert found["first_difference"] is None
        assert found["class_agreement"] == 1
        assert 0 <= found["accuracy"] <= 1
        assert found["images_per_s"] > 0
        assert 0.1 < found["setup_s"] < 120
        assert 40 < found["peak_rss_mib"] < 4000
    fixed = figures["fixed_point"]
    network, test = small_network(), load_dataset("digits").test
    inputs = network.input.encoder.encode(
        test.images[:6].reshape(6, -1), indices=np.arange(6), steps=40, dt_s=1e-3, seed=0
    )
    counts = [
        np.array([simulate(each, raster)["output"].sum(axis=0) for raster in inputs.to_dense()])
        for each in (network, quantize(network, fixed_format()).network)
    ]
    correct = [
        np.mean(
            [
                (row.argmax() == label) and (row == row.max()).sum() == 1
                for row, label in zip(rows, test.labels, strict=False)
            ]
        )
        for rows in counts
    ]
    assert [fixed["accuracy_floating"], fixed["accuracy_fixed"]] == correct
    assert fixed["accuracy_drop"] == correct[0] - correct[1]
    assert fixed["equal_counts"] == np.mean(counts[0] == counts[1])
    correlation = np.corrcoef(*(rows.ravel() for rows in counts))[0, 1]
    assert fixed["count_correlation"] == pytest.approx(correlation)
    assert fixed["populations"][0]["effective_tau_m_s"] == pytest.approx(4.0955, abs=1e-3)
    saved = json.loads((out_folder / "result.json").read_text())
    assert saved == figures
    for picture in ("rasters.png", "throughput.png"):
        with Image.open(out_folder / picture) as image:
            assert np.asarray(image.convert("L")).std() > 5


@pytest.mark.slow
def test_a_faulty_backend_is_detected(command, network_file, plugins):
    code, out, _ = command(
        "compare",
        network_file,
        *("--backends", "native,late", "--images", 4, "--steps", 40, "--json"),
    )
    assert code == 1
    figures = json.loads(out)
    assert figures["agree"] is False
    assert figures["backends"]["native"]["differing_spikes"] == 0
    late = figures["backends"]["late"]
    assert late["backend_version"] == "7.1"
    assert late["differing_spikes_in"]["input"] == 0
    assert late["differing_spikes"] > late["differing_spikes_in"]["hidden"] > 0
    assert late["first_difference"]["population"] == "hidden"
    assert late["first_difference"]["image"] == 0
    assert figures["refused"] == {"late-fixed": "no integers here"}


def test_potentials_of_directly_coded_images_are_compared(command, tmp_path, plugins):
    network = small_network()
    hidden, output = network.populations
    graded = dataclasses.replace(
        network,
        input=Input(network.input.shape, DirectEncoder()),
        populations=(hidden, dataclasses.replace(output, threshold_v=np.inf, refractory_steps=0)),
        readout_quantity="final_potential",
    )
    save_network(tmp_path / "graded.h5", graded)
    code, out, err = command(
        "compare",
        tmp_path / "graded.h5",
        *("--backends", "plain,off", "--images", 3, "--steps", 12, "--json"),
    )
    assert code == 1, err
    figures = json.loads(out)
    plain, off = figures["backends"]["plain"], figures["backends"]["off"]
    assert plain["differing_potentials"] == plain["differing_spikes"] == 0
    assert off["differing_potentials"] == 30
    assert off["differing_spikes"] == off["differing_counts"] == 0
    assert "input" not in plain["differing_spikes_in"]
    assert plain["class_agreement"] == 1
    assert "fixed" in figures["refused"]


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("brian2 --precision fixed", "fixed-point"),
        ("failing", "backend 'failing' failed: the board is on fire"),
        ("crashing", "backend 'crashing' failed: RuntimeError: segment 7"),
        ("dying", "backend 'dying' ended with exit code -9"),
        ("nativ", "unknown backend 'nativ' (did you mean 'native'?)"),
        ("native,,", "unknown backend ''"),
    ],
)
def test_unusable_backends_are_refused(command, network_file, plugins, backend, message):
    options = ("--images", 1, "--steps", 5, "--backends", *backend.split())
    refused(command("compare", network_file, *options), message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--steps", 0), "steps: got 0"),
        (("--images", 0), "got 0"),
        (("--seed", -1), "seed: got -1"),
    ],
)
def test_bad_settings_are_refused(command, network_file, options, message):
    refused(command("compare", network_file, "--backends", "native", *options), message)


def test_a_network_in_fixed_point_is_compared_in_fixed_point_only(command, tmp_path):
    path = tmp_path / "fixed.h5"
    save_network(path, quantize(small_network(), fixed_format()).network)
    options = ("--backends", "native", "--images", 2, "--steps", 20)
    code, out, _ = command("compare", path, *options, "--json")
    assert code == 0
    figures = json.loads(out)
    assert list(figures["backends"]) == ["native-fixed"]
    assert figures["fixed_point"] is None
    result = command("compare", path, *options, "--precision", "floating")
    refused(result, "precision: got 'floating', expected 'fixed'")


def test_memory_is_that_of_the_backend_and_not_of_the_caller(plugins):
    held = bytearray(os.urandom(1)) * (500 * 2**20)
    images = np.zeros((1, 28, 28), np.float32)
    plain = run_backend(small_network(), images, backend="native", steps=5, seed=0)
    large = run_backend(small_network(), images, backend="large", steps=5, seed=0)
    assert plain.peak_rss_mib < 450
    assert 250 < large.peak_rss_mib - plain.peak_rss_mib < 400
    assert len(held) == 500 * 2**20


def test_a_failing_backend_does_not_affect_others(command, network_file, plugins):
    with pytest.raises(SimulationError, match="on fire"):
        run_backend(small_network(), np.zeros((1, 28, 28)), backend="failing", steps=5, seed=0)
    code, out, _ = command(
        "compare",
        network_file,
        *("--backends", "native,failing", "--precision", "floating"),
        *("--images", 1, "--steps", 5, "--json"),
    )
    assert code == 1
    figures = json.loads(out)
    assert list(figures["backends"]) == ["native"]
    assert figures["failed"] == {"failing": "backend 'failing' failed: the board is on fire"}
    assert figures["agree"] is False


def test_a_spike_reported_twice_is_a_difference():
    once = SpikeTrains.from_events([0], [1], [2], (1, 3, 4))
    twice = SpikeTrains.from_events([0, 0], [1, 1], [2, 2], (1, 3, 4))
    other = SpikeTrains.from_events([0, 0, 0], [1, 2, 2], [2, 3, 3], (1, 3, 4))
    assert differing_events(once, once).tolist() == []
    assert differing_events(twice, once).tolist() == [[0, 1, 2]]
    assert differing_events(other, once).tolist() == [[0, 2, 3]]


def _ignore_interrupts():
    # Like a shell that starts a background process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.parametrize(
    ("number", "before"),
    [(signal.SIGINT, None), (signal.SIGKILL, None), (signal.SIGTERM, _ignore_interrupts)],
)
def test_interruptions_leave_nothing_behind(plugins, tmp_path, monkeypatch, number, before):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    save_network(tmp_path / "network.h5", small_network())
    options = ["--backends", "hanging", "--images", "1", "--steps", "5"]
    process = subprocess.Popen(
        [sys.executable, "-m", "neuroattack", "compare", "network.h5", *options],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=before,  # noqa: PLW1509
    )
    found = tmp_path / "hanging.pid"
    _wait_until(lambda: found.exists() and found.read_text())
    child = int(found.read_text())
    process.send_signal(number)
    process.communicate(timeout=120)
    _wait_until(lambda: not _runs(child))
    assert list(temporary.glob("neuroattack-*")) == []


def _wait_until(holds, timeout_s=120.0):
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
