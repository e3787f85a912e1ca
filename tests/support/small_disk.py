"""A file system of its own with little room, so that a test can fill a real disk."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Path]:
    """Mount a file system of that many bytes (a tmpfs, whole pages) at a folder; skip the test where none can be."""
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("a small disk needs the command mount")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small tmpfs cannot be mounted, which takes CAP_SYS_ADMIN: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        # Lazily: a process that just ended may still hold a file for a moment.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
