"""Tells the user, once for each file, that what is saved while a study runs has no effect on it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial as RayTrial

from platform.running.workers.code import Code

LOOK_SECONDS = 5.0


class Edits(tune.Callback):
    """Looks every few seconds whether the files are still those that the run's code was copied from."""

    def __init__(self, code: Code, say: Callable[[str], None]) -> None:
        self._code = code
        self._say = say
        self._told: set[Path] = set()
        self._next = 0.0

    def on_step_end(self, iteration: int, trials: list[RayTrial], **info: Any) -> None:
        """Look, if it is time."""
        if (now := time.monotonic()) >= self._next:
            self._next = now + LOOK_SECONDS
            self.look()

    def look(self) -> None:
        """Say which files have changed since the last look."""
        new = [file for file in self._code.edited() if file not in self._told]
        self._told.update(new)
        if new:
            more = f" and {len(new) - 1} more files have" if len(new) > 1 else " has"
            self._say(f"{new[0]}{more} changed: this run goes on with the code it began with, the next takes the new")

    def __getstate__(self) -> dict[str, Any]:
        return {}
