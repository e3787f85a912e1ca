"""Everything that code can reach from what it is given, and what of it would be a way to target labels."""

import functools
import gc
import os
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import Node

from platform.shifts.shift import Arrays, LabelledImages, Oracle, Shift, Splits
from platform.shifts.stored import Stored, Verified
from tests.support.arrays import all_of

OURS = ("platform.", "tests.")
"""How the names of modules begin whose functions and classes can know data: libraries know what they are given."""
PLAIN = (type(None), bool, int, float, complex, str, bytes, PurePath, torch.dtype, torch.device, np.dtype)


def reachable(roots: Iterable[Any], unseen: Iterable[Any] = ()) -> Iterator[tuple[str, Any]]:
    """Each object that can be reached, with a path to it; `unseen` are those of whoever looks."""
    seen, alive = {id(each) for each in unseen}, list[Any]()
    stack = [("", root) for root in roots]
    while stack:
        path, found = stack.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        # Else another object could take the place, and the id, of one that was made on the way.
        alive.append(found)
        yield path, found
        stack.extend((f"{path} > {name}", child) for name, child in _children(found))


def _children(found: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(found, (*PLAIN, ModuleType, FrameType)):
        return
    if isinstance(found, type):
        if found.__module__.startswith(OURS):
            yield from vars(found).items()
            yield from (("base", base) for base in found.__bases__)
        return
    yield "type", type(found)
    match found:
        case FunctionType():
            yield from _of_function(found)
        case MethodType():
            yield from (("self", found.__self__), ("function", found.__func__))
        case BuiltinFunctionType():
            yield "self", found.__self__
        case property():
            yield from (("property", each) for each in (found.fget, found.fset, found.fdel))
        case functools.partial():
            yield from (("partial", found.func), ("arguments", found.args), ("keywords", found.keywords))
        case weakref.ref():
            yield "referent", found()
        case dict() | Mapping():
            yield from (("key", key) for key in found)
            yield from ((str(key)[:40], found[key]) for key in found)
        case np.ndarray():
            yield "base", found.base
            if found.dtype == object:
                yield from (("element", element) for element in found.flat)
        case Tensor():
            yield from _of_tensor(found)
        case Node():
            yield from _of_graph(found)
        case _:
            # Whatever containers, iterators, generators, caches and cells hold, be they written in C.
            yield from (("holds", each) for each in gc.get_referents(found))
    yield from _attributes(found)


def _attributes(found: Any) -> Iterator[tuple[str, Any]]:
    """Those of the instance and of its slots; nothing is computed."""
    if isinstance(getattr(found, "__dict__", None), dict):
        yield from vars(found).items()
    for kind in type(found).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if isinstance(vars(kind).get(name), MemberDescriptorType) and hasattr(found, name):
                yield name, getattr(found, name)


def _of_function(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if gc.get_referents(cell):
            yield f"closure {name}", cell.cell_contents
    yield from (("default", default) for default in function.__defaults__ or ())
    yield from (function.__kwdefaults__ or {}).items()
    if function.__globals__.get("__name__", "").startswith(OURS):
        for name in _names(function.__code__) & function.__globals__.keys():
            yield f"global {name}", function.__globals__[name]


def _names(code: CodeType) -> set[str]:
    """Names that a function, and those within it, look up outside."""
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return {*code.co_names}.union(*inner)


def _of_tensor(tensor: Tensor) -> Iterator[tuple[str, Any]]:
    yield "base", tensor._base
    yield "hooks", tensor._backward_hooks
    if tensor.is_leaf:
        yield "grad", tensor.grad
    yield "graph", tensor.grad_fn


def _of_graph(node: Node) -> Iterator[tuple[str, Any]]:
    """What a step of the forward pass keeps for the backward pass, and the steps before it."""
    yield from (("before", before) for before, _ in node.next_functions)
    for name in dir(node):
        if name.startswith("_saved_"):
            # Nothing is there any more once the backward pass was made.
            with suppress(RuntimeError):
                yield name, getattr(node, name)


class Forbidden:
    """What leads to the target's labels, of splits in memory or of a cache on disk."""

    def __init__(self, data: Splits) -> None:
        oracle = data.oracle
        self._labels: list[Arrays] = [oracle.adapt.labels, oracle.val.labels, oracle.test.labels]
        self._inodes = {os.fstat(labels.nameless._file).st_ino for labels in self._labels if isinstance(labels, Stored)}
        self._folders = {str(labels._folder) for labels in self._labels if isinstance(labels, Stored)}
        self._folders |= {Path(folder).name for folder in self._folders}
        granted = {image.tobytes() for image in all_of(data.few.labels)} if data.few is not None else set()
        self._contents = {image.tobytes() for labels in self._labels for image in all_of(labels)} - granted
        self._shapes = {labels.shape[1:] for labels in self._labels}

    def why(self, found: Any) -> str | None:
        """What is wrong with an object, if anything is."""
        match found:
            case Splits() | Oracle() | Shift() | Stored():
                return f"a {type(found).__name__}"
            case LabelledImages() if any(found.labels is labels for labels in self._labels):
                return "labelled images of the target"
            case Verified() if os.fstat(found._file).st_ino in self._inodes:
                return "an open file of labels"
            case str() | PurePath() if any(folder in str(found) for folder in self._folders):
                return "the name of the folder of labels"
            case bytes() if any(folder.encode() in found for folder in self._folders):
                return "the name of the folder of labels"
            case np.ndarray():
                return self._of_array(found)
            case Tensor() if found.device.type == "cpu" and found.layout == torch.strided:
                whole = found.detach().resolve_conj().resolve_neg()
                return None if whole.dtype == torch.bfloat16 else self._of_array(whole.numpy())
        return None

    def _of_array(self, array: np.ndarray) -> str | None:
        if any(np.may_share_memory(array, labels) for labels in self._labels if isinstance(labels, np.ndarray)):
            return "memory of labels"
        if array.shape[-2:] in self._shapes and array.dtype.kind in "ui":
            images = array.reshape(-1, *array.shape[-2:]).astype(np.uint8)
            if any(image.tobytes() in self._contents for image in images):
                return "a copy of labels"
        return None


def ways(data: Splits, roots: Iterable[Any], unseen: Iterable[Any] = ()) -> list[str]:
    """Each way to the target's labels, and what lies at its end."""
    forbidden = Forbidden(data)
    return [f"{why} at{path}" for path, found in reachable(roots, unseen) if (why := forbidden.why(found))]
