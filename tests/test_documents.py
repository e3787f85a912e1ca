"""What the documents name is there: paths, modules, links, make targets, commands and their options, the version."""

import functools
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import platform
from platform import methods, networks
from platform.design.loading import load
from platform.design.plan import plan
from platform.records.provenance import ROOT

DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "platform").glob("*/README.md")], key=str
)
PATH = re.compile(r"(?<![\w./~<>*-])(?:platform|tests|studies|docs|benchmarks|\.github|\.ci)/[\w./<>*-]*")
MODULE = re.compile(r"(?<![\w./-])(?:platform|benchmarks|studies|tests)(?:\.[a-z]\w*)+\b(?!/)")
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
COMMAND = re.compile(r"python -m (platform\.\w+)((?: +[^\s`'#|]+)*)")
TARGET = re.compile(r"(?:^ {4}|`)make ([a-z-]+)", re.MULTILINE)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
SUBCOMMANDS = {"platform.remote"}

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def exists(name: str) -> bool:
    """Whether a path is there; of one with a placeholder, `tests/test_<name>.py`, the folder before it."""
    known = name.rstrip(".").split("<")[0]
    if known != name.rstrip("."):
        return (ROOT / known).parent.is_dir() if not known.endswith("/") else (ROOT / known).is_dir()
    return any(ROOT.glob(known)) if "*" in known else (ROOT / known).exists()


def is_module(name: str) -> bool:
    """Whether a dotted name is a module, a name that a module has, or one of the standard library's `platform`."""
    first, *others = name.split(".")
    place = ROOT.joinpath(first, *others)
    if place.with_suffix(".py").is_file() or (place / "__init__.py").is_file():
        return True
    owner = place.parent.with_suffix(".py")
    defined = owner.is_file() and re.search(rf"\b{place.name}\b", owner.read_text()) is not None
    return defined or (first == "platform" and hasattr(platform, others[0]) and not (ROOT / first / others[0]).exists())


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@functools.cache
def help_of(*command: str) -> str:
    """What a command says of itself."""
    answer = subprocess.run(
        [sys.executable, "-m", *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of ours that a text shows: what they call, and the options that they pass."""
    for module, rest in COMMAND.findall(text):
        words = shlex.split(rest)
        called = f"{module} {words[0]}" if module in SUBCOMMANDS and words else module
        yield called, [word for word in words if word.startswith("--")]


@every_document
def test_paths_are_there(document: Path) -> None:
    assert [name for name in PATH.findall(document.read_text()) if not exists(name)] == []


@every_document
def test_modules_are_there(document: Path) -> None:
    assert [name for name in MODULE.findall(document.read_text()) if not is_module(name)] == []


@every_document
def test_links_lead_somewhere(document: Path) -> None:
    lost = []
    for target in LINK.findall(document.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        place = document.parent / name if name else document
        if not place.exists() or (anchor and anchor not in map(slug, HEADING.findall(place.read_text()))):
            lost.append(target)
    assert lost == []


@every_document
def test_commands_have_the_options_that_they_are_shown_with(document: Path) -> None:
    unknown = [
        f"{called} {option}"
        for called, options in commands(document.read_text())
        for option in options
        if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", help_of(*called.split()))
    ]
    assert unknown == []


@pytest.mark.parametrize(
    "name", ["platform/trainer.py", "tests/method/test_<name>.py", "docs/none.md", "studies/*.yaml"]
)
def test_a_path_that_is_not_there_is_seen(name: str) -> None:
    assert PATH.findall(f"see `{name}`, and") == [name]
    assert not exists(name)


@pytest.mark.parametrize("name", ["platform.trainer", "platform.methods.dann", "platform.training.code.training_cod"])
def test_a_module_that_is_not_there_is_seen(name: str) -> None:
    assert MODULE.findall(f"see `{name}`, and") == [name]
    assert not is_module(name)


def test_an_option_that_is_not_there_would_be_seen() -> None:
    text = "    python -m platform.remote run studies/a.py --frehs    # over\n`python -m platform.study a.py --plan`"
    assert list(commands(text)) == [("platform.remote run", ["--frehs"]), ("platform.study", ["--plan"])]


def test_the_commands_of_every_door_are_shown() -> None:
    shown = {called.split()[0] for document in DOCUMENTS for called, _ in commands(document.read_text())}
    assert shown == {f"platform.{door}" for door in ("study", "score", "replay", "audit", "tracking", "remote")}


@every_document
def test_make_has_the_targets(document: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(TARGET.findall(document.read_text())) - targets == set()


def test_the_study_of_the_readme_can_be_planned(tmp_path: Path) -> None:
    (source,) = PYTHON.findall((ROOT / "README.md").read_text())
    (tmp_path / "shown.py").write_text(source)
    file = load(tmp_path / "shown.py")
    assert file.question.endswith("?")
    assert plan(file.study).warnings == ()


def test_every_shelf_says_what_lies_on_it_and_how_to_add_to_it() -> None:
    for shelf in ("shifts", "networks", "methods", "scores"):
        text = (ROOT / "platform" / shelf / "README.md").read_text()
        assert f"CONTRIBUTING.md#adding-a-{shelf.rstrip('s') if shelf != 'scores' else 'selector'})" in text
        assert len(text.splitlines()) <= 20


@pytest.mark.parametrize(("shelf", "kind"), [(methods, methods.Method), (networks, networks.Architecture)])
def test_all_that_is_on_a_shelf_is_listed(shelf: ModuleType, kind: type) -> None:
    text = (ROOT / "docs/methods.md").read_text()
    names = {name for name, each in vars(shelf).items() if isinstance(each, type) and issubclass(each, kind)}
    assert [name for name in sorted(names - {kind.__name__}) if f"`{name}`" not in text] == []


def test_citation_changelog_and_project_have_one_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    newest = re.search(r"^## (\d\S*) - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert (citation["version"], str(citation["date-released"])) == newest.groups()
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert citation["title"] == project["name"]
