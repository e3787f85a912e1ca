"""The user's own code, by following objects: from classes to all that they lead to."""

import ast
import builtins
import collections
import copyreg
import dataclasses
import enum
import functools
import hashlib
import importlib
import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePath
from types import (
    CellType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np
import torch
from torch import nn

from platform.records.one_line import one_line
from platform.shifts.definition import owners, sources
from platform.shifts.definition.owners import NOTHING, is_users, name_of, shown, stands_for
from platform.shifts.definition.places import Place
from platform.shifts.fingerprint import digest, meaning
from platform.shifts.shift import Shift

PLAIN = {type(None), bool, int, float, complex, bytes, torch.dtype, torch.device, torch.layout, torch.memory_format}
MACHINERY = {
    *("__annotations__", "__builtins__", "__cached__", "__doc__", "__file__", "__loader__", "__name__", "__package__"),
    *("__path__", "__spec__"),
}
"""What Python puts into a module: how it was found, and its texts."""
NO_CODE = {
    *("__module__", "__qualname__", "__doc__", "__annotations__", "__annotate__", "__annotate_func__"),
    *("__annotations_cache__", "__parameters__", "__type_params__", "__orig_bases__", "__abstractmethods__"),
    *("_abc_impl", "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__firstlineno__"),
    *("__static_attributes__", "_autograd_function_id"),
}
"""Attributes of a class that follow from others, that are read on their own, or that decide nothing."""

MADE_UP = ("__create_fn__.", "namedtuple_")
"""How dataclasses and named tuples name what they make up from their fields."""

LOOKS_UP = {"eval", "exec", "globals", "__import__"}
"""Functions of Python's that reach code by a text."""
BY_NAME = "import what it takes where the file begins, and use it by its name"

OPENS_FILES = {"from_file", "read_file", "read_image", "OSFile", "memory_map", "LocalFileSystem"}
"""Functions of torch's, torchvision's and pyarrow's that open files in C++."""
DATA = {"platform.shifts.shift", "platform.shifts.stored"}
"""Modules whose objects are a shift's data."""
LONGEST_TEXTS = 10
"""Characters of texts in code that count as a number: labels may be written as a text."""

CHECKED = ("<@beartype(", "jaxtyping._decorator")
"""Where beartype and jaxtyping make up what they put around a function, to check its annotations."""


@functools.cache
def definition(*classes: type) -> str:
    """12 digits that change with the user's code and values that the classes lead to; empty without any.

    It is made once for the same classes: values that change while the program runs, such as memos, count as they were
    then. Raises ValueError for what cannot be followed.
    """
    walk = _Walk()
    roots = [walk.text(cls, Place(cls.__name__)) for cls in classes if name_of(cls) is None]
    return digest(*roots, *walk.finished()) if roots else ""


@dataclasses.dataclass(frozen=True)
class Held:
    """What the user's code that a class leads to is made of."""

    numbers: int
    """How many numbers it brings along: of arrays, of lists, single ones."""
    code: tuple[ast.AST, ...]
    """The source of its functions."""
    data: bool
    """Whether it leads to a shift's data, decoded."""

    @property
    def reaches_for_labels(self) -> bool:
        """Whether code takes an attribute `oracle`: `x.oracle`, `getattr(x, "oracle")`, `"oracle.val"`."""
        for node in (node for tree in self.code for node in ast.walk(tree)):
            if isinstance(node, ast.Attribute) and node.attr == "oracle":
                return True
            if isinstance(node, ast.Constant) and str(node.value).split(".")[0] == "oracle":
                return True
        return self.data

    @property
    def reads_files(self) -> bool:
        """Whether code names a function of a library that opens files without asking Python."""
        nodes = (node for tree in self.code for node in ast.walk(tree))
        return any(isinstance(node, ast.Attribute) and node.attr in OPENS_FILES for node in nodes)


@functools.cache
def held(cls: type) -> Held:
    """What a class of the user's own leads to. Raises ValueError for what cannot be followed."""
    walk = _Walk()
    walk.text(cls, Place(cls.__name__))
    walk.finished()
    nodes = [node for tree in walk.code for node in ast.walk(tree)]
    written = sum(isinstance(node, ast.Constant) and isinstance(node.value, int | float) for node in nodes)
    texts = sum(len(value) for node in nodes if isinstance(value := getattr(node, "value", None), str | bytes))
    return Held(walk.held + written + texts // LONGEST_TEXTS, tuple(walk.code), walk.data)


class _Walk:
    """Numbers objects in the order in which they are met, and describes each by its own parts and those numbers."""

    def __init__(self, before: "_Walk | None" = None) -> None:
        self.held = 0
        """Numbers that were met, see `Held`."""
        self.code: list[ast.AST] = []
        self.data = False
        """Whether decoded data were met."""
        self.numbers: dict[int, int] = {} if before is None else dict(before.numbers)
        self.ahead = collections.deque[tuple[Any, Place]]()
        # An object that is let go leaves its id to another.
        self.kept: list[Any] = []

    def finished(self) -> list[str]:
        """The descriptions of all objects that were met, and of those that these lead to."""
        texts = []
        while self.ahead:
            texts.append(self._described(*self.ahead.popleft()))
        return texts

    def text(self, value: Any, at: Place) -> str:
        """A value as text: a plain one in full, what the user does not own by its name, any other by its number."""
        if value is NOTHING:
            return "missing"
        if type(value) in PLAIN:
            self.held += len(value) if isinstance(value, bytes) else 1
            return repr(value)
        if type(value) is str:
            self.held += len(value) // LONGEST_TEXTS
            return repr(at.placed(value))
        if isinstance(value, PurePath) and not is_users(type(value).__module__):
            return f"path {at.placed(value.as_posix())!r}"
        if isinstance(value, re.Pattern):
            return f"pattern {value.pattern!r} {value.flags}"
        if type(value) is logging.Logger:
            return "logger"
        if type(value) is tuple:
            return f"tuple ({self._texts(value, at)})"
        if type(value) is frozenset:
            return self._set(value, at)
        if (name := name_of(value)) is not None:
            return name
        if isinstance(value, MethodType):
            return f"method {self.text(value.__func__, at)} of {self.text(value.__self__, at)}"
        if isinstance(value, MappingProxyType):
            return f"proxy {self._mapping(value, at)}"
        if id(value) not in self.numbers:
            self.numbers[id(value)] = len(self.numbers)
            self.kept.append(value)
            self.ahead.append((value, at))
        return f"#{self.numbers[id(value)]}"

    def _described(self, value: Any, at: Place) -> str:
        for kinds, describe in _DESCRIBED.items():
            if isinstance(value, kinds):
                return describe(self, value, at)
        return self._instance(value, at)

    # Code

    def _class(self, cls: type, at: Place) -> str:
        module = sys.modules.get(owners.module_of(cls))
        users = is_users(owners.module_of(cls))
        at = at.within(vars(module) if module is not None else {}, users)
        if users and _is_compiled(module):
            return at.refused(cls)
        parts = [f"class {cls.__name__}", self._texts([type(cls), *cls.__bases__], at), *self._fields(cls, at)]
        for name, value in sorted(vars(cls).items()):
            terms = name == "licences" and issubclass(cls, Shift)
            if not (name in NO_CODE or terms or _is_made_up(cls, name, value)):
                parts.append(f"{name}: {self.text(value, at.at(f'{cls.__name__}.{name}'))}")
        return "\n".join(parts)

    def _fields(self, cls: type, at: Place) -> Iterator[str]:
        """The fields of a dataclass that are its own, and how it was decorated."""
        if (own := vars(cls).get("__dataclass_fields__")) is None:
            return
        parameters = vars(cls)["__dataclass_params__"]
        yield f"dataclass {[getattr(parameters, name) for name in ('eq', 'order', 'frozen', 'unsafe_hash')]}"
        inherited = [field for base in cls.__mro__[1:] for field in getattr(base, "__dataclass_fields__", {}).values()]
        for name, field in own.items():
            if not any(field is each for each in inherited):
                values = (field.default, field.default_factory, field.init, field.kw_only, field.metadata)
                yield f"field {name} ({self._texts(values, at.at(f'{cls.__name__}.{name}'))})"

    def _function(self, function: FunctionType, at: Place) -> str:
        code, module = function.__code__, function.__globals__.get("__name__")
        if (original := vars(function).get("_torchdynamo_orig_callable")) is not None:
            return f"compiled {self.text(original, at)}"
        if code.co_filename.startswith(CHECKED[0]) or module == CHECKED[1]:
            return f"checked {self.text(vars(function).get('__wrapped__', NOTHING), at)}"
        if code.co_filename == "<string>" and (code.co_qualname.startswith(MADE_UP) or str(module).startswith(MADE_UP)):
            return f"made up {code.co_name}"
        users = not isinstance(module, str) or is_users(module)
        at = at.within(function.__globals__, users)
        parts = self._source(function, at) if users else [shown(str(module), code.co_qualname)]
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            parts.append(f"{name} = {self.text(_content(cell), at.at(f'{at.path}.{name}'))}")
        parts += [self.text(function.__defaults__, at), self._state(function.__kwdefaults__ or {}, at)]
        return "\n".join([*parts, self._state(vars(function), at)])

    def _source(self, function: FunctionType, at: Place) -> list[str]:
        """What the source of a function says, and what the names stand for that it reads."""
        if (tree := sources.source(function)) is None:
            return [at.refused(function)]
        self.code.append(tree)
        named, values = dict[str, str](), dict[str, Any]()
        if "import_module" in sources.names_taken(function.__code__):
            return [at.refused(importlib.import_module, BY_NAME)]
        for name in sources.names_read(function.__code__) - MACHINERY:
            value = function.__globals__.get(name, NOTHING)
            if value is NOTHING and sources.is_builtin(name):
                if name in LOOKS_UP:
                    return [at.refused(getattr(builtins, name), BY_NAME)]
                continue
            said = (each for each in sources.imported_as(function, name) if not is_users(each[0]))
            if full := next((shown(*each) for each in said if stands_for(value, *each)), None) or name_of(value):
                named[name] = full
            else:
                values[name] = value
        for name, module, attribute in sources.imports(function, tree):
            if is_users(module):
                values[name] = self._imported(name, module, attribute, at)
            elif attribute or name != module.partition(".")[0]:
                named[name] = shown(module, attribute)
        # To look for what is read of a name takes as long as all the rest.
        read = sources.attributes_read(tree) if any(isinstance(each, ModuleType) for each in values.values()) else {}
        parts = {
            ".".join([name, *path]): value
            for name, whole in values.items()
            for path, value in _reached(whole, read.get(name, {()}))
        }
        return [meaning(tree, named), *(f"{name} = {self.text(parts[name], at.at(name))}" for name in sorted(parts))]

    def _imported(self, name: str, module: str, attribute: str, at: Place) -> Any:
        """What an import inside a function of the user's binds to a name."""
        try:
            found = owners.imported(module, attribute)
        except ImportError as error:
            return at.refused(error, f"import {error} where the file begins")
        top = module.partition(".")[0]
        return found if attribute or name != top else sys.modules.get(top, NOTHING)

    def _module(self, module: ModuleType, at: Place) -> str:
        """All that a module of the user's own holds, where code uses it as a value."""
        at, name = at.within(vars(module), users=True), module.__name__.rpartition(".")[2]
        if _is_compiled(module):
            return at.refused(module)
        held = {key: value for key, value in vars(module).items() if key not in MACHINERY}
        return "\n".join(f"{key}: {self.text(value, at.at(f'{name}.{key}'))}" for key, value in sorted(held.items()))

    # Values

    def _instance(self, value: Any, at: Place) -> str:
        """Any other object as `pickle` would take it apart: what makes it, from what, and its state."""
        self.data = self.data or type(value).__module__ in DATA
        if isinstance(value, nn.Module) and (original := value._modules.get("_orig_mod")) is not None:
            return f"compiled {self.text(original, at)}"
        reduce = copyreg.dispatch_table.get(type(value))
        try:
            made = reduce(value) if reduce is not None else value.__reduce_ex__(4)
        except Exception:  # whatever a class does there
            return at.refused(value)
        if isinstance(made, str):
            # A name alone says nothing of what the user has under it, but for a variable of types.
            hidden = is_users(owners.module_of(value)) and type(value).__module__ != "typing"
            return at.refused(value) if hidden else f"{self.text(type(value), at)} {made}"
        make, arguments, state, entries, items = (*made, None, None, None)[:5]
        parts = [self.text(make, at), self._texts(arguments, at), self._state(state, at)]
        return "\n".join([*parts, self._texts(entries or (), at), self._mapping(dict(items or ()), at)])

    def _state(self, state: Any, at: Place) -> str:
        """The state of an object, whose attributes have no order."""
        if isinstance(state, tuple):
            return " and ".join(self._state(each, at) for each in state)
        if isinstance(state, dict) and all(isinstance(key, str) for key in state):
            return ", ".join(f"{key}: {self.text(state[key], at.at(f'{at.path}.{key}'))}" for key in sorted(state))
        return self.text(state, at)

    def _mapping(self, mapping: Mapping[Any, Any], at: Place) -> str:
        return ", ".join(
            f"{self.text(key, at)}: {self.text(value, at.at(f'{at.path}[{one_line(repr(key), 40)}]'))}"
            for key, value in mapping.items()
        )

    def _texts(self, values: Iterable[Any], at: Place) -> str:
        return ", ".join(self.text(value, at) for value in values)

    def _set(self, values: set[Any] | frozenset[Any], at: Place) -> str:
        """A set, its members in the order of what they are when each is met first."""

        def alone(value: Any) -> list[str]:
            walk = _Walk(self)
            return [walk.text(value, at), *walk.finished()]

        kind, state = self.text(type(values), at), self._state(getattr(values, "__dict__", {}), at)
        return f"{kind} {{{self._texts(sorted(values, key=alone), at)}}} {state}"

    def _property(self, value: property, at: Place) -> str:
        return f"{self.text(type(value), at)} {self._texts((value.fget, value.fset, value.fdel), at)}"

    def _wrapper(self, value: Any, at: Place) -> str:
        """A class method, a static method, a cached function or a cached property."""
        inner = value.func if isinstance(value, functools.cached_property) else value.__wrapped__
        return f"{self.text(type(value), at)} {self.text(inner, at)}"

    def _array(self, value: Any, at: Place) -> str:
        if value.dtype.hasobject:
            return f"array {value.shape} {self._texts(value.ravel().tolist(), at)}"
        self.held += value.size
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        state = self._state(getattr(value, "__dict__", {}), at)
        return f"{self.text(type(value), at)} {value.dtype.descr} {value.shape} {content} {state}"

    def _tensor(self, value: torch.Tensor, at: Place) -> str:
        self.held += value.numel()
        try:
            flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            content = hashlib.sha256(flat.numpy().tobytes()).hexdigest()
        except (RuntimeError, NotImplementedError, TypeError):  # one that is sparse, or has no data
            return at.refused(value)
        kind = f"{self.text(type(value), at)} {value.dtype} {value.device} {tuple(value.shape)} {value.requires_grad}"
        return f"{kind} {content} {self._state(vars(value), at)}"


_DESCRIBED: dict[Any, Callable[[_Walk, Any, Place], str]] = {
    type: _Walk._class,
    FunctionType: _Walk._function,
    ModuleType: _Walk._module,
    property: _Walk._property,
    (classmethod, staticmethod, functools.cached_property, functools._lru_cache_wrapper): _Walk._wrapper,
    (set, frozenset): _Walk._set,
    np.ndarray: _Walk._array,
    torch.Tensor: _Walk._tensor,
}


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return NOTHING


def _is_compiled(module: ModuleType | None) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and not file.endswith((".py", ".pyc"))


def _is_made_up(cls: type, name: str, value: Any) -> bool:
    """Whether Python made an attribute, from what else the class has."""
    if isinstance(value, GetSetDescriptorType | MemberDescriptorType):
        return True
    if name.startswith("__pydantic_"):
        return name not in ("__pydantic_fields__", "__pydantic_decorators__")
    private = name != "_member_map_" and name[:1] == name[-1:] == "_" and name[:2] != "__"
    return isinstance(cls, enum.EnumType) and private


def _reached(whole: Any, paths: Iterable[tuple[str, ...]]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What code reaches by its attributes of a name: of the user's modules, only what it takes of them."""
    for path in paths:
        value, taken = whole, 0
        while taken < len(path) and isinstance(value, ModuleType) and name_of(value) is None:
            value, taken = getattr(value, path[taken], NOTHING), taken + 1
        yield path[:taken], value
