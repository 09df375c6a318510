"""The commands' figures do not change: each gives again what is kept of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from golden.commands import COMMANDS, figures, golden, prepare

TRAINING = ("paper",)

HAS_AVX2 = "avx2" in Path("/proc/cpuinfo").read_text(encoding="utf-8")


def assert_alike(found, kept, where=""):
    """Compare JSON values: the same keys, numbers to the last digits that matter."""
    if isinstance(kept, dict):
        assert sorted(found) == sorted(kept), where
        for key, value in kept.items():
            assert_alike(found[key], value, f"{where}/{key}")
    elif isinstance(kept, list):
        assert len(found) == len(kept), where
        for position, value in enumerate(kept):
            assert_alike(found[position], value, f"{where}/{position}")
    elif isinstance(kept, float) and isinstance(found, int | float):
        assert found == pytest.approx(kept, rel=1e-9), where
    else:
        assert found == kept, where


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in TRAINING])
def test_figures_are_those_kept(name, command, tmp_path, monkeypatch):
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    code, out, err = command(*COMMANDS[name].split(), "--json")
    assert code == 0, err
    assert_alike(figures(json.loads(out)), golden(name))


# Matrix products are rounded differently on different processors, and training amplifies that.
# OpenBLAS has this kernel for all processors with AVX2, and reads the variable when it is loaded.
@pytest.mark.slow
@pytest.mark.skipif(not HAS_AVX2, reason="the figures were computed on a processor with AVX2")
@pytest.mark.parametrize("name", TRAINING)
def test_figures_of_trained_networks_are_those_kept(name, tmp_path):
    prepare(tmp_path)
    run = subprocess.run(
        [sys.executable, "-m", "neuroattack", *COMMANDS[name].split(), "--json"],
        cwd=tmp_path,
        env={**os.environ, "OPENBLAS_CORETYPE": "Haswell"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert_alike(figures(json.loads(run.stdout)), golden(name))
