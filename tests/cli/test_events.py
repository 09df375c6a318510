"""Event recordings through the commands: convert, train, deploy, evaluate and attack."""

import json
from dataclasses import replace

import numpy as np
import pytest
from support.event_files import write_nmnist
from support.trainings import SHORT

from neuroattack.datasets import load_dataset
from neuroattack.experiments import demo
from neuroattack.ir.storage import load_network
from neuroattack.training.fine_tuning import FineTuningParameters
from neuroattack.training.recipes import RECIPES
from neuroattack.training.stages import FineTuningStage, Schedule


def bars(folder, train=20, test=6):
    """Write recordings of horizontal, vertical and diagonal bars, in the layout of N-MNIST."""
    rng = np.random.default_rng(0)
    for part, count in (("Train", train), ("Test", test)):
        for label in range(3):
            for index in range(count):
                times = np.sort(rng.integers(0, 300_000, 600))
                along, across = rng.integers(8, 26, 600), rng.integers(15, 20, 600)
                x, y = ((along, across), (across, along), (along, along - 17 + across))[label]
                y = np.clip(y, 0, 33)
                events = np.stack([times, x, y, rng.integers(0, 2, 600)], axis=1).tolist()
                write_nmnist(folder / part / str(label) / f"{index:05}.bin", events)
    return folder


def results(command, *arguments):
    code, out, err = command(*map(str, arguments), "--json")
    assert code == 0, err
    assert out.count("\n") == 1
    return json.loads(out)


@pytest.fixture
def short_training(monkeypatch):
    tuning = FineTuningStage(Schedule(60, 1, 20, 0.003, 0.0), FineTuningParameters())
    monkeypatch.setitem(RECIPES, "fine-tuned", replace(SHORT, fine_tuning=tuning))


@pytest.mark.slow
@pytest.mark.usefixtures("short_training")
def test_from_recordings_to_an_attack(tmp_path, command):
    data, model, network = (tmp_path / name for name in ("bars.npz", "model.h5", "network.h5"))
    found = results(command, "events", bars(tmp_path / "N-BARS"), "--out", data, "--downsample", 2)
    assert found["shape"] == [150, 2, 17, 17]
    assert found["dt_s"] == 0.002
    assert found["classes"] == ["0", "1", "2"]
    assert found["splits"]["train"]["recordings"] == [20, 20, 20]
    assert found["splits"]["test"]["events"] == 3 * 6 * 600
    kept = int(load_dataset(str(data)).test.images.sum())
    assert found["splits"]["test"]["merged"] == 3 * 6 * 600 - kept

    results(command, "train", "--dataset", data, "--out", model)
    results(command, "convert", model, "--out", network, "--encoder", "events", "--dt", 0.002)
    assert load_network(network).input.shape == (2, 17, 17)
    given = (network, "--dataset", data)
    evaluation = results(command, "evaluate", *given)
    assert (evaluation["images"], evaluation["steps"]) == (18, 150)
    compared = results(command, "compare", *given, "--backends", "native", "--images", 1)
    assert compared["steps"] == 150
    flips = ("bit-flips", *given, "--methods", "random", "--profile", "float32", "--flips", 1)
    few = ("--maps", 1, "--images", 1)
    assert results(command, *flips, *few)["steps"] == 150
    storing = ("faults", *given, "--profiles", "float32", "--rates", "1e-3")
    assert results(command, *storing, *few)["steps"] == 150
    for name in ("evaluate", "compare", "energy", "precision", "faults", "bit-flips"):
        code, _, err = command(*map(str, (name, *given, "--steps", 350, "--images", 1)))
        assert code == 2
        assert "steps: got 350, expected 150" in err
    assert evaluation["accuracy"] > 0.8
    assert evaluation["spikes_per_image"]["input"] == kept / 18
    attack = results(
        *(command, "attack", *given, "--attack", "sparse-rs", "--norm", "events"),
        *("--bound", 0.1, "--queries", 20, "--index", 1, "--trials", 2),
    )
    assert attack["images"][0]["label"] == 1


@pytest.mark.slow
@pytest.mark.usefixtures("short_training")
def test_the_demo_attacks_event_samples(tmp_path, command, monkeypatch):
    for name, value in (("IMAGES", 2), ("QUERIES", 60), ("TRIALS", 5)):
        monkeypatch.setattr(demo, name, value)
    data, out = tmp_path / "bars.npz", tmp_path / "demo"
    results(command, "events", bars(tmp_path / "N-BARS"), "--out", data, "--downsample", 2)
    found = results(command, "demo", "--dataset", data, "--out", out)
    assert found["spiking_accuracy"] > 0.8
    assert (found["provenance"]["steps"], found["provenance"]["dt_s"]) == (150, 0.002)
    assert [each["attack"] for each in found["attacks"]] == ["dvs-pattern", "count-regression"]
    for attack in found["attacks"]:
        assert all(0 < each["distances"]["events"] <= 0.05 for each in attack["images"])
    network = load_network(out / "network.h5")
    assert network.input.reads_events
    assert network.populations[0].tau_m_s[0] == 0.02
    assert np.load(out / "images.npz")["attack1_adversarial"].shape == (2, 150, 2, 17, 17)
    assert "Events over time" in (out / "report.html").read_text()
    code, _, err = command("demo", "--dataset", str(data), "--out", str(out), "--steps", "90")
    assert (code, "steps: got 90, expected 150" in err) == (2, True)


def test_the_table_has_every_number(tmp_path, command):
    data = tmp_path / "bars.npz"
    folder = bars(tmp_path / "bars", train=2, test=1)
    code, out, err = command("events", str(folder), "--out", str(data), "--limit", "4")
    assert code == 0, err
    found = {
        line.split("│")[1].strip(): line.split("│")[2:-1]
        for line in out.splitlines()
        if "│" in line
    }
    assert [cell.strip() for cell in found["recordings of class 0"]] == ["2", "1"]
    assert [cell.strip() for cell in found["recordings of class 2"]] == ["1", "1"]
    assert [cell.strip() for cell in found["events"]] == ["2,400", "1,800"]
    assert "150x2x34x34" in found["sample"][0]


def test_invalid_arguments_are_refused_in_one_sentence(tmp_path, command):
    folder = bars(tmp_path / "bars", train=1, test=1)
    for arguments, message in (
        (("--sensor", "34*34"), "--sensor: got '34*34', expected a shape such as 34x34"),
        (("--sensor", "10x10"), "00000.bin: event 0 has "),
        (("--steps", "0"), "steps: got 0, expected an integer from 1"),
        (("--downsample", "0"), "downsampling factor: got 0, expected an integer from 1"),
        (("--format", "shd"), "has no recordings"),
    ):
        code, out, err = command(
            "events", str(folder), "--out", str(tmp_path / "o.npz"), *arguments
        )
        assert (code, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1
    assert not (tmp_path / "o.npz").exists()
