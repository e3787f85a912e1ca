"""What every test of a command needs."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Commands set variables (`--data` does), for their process and its workers; later tests of ours are neither."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
