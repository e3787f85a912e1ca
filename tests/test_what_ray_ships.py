"""What Ray sends to the nodes of a cluster: the working directory without what .gitignore names, and every room."""

import shutil
import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest
from ray._private.ray_constants import get_runtime_env_default_excludes
from ray._private.runtime_env.packaging import create_package

from platform.records.provenance import ROOT

LEFT_AT_HOME = (
    "results/trials/0/record.jsonl",
    "mlruns/0/meta.yaml",
    "mlartifacts/0/a.png",
    "mlflow.db",
    ".cache/town",
)
"""What running studies leaves at the root: never sent, and none of git's business."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, in which studies have run."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / ".gitignore", root)
    for folder in ("platform", "studies"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in LEFT_AT_HOME:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("left by a study")
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    return root


def code(root: Path) -> set[str]:
    """Every file of the package and of the studies, as git and Ray name it."""
    files = (file for folder in ("platform", "studies") for file in (root / folder).rglob("*") if file.is_file())
    return {file.relative_to(root).as_posix() for file in files}


def shipped(root: Path, package: Path) -> set[str]:
    """What Ray packs of a working directory, as `ray.init` and `ray job submit` have it packed."""
    excluded = get_runtime_env_default_excludes()
    create_package(str(root), package, include_gitignore=True, excludes=excluded)
    with ZipFile(package) as packed:
        return {name for name in packed.namelist() if not name.startswith(".git/")}


def ignored(root: Path, names: set[str]) -> set[str]:
    """Those of the names that git would ignore if they were not in its index yet."""
    answer = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin"],
        cwd=root,
        input="\n".join(sorted(names)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode in {0, 1}, answer.stderr
    return set(answer.stdout.splitlines())


def test_ray_ships_every_file_of_every_room_and_nothing_that_a_study_left(checkout: Path, tmp_path: Path) -> None:
    assert len(code(checkout)) > 100
    assert shipped(checkout, tmp_path / "package.zip") == code(checkout) | {".gitignore"}


def test_git_ignores_no_room_and_all_that_a_study_leaves(checkout: Path) -> None:
    assert ignored(checkout, code(checkout) | set(LEFT_AT_HOME)) == set(LEFT_AT_HOME)


def test_a_pattern_without_its_anchor_would_keep_a_room_at_home(checkout: Path, tmp_path: Path) -> None:
    """Why `/results/` begins with a slash: the room of that name lies deeper."""
    root = tmp_path / "checkout"
    shutil.copytree(checkout, root)
    patterns = (root / ".gitignore").read_text()
    assert "\n/results/\n" in patterns
    (root / ".gitignore").write_text(patterns.replace("\n/results/\n", "\nresults/\n"))
    room = {name for name in code(root) if name.startswith("platform/results/")}
    assert room
    assert code(root) - shipped(root, tmp_path / "package.zip") == room
    assert ignored(root, code(root)) == room
