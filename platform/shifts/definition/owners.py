"""Whose an object is: the user's, or the package's and libraries', which are known by their names."""

import functools
import importlib.util
import sys
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from platform.records.provenance import ROOT, is_library

OURS = ROOT / "platform"
"""The package's folder, whether or not a run imports from a copy of it."""

HEAP_TYPE = 1 << 9
"""The flag of a class that was made while Python runs, rather than compiled into it."""
NOTHING = object()
"""Stands for what is not there."""


def is_users(module: str) -> bool:
    """Whether a module is the user's own: neither the package's, nor Python's, nor installed."""
    top = module.partition(".")[0]
    if top == OURS.name:
        return False
    loaded = sys.modules.get(module) or sys.modules.get(top)
    place = _place(loaded) if loaded is not None else place_ahead(top)
    return holds_users(place) if place is not None else top not in sys.stdlib_module_names


@functools.lru_cache(maxsize=4096)
def holds_users(file: str) -> bool:
    """Whether a file of code is the user's own: neither the package's, nor Python's, nor installed."""
    place = Path(file)
    while (place.parent / "__init__.py").is_file():
        place = place.parent
    return not (place.is_relative_to(OURS) or is_library(place))


def _place(module: ModuleType) -> str | None:
    """The file of a module, or the folder of a package without one; None of what has neither."""
    try:
        file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    except Exception:  # whatever an object does that somebody put among the modules
        return None
    return file if isinstance(file, str) else None


def place_ahead(module: str) -> str | None:
    """Where a module lies that is not imported yet; None of one that cannot be found, or is part of Python."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return (spec.origin or next(iter(spec.submodule_search_locations or ()), None)) if spec else None


def module_of(value: Any) -> str:
    """The name of the module that an object says it is of, or that its class does."""
    said = getattr(value, "__module__", None)
    return said if isinstance(said, str) else type(value).__module__


def name_of(value: Any) -> str | None:
    """The name by which the package, Python or a library has an object; None of what is the user's, or nameless."""
    if isinstance(value, ModuleType):
        return None if is_users(value.__name__) else shown(value.__name__, "")
    if not isinstance(value, type | FunctionType | BuiltinFunctionType | MethodType):
        return None
    module, qualified, own = module_of(value), value.__qualname__, getattr(value, "__self__", None)
    if isinstance(value, type) and not value.__flags__ & HEAP_TYPE and not is_users(module):
        return shown(module, qualified)
    places = [(module, qualified)]
    if not isinstance(own, type | ModuleType | None):
        # Such as `random.random`, which is bound to the generator that all of Python shares.
        places.append((module_of(type(own)), value.__name__))
    for place, name in places:
        if not is_users(place) and stands_for(value, place, name):
            return shown(place, name)
    return None


def stands_for(value: Any, module: str, name: str) -> bool:
    """Whether a value is what a module has under a name, or the module itself where there is none."""
    found: Any = sys.modules.get(module, NOTHING)
    for part in name.split(".") if name else ():
        found = getattr(found, part, NOTHING)
    # Methods are made anew whenever they are asked for.
    return found is value or (isinstance(value, MethodType | BuiltinFunctionType) and bool(found == value))


def shown(module: str, name: str) -> str:
    """An object's full name; of our own package the last part only, since its modules may move."""
    if module.partition(".")[0] == OURS.name:
        return name or module.rpartition(".")[2]
    return f"{module}.{name}" if name else module


def imported(module: str, name: str) -> Any:
    """What an import in a function takes of the user's modules: `NOTHING` where it is not there.

    Raises ImportError for a module that is there but was not imported yet.
    """
    full = f"{module}.{name}" if name else module
    if full in sys.modules:
        return sys.modules[full]
    if (found := getattr(sys.modules.get(module), name or " ", NOTHING)) is NOTHING and place_ahead(full) is not None:
        raise ImportError(full)
    return found
