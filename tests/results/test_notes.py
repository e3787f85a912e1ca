"""What a table says of trials that failed, collapsed or will be tried again."""

import dataclasses
import math

import pytest

from platform.records.record import Cause
from platform.results.notes import counted
from tests.support.invented_study import arm, failed, full, stopped, study
from tests.support.seen_alike import tabulate
from tests.support.tabulated import of, row, two_arms, with_end


def test_failures_are_counted_by_cause_and_each_reason_is_told_once() -> None:
    header, asks, records = two_arms()
    search = of(asks, "FDA", "search")
    for each, step in zip(search[:3], (12, 9, 12), strict=True):
        records[each.trial.id] = failed(each, "diverged", f"loss is nan at step {step}")
    last = of(asks, "FDA", "confirm")[2]
    records[last.trial.id] = failed(last, "data", "town/7.png cannot be read", reports=0)
    made = tabulate(header, asks, records)
    found = row(made, "FDA")
    assert (found.troubles.failed, found.troubles.failure, found.scores.seeds) == (4, None, 2)
    assert found.troubles.causes == {"diverged": 3, "data": 1}
    assert counted(found.troubles.causes) == "3 diverged, 1 data"
    assert found.troubles.reasons == (
        f"loss is nan at step 12 ({search[0].trial.id} and 1 more)",
        f"loss is nan at step 9 ({search[1].trial.id})",
        f"town/7.png cannot be read ({last.trial.id})",
    )
    assert made.notes[:2] == (
        "FDA: 3 of 4 search trials failed: 3 diverged",
        "FDA: 1 of 3 seeds missing (1 failed: 1 data)",
    )
    assert row(made, "source only").troubles.causes == {}
    assert row(made, "source only").troubles.reasons == ()


def test_an_arm_whose_every_trial_failed_is_marked() -> None:
    header, asks, records = two_arms()
    for each in asks:
        if each.arm == "FDA":
            cause: Cause = "out of memory" if each.phase == "search" else "data"
            records[each.trial.id] = failed(each, cause, "CUDA\nout of   memory", reports=0)
    made = tabulate(header, asks, records)
    found = row(made, "FDA")
    assert (found.troubles.failed, found.scores.seeds, found.troubles.seeds_missing, found.effort.hours) == (7, 0, 3, 0)
    assert found.troubles.failure == "all trials failed"
    assert math.isnan(found.scores.miou)
    assert made.notes == ("FDA: all 7 trials failed, which leaves no score: 4 out of memory, 3 data",)
    assert [reason.split(" (")[0] for reason in found.troubles.reasons] == ["CUDA out of memory"]
    assert row(made, "source only").troubles.failure is None


def test_an_arm_whose_search_left_nothing_to_confirm_is_marked() -> None:
    header, asks, records = two_arms()
    asks = [each for each in asks if each.arm == "source only" or each.phase == "search"]
    for each in of(asks, "FDA", "search"):
        records[each.trial.id] = failed(each)
    assert row(tabulate(header, asks, records), "FDA").troubles.failure == "all trials failed"


def test_an_arm_whose_every_seed_failed_is_marked() -> None:
    header, asks, records = two_arms()
    for each in of(asks, "FDA", "confirm"):
        records[each.trial.id] = failed(each, "discriminator collapsed")
    made = tabulate(header, asks, records)
    assert row(made, "FDA").troubles.failure == "all seeds failed"
    assert made.notes == ("FDA: 3 of 3 seeds missing (3 failed: 3 discriminator collapsed)",)


def test_an_arm_that_may_still_succeed_is_not_marked() -> None:
    header, asks, records = two_arms()
    for each in of(asks, "FDA", "confirm")[:2]:
        records[each.trial.id] = failed(each)
    del records[of(asks, "FDA", "confirm")[2].trial.id]
    assert row(tabulate(header, asks, records), "FDA").troubles.failure is None


@pytest.mark.parametrize("searched", [{}, None])
def test_an_arm_whose_first_seeds_failed_is_not_marked_before_the_last_is_asked(
    searched: dict[str, str] | None,
) -> None:
    header = study(arm("source only"), arm("FDA", searched=searched))
    asks, records = full(header, {"source only": 0.4, "FDA": 0.6})
    for each in of(asks, "FDA", "confirm"):
        records[each.trial.id] = failed(each)
    without_last = [each for each in asks if each != of(asks, "FDA", "confirm")[2]]
    assert row(tabulate(header, without_last, records), "FDA").troubles.failure is None
    failure = "all trials failed" if searched == {} else "all seeds failed"
    assert row(tabulate(header, asks, records), "FDA").troubles.failure == failure


def test_a_collapsed_seed_counts_and_is_named() -> None:
    header, asks, records = two_arms()
    clean = tabulate(header, asks, records)
    second = of(asks, "FDA", "confirm")[1]
    reason = "predictions collapsed: 1.2 effective classes of 19"
    records[second.trial.id] = with_end(records[second.trial.id], cause="predictions collapsed", reason=reason)
    made = tabulate(header, asks, records)
    found = row(made, "FDA")
    assert (found.scores.seeds, found.scores.miou, found.troubles.failed) == (3, row(clean, "FDA").scores.miou, 0)
    assert found.troubles.flaws == {"predictions collapsed": 1}
    assert found.troubles.causes == {}
    assert found.troubles.reasons == (f"{reason} ({second.trial.id})",)
    assert made.notes == (
        "FDA: 1 predictions collapsed (seed 2): counted, since leaving seeds out would flatter the row",
    )


def test_a_trial_that_the_search_stopped_is_no_failure() -> None:
    header, asks, records = two_arms()
    first = of(asks, "FDA", "search")[0]
    records[first.trial.id] = stopped(first)
    found = row(tabulate(header, asks, records), "FDA")
    assert (
        found.effort.stopped,
        found.troubles.failed,
        found.troubles.causes,
        found.troubles.flaws,
        found.troubles.reasons,
    ) == (3, 0, {}, {}, ())


def test_batches_in_halves_are_said() -> None:
    header, asks, records = two_arms()
    for each in (of(asks, "FDA", "search")[0], *of(asks, "FDA", "confirm")[1:]):
        run = records[each.trial.id]
        halves = tuple(dataclasses.replace(report, parts=2) for report in run.reports[2:])
        records[each.trial.id] = dataclasses.replace(run, reports=run.reports[:2] + halves)
    made = tabulate(header, asks, records)
    assert row(made, "FDA").troubles.halved == 3
    assert row(made, "source only").troubles.halved == 0
    assert made.notes == (
        "FDA: 3 of 7 trials ran out of memory and went on with their batches in halves (seeds 2 and 3 among them)",
    )


def test_trials_that_the_same_command_tries_again_are_said() -> None:
    header, asks, records = two_arms()
    last = of(asks, "FDA", "confirm")[2]
    records[last.trial.id] = failed(last, "worker lost", "its worker died 3 times, last at step 200", retry=True)
    assert tabulate(header, asks, records).notes == (
        "FDA: 1 of 3 seeds missing (1 failed: 1 worker lost)",
        "FDA: waits for seed 3 (worker lost), which decides nothing; the same command tries it again",
    )
    second = of(asks, "FDA", "search")[1]
    records[second.trial.id] = failed(second, "out of memory", "CUDA out of memory", retry=True)
    assert tabulate(header, asks, records).notes == (
        "FDA: 1 of 4 search trials failed: 1 out of memory",
        "FDA: 1 of 3 seeds missing (1 failed: 1 worker lost)",
        "FDA: waits for search trial 1 (out of memory) and seed 3 (worker lost), which decide nothing; "
        "the same command tries them again",
    )


def test_an_error_in_the_code_is_to_be_mended_first() -> None:
    header, asks, records = two_arms()
    first, _, last = of(asks, "FDA", "confirm")
    records[first.trial.id] = failed(first, "error", "KeyError: 'x' at own.py:7", retry=True)
    log = f"{header.name}/log.txt among the results"
    mend = f"an error in the code, see {log} for its traceback: mend it, then run the same command"
    again = "waits for seed 1 (error), which decides nothing; the same command tries it again"
    assert tabulate(header, asks, records).notes[1:] == (f"FDA: {mend}", f"FDA: {again}")
    records[last.trial.id] = failed(last, "data", "cannot read frame.png", retry=True)
    again = "waits for seed 1 (error) and seed 3 (data), which decide nothing; the same command tries them again"
    assert tabulate(header, asks, records).notes[1:] == (f"FDA: {mend}", f"FDA: {again}")


def test_an_error_by_which_the_search_goes_on_takes_more_than_the_same_command() -> None:
    header, asks, records = two_arms()
    second = of(asks, "FDA", "search")[1]
    records[second.trial.id] = failed(second, "error", "KeyError: 'x' at own.py:7", retry=True)
    assert not records[second.trial.id].is_given_up, "the error is the trial's own"
    log = f"{header.name}/log.txt among the results"
    assert tabulate(header, asks, records).notes == (
        "FDA: 1 of 4 search trials failed: 1 error",
        f"FDA: an error in the code, see {log} for its traceback: mend it, then start over with --fresh, "
        "if it shall count",
    )


def test_a_row_says_which_of_the_runs_that_it_begins_from_failed() -> None:
    header, asks, records = two_arms()
    arms = tuple(dataclasses.replace(arm, after=("source only", "gone") * (arm.name == "FDA")) for arm in header.arms)
    header = dataclasses.replace(header, arms=arms)
    first, *_ = of(asks, "source only", "confirm")
    records[first.trial.id] = failed(first, "diverged", "loss is nan at step 2")
    lacking = "FDA: begins from the runs of source only, of which seed 1 failed"
    assert lacking in tabulate(header, asks, records).notes
    own = {ask.trial.id for ask in asks if ask.arm == "FDA"}
    others = {trial: record for trial, record in records.items() if trial not in own}
    asks = [ask for ask in asks if ask.arm != "FDA"]
    assert tabulate(header, asks, others).notes[-2:] == ("FDA: nothing ran yet", lacking)


def test_a_long_reason_is_cut_to_a_line() -> None:
    header, asks, records = two_arms()
    records[asks[0].trial.id] = failed(asks[0], "error", "word " * 1000)
    (reason,) = row(tabulate(header, asks, records), "source only").troubles.reasons
    assert len(reason) < 230
    assert reason.endswith(f"word ... ({asks[0].trial.id})")
