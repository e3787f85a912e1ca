"""Loading a study file: a Python file that defines one `Study`."""

import ast
import dataclasses
import difflib
import importlib.util
import inspect
import linecache
import os
import re
import sys
import traceback
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from platform.design.ablation.check import check_parts
from platform.design.arm import LONGEST_NAME
from platform.design.study import Study
from platform.networks.hyperparameters import unknown_field
from platform.records.one_line import one_line
from platform.records.plain import check_name, legible
from platform.records.store import RESERVED
from platform.shifts.definition import definition
from platform.shifts.definition.owners import holds_users

UNKNOWN_ARGUMENT = re.compile(
    r"(?P<function>[\w.]+?)(\.__init__)?\(\) got an unexpected keyword argument '(?P<argument>\w+)'"
)
MISSING_ARGUMENTS = re.compile(
    r"(?P<function>\w+)(\.__init__)?\(\) missing \d+ required [\w-]+ arguments?: (?P<arguments>.+)"
)
UNNAMED_ARGUMENT = re.compile(
    r"(?P<function>\w+)\.__init__\(\) takes 1 positional argument but \d+ (positional.* )?were given"
)
"""How Python words a call with an argument that the function does not have, without one that it needs, or by place."""
UNKNOWN_NAME = re.compile(
    r"(cannot import )?name '(?P<name>\w+)' (from '(?P<module>[\w.]+)'( \(.*\))?|is not defined)$"
)
"""How it words a name that there is not."""
LONGEST = 2000
"""Characters of an error's line."""


class StudyFileError(ValueError):
    """A study file that cannot be used; the message is one line: the rule, the value, the remedy."""


@dataclass(frozen=True)
class StudyFile:
    """A study, and what its file says of it."""

    name: str
    """The file's stem: it names the results folder and the MLflow experiment."""
    question: str
    """The first paragraph of the file's docstring."""
    study: Study
    path: Path
    source: str


def load(path: Path) -> StudyFile:
    """Import a study file and find its study. Raises StudyFileError, whatever is wrong with the file."""
    source = _read(path)
    _refuse_repeated_keys(path, source)
    module = _import(path, source)
    studies = {id(value): name for name, value in vars(module).items() if isinstance(value, Study)}
    if len(studies) != 1:
        found = f"got {len(studies)}: {', '.join(studies.values())}" if studies else "got none"
        remedy = "split it into one file each" if studies else "write study = Study(...) in it"
        raise StudyFileError(f"{path}: a study file must define exactly one Study, {found}; {remedy}")
    study = next(value for value in vars(module).values() if isinstance(value, Study))
    try:
        for row in study.rows:
            # Before anything runs, which may fill what the code remembers.
            definition(*row.code)
        check_parts(study.rows)
    except ValueError as error:
        raise StudyFileError(f"{path}: {one_line(error, LONGEST)}") from error
    paragraph = (module.__doc__ or "").strip().split("\n\n")[0]
    # macOS takes names apart, é into e and its accent: the study is the same on every machine.
    name = unicodedata.normalize("NFC", path.stem)
    return StudyFile(name, legible(" ".join(paragraph.split())), study, path, source)


def _read(path: Path) -> str:
    if not path.is_file():
        raise StudyFileError(_missing(path))
    if path.stem.lower() in RESERVED:
        raise StudyFileError(f"a study must not be named {path.stem}, a folder of the results; rename {path}")
    if path.suffix != ".py":
        raise StudyFileError(f"a study file must be a Python file, got {path}; name it {path.stem}.py")
    _check_study_name(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise StudyFileError(f"{path} must be text in UTF-8, got another byte at position {error.start}") from error
    except OSError as error:
        raise StudyFileError(f"{path} cannot be read: {error.strerror}") from error


def _check_study_name(path: Path) -> None:
    """Raise StudyFileError for a name that cannot be that of a folder and of an experiment in MLflow."""
    try:
        check_name("a study's name, its file's,", path.stem, LONGEST_NAME)
    except ValueError as error:
        raise StudyFileError(f"{error}; rename the file") from error
    if path.stem != path.stem.strip() or path.stem[0] in ".-~":
        rule = "a study's name, its file's, must neither begin with a dot, a hyphen or ~ nor begin or end with a blank"
        raise StudyFileError(f"{rule}, got {path.stem!r}; rename the file")


def _missing(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder; name a study file in it"
    files = [*path.parent.glob("*.py"), *Path("studies").glob("*.py")]
    near = difflib.get_close_matches(f"{path.stem}.py", [file.name for file in files], n=1)
    found = next((file for file in files if near and file.name == near[0]), None)
    hint = f" Did you mean {found}?" if found else ""
    return f"there is no study file {path}.{hint}"


def _import(path: Path, source: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"study_{path.stem}", path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    file = str(module.__file__)
    # Whoever asks for the source later, as for the code in a trial's id, gets the one that ran.
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    # Dataclasses that a study file defines look their module up while they are made.
    sys.modules[spec.name] = module
    try:
        exec(compile(source, file, "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        raise StudyFileError(f"{_place(error, path)}: {_explained(error)}") from error
    return module


def _place(error: BaseException, path: Path) -> str:
    """The file, with the line of it that the error comes from, or a helper of the user's with its own."""
    here = str(path.absolute())
    lines = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename is not None:
        lines.append((error.filename, error.lineno))
    own = [(file, line) for file, line in lines if file == here or (Path(file).is_file() and holds_users(file))]
    if not own:
        return str(path)
    file, line = own[-1]
    return f"{path if file == here else path.parent / os.path.relpath(file, path.absolute().parent)}:{line}"


def _explained(error: BaseException) -> str:
    """An error in one line: a rule's own words, a wrong call in ours, anything else in Python's."""
    if isinstance(error, SystemExit):
        return "a study file must not exit; remove the call"
    text = error.msg if isinstance(error, SyntaxError) else one_line(error, LONGEST)
    if type(error) is ValueError:
        # What Python offers for a list as a default is no hyperparameter here.
        return text.removesuffix(": use default_factory") + _remedy(error)
    if isinstance(error, TypeError) and (said := _wrong_call(error, text)) is not None:
        return said
    if isinstance(error, NameError | ImportError) and (unknown := UNKNOWN_NAME.match(text)) is not None:
        text = text.partition(" (")[0] + _near(unknown, error)
    return f"{type(error).__name__}: {text}{_remedy(error)}"


def _near(unknown: re.Match[str], error: BaseException) -> str:
    """The name that was meant, by whatever case."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    module = sys.modules.get(unknown["module"] or "")
    names = frames[-1].f_globals if module is None else vars(module)
    known = {name.lower(): name for name in names if not name.startswith("_")}
    near = difflib.get_close_matches(unknown["name"].lower(), known, n=1)
    return f". Did you mean {known[near[0]]!r}?" if near else ""


def _remedy(error: BaseException) -> str:
    """How a dataclass is declared here, where Python's own rules of them were broken."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not frames or frames[-1].f_globals.get("__name__") != dataclasses.__name__:
        return ""
    return (
        "; write @dataclass(frozen=True, kw_only=True), and a method's fields as name: float = hyperparameter(default)"
    )


def _wrong_call(error: TypeError, text: str) -> str | None:
    """What a call lacks, or the names that a misspelt argument could have had; None where Python says it best."""
    if missing := MISSING_ARGUMENTS.match(text):
        return f"{missing['function']} must be given {missing['arguments']}"
    if unnamed := UNNAMED_ARGUMENT.match(text):
        called = _function_called(unnamed["function"], error)
        names = [] if called is None else _parameters(called)
        return f"{unnamed['function']} takes its arguments by name: {', '.join(names)}" if names else None
    unknown = UNKNOWN_ARGUMENT.match(text)
    function = _function_called(unknown["function"], error) if unknown else None
    if unknown is None or function is None:
        return None
    names = _parameters(function)
    return str(unknown_field(unknown["function"], unknown["argument"], names))


def _parameters(function: Callable[..., object]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


def _function_called(name: str, error: TypeError) -> Callable[..., object] | None:
    """The function, class or method that Python's message names, as the line that raised the error knows it.

    That line may have another name for it, `ASHA as Halving`, so it is found by its own. None where it is not known.
    """
    frame = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    owner, _, method = name.partition(".")
    for value in (frame.f_globals | frame.f_locals).values():
        if callable(value) and getattr(value, "__name__", "") == owner:
            found: Callable[..., object] | None = getattr(value, method, None) if method else value
            return found
    return None


def _refuse_repeated_keys(path: Path, source: str) -> None:
    """Raise StudyFileError where `{...}` has a key twice: Python keeps the last, and an arm would vanish unseen."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return  # reported with its line when the file is imported
    for display in (node for node in ast.walk(tree) if isinstance(node, ast.Dict)):
        seen: set[object] = set()
        for key in (key for key in display.keys if isinstance(key, ast.Constant)):
            if key.value in seen:
                raise StudyFileError(
                    f"{path}:{key.lineno}: two arms or settings are named {key.value!r}, of which a dict keeps "
                    "the last; give each its own name"
                )
            seen.add(key.value)
