"""Fixtures that several test modules share."""

from pathlib import Path

import pytest

from tests import checkout
from tests.checkout import Checkout


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make faults SEEDS=20` strikes with twenty seeds of each fault; `make test` with the two below."""
    parser.addoption("--seeds", type=int, default=2, help="how many seeds of each fault (tests/faults) to run")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for the session: the town is rendered once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def fresh_checkout(tmp_path: Path, cache: Path) -> Checkout:
    """A checkout in which nothing ran yet."""
    return checkout.make(tmp_path / "checkout", cache)
