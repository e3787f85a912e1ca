"""Files that a method reads: their digest is part of a trial's id, and a worker with other files trains nothing."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from platform.design.row import Row
from platform.methods import SourceOnly, hyperparameter
from platform.shifts import contents
from platform.study import Arm, Budget, Study
from platform.training.attempt import take_step
from tests.support.attempts import TOWN, assignment, attempt, failure_of, process_as_it_was


@dataclass(frozen=True, kw_only=True)
class Reading(SourceOnly):
    """Reads a folder, as of styles."""

    folder: str = hyperparameter("", kind=str)

    def data(self) -> str:
        return str(sorted(path.read_text() for path in Path(self.folder).iterdir()))


def row(folder: Path) -> Row:
    return Study(
        shift=TOWN,
        arms={"reading": Arm(Reading, folder=str(folder))},
        reference="reading",
        budget=Budget(steps=4, evaluations=2),
    ).row("reading")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "styles"
    made.mkdir()
    (made / "style.txt").write_text("warm")
    return made


def test_other_contents_give_other_trials(folder: Path) -> None:
    before = row(folder).trial({}, 1, TOWN.identity())
    assert row(folder).trial({}, 1, TOWN.identity()).id == before.id
    (folder / "style.txt").write_text("cold")
    assert row(folder).trial({}, 1, TOWN.identity()).id != before.id


def test_a_worker_that_finds_other_files_trains_nothing(folder: Path, tmp_path: Path) -> None:
    assigned = assignment(tmp_path / "results", Reading(folder=str(folder)))
    assert not assigned.ask.trial.data
    with process_as_it_was():
        failure = failure_of(take_step(attempt(assigned)))
    assert failure.cause == "data"
    assert failure.reason.startswith(
        "files that methods read must be as the study was planned with, {}, got {'Reading'"
    )


def test_the_contents_of_a_folder_are_a_digest(folder: Path) -> None:
    before = contents(folder)
    (folder / "style.txt").write_text("cold")
    assert contents(folder) != before
