"""Where a value of the user's code was met: how messages name it, and from where its paths count."""

import dataclasses
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from platform.records.one_line import one_line


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a value was met."""

    path: str
    """As a message names it, `Own.table`."""
    folders: tuple[str, ...] = ()
    """The folder of the module that holds it, and the one from which that is imported."""
    in_library: bool = False
    """Whether only a library's own code holds it, which may keep there what has no name."""

    def at(self, path: str) -> "Place":
        """The place of something else in the same module."""
        return dataclasses.replace(self, path=path)

    def within(self, module: Mapping[str, Any], users: bool) -> "Place":
        """The same place in a module, given by its names."""
        folders = self.folders
        if isinstance(file := module.get("__file__"), str):
            folders = tuple(dict.fromkeys(_folders(Path(file))))
        return Place(self.path, folders, in_library=not users)

    def placed(self, text: str) -> str:
        """A text in which the folders of the module have the same names on every machine."""
        for number, folder in enumerate(self.folders):
            text = text.replace(folder, f"<folder {number // 2}>")
        return text

    def refused(self, value: object, remedy: str = "") -> str:
        """What stands for a value without a name in a library's own code; anywhere else, raises ValueError."""
        if self.in_library:
            return f"some {type(value).__name__}"
        raise ValueError(
            f"{self.path} must be made of values and code that a trial's id can name, "
            f"got {one_line(repr(value), 100)}; {remedy or _remedy(value)}"
        )


def _folders(file: Path) -> Iterator[str]:
    """The folder of a file, and the one that holds its packages, each as it is named and as it is."""
    folder = file.parent
    while True:
        yield str(folder)
        yield os.path.realpath(folder)
        if not (folder / "__init__.py").is_file():
            return
        while (folder / "__init__.py").is_file():
            folder = folder.parent


def _remedy(value: object) -> str:
    if isinstance(value, io.IOBase):
        return "open it where it is used"
    if isinstance(value, FunctionType):
        remedy = "write it with def, on lines of its own, in a file that is imported"
        return remedy if value.__name__ == "<lambda>" else "write it in a file that is imported"
    if isinstance(value, BuiltinFunctionType | type | ModuleType):
        return "install the package that holds it, without --editable"
    return "make it where it is used"
