"""Where a trial's numbers come from: the code's commit, the machine, the versions."""

import functools
import importlib.metadata
import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The root of the checkout: the folder that holds `platform/`."""
COMMIT_VARIABLE = "PLATFORM_GIT_COMMIT"
"""The environment variable that names the commit of a checkout that was sent to a cluster without its history."""
JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray in what a Ray job runs: the checkout is a copy that goes some day, and its workers have it already."""


@functools.cache
def provenance() -> dict[str, str]:
    """Host, versions, and the checkout's commit."""
    versions = {name: importlib.metadata.version(name) for name in ("torch", "ray", "optuna")}
    python = ".".join(map(str, sys.version_info[:3]))
    return {"host": socket.gethostname(), "python": python, **versions, "git_commit": commit()}


def commit() -> str:
    """The checkout's commit, with `+` behind it when there are changes that are not committed; empty without git."""
    if (sent := os.environ.get(COMMIT_VARIABLE)) is not None:
        return sent
    commit = _git("rev-parse", "HEAD")
    return commit + ("+" if commit and _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str:
    try:
        answer = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
