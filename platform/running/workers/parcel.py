"""Parcels: trials on their way to workers, which open them themselves.

What is wrong with one, as it is packed or opened, is its trial's failure. Ray, which would open it before any code of
ours runs, would lose the worker over it, and start another for the same trial.
"""

import functools
import io
import sys
import traceback
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from types import FunctionType, ModuleType
from typing import Any

import ray.cloudpickle

from platform.records.one_line import one_line
from platform.running.workers.code import loaded_by_hand
from platform.shifts.definition.mistakes import explained
from platform.training.assignment import Assignment, Failure

_cloudpickle: Any = ray.cloudpickle
"""It has no types."""
PARCEL = "parcel"
"""What a trial's configuration calls it."""
CACHED: type = type(functools.cache(len))
"""What `functools.cache` and `functools.lru_cache` make of a function."""


@dataclass(frozen=True)
class Parcel:
    """A trial as the driver has it: packed whenever it is sent, and received as a `Received`."""

    assignment: Assignment

    def __reduce__(self) -> tuple[Any, ...]:
        content: bytes | Failure
        try:
            content = packed(self.assignment)
        except Exception as error:
            content = _failure(error)
        return Received, (self.assignment.name, content)

    def __deepcopy__(self, memo: object) -> "Parcel":
        # Ray Tune copies configurations again and again, of which what a user's object holds may know nothing.
        return self


@dataclass(frozen=True)
class Received:
    """A trial as its worker gets it."""

    name: str
    """What Ray's tools call the trial."""
    content: bytes | Failure
    """What was packed; a failure where that went wrong."""

    def opened(self) -> Assignment | Failure:
        """The trial, or why this worker cannot have it: what it holds may import the user's modules."""
        if isinstance(self.content, Failure):
            return self.content
        try:
            assignment: Assignment = _cloudpickle.loads(self.content)
        except (Exception, SystemExit) as error:
            return _failure(error)
        return assignment


def assigned(config: Mapping[str, Any]) -> Assignment:
    """What a trial's configuration assigns, as the driver has it."""
    assignment: Assignment = config[PARCEL].assignment
    return assignment


def packed(content: object) -> bytes:
    """Anything as bytes from which workers make it again. Raises whatever an object in it raises that cannot be sent.

    What modules define that were loaded by hand, as a study file is, goes by value: workers cannot import these.
    """
    with _by_value(loaded_by_hand()) as names, io.BytesIO() as file:
        _Pickler(file, names).dump(content)
        return file.getvalue()


def obstacle(content: object) -> str | None:
    """Why something cannot be sent to workers, in one line, with the name that leads to it if that is known."""
    if (said := _refusal(content)) is None:
        return None
    own = getattr(content, "__dict__", {})
    kind = content if isinstance(content, type) else type(content)
    around = vars(sys.modules.get(kind.__module__, ModuleType("")))
    for names in (own, vars(kind), around):
        for name, value in list(names.items()):
            is_code = isinstance(value, type | ModuleType | FunctionType)
            if not is_code and not name.startswith("__") and _refusal(value) == said:
                return f"{name}: {said}"
    return said


class _Pickler(_cloudpickle.CloudPickler):  # type: ignore[misc]
    """Ray's own, for what it does not know of modules that go by value: functions and properties that keep results."""

    def __init__(self, file: io.BytesIO, by_value: set[str]) -> None:
        # Neither a method nor later: Python reads it once, and a cycle would hold all that was packed.
        own = {CACHED: partial(_reduced, by_value), cached_property: _reduced_property}
        self.dispatch_table = ChainMap(own, _cloudpickle.CloudPickler.dispatch_table)
        super().__init__(file)


def _reduced(by_value: set[str], function: Any) -> tuple[Any, ...] | str:
    """A function with a cache: its name where workers can import it, which is all that Python sends, else its parts."""
    if getattr(function, "__module__", None) not in by_value:
        name: str = function.__reduce__()
        return name
    return _cached, (function.__wrapped__, function.cache_parameters())


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def _reduced_property(kept: "cached_property[Any]") -> tuple[Any, ...]:
    """A property that keeps its value, without its lock."""
    return _property, (kept.func, kept.attrname)


def _property(function: Callable[[Any], Any], name: str | None) -> "cached_property[Any]":
    made = cached_property(function)
    made.attrname = name
    return made


@contextmanager
def _by_value(modules: list[ModuleType]) -> Iterator[set[str]]:
    """Have these modules' classes and functions sent by value; the names of all whose are."""
    before = _cloudpickle.list_registry_pickle_by_value()
    new = [module for module in modules if module.__name__ not in before]
    for module in new:
        _cloudpickle.register_pickle_by_value(module)
    try:
        yield {*before, *(module.__name__ for module in new), "__main__"}
    finally:
        for module in new:
            _cloudpickle.unregister_pickle_by_value(module)


def _refusal(content: object) -> str | None:
    """What is said of something that cannot be packed, None where it can."""
    try:
        packed(content)
    except Exception as error:
        return one_line(error)
    return None


def _failure(error: Exception | SystemExit) -> Failure:
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, SystemExit):
        words = f"a module must not exit where it is imported, got sys.exit({error.code!r}); remove the call"
        error = ImportError(words).with_traceback(error.__traceback__)
    # The first place is here, and no mistake.
    behind = error.__traceback__.tb_next if error.__traceback__ is not None else None
    return Failure("error", explained(error.with_traceback(behind)), retry=True, trace=trace)
