"""Training through the command, interrupted by Ctrl-C and kill -9, ends in the same model."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from neuroattack import cli
from neuroattack.report.terminal import console
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


@pytest.mark.slow
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


def wrapped_by_c():
    """Do as C code does that Ctrl-C interrupts: numba's, in one of six interruptions."""
    inner = SystemError("a function returned a result with an exception set")
    inner.__cause__ = KeyboardInterrupt()
    raise SystemError("its dispatcher returned a result with an exception set") from inner


def test_ctrl_c_that_c_code_wraps_is_ctrl_c(tmp_path, capsys, monkeypatch):
    checkpoint = tmp_path / "checkpoint.h5"
    checkpoint.touch()
    with pytest.raises(SystemError), console.resumable(checkpoint):
        wrapped_by_c()
    err = capsys.readouterr().err
    assert str(checkpoint) in err
    assert "--resume" in err
    monkeypatch.setattr(cli, "app", wrapped_by_c)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130


def test_another_system_error_is_not_ctrl_c(tmp_path, capsys, monkeypatch):
    def broken():
        raise SystemError("a fault of the interpreter")

    with pytest.raises(SystemError), console.resumable(tmp_path):
        broken()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemError, match="a fault of the interpreter"):
        cli.main()
