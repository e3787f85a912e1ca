"""Loading a study file: a Python file that defines one `Study`."""

import ast
import difflib
import importlib.util
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from platform.study import Study


class StudyFileError(ValueError):
    """A study file that cannot be used; the message is one line: the rule, the value, the remedy."""


@dataclass(frozen=True)
class StudyFile:
    """A study with what its file says about it."""

    name: str
    """The file's stem: it names the results folder and the MLflow experiment."""
    question: str
    """The first paragraph of the file's docstring."""
    study: Study
    path: Path
    source: str


def load(path: Path) -> StudyFile:
    """Import a study file and find its study; raise StudyFileError for whatever is wrong with it."""
    if not path.is_file():
        raise StudyFileError(_missing(path))
    source = path.read_text()
    _refuse_repeated_arms(path, source)
    spec = importlib.util.spec_from_file_location(f"study_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise StudyFileError(f"a study file is a Python file, got {path}; name it something.py")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses that a study file defines look their module up while they are made.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise StudyFileError(_where(error, path)) from error
    studies = {id(value): name for name, value in vars(module).items() if isinstance(value, Study)}
    if len(studies) != 1:
        found = f"it defines {len(studies)}: {', '.join(studies.values())}" if studies else "it defines none"
        remedy = "split it into one file each" if studies else "write study = Study(...) in it"
        raise StudyFileError(f"{path}: a study file defines exactly one Study, {found}; {remedy}")
    study = next(value for value in vars(module).values() if isinstance(value, Study))
    paragraph = (module.__doc__ or "").strip().split("\n\n")[0]
    return StudyFile(path.stem, " ".join(paragraph.split()), study, path, source)


def _missing(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder; name a study file in it"
    near = difflib.get_close_matches(path.name, [other.name for other in path.parent.glob("*.py")], n=1)
    hint = f" Did you mean {path.parent / near[0]}?" if near else ""
    return f"there is no study file {path}.{hint}"


def _where(error: Exception, path: Path) -> str:
    """The error in one line, with the line of the study file that it comes from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    number = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    place = f"{path}:{number}" if number else str(path)
    text = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    return f"{place}: {text}" if type(error) is ValueError else f"{place}: {type(error).__name__}: {text}"


def _refuse_repeated_arms(path: Path, source: str) -> None:
    """A dict display keeps the last of equal keys and says nothing: an arm would vanish from the table."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return  # reported with its line when the file is imported
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        for keyword in call.keywords:
            if keyword.arg != "arms" or not isinstance(keyword.value, ast.Dict):
                continue
            seen: set[object] = set()
            for key in keyword.value.keys:
                if isinstance(key, ast.Constant):
                    if key.value in seen:
                        raise StudyFileError(f"{path}:{key.lineno}: two arms are named {key.value!r}; give each row its own name")
                    seen.add(key.value)
