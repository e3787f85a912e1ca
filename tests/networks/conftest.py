"""Where torch hub looks for pretrained weights, and whether it may fetch them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.weights import no_downloads


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torch hub, with a folder of its own, keeps weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def unreachable() -> Iterator[None]:
    with no_downloads():
        yield
