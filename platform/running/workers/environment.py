"""What the processes that Ray starts on this machine inherit: where they import from, and how they write their logs."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PYTHONPATH = "PYTHONPATH"
LOGS = {"RAY_BACKEND_LOG_LEVEL": "info", "RAY_BACKEND_LOG_JSON": "0", "RAY_LOG_TO_STDERR": "0"}
"""As `platform.running.workers.starts` reads them, however the user has other Rays write theirs."""


def users_path() -> list[str]:
    """The folders of the user's PYTHONPATH as this process took them: absolute, the working folder for an empty one."""
    named = "" if sys.flags.ignore_environment else os.environ.get(PYTHONPATH, "")
    return [str(Path(entry).absolute()) for entry in named.split(os.pathsep)] if named else []


@contextmanager
def inheriting(root: Path) -> Iterator[None]:
    """Have processes that start meanwhile import the code at `root`, and behind it what this process imports.

    Workers inherit it, with bytes that Ray's runtime environment does not take.
    """
    ours = {PYTHONPATH: os.pathsep.join([str(root), *users_path()]), **LOGS}
    before = {name: os.environ[name] for name in ours if name in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
