"""The shifts that studies name, each imported when it is first asked for: scoring needs the labels, but no torch."""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from platform.shifts.gta5_to_cityscapes import gta5_to_cityscapes
    from platform.shifts.shift import DataError, Shift
    from platform.shifts.town import town

__all__ = ["gta5_to_cityscapes", "town", "Shift", "DataError"]

_MODULES = {"gta5_to_cityscapes": "gta5_to_cityscapes", "town": "town", "Shift": "shift", "DataError": "shift"}


class _Package(ModuleType):
    """Keeps `platform.shifts.town` a function: importing the module of that name would bind the module in its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _MODULES.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
