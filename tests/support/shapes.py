"""The check of shapes in annotations, while tests run."""

import inspect
import sys
from collections.abc import Callable
from typing import Any, get_args

import jaxtyping
from beartype import BeartypeConf, beartype

from platform.records.provenance import ROOT

ROOMS = ("networks", "methods", "scores", "training")
"""Rooms whose shapes are checked."""


def install() -> None:
    """Check from now on what the modules of these rooms say of shapes; none of them may be imported yet.

    Modules that say nothing of shapes stay as they are: Python's own words for a wrong call are what the errors of a
    study file are made of.
    """
    files = [file for room in ROOMS for file in sorted((ROOT / "platform" / room).rglob("*.py"))]
    shaped = [file.relative_to(ROOT).with_suffix("") for file in files if "jaxtyping" in file.read_text()]
    modules = [".".join(file.parts) for file in shaped]
    assert not sys.modules.keys() & set(modules)
    jaxtyping.install_import_hook(modules, f"{__name__}.checked")


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let beartype check what a function takes and returns, if any of it has a shape.

    Plain types are mypy's business. What users may get wrong is the package's own, which has a message for it.
    """
    if any(holds_shape(annotation) for annotation in inspect.get_annotations(function).values()):
        return beartype(conf=BeartypeConf(is_pep484_tower=True))(function)
    return function


def holds_shape(annotation: Any) -> bool:
    """Whether an annotation is an array with a shape, or made of one."""
    if isinstance(annotation, type) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    parts = [part for each in get_args(annotation) for part in (each if isinstance(each, list) else [each])]
    return any(holds_shape(part) for part in parts)
