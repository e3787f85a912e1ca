"""Imports point one way, down DESIGN's list, and each outside library has its place."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "platform"

DOWNWARDS = (
    "remote",
    "command",
    "loading",
    "archive",
    "refusals",
    "replay",
    "smoke",
    "plan",
    "tuner",
    "cluster",
    "decisions",
    "study",
    "search",
    "space",
    "trainable",
    "training",
    "health",
    "augmentation",
    "methods",
    "placement",
    "recipe",
    "hyperparameters",
    "networks",
    "selectors",
    "mirror",
    "tracking",
    "report",
    "figures",
    "results",
    "progress",
    "console",
    "ledger",
    "lock",
    "interruption",
    "records",
    "trials",
    "score",
    "metrics",
    "shifts",
    "pictures",
    "labels",
    "randomness",
    "provenance",
    "bucket",
    "storage",
    "files",
)
"""A module, or a package as a whole, imports only what stands below it."""

HOMES = {
    "ray": {"cluster", "remote", "tuner", "trainable"},
    "mlflow": {"mirror"},
    "optuna": {"search", "space"},
    "matplotlib": {"figures"},
    "rich": {"console", "progress", "report"},
    "pandas": {"report"},
    "pyarrow": {"bucket", "report"},
}
"""Where a library may be imported: everything else is plain PyTorch and Python."""

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def part(path: Path) -> str:
    """The top-level module or package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Dotted names of everything a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            if node.module == "platform":
                names |= {f"platform.{alias.name}" for alias in node.names}
            else:
                names.add(node.module)
    return names


def test_every_module_has_a_place() -> None:
    assert {part(path) for path in MODULES} == set(DOWNWARDS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    mine = DOWNWARDS.index(part(path))
    ours = {name.split(".")[1] for name in imported(path) if name.startswith("platform.")}
    if path.name == "study.py":
        ours.discard("command")  # the last lines hand over to the command, so that `-m platform.study` is its name
    upwards = {name for name in ours if name != part(path) and DOWNWARDS.index(name) < mine}
    assert not upwards


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_libraries_stay_in_their_homes(path: Path) -> None:
    used = {name.split(".")[0] for name in imported(path)}
    assert {library for library in used & HOMES.keys() if part(path) not in HOMES[library]} == set()


def test_target_labels_have_one_door() -> None:
    """Only the supervised upper bound's data, the evaluation and the shifts themselves reach for `.oracle`."""
    doors = {part(path) for path in MODULES if ".oracle." in path.read_text() or ".oracle\n" in path.read_text()}
    assert doors <= {"training", "trainable"}
