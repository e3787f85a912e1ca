"""A copy of the checkout in which a test runs the study command as a user would: its own results, store and cache."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from platform.records.provenance import ROOT


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
        **environment: str,
    ) -> "subprocess.Popen[str]":
        """The study command, or another module's, in a process group of its own, as a terminal would start it."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
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
        output, _ = process.communicate(timeout=600)
        return process.returncode, output

    def write(self, name: str, text: str) -> str:
        """Add a study file and give its path as an argument."""
        (self.root / "studies" / name).write_text(text)
        return f"studies/{name}"


def make(root: Path, cache: Path) -> Checkout:
    """Copy the code to a folder; decoded data are shared between checkouts by a cache folder."""
    for folder in ("platform", "studies"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    removed = {"PYTHONPATH", "MLFLOW_TRACKING_URI", "PLATFORM_DATA", "RAY_ADDRESS"}
    environment = {name: value for name, value in os.environ.items() if name not in removed}
    return Checkout(
        root, environment | {"XDG_CACHE_HOME": str(cache), "XDG_STATE_HOME": str(root / "state"), "COLUMNS": "80"}
    )
