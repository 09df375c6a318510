"""The benchmark suite in quick mode, with whatever peers there are; no figure is judged here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run_suite(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def quick_run():
    """Run quick mode once for the tests that read what it printed."""
    done = run_suite("--quick", "--json", "--only", "engine", "--dataset", "digits")
    assert done.returncode == 0, done.stderr
    return done


def test_quick_mode_prints_one_object_with_the_promised_keys(quick_run):
    assert quick_run.stdout.count("\n") == 1
    figures = json.loads(quick_run.stdout)
    assert {"cpu", "cores", "python", "numpy", "numba"} <= set(figures["machine"])
    engine = figures["engine"]
    for key in ("images_per_s", "vs_fastest_peer_batch100", "vs_fastest_peer_batch1"):
        assert key in engine
        assert f"{key}_spread" in engine
    low, high = engine["images_per_s_spread"]
    assert 0 < low <= engine["images_per_s"] <= high
    assert engine["network"].startswith("random weights")


def test_peers_are_measured_or_said_to_be_missing(quick_run):
    peers = json.loads(quick_run.stdout)["engine"]["peers"]
    assert set(peers) == {
        "snnTorch Leaky",
        "Norse LIFCell",
        "Norse LIFBoxCell",
        "SpikingJelly LIFNode",
    }
    for peer in peers.values():
        if not peer["installed"]:
            assert "--group bench" in peer["install"]
            continue
        for configuration in peer["configurations"].values():
            assert configuration["same_class"] > 0.5
            assert configuration["batch100"]["images_per_s"] > 0


def test_quick_mode_prints_a_table_for_people():
    done = run_suite("--quick", "--dataset", "digits")
    assert done.returncode == 0, done.stderr
    assert "Images per second" in done.stdout
    assert "neuroattack native" in done.stdout


def test_a_model_that_is_not_there_is_one_sentence(tmp_path):
    missing = tmp_path / "missing.h5"
    done = run_suite("--quick", "--model", str(missing))
    assert done.returncode == 2
    assert done.stdout == ""
    assert str(missing) in done.stderr
    assert "Traceback" not in done.stderr
