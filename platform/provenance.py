"""Where a trial's numbers come from: the code's commit, the machine, the versions."""

import ast
import functools
import hashlib
import importlib.metadata
import inspect
import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The root of the checkout: the folder that holds `platform/`."""
COMMIT_VARIABLE = "PLATFORM_GIT_COMMIT"
"""The environment variable that names the commit of a checkout that was sent to a cluster without its history."""
JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray in what a Ray job runs: the checkout is a copy that goes some day, and its workers have it already."""
TRAINING_CODE = (
    "augmentation.py",
    "health.py",
    "labels.py",
    "methods",
    "metrics.py",
    "networks",
    "randomness.py",
    "recipe.py",
    "training.py",
)
"""What, besides a shift, decides a trial's numbers."""


@functools.cache
def training_code(method: type) -> str:
    """12 digits that change with the code that trains a method, or with torch; comments and layout do not count."""
    package = ROOT / "platform"
    files = [file for name in TRAINING_CODE for file in sorted((package / name).glob("*.py")) or [package / name]]
    texts = [file.read_text() for file in files]
    meaning = "".join(ast.dump(ast.parse(text)) for text in texts) + importlib.metadata.version("torch")
    if not method.__module__.startswith("platform."):
        meaning += _definition(method.__name__, inspect.getsource(sys.modules[method.__module__]))
    return hashlib.sha256(meaning.encode()).hexdigest()[:12]


def _definition(name: str, source: str) -> str:
    """What a name means in a file: its definition, and those of the file's names that it leads to.

    A study file that defines a method may get another arm or another seed, and its trials stay the same.
    """
    defined: dict[str, ast.stmt] = {}
    for statement in ast.parse(source).body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                defined[node.id] = statement
            elif isinstance(node, ast.alias):
                defined[node.asname or node.name] = statement
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            defined[statement.name] = statement
    reached, ahead = set[str](), {name}
    while ahead:
        reached |= ahead
        nodes = [node for each in ahead if each in defined for node in ast.walk(defined[each])]
        ahead = {node.id for node in nodes if isinstance(node, ast.Name)} - reached
    return "".join(ast.dump(defined[each]) for each in sorted(reached & defined.keys()))


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
