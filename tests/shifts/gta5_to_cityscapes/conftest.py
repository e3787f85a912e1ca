"""Small GTA5 and Cityscapes on disk, and a cache of each test's own."""

import shutil
from pathlib import Path

import pytest

from tests.support.small_data_sets import lay_out


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PLATFORM_DATA", raising=False)


@pytest.fixture(scope="session")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    lay_out(root)
    return root


@pytest.fixture
def data(laid_out: Path, tmp_path: Path) -> Path:
    """A copy of the data that a test may spoil."""
    shutil.copytree(laid_out, tmp_path / "data")
    return tmp_path / "data"
