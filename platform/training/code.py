"""The identity of the code that trains: part of a trial's id."""

import ast
import errno
import functools
import importlib.metadata
import inspect
import os
import sys
from pathlib import Path

from platform.records.provenance import package
from platform.shifts.fingerprint import digest, imported, meaning, meanings

TRAINING_CODE = (
    "methods/**/*.py",
    "networks/**/*.py",
    "training/**/*.py",
    "scores/metrics.py",
    "shifts/labels.py",
    "shifts/randomness.py",
)
"""What, besides the data of a shift, decides a trial's numbers, as patterns below `platform/`."""
DECIDES_NO_NUMBER = {"methods/mistakes.py", "networks/cost.py", "training/code.py", "training/cost.py"}
"""Files among these that decide no number: a better word in an error must not make anybody train again."""


def training_files() -> list[Path]:
    """The files whose code is part of every trial's id."""
    other = {package() / name for name in DECIDES_NO_NUMBER}
    return [file for pattern in TRAINING_CODE for file in sorted(package().glob(pattern)) if file not in other]


def training_code(*classes: type) -> str:
    """12 digits that change with the code that trains and evaluates a method, or with torch's version.

    See `platform.shifts.fingerprint` for what counts.
    """
    return code_with(definition(*classes))


@functools.cache
def code_with(own: str) -> str:
    """The `training_code` of a method with this definition, by the code that this process imports."""
    return digest(*_packages_meanings(), importlib.metadata.version("torch"), *([own] if own else []))


@functools.cache
def _packages_meanings() -> tuple[str, ...]:
    """What the package's files say, read once: later they may be gone, and an id made without them names no code."""
    if not (files := training_files()):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(package()))
    return tuple(meanings(files))


@functools.cache
def definition(*classes: type) -> str:
    return "".join(map(_one, classes))


@functools.cache
def _one(method: type) -> str:
    """What a method of the user's own means in its file, see `_definition`; empty for one of the package."""
    if method.__module__.startswith("platform."):
        return ""
    return _definition(method.__name__, inspect.getsource(sys.modules[method.__module__]))


def _definition(name: str, source: str) -> str:
    """What a name means in a file: its definition, and those of the file's names that it leads to.

    A study file that defines a method may get another arm or another seed, and its trials stay the same.
    """
    tree = ast.parse(source)
    defined: dict[str, ast.stmt] = {}
    for statement in tree.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                defined[node.id] = statement
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            defined[statement.name] = statement
    reached, ahead = set[str](), {name}
    while ahead:
        reached |= ahead
        nodes = [node for each in ahead if each in defined for node in ast.walk(defined[each])]
        ahead = {node.id for node in nodes if isinstance(node, ast.Name)} - reached
    statements = [defined[each] for each in sorted(reached & defined.keys())]
    return meaning(ast.Module(statements, []), imported(tree))
