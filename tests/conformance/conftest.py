"""Configuration of the suite, also for projects that run the installed suite."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def empty_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use an empty cache folder, so that no existing builds of networks are used."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark for slow tests."""
    config.addinivalue_line("markers", "slow: generates code for each network, which takes minutes")
