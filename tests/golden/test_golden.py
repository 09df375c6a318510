"""The commands' figures do not change: each gives again what is kept of it."""

import json

import pytest

from golden.commands import COMMANDS, figures, golden, prepare

SLOW = ("paper",)


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


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in COMMANDS]
)
def test_figures_are_those_kept(name, command, tmp_path, monkeypatch):
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    code, out, err = command(*COMMANDS[name].split(), "--json")
    assert code == 0, err
    assert_alike(figures(json.loads(out)), golden(name))
