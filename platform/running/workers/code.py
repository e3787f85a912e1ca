"""The code of a run: a copy of the package and of the user's modules, taken once, which all of its workers import.

Saving a file while a study runs changes neither what its workers import nor what this process still has to import.
"""

import linecache
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from platform.records.provenance import is_library, package
from platform.running.machine.private import private_folder

STUDY = "study"
"""The copy of the study file."""
SHIPPED_BYTES = 2**20
"""The size up to which a cluster's workers get what lies beside the user's modules and is no code."""


class Edited(ValueError):
    """A file was saved between its import and its copy: nobody can say which of the two ran."""


@dataclass(frozen=True)
class Code:
    """A copy of the code."""

    root: Path
    """The folder that workers import from."""
    originals: dict[Path, Path] = field(default_factory=dict)
    """Where each copied file comes from."""
    tops: dict[Path, Path] = field(default_factory=dict)
    """Where the packages and modules come from, which hold all of these."""

    def with_original_paths(self, text: str) -> str:
        """A text, such as a traceback, in which the copy's files have their originals' names."""
        for copy, original in self.tops.items():
            text = text.replace(str(copy), str(original))
        return text

    def edited(self) -> list[Path]:
        """The original files that are no longer as they were copied."""
        return [original for copy, original in self.originals.items() if _stamp(copy) != _stamp(original)]


@contextmanager
def taken(study_file: Path, ships: bool) -> Iterator[Code]:
    """A copy of the code for as long as a run needs it; `ships` where it is sent to a cluster's machines.

    What this process imports meanwhile comes from there, too. Raises Edited and OSError.
    """
    began = _process_start()
    with private_folder() as root:
        code = _copied(root, ships)
        for original in code.originals.values():
            # What was saved in the future, by a clock that was set back since, was saved before.
            if began < original.stat().st_ctime <= time.time():
                raise Edited(f"{original} was saved while the study started; run the same command again")
        # What it says is in memory, and workers get it from there.
        code.originals[root / STUDY] = study_file.absolute()
        shutil.copy2(study_file, root / STUDY)
        with _importing(code), _saying(code):
            yield code


def users_modules(elsewhere_than: Path | None = None) -> list[Path]:
    """Where the user's own packages and modules lie that this process has imported, but for those below a folder.

    They are neither Python's, nor installed (unless in editable mode), nor this package's, nor loaded by hand, as a
    study file is. A package without a file of its own may have several folders; it lies below one if any of them does.
    """
    found: list[Path] = []
    for name, module in list(sys.modules.items()):
        if "." not in name and name not in ("__main__", package().name):
            places = [place for place in _places(module) if place.stem == name and not is_library(place)]
            if elsewhere_than is None or not any(place.resolve().is_relative_to(elsewhere_than) for place in places):
                found += places
    return found


def loaded_by_hand() -> list[ModuleType]:
    """The modules that no import finds, as a study file's: their files have other names than they themselves."""
    return [
        module
        for name, module in list(sys.modules.items())
        if name.rpartition(".")[0] not in sys.modules and _is_called_otherwise(name, module)
    ]


def _is_called_otherwise(name: str, module: ModuleType) -> bool:
    try:
        file = module.__file__ or ""
        is_itself = isinstance(module, ModuleType) and module.__name__ == name
    except Exception:  # whatever an object does that somebody put among the modules
        return False
    found = name.replace(".", os.sep)
    imported = file.endswith((f"{os.sep}{found}.py", f"{os.sep}{found}{os.sep}__init__.py"))
    return is_itself and file.endswith(".py") and not imported and not is_library(Path(file))


def _places(module: ModuleType) -> list[Path]:
    """The file of a module, or the folders of a package; none of what only stands for a module."""
    try:
        folders = [Path(folder) for folder in getattr(module, "__path__", ())]
        file = Path(getattr(module, "__file__", None) or "")
    except Exception:  # whatever an object does that somebody put among the modules
        return []
    return [folder for folder in folders if folder.is_dir()] or [file] * (file.suffix == ".py" and file.is_file())


def _copied(root: Path, ships: bool) -> Code:
    code = Code(root)
    tops = [package(), *users_modules()]
    for top in tops:
        target = root / top.name
        if target not in code.tops:
            code.tops[target] = top
            _copy(top, target, code, ships)
    if not ships:
        # A module may read what lies beside it.
        for folder in {top.parent for top in tops[1:] if top.is_file()}:
            for beside in folder.iterdir():
                if beside.suffix != ".py" and beside.name != STUDY and not (root / beside.name).exists():
                    (root / beside.name).symlink_to(beside)
    return code


def _copy(source: Path, target: Path, code: Code, ships: bool, above: tuple[Path, ...] = ()) -> None:
    """Copy what is code; the rest is linked, or, where the copy is shipped, copied if it is small."""
    real = source.resolve()
    if source.is_dir() and real not in above and (_holds_code(source) or not above):
        target.mkdir()
        for entry in source.iterdir():
            if not entry.name.startswith("."):
                _copy(entry, target / entry.name, code, ships, (*above, real))
    elif source.suffix in (".py", ".pyc") and source.is_file():
        # With its time of change, by which Python tells whether the compiled file beside it is the source's.
        shutil.copy2(source, target)
        if source.suffix == ".py":
            code.originals[target] = source
    elif not ships:
        target.symlink_to(source)
    elif source.is_file() and source.stat().st_size <= SHIPPED_BYTES:
        shutil.copy2(source, target)


def _holds_code(folder: Path) -> bool:
    return any(name.endswith((".py", ".pyc")) for _, _, names in os.walk(folder) for name in names)


@contextmanager
def _importing(code: Code) -> Iterator[None]:
    """Have this process, and those that it starts, import from the copy what is not imported yet."""
    before: list[tuple[list[str], list[str]]] = []
    sys.path.insert(0, str(code.root))
    for module in list(sys.modules.values()):
        with suppress(Exception):  # whatever an object does that somebody put among the modules
            paths = module.__path__
            if isinstance(paths, list):
                before.append((paths, list(paths)))
                paths[:] = [_in_copy(path, code) for path in paths]
    try:
        yield
    finally:
        sys.path.remove(str(code.root))
        for paths, originals in before:
            paths[:] = originals


@contextmanager
def _saying(code: Code) -> Iterator[None]:
    """Have whoever asks for a module's source, as for the code in a trial's id, get the text that was copied."""
    names = {str(original): copy for copy, original in code.originals.items() if copy.suffix == ".py"}
    before = {name: linecache.cache[name] for name in names if name in linecache.cache}
    for name, copy in names.items():
        lines = linecache.getlines(str(copy))
        linecache.cache.pop(str(copy), None)
        # Without a time of change it is never read again.
        linecache.cache[name] = (sum(map(len, lines)), None, lines, name)
    try:
        yield
    finally:
        for name in names:
            linecache.cache.pop(name, None)
        linecache.cache.update(before)


def _in_copy(path: str, code: Code) -> str:
    for copy, original in code.tops.items():
        if path == str(original) or path.startswith(f"{original}{os.sep}"):
            return f"{copy}{path.removeprefix(str(original))}"
    return path


def _stamp(file: Path) -> tuple[int, int] | None:
    """What an editor changes of a file, and a copy keeps."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _process_start() -> float:
    """When this process began, in seconds since the epoch."""
    try:
        # Psutil knows when the machine began to a second only. The kernel counts whole ticks, and before Python has
        # started itself, which takes several, it reads none of our files.
        ticks = 2 + int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        return time.time() - age
    except (OSError, AttributeError, ValueError, IndexError):
        # Only a study that trains needs it.
        import psutil

        return psutil.Process().create_time()
