"""Assignments of tiny trials, attempts at them, and what those leave behind."""

import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from platform.methods import Method, SourceOnly
from platform.networks import BiSeNet18
from platform.networks.hyperparameters import field_values
from platform.records.plain import recorded
from platform.records.record import Ask, Report
from platform.records.storage.storage import Folder
from platform.records.storage.tokens import CLAIM
from platform.records.store import CHECKPOINT
from platform.records.trial import Trial
from platform.shifts import town
from platform.shifts.definition import definition
from platform.shifts.shift import Shift, Splits
from platform.training.assignment import Assignment, Failure, Node, Result
from platform.training.attempt import Attempt, take_step
from platform.training.code import training_code
from platform.training.recipe import Recipe
from tests.support.tiny_splits import NETWORK_WIDTH, composition

TOWN = town(size=(32, 64), source_images=(8, 3), target_images=(8, 3, 3))
STEPS, EVALUATIONS = 6, 2
NODE = Node("4e0de", "10.0.0.7")


@dataclass(frozen=True)
class Unopenable(Shift):
    """A shift whose data raise an error when they are opened."""

    error: Exception

    def identity(self) -> dict[str, Any]:
        return {}

    def check(self) -> None:
        """Nothing is looked at."""

    def open(self) -> Splits:
        raise self.error

    def smoke(self) -> "Unopenable":
        return self


def unopenable(error: Exception) -> Unopenable:
    return Unopenable((32, 64), TOWN.groups, error)


def assignment(results: Path, method: Method | None = None, seed: int = 1, **changes: Any) -> Assignment:
    methods = composition(method or SourceOnly())
    classes = (*map(type, methods.methods), BiSeNet18, type(TOWN))
    recipe = Recipe(
        network=BiSeNet18(width=NETWORK_WIDTH),
        learning_rate=0.01,
        batch=changes.pop("batch", 4),
        batch_norm=changes.pop("batch_norm", "mixed"),
    )
    trial = Trial(
        method=methods.name,
        hyperparameters=methods.values,
        recipe={name: recorded(value) for name, value in field_values(recipe).items()},
        shift=TOWN.identity(),
        resolved={},
        seed=seed,
        steps=STEPS,
        evaluations=EVALUATIONS,
        threads=1,
        code=training_code(*classes),
    )
    ask = Ask("an arm", "confirm" if seed else "search", 0, trial)
    made = Assignment(
        ask,
        methods,
        recipe,
        TOWN,
        Folder(results),
        reported=0,
        resources={"CPU": 1.0},
        stop="stop",
        claim="mine",
        definition=definition(*classes),
    )
    with suppress(NotADirectoryError):
        folder_of(made).mkdir(parents=True, exist_ok=True)
        (folder_of(made) / CLAIM).write_text(made.claim)
    return replace(made, **changes)


def sent(assigned: Assignment) -> dict[str, Any]:
    """The configuration of a trial as its worker gets it."""
    # It imports Ray, which an attempt does without.
    from platform.running.workers.parcel import PARCEL, Parcel

    config: dict[str, Any] = pickle.loads(pickle.dumps({PARCEL: Parcel(assigned)}))
    return config


def attempt(assigned: Assignment) -> Attempt:
    return Attempt(assigned, NODE)


def left(assigned: Assignment) -> set[str]:
    """Names of the files that a worker left in its trial's folder."""
    return {path.name for path in folder_of(assigned).iterdir()} - {CLAIM}


def folder_of(assigned: Assignment) -> Path:
    assert isinstance(assigned.storage, Folder)
    return assigned.storage.path / "trials" / assigned.ask.trial.id


def checkpoint_of(assigned: Assignment) -> Path:
    return folder_of(assigned) / CHECKPOINT


def report_of(result: Result) -> Report:
    assert isinstance(result, Report), result
    return result


def failure_of(result: Result) -> Failure:
    assert isinstance(result, Failure), result
    assert "\n" not in result.reason
    return result


TIMES = {"seconds", "evaluating", "starting", "saving", "awaiting_images", "awaiting_device", "latency"}
"""What was measured of a report."""


def numbers(report: Report) -> Report:
    """All of a report but its seconds, and what meters counted meanwhile."""
    nothing: dict[str, Any] = dict.fromkeys(TIMES, 0.0) | {"energy": {}, "metered": (0.0, 0.0)}
    return replace(report, **nothing)


@cache
def undisturbed(method: Method, seed: int = 1) -> tuple[Report, ...]:
    """The reports of a trial that nothing befell."""
    with tempfile.TemporaryDirectory() as folder:
        busy = attempt(assignment(Path(folder), method, seed))
        return tuple(numbers(report_of(take_step(busy))) for _ in range(EVALUATIONS))


@contextmanager
def process_as_it_was() -> Iterator[None]:
    """Attempts make their process deterministic; the other tests' process is left as it was."""
    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        torch.set_num_threads(threads)
