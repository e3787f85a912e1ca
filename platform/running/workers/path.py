"""What the workers on this machine import: the checkout, then what the user's PYTHONPATH names."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PYTHONPATH = "PYTHONPATH"


def users_path() -> list[str]:
    """The folders of the user's PYTHONPATH as this process took them: absolute, the working folder for an empty one."""
    named = "" if sys.flags.ignore_environment else os.environ.get(PYTHONPATH, "")
    return [str(Path(entry).absolute()) for entry in named.split(os.pathsep)] if named else []


@contextmanager
def importing(root: Path) -> Iterator[None]:
    """Have processes that start meanwhile import the checkout at `root`, and behind it what this process imports.

    Workers inherit it, with bytes that Ray's runtime environment does not take.
    """
    before = os.environ.get(PYTHONPATH)
    os.environ[PYTHONPATH] = os.pathsep.join([str(root), *users_path()])
    try:
        yield
    finally:
        if before is None:
            del os.environ[PYTHONPATH]
        else:
            os.environ[PYTHONPATH] = before
