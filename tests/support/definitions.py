"""Study files with a method of the user's own, loaded anew, and the definitions of what is in them."""

import importlib
import sys
from pathlib import Path

from platform.shifts.definition import definition

PREAMBLE = """
import enum, functools, math, random, re, threading
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar
import numpy as np
import torch
from torch import nn
from platform.methods import SourceOnly
from platform.networks.hyperparameters import hyperparameter
"""
OWN = """
@dataclass(frozen=True, kw_only=True)
class Own(SourceOnly):
    def losses(self, step):
        return {name: USED * loss for name, loss in super().losses(step).items()}
"""
DECORATOR = """
def weighted(factor):
    def decorate(function):
        @functools.wraps(function)
        def inner(*arguments):
            return factor * function(*arguments) * 1.5
        return inner
    return decorate

@weighted(2.0)
def f(x):
    return x
"""
NETWORK = """
class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 1)
    def forward(self, x):
        return self.layer(x)
"""


def own(used: str, before: str = "", after: str = "") -> str:
    """A study whose method uses an expression, with code before and after the class."""
    return f"{PREAMBLE}\n{before}\n{OWN.replace('USED', used)}\n{after}\n"


TWO_FILES = {
    "own.py": own("helpers.f(1)", "import helpers"),
    "helpers.py": "SCALE = 1.5\ndef f(x):\n    return SCALE\n",
}
TAKEN = {"own.py": own("f(1)", "from helpers import f"), "helpers.py": TWO_FILES["helpers.py"]}


def of(folder: Path, files: dict[str, str] | str, *names: str) -> str:
    """The definition of classes of a study, loaded anew from files in a folder of their own."""
    files = {"own.py": files} if isinstance(files, str) else files
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(next(iter(files)).removesuffix(".py").replace("/", "."))
        return definition(*(getattr(module, name) for name in names or ("Own",)))
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if str(folder) in str(getattr(sys.modules[name], "__file__", None) or ""):
                del sys.modules[name]


def edited(files: dict[str, str] | str, before: str, after: str) -> dict[str, str]:
    """The files of a study after an edit."""
    files = {"own.py": files} if isinstance(files, str) else files
    assert any(before in text for text in files.values()), before
    return {name: text.replace(before, after, 1) for name, text in files.items()}
