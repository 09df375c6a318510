"""The suite's own mark, for projects that run it from where it is installed."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Say what the mark is."""
    config.addinivalue_line("markers", "slow: compiles each network, which takes minutes")
