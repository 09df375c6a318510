"""Fixtures of the tests of several backends."""

import pytest


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return the folder of networks that Brian2 built, empty, and this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    return tmp_path / "neuroattack" / "brian2"
