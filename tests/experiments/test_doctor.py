"""Checks of the doctor command and suggested fixes."""

import json

import joblib

from neuroattack.experiments.doctor import examine


def by_name():
    return {finding.name: finding for finding in examine()}


def test_the_native_backend_and_the_digits_are_always_available():
    found = by_name()
    assert found["backend native"].state == "good"
    assert found["digits"].state == "good"
    assert found["cores"].found.startswith(f"{joblib.cpu_count()} of ")


def test_missing_items_have_advice(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    findings = examine()
    assert all(finding.advice for finding in findings if finding.state != "good")
    assert by_name()["C++ compiler"].state == "absent"


def test_a_folder_without_mnist_is_bad(monkeypatch, tmp_path, command):
    monkeypatch.setenv("NEUROATTACK_DATA", str(tmp_path))
    code, out, _ = command("doctor", "--json")
    told = json.loads(out)
    assert code == 1
    assert told["bad"] == ["MNIST"]
    (mnist,) = (finding for finding in told["findings"] if finding["name"] == "MNIST")
    assert "train-images-idx3-ubyte.gz" in mnist["found"]
    assert "NEUROATTACK_DATA" in mnist["advice"]


def test_mnist_without_a_folder_is_absent(monkeypatch, tmp_path, command):
    monkeypatch.delenv("NEUROATTACK_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert by_name()["MNIST"].state == "absent"
    code, out, _ = command("doctor")
    assert code == 0
    assert "not downloaded yet" in out


def test_the_cache_is_measured(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "neuroattack").mkdir()
    (tmp_path / "neuroattack" / "file").write_bytes(bytes(3 * 2**20))
    assert f"{tmp_path / 'neuroattack'}, 3 MiB" in by_name()["cache"].found


def test_a_cache_that_cannot_be_written_is_bad(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    found = by_name()["cache"]
    assert found.state == "bad"
    assert "XDG_CACHE_HOME" in found.advice
