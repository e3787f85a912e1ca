"""Trials of several rows or studies, and trials that failed: nobody waits for ever, or loses what it needs."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from platform.methods import SourceOnly
from platform.records.record import Ask
from platform.records.store import CHECKPOINT
from platform.running.simulation import tell
from platform.running.workers.parcel import assigned
from platform.study import ASHA, Arm, OneOf
from platform.training.assignment import Failure
from tests.support.simulated_study import STUDY, Simulation, states

SEARCH = ASHA(trials=2, grace=0.25, smoothing=1)
TWO = dataclasses.replace(
    STUDY,
    arms={"source only": Arm(SourceOnly, learning_rate=OneOf(0.025, 0.05))},
    search=SEARCH,
)
"""All trials of two such studies are the same."""


def turns(simulation: Simulation) -> Iterator[bool]:
    """Train a study on one slot, a report at a time; whether there was anything to do."""
    while True:
        suggested = simulation.searcher.suggest("next")
        if suggested is None or suggested == Searcher.FINISHED:
            yield False
            continue
        assignment = assigned(suggested)
        step = simulation.worker(assignment, "")
        while tell(simulation.scheduler, assignment, step()) == TrialScheduler.CONTINUE:
            yield True
        yield True


@pytest.mark.parametrize("promote", [True, False])
def test_two_studies_that_share_all_trials_both_come_to_their_end(tmp_path: Path, promote: bool) -> None:
    study = dataclasses.replace(TWO, search=dataclasses.replace(SEARCH, promote=promote))
    alone = Simulation(tmp_path / "alone", study, slots=1)
    alone.run()
    both = [Simulation(tmp_path / "both", study, name=name) for name in ("one", "two")]
    idle = 0
    for trained in zip(*map(turns, both), strict=True):
        idle = 0 if any(trained) else idle + 1
        if idle == 3:  # a trial that the other study has held is looked at again at the next but one
            break
    for simulation in both:
        assert simulation.finished()
        assert {ask.key: simulation.ledger.ended(ask) for ask in simulation.ledger.asks} == {
            ask.key: alone.ledger.ended(ask) for ask in alone.ledger.asks
        }


def weights(folder: Path, ask: Ask) -> Path:
    """The checkpoint of a trial, which stands there as if a worker had left it."""
    file = folder / "trials" / ask.trial.id / CHECKPOINT
    file.touch()
    return file


def test_the_weights_of_a_trial_that_another_study_has_trained_further_stay(tmp_path: Path) -> None:
    further = Simulation(tmp_path, dataclasses.replace(TWO, search=dataclasses.replace(SEARCH, grace=1.0)))
    further.run(results=7)
    asks = further.ledger.asked("source only", "search")
    kept = [weights(tmp_path, ask) for ask in asks if further.ledger.records[ask.trial.id].step > 2]
    assert len(kept) == 2, "each is past the rung at which one of them will be stopped"
    stopping = Simulation(tmp_path, TWO, name="stopping")
    (stopped,) = [
        ask
        for ask in stopping.ledger.asked("source only", "search")
        if (end := stopping.ledger.ended(ask)) is not None and end.state == "stopped"
    ]
    assert (tmp_path / "trials" / stopped.trial.id / CHECKPOINT).exists()


def test_a_study_that_goes_on_keeps_the_weights_that_another_row_needs(tmp_path: Path) -> None:
    """Its first row ends the shared default in the very moment in which it starts; the second asked for it as well."""
    arms = {
        "rate": Arm(SourceOnly, learning_rate=OneOf(0.025, 0.05)),
        "rate and momentum": Arm(SourceOnly, learning_rate=OneOf(0.025, 0.05), momentum=OneOf(0.9, 0.8)),
    }
    study = dataclasses.replace(TWO, arms=arms, reference="rate")
    first = Simulation(tmp_path, study, slots=1)
    shared = first.ledger.asked("rate", "search")[0]
    assert len(first.ledger.meaning(shared.trial.id)) == 2
    other = dataclasses.replace(shared, arm="rate and momentum")
    going = turns(first)
    while first.ledger.ended(shared) is None:
        next(going)
    assert first.ledger.ended(other) is None, "the second row still wants it"
    kept = weights(tmp_path, shared)
    first.ledger.close()
    journal = tmp_path / "simulated" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if '"event": "end"' not in line))
    again = Simulation(tmp_path, study)
    assert again.ledger.ended(shared) is not None, "as the first row decides at once"
    assert again.ledger.ended(other) is None
    assert kept.exists()


def test_a_study_that_was_killed_before_it_said_so_removes_what_no_row_needs(tmp_path: Path) -> None:
    arms = {
        "rate": Arm(SourceOnly, learning_rate=OneOf(0.025, 0.05)),
        "rate and momentum": Arm(SourceOnly, learning_rate=OneOf(0.025, 0.05), momentum=OneOf(0.9, 0.8)),
    }
    study = dataclasses.replace(TWO, arms=arms, reference="rate")
    first = Simulation(tmp_path, study)
    first.run()
    shared = first.ledger.asked("rate", "search")[0]
    assert len(first.ledger.meaning(shared.trial.id)) == 2
    kept = weights(tmp_path, shared)
    journal = tmp_path / "simulated" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    of_first_row = f'"trial": "{shared.trial.id}"', '"arm": "rate"'
    journal.write_text("".join(line for line in lines if not all(part in line for part in of_first_row)))
    Simulation(tmp_path, study)
    assert not kept.exists()


# Errors


def test_an_error_before_the_first_report_holds_up_its_row_until_the_next_run(tmp_path: Path) -> None:
    first = Simulation(tmp_path)
    first.failure = Failure("error", "ModuleNotFoundError: No module named 'helper'", retry=True)
    first.run(fails="adversarial")
    assert first.finished()
    assert states(first.record("adversarial", "search")) == ["failed"] * 4, "no more than are under way at a time"
    again, undisturbed = Simulation(tmp_path), Simulation(tmp_path / "undisturbed")
    for simulation in (again, undisturbed):
        simulation.run()
    assert {ask.place: again.ledger.ended(ask) for ask in again.ledger.asks} == {
        ask.place: undisturbed.ledger.ended(ask) for ask in undisturbed.ledger.asks
    }


def test_a_later_error_of_a_search_trial_is_the_trials_own_and_one_of_a_confirm_trial_is_not(tmp_path: Path) -> None:
    first = Simulation(tmp_path, slots=1)
    search, confirm = first.ledger.asked("source only", "search")[0], first.ledger.asked("fixed", "confirm")[0]
    error = Failure("error", "ValueError: a bug", retry=True)
    for asked in (search, confirm):
        simulation = Simulation(tmp_path, slots=1)
        while (assignment := assigned(simulation.searcher.suggest("next"))).ask != asked:
            step = simulation.worker(assignment, "")
            while tell(simulation.scheduler, assignment, step()) == TrialScheduler.CONTINUE:
                pass
        tell(simulation.scheduler, assignment, simulation.worker(assignment, "")())
        tell(simulation.scheduler, assignment, error)
        simulation.ledger.close()
    again = Simulation(tmp_path)
    again.run()
    ends = [again.ledger.ended(asked) for asked in (search, confirm)]
    assert [(end.state, end.step) for end in ends if end is not None] == [("failed", 2), ("complete", 8)]
