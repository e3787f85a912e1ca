"""Fixtures that several test modules share."""

from pathlib import Path

import pytest

from tests import checkout
from tests.checkout import Checkout


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for the session: the town is rendered once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def fresh_checkout(tmp_path: Path, cache: Path) -> Checkout:
    """A checkout in which nothing ran yet."""
    return checkout.make(tmp_path / "checkout", cache)
