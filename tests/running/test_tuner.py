"""The searcher and the scheduler as Ray Tune calls them, on made-up curves: no cluster, a whole study in a moment."""

import dataclasses
import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import Searcher

from platform.methods import FDA
from platform.records.ledger import Ledger, StoreFault
from platform.records.record import End
from platform.records.store import Store
from platform.running.workers.parcel import assigned
from platform.study import ASHA, Arm, OneOf, Study
from platform.training.assignment import Failure
from tests.support.simulated_study import ONE_AT_A_TIME, RATE, STUDY, Simulation, states


def test_every_arm_gets_its_search_and_its_confirm_trials(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path)
    simulation.run()
    assert simulation.finished()
    for arm in STUDY.arms:
        searched, confirmed = simulation.record(arm, "search"), simulation.record(arm, "confirm")
        assert len(searched) == (0 if arm == "fixed" else 6)
        assert states(confirmed) == ["complete", "complete"]
        assert {record.trial.seed for record in searched} <= {0}
        assert [record.trial.seed for record in confirmed] == [1, 2]


def test_confirm_trials_have_the_values_of_the_best_complete_search_trial(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path)
    simulation.run()
    for arm in ("source only", "adversarial", "target supervised"):
        selector = STUDY.row(arm).selector
        complete = [record for record in simulation.record(arm, "search") if states([record]) == ["complete"]]
        best = max(complete, key=lambda record: record.reports[-1].metrics[selector])
        for confirmed in simulation.record(arm, "confirm"):
            assert confirmed.trial.hyperparameters == best.trial.hyperparameters
            assert confirmed.trial.recipe == best.trial.recipe


def test_trials_stop_at_rungs_below_the_cut_of_their_own_arm(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path)
    simulation.run()
    stopped = 0
    for arm in STUDY.arms:
        records = simulation.record(arm, "search")
        for record in records:
            assert record.end is not None
            if record.end.state == "stopped":
                stopped += 1
                assert record.end.step in STUDY.rungs
                selector = STUDY.row(arm).selector
                value = sum(last.metrics[selector] for last in record.reports[-2:]) / 2
                assert (
                    f"rung {record.end.step}: mean of the last 2 {selector} {value:.4f} is below the cut"
                    in record.end.reason
                )
    assert stopped >= 4


def test_confirm_trials_are_never_stopped_early(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path)
    simulation.run()
    assert {record.end.step for arm in STUDY.arms for record in simulation.record(arm, "confirm") if record.end} == {8}


def test_an_arm_that_waits_holds_up_no_other(tmp_path: Path) -> None:
    """There are more slots than an arm has trials: the next arms begin before the first one's search has ended."""
    left = Simulation(tmp_path, slots=10).run(results=1)
    assert {assignment.ask.arm for assignment in left} >= {"source only", "adversarial"}


def test_a_failed_arm_has_no_confirm_trials_and_the_others_go_on(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path)
    simulation.run(fails="adversarial")
    assert set(states(simulation.record("adversarial", "search"))) == {"failed"}
    assert simulation.record("adversarial", "confirm") == []
    assert len(simulation.record("source only", "confirm")) == 2
    assert simulation.finished()


def test_a_failure_from_outside_is_tried_again_and_one_of_its_own_is_not(tmp_path: Path) -> None:
    first = Simulation(tmp_path)
    first.failure = Failure("out of memory", "too small", retry=True)
    first.run(fails="adversarial")
    assert first.record("adversarial", "confirm") == []
    again = Simulation(tmp_path)
    again.run(fails="source only")
    assert len(again.record("adversarial", "confirm")) == 2
    assert states(again.record("source only", "search")) == states(first.record("source only", "search"))


def test_a_trial_that_took_its_last_step_has_ended_though_its_driver_died(tmp_path: Path) -> None:
    first = Simulation(tmp_path, ONE_AT_A_TIME, slots=1)
    first.run(results=4)
    complete = first.ledger.asks[0]
    record = tmp_path / "trials" / complete.trial.id / "record.jsonl"
    lines = record.read_text().splitlines(keepends=True)
    assert '"end"' in lines[-1]
    record.write_text("".join(lines[:-1]))
    assert Simulation(tmp_path, ONE_AT_A_TIME).ledger.ended(complete) == End("complete", None, "", 8)


def test_a_trial_whose_folder_was_deleted_is_trained_again(tmp_path: Path) -> None:
    Simulation(tmp_path).run()
    lost = next(iter((tmp_path / "trials").iterdir()))
    shutil.rmtree(lost)
    again = Simulation(tmp_path)
    again.run()
    assert again.finished()
    assert (lost / "record.jsonl").exists()


def test_what_one_study_stopped_another_may_finish(tmp_path: Path) -> None:
    Simulation(tmp_path).run()
    patient = dataclasses.replace(STUDY, search=ASHA(trials=6, grace=1.0, smoothing=2))
    other = Simulation(tmp_path, patient, name="patient")
    other.run()
    assert set(states(other.record("source only", "search"))) == {"complete"}
    assert "stopped" in states(Simulation(tmp_path).record("source only", "search"))


def test_arms_that_mean_the_same_trial_train_it_once_and_both_get_it(tmp_path: Path) -> None:
    twins = {"one": Arm(FDA, beta=0.05), "other": Arm(FDA, beta=0.0501)}
    study = Study(shift=STUDY.shift, arms=twins, reference="one", select="source/miou", budget=STUDY.budget, seeds=2)
    simulation = Simulation(tmp_path, study, slots=4)
    simulation.run()
    assert simulation.reports == 2 * 4
    assert states(simulation.record("other", "confirm")) == ["complete", "complete"]
    assert simulation.finished()


@pytest.mark.parametrize("reports", [1, 2, 5, 9, 20, 40, 60])
def test_a_study_that_died_goes_on_from_its_records(tmp_path: Path, reports: int) -> None:
    Simulation(tmp_path).run(results=reports)
    resumed = Simulation(tmp_path)
    resumed.run()
    assert resumed.finished()
    asked = [(ask.arm, ask.trial.id) for ask in resumed.ledger.asks]
    assert len(asked) == len(set(asked))
    for arm in STUDY.arms:
        assert len(resumed.record(arm, "confirm")) == 2
        assert len(resumed.record(arm, "search")) == (0 if arm == "fixed" else 6)


def test_more_trials_seeds_and_arms_extend_a_finished_study(tmp_path: Path) -> None:
    Simulation(tmp_path).run()
    before = len(Ledger(Store(tmp_path), "simulated", list(STUDY.arms)).asks)
    more = Study(
        shift=STUDY.shift,
        arms={**STUDY.arms, "new": Arm(FDA, beta=0.08)},
        reference="source only",
        select="source/miou",
        search=ASHA(trials=6, grace=0.25, reduction=2, smoothing=2),
        budget=STUDY.budget,
        seeds=3,
    )
    simulation = Simulation(tmp_path, more)
    simulation.run()
    assert len(simulation.ledger.asks) == before + len(STUDY.arms) + 3


def test_a_fault_of_the_store_ends_the_study_without_an_exception(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path)
    simulation.run(results=3)
    trials = tmp_path / "trials"
    trials.rename(tmp_path / "gone")
    trials.write_text("a file where the folder belongs")
    assert simulation.run() == []
    assert isinstance(simulation.ledger.fault, StoreFault)


def test_an_error_in_a_decision_ends_the_study_instead_of_hanging_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation = Simulation(tmp_path)

    def broken(*_: Any) -> None:
        raise KeyError("a mistake of ours")

    monkeypatch.setattr(simulation.searcher.search, "open", broken)
    assert simulation.searcher.suggest("") == Searcher.FINISHED
    assert isinstance(simulation.ledger.fault, KeyError)


def test_names_tell_arm_method_phase_and_number(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path)
    names = [assigned(simulation.searcher.suggest("")).name for _ in range(7)]
    assert names[0].startswith("source_only_search_0-")
    assert names[4].startswith("adversarial_search_0-"), "four trials of an arm are under way at a time"
    assert all(len(set(pair)) == 2 for pair in itertools.pairwise(names))


def test_what_an_arm_lacks_from_outside_holds_up_no_other_and_is_tried_again_by_the_next_run(tmp_path: Path) -> None:
    first = Simulation(tmp_path)
    first.failure = Failure("data", "a.png", retry=True)
    first.run(fails="adversarial")
    assert first.finished()
    assert first.record("adversarial", "confirm") == []
    assert all(len(first.record(arm, "confirm")) == 2 for arm in STUDY.arms if arm != "adversarial")
    before = {ask.place: ask.trial.id for ask in first.ledger.asks}
    again = Simulation(tmp_path)
    again.run()
    now = {ask.place: ask.trial.id for ask in again.ledger.asks}
    assert before.items() < now.items(), "nothing of what was decided has changed"
    assert len(again.record("adversarial", "confirm")) == 2


def test_what_two_arms_share_is_compared_with_in_both(tmp_path: Path) -> None:
    arms = {
        "rate": Arm(FDA, learning_rate=RATE),
        "rate and momentum": Arm(FDA, learning_rate=RATE, momentum=OneOf(0.9, 0.8, 0.7)),
    }
    simulation = Simulation(tmp_path, dataclasses.replace(STUDY, arms=arms, reference="rate"))
    simulation.run()
    default = simulation.ledger.asked("rate", "search")[0].trial.id
    assert simulation.ledger.asked("rate and momentum", "search")[0].trial.id == default
    alone = Simulation(tmp_path / "alone", dataclasses.replace(STUDY, arms={"rate": arms["rate"]}, reference="rate"))
    alone.run()
    assert [record.end for record in simulation.record("rate", "search")] == [
        record.end for record in alone.record("rate", "search")
    ], "the other row's trials are none of its own"
    assert len(simulation.record("rate", "search")) == len(simulation.record("rate and momentum", "search")) == 6
