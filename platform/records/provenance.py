"""Where a trial's numbers come from: the code's commit, the machine, the versions of what it uses."""

import functools
import importlib.metadata
import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import platform

ROOT = Path(__file__).resolve().parents[2]
"""The root of the checkout: the folder that holds `platform/`."""
COMMIT_VARIABLE = "PLATFORM_GIT_COMMIT"
"""The environment variable that names the commit of a checkout that was sent to a cluster without its history."""
JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray for what a Ray job runs: the checkout is then a copy that Ray deletes, and workers have it already."""


def package() -> Path:
    """The folder that modules of this package are imported from: the checkout's, or that of a run's copy of it."""
    return Path(platform.__path__[0])


@functools.cache
def provenance() -> dict[str, str]:
    """Host, versions, and the checkout's commit."""
    versions = {name: importlib.metadata.version(name) for name in ("torch", "ray", "optuna")}
    python = ".".join(map(str, sys.version_info[:3]))
    ours = {"platform_version": version(), "git_commit": commit()}
    return {"host": socket.gethostname(), "python": python, **versions, **ours}


def version() -> str:
    """This project's version; empty in a checkout that was copied without its pyproject.toml.

    The checkout says it: on a cluster's nodes nothing may be installed, and what is installed may be older.
    """
    try:
        project: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except FileNotFoundError:
        return ""
    return project["version"]


def commit() -> str:
    """The checkout's commit, followed by `+` where changes are not committed; empty without git."""
    if (sent := os.environ.get(COMMIT_VARIABLE)) is not None:
        return sent
    commit = _git("rev-parse", "HEAD")
    return commit + ("+" if commit and _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str:
    # In a container the checkout mostly belongs to another user, and git would refuse to look at it.
    command = ["git", "-c", "safe.directory=*", *arguments]
    # A hook, or a user's own habits, may have git look at another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        answer = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
