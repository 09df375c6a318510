"""Training through the command, interrupted by Ctrl-C and kill -9, ends in the same model."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from neuroattack.training.storage import load_model


def start(out, *options):
    return subprocess.Popen(
        [sys.executable, "-m", "neuroattack", "train", "--out", str(out), "--seed", "1", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupt_after_a_checkpoint(process, checkpoint, number, seen=None):
    """Send a signal as soon as a checkpoint other than the one seen is there."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if checkpoint.exists() and checkpoint.stat().st_mtime_ns != seen:
            seen = checkpoint.stat().st_mtime_ns
            process.send_signal(number)
            break
        time.sleep(0.01)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err, seen


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "model.h5"
    _, err = start(out).communicate(timeout=300)
    assert err == ""
    return load_model(out)


def test_ctrl_c_and_kill_leave_a_checkpoint_that_resumes_to_the_same_model(tmp_path, uninterrupted):
    out = tmp_path / "model.h5"
    checkpoint = tmp_path / "model.checkpoint.h5"
    code, stdout, err, seen = interrupt_after_a_checkpoint(start(out), checkpoint, signal.SIGINT)
    assert (code, stdout) == (130, "")
    assert "--resume" in err
    assert "Traceback" not in err
    assert not out.exists()
    code, *_ = interrupt_after_a_checkpoint(
        start(out, "--resume"), checkpoint, signal.SIGKILL, seen
    )
    assert code == -signal.SIGKILL
    process = start(out, "--resume", "--json")
    stdout, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    figures = json.loads(stdout)
    assert (figures["recipe"], figures["dataset"]) == ("fine-tuned", "digits")
    assert figures["seconds"] > 0
    assert figures["rate_accuracy"] > 0.95
    assert not checkpoint.exists()
    resumed = load_model(out)
    for one, other in zip(resumed.weights, uninterrupted.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert resumed.rate_accuracy == uninterrupted.rate_accuracy > 0.95
