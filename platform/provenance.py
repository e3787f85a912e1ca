"""Where a trial's numbers come from: the code's commit, the machine, the versions."""

import functools
import importlib.metadata
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The root of the checkout: the folder that holds `platform/`."""


@functools.cache
def provenance() -> dict[str, str]:
    """Host, versions, and the git commit, with `+` behind it when the checkout has changes that are not committed."""
    versions = {name: importlib.metadata.version(name) for name in ("torch", "ray", "optuna")}
    python = ".".join(map(str, sys.version_info[:3]))
    return {"host": socket.gethostname(), "python": python, **versions, "git_commit": _commit()}


def _commit() -> str:
    commit = _git("rev-parse", "HEAD")
    return commit + ("+" if commit and _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str:
    try:
        answer = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
