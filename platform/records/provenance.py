"""Where a trial's numbers come from: the code's commit, the machine, the versions of what it uses."""

import functools
import importlib.metadata
import json
import os
import socket
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import platform

ROOT = Path(__file__).resolve().parents[2]
"""The root of the checkout: the folder that holds `platform/`."""
COMMIT_VARIABLE = "PLATFORM_GIT_COMMIT"
"""The environment variable that names the commit of a checkout that was sent to a cluster without its history."""
JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray for what a Ray job runs: the checkout is then a copy that Ray deletes, and workers have it already."""

LIBRARIES = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}


def package() -> Path:
    """The folder that modules of this package are imported from: the checkout's, or that of a run's copy of it."""
    return Path(platform.__path__[0])


def is_library(place: Path) -> bool:
    """Whether a top-level module's file, or a package's folder, is Python's or installed, unless in editable mode."""
    named = {"site-packages", "dist-packages"} & set(place.parts)
    if named or any(place.is_relative_to(library) for library in LIBRARIES):
        return True
    # What is installed elsewhere has its metadata beside it, and to read all that there are takes half a second.
    beside = any(place.parent.glob("*.dist-info")) or any(place.parent.glob("*.egg-info"))
    return beside and place.stem in _installed()


@functools.cache
def _installed() -> set[str]:
    """The top-level names of installed distributions, wherever they lie, but for editable ones."""
    return {
        name
        for name, distributions in importlib.metadata.packages_distributions().items()
        if not all(map(_is_editable, distributions))
    }


def _is_editable(distribution: str) -> bool:
    files = importlib.metadata.files(distribution) or ()
    said = next((file for file in files if file.name == "direct_url.json"), None)
    return said is not None and bool(json.loads(said.read_text(encoding="utf-8")).get("dir_info", {}).get("editable"))


@functools.cache
def provenance() -> dict[str, str]:
    """Host, versions, and the checkout's commit."""
    versions = {name: importlib.metadata.version(name) for name in ("torch", "ray", "optuna")}
    python = ".".join(map(str, sys.version_info[:3]))
    ours = {"platform_version": version(), "git_commit": commit()}
    here = {"host": socket.gethostname(), "processor": processor(), "memory": memory()}
    return {**here, "python": python, **versions, **ours}


@functools.cache
def processor() -> str:
    """What this machine computes with besides GPUs: `AMD EPYC 7B13, 8 cores`."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    cores = os.cpu_count() or 1
    return f"{name or os.uname().machine}, {cores} core{'s' * (cores > 1)}"


def memory() -> str:
    """The memory that this machine has: `31 GiB`."""
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


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
