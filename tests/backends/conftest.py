"""Fixtures for the tests of backends."""

import pytest


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return an empty folder for networks built with Brian2, for this test only."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    return tmp_path / "neuroattack" / "brian2"
