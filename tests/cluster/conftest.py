"""A network for each test, and the study's trials as they are when nothing disturbs them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import hosts
from tests.support.cluster.hosts import Network
from tests.support.cluster.ray_cluster import TEXT
from tests.support.faults.small_study import Undisturbed

LONGEST = ("test_study_on_hosts", "test_study_in_bucket", "test_remote_study", "test_nodes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that processes that run files side by side end at about the same time."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


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
