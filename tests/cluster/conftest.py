"""A network for each test, and the study's trials as they are when nothing disturbs them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import hosts
from tests.support.cluster.hosts import Network
from tests.support.cluster.ray_cluster import TEXT
from tests.support.faults.small_study import Undisturbed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: item.path.name != "test_study_on_hosts.py")


@pytest.fixture(scope="session")
def can_have_hosts() -> None:
    """Skip, with the reason, where there can be no hosts."""
    if reason := hosts.obstacle():
        pytest.skip(reason)


@pytest.fixture
def network(can_have_hosts: None, tmp_path: Path) -> Iterator[Network]:
    """A network without hosts."""
    with hosts.network(tmp_path) as network:
        yield network


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Undisturbed]:
    """Trials trained in this process, one after another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        yield Undisturbed(tmp_path_factory.mktemp("undisturbed"), TEXT)
