"""Where a study stands: counts, values, and the time that is left."""

import pytest

from tests.support.told import ask, standing, tell


def test_counts_and_values_of_an_arm() -> None:
    study = standing({"FDA": (4, 3)})
    for number, state in enumerate((None, "stopped", "failed", "complete")):
        step = 20 * (number + 1) if state != "failed" else 90
        tell(study, 0.0, "begin", ask(number=number))
        tell(study, 1.0, "report", ask(number=number), step)
        if state is not None:
            tell(study, 2.0, "end", ask(number=number), step, state)  # type: ignore[arg-type]
    for number, step in enumerate((50, 70)):
        tell(study, 3.0, "end", ask("FDA", "confirm", number), step, "complete")
    tell(study, 3.0, "begin", ask("FDA", "confirm", 2), 99)
    arm = study.arms["FDA"]
    assert arm.states == {"complete": 3, "stopped": 1, "failed": 1}
    assert (study.planned, study.ended, study.running) == (7, 5, 2)
    assert arm.best == 0.8, "the failed trial's 0.9 does not count"
    assert arm.confirmed == pytest.approx(0.6), "of those that ended"


def test_an_event_that_is_told_twice_changes_nothing() -> None:
    study = standing({"FDA": (2, 1)})
    for moment in (0.0, 0.0):
        tell(study, moment, "begin", ask())
    for moment in (10.0, 15.0):
        tell(study, moment, "report", ask(), 10)
    assert study.seconds_per_step("FDA") == pytest.approx(1.0)
    for moment in (20.0, 20.0):
        tell(study, moment, "end", ask(), 20, "stopped")
    assert study.arms["FDA"].states == {"stopped": 1}
    assert (study.ended, study.running) == (1, 0)


def test_a_trial_that_is_tried_again_runs_again() -> None:
    study = standing({"FDA": (2, 1)})
    tell(study, 0.0, "end", ask(), 20, "failed")
    tell(study, 1.0, "begin", ask(), 20)
    assert (study.ended, study.running) == (0, 1)


def test_no_time_is_given_before_it_is_measured() -> None:
    study = standing({"FDA": (2, 1)})
    assert study.seconds_left() is None
    tell(study, 0.0, "begin", ask())
    study.watch(50.0)
    assert study.seconds_left() is None
    assert study.steps_per_second() is None


def test_time_left_is_the_steps_that_remain_over_those_that_run_at_once() -> None:
    study = standing({"FDA": (0, 4)})
    for number in (0, 1):
        tell(study, 1_000.0, "begin", ask("FDA", "confirm", number))
    for number in (0, 1):
        tell(study, 1_100.0, "report", ask("FDA", "confirm", number), 50)
    # 2 s a step; two trials have 50 steps left and two all 100: 600 s of work, for two at once.
    assert study.seconds_left() == pytest.approx(300.0)
    assert study.steps_per_second() == pytest.approx(1.0)


def test_how_many_run_at_once_is_a_mean_over_time() -> None:
    study = standing({"FDA": (0, 10)})
    tell(study, 0.0, "begin", ask("FDA", "confirm", 0))
    for number in (1, 2):
        tell(study, 10.0, "begin", ask("FDA", "confirm", number))
    tell(study, 20.0, "report", ask("FDA", "confirm", 0), 20)
    # 1 s a step; one ran for 10 s, three for 10 s: two at once. 80 + 2 x 100 + 7 x 100 steps are left.
    assert study.seconds_left() == pytest.approx(980 / 2)


def test_nothing_ends_before_its_longest_trial() -> None:
    study = standing({"FDA": (0, 3)})
    for number in range(3):
        tell(study, 0.0, "begin", ask("FDA", "confirm", number))
    tell(study, 10.0, "report", ask("FDA", "confirm", 0), 10)
    for number in (1, 2):
        tell(study, 100.0, "end", ask("FDA", "confirm", number), 100, "complete")
    assert study.seconds_left() == pytest.approx(90.0)


def test_search_trials_to_come_are_expected_to_stop_as_those_before() -> None:
    study = standing({"FDA": (4, 0)})
    tell(study, 0.0, "begin", ask(number=0))
    tell(study, 20.0, "end", ask(number=0), 20, "stopped")
    tell(study, 20.0, "begin", ask(number=1))
    tell(study, 30.0, "report", ask(number=1), 10)
    # 1 s a step, one at a time: 90 steps of the one that runs, and two of (20 + 100) / 2 steps.
    assert study.seconds_left() == pytest.approx(90 + 2 * 60)


def test_an_arm_that_was_not_measured_is_taken_to_be_as_fast_as_the_others() -> None:
    study = standing({"slow": (0, 1), "fast": (0, 1), "unknown": (0, 1)})
    for name, seconds in (("slow", 300.0), ("fast", 100.0)):
        tell(study, 0.0, "begin", ask(name, "confirm"))
        tell(study, seconds, "report", ask(name, "confirm"), 100)
    assert study.seconds_per_step("slow") == pytest.approx(3.0)
    assert study.seconds_per_step("unknown") == pytest.approx(2.0)
