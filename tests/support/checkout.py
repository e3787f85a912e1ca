"""A copy of the checkout in which a test runs the study command as a user would: its own results, store and cache."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from platform.records.provenance import ROOT
from tests.support.patience import PATIENCE


@dataclass(frozen=True)
class Checkout:
    """A folder with `platform/` and `studies/`, and the environment to run commands in."""

    root: Path
    environment: dict[str, str]

    def start(
        self,
        *arguments: str,
        module: str = "platform.study",
        output: int | IO[str] = subprocess.PIPE,
        python: str = sys.executable,
        **environment: str,
    ) -> "subprocess.Popen[str]":
        """The study command, or another module's, in a process group of its own, as a terminal would start it."""
        return subprocess.Popen(
            [python, "-m", module, *arguments],
            cwd=self.root,
            env=self.environment | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def study(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run the study command to its end: exit code and output."""
        process = self.start(*arguments, output=subprocess.PIPE, **environment)
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output

    def write(self, name: str, text: str) -> str:
        """Add a study file and give its path as an argument."""
        (self.root / "studies" / name).write_text(text)
        return f"studies/{name}"


def make(root: Path, cache: Path) -> Checkout:
    """Copy the code to a folder; decoded data are shared between checkouts by a cache folder."""
    for folder in ("platform", "studies"):
        # With what Python has compiled, but for what it is just writing: to compile it all again takes each a second.
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("*.pyc.*"))
    # It says the version, which every record holds.
    shutil.copy(ROOT / "pyproject.toml", root)
    removed = {"PYTHONPATH", "MLFLOW_TRACKING_URI", "PLATFORM_DATA", "RAY_ADDRESS"}
    environment = {name: value for name, value in os.environ.items() if name not in removed}
    return Checkout(
        root, environment | {"XDG_CACHE_HOME": str(cache), "XDG_STATE_HOME": str(root / "state"), "COLUMNS": "80"}
    )


def events(root: Path) -> dict[str, list[dict[str, Any]]]:
    """The lines of every trial's record."""
    records = (root / "results" / "trials").glob("*/record.jsonl")
    return {path.parent.name: [json.loads(line) for line in path.read_text().splitlines()] for path in records}


def ends(root: Path, study: str = "whole") -> list[dict[str, Any]]:
    """How the trials of a study ended, in order."""
    lines = (root / "results" / study / "journal.jsonl").read_text().splitlines()
    return [line["end"] for line in map(json.loads, lines) if line["event"] == "end"]
