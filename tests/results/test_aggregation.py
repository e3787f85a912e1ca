"""The comparison table says what the records say: every number against a computation of its own, every gap aloud."""

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from platform.records.record import Ask, Cause, Confusion, Phase, Record, StudyHeader
from platform.records.store import Store
from platform.results.aggregation import tabulate
from platform.results.notes import counted
from platform.results.runs import Run, runs_by_arm
from platform.results.statistics import interval
from platform.results.table import FIXED, Difference, Row, Table
from platform.scores import metrics
from platform.shifts.labels import CAMVID_11, SINGLE_CLASSES
from tests.support.invented_study import COST, arm, ask, failed, full, record, stopped, study


def two_arms(**changes: Any) -> tuple[StudyHeader, list[Ask], dict[str, Record]]:
    header = study(arm("source only"), arm("FDA"), **changes)
    return header, *full(header, {"source only": 0.4, "FDA": 0.6})


def row(made: Table, name: str) -> Row:
    (found,) = [row for row in made.rows if row.arm == name]
    return found


def confirms(asks: Sequence[Ask], records: Mapping[str, Record], name: str) -> list[Run]:
    return [Run(ask, records[ask.trial.id]) for ask in asks if (ask.arm, ask.phase) == (name, "confirm")]


def of(asks: Sequence[Ask], name: str, phase: Phase) -> list[Ask]:
    return [ask for ask in asks if (ask.arm, ask.phase) == (name, phase)]


def confusion_of(run: Run) -> Confusion:
    assert run.confusion is not None
    return run.confusion


def with_end(run: Record, **changes: Any) -> Record:
    assert run.end is not None
    return dataclasses.replace(run, end=dataclasses.replace(run.end, **changes))


# The interval


@pytest.mark.parametrize(("number", "quantile"), [(2, 12.706), (3, 4.303), (5, 2.776), (10, 2.262)])
def test_half_width_uses_the_published_t_quantile(number: int, quantile: float) -> None:
    values = np.random.default_rng(number).normal(size=number).tolist()
    mean, half_width = interval(values)
    assert mean == pytest.approx(statistics.fmean(values))
    assert half_width == pytest.approx(quantile * statistics.stdev(values) / math.sqrt(number), rel=2e-4)


def test_half_width_agrees_with_scipy() -> None:
    values = [0.2, 0.23, 0.27, 0.21]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    mean, half_width = interval(values)
    assert (mean - half_width, mean + half_width) == pytest.approx((low, high))


def test_three_seeds_cover_the_truth_in_95_of_100_studies() -> None:
    draws = np.random.default_rng(7).normal(0.3, 0.02, (4000, 3))
    covered = [abs(mean - 0.3) <= half for mean, half in map(interval, draws.tolist())]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.011)  # three standard errors


def test_one_value_has_no_interval_and_none_has_no_mean() -> None:
    assert interval([0.3])[0] == 0.3
    assert math.isnan(interval([0.3])[1])
    assert all(map(math.isnan, interval([])))


# Numbers


def test_scores_are_those_of_the_test_confusions_of_the_confirm_runs() -> None:
    header, asks, records = two_arms()
    found = row(tabulate(header, asks, records), "FDA")
    scores = [metrics.cityscapes(confusion_of(run)) for run in confirms(asks, records, "FDA")]
    low, high = stats.t.interval(0.95, 2, 0, stats.sem([score.miou for score in scores]))
    assert found.scores.miou == pytest.approx(np.mean([score.miou for score in scores]))
    assert found.scores.miou_ci == pytest.approx((high - low) / 2)
    assert found.scores.accuracy == pytest.approx(np.mean([score.accuracy for score in scores]))
    assert found.scores.iou == pytest.approx(np.mean([score.iou for score in scores], axis=0))
    originals = [metrics.original(confusion_of(run)) for run in confirms(asks, records, "FDA")]
    assert found.scores.original_miou == pytest.approx(np.mean([score.miou for score in originals]))
    assert found.scores.original_accuracy == pytest.approx(np.mean([score.accuracy for score in originals]))


def test_the_difference_is_paired_by_seed() -> None:
    header, asks, records = two_arms(seeds=5)
    by_seed = [
        {run.ask.trial.seed: metrics.cityscapes(confusion_of(run)).miou for run in confirms(asks, records, name)}
        for name in ("source only", "FDA")
    ]
    differences = [by_seed[1][seed] - by_seed[0][seed] for seed in range(1, 6)]
    found = row(tabulate(header, asks, records), "FDA")
    assert found.difference.miou == pytest.approx(statistics.fmean(differences))
    assert found.difference.miou_ci == pytest.approx(2.7764 * statistics.stdev(differences) / math.sqrt(5), rel=1e-4)
    assert found.difference.seeds == 5


def test_the_order_of_asks_does_not_change_the_pairs() -> None:
    header, asks, records = two_arms()
    assert tabulate(header, asks[::-1], records) == tabulate(header, asks, records)


def test_the_reference_differs_from_itself_by_nothing() -> None:
    found = row(tabulate(*two_arms()), "source only")
    assert (found.difference.miou, found.difference.miou_ci, found.difference.excludes_zero) == (0, 0, False)


def test_a_row_differs_only_when_its_interval_excludes_zero() -> None:
    for miou, half_width, expected in [
        (0.1, 0.09, True),
        (-0.1, 0.09, True),
        (0.1, 0.11, False),
        (0.1, math.nan, False),
    ]:
        assert Difference(3, miou, half_width).excludes_zero is expected


def test_search_trials_never_enter_the_scores() -> None:
    header, asks, records = two_arms()
    without = {trial_id: record for trial_id, record in records.items() if record.trial.confirms}
    scores = [
        (found.scores.miou, found.difference.miou, found.scores.accuracy)
        for found in tabulate(header, asks, records).rows
    ]
    assert scores == [
        (found.scores.miou, found.difference.miou, found.scores.accuracy)
        for found in tabulate(header, asks, without).rows
    ]


def test_counts_hours_and_cost() -> None:
    header = study(
        arm("source only"), arm("adversarial", discriminator_parameters=2_781_121, discriminator_gflops=30.88)
    )
    asks, records = full(header, {"source only": 0.4, "adversarial": 0.5})
    broken = ask(header, "adversarial", "search", 0)
    records[broken.trial.id] = failed(broken, "diverged", "the loss is not finite at step 120")
    found = row(tabulate(header, asks, records), "adversarial")
    assert (found.effort.trials, found.effort.stopped, found.troubles.failed) == (4, 2, 1)
    assert found.effort.hours == pytest.approx(1.5 * (1 + 2 + 4 + 2 + 3 * 4) / 3600)
    assert (found.cost.parameters, found.cost.discriminator_parameters) == (12_581_672, 2_781_121)
    assert (found.cost.gflops, found.cost.discriminator_gflops) == (51.26, 30.88)
    assert found.troubles.causes == {"diverged": 1}
    assert found.troubles.reasons == (f"the loss is not finite at step 120 ({broken.trial.id})",)


def test_a_searched_width_costs_what_the_chosen_configuration_costs() -> None:
    header, asks, records = two_arms()
    for run in confirms(asks, records, "FDA"):
        records[run.ask.trial.id] = dataclasses.replace(records[run.ask.trial.id], cost={**COST, "parameters": 800_000})
    assert row(tabulate(header, asks, records), "FDA").cost.parameters == 800_000


# What was tuned


def test_tuned_names_the_chosen_values_and_what_they_resolve_to() -> None:
    header = study(
        arm("source only", searched={}), arm("FDA", searched={"beta": "LogUniform", "learning_rate": "LogUniform"})
    )
    made = tabulate(header, *full(header, {"source only": 0.4, "FDA": 0.5}))
    assert [found.tuned for found in made.rows] == [FIXED, "beta=0.0117 (band 6), learning_rate=0.02"]
    assert row(made, "source only").effort.trials == 0


def test_nothing_is_tuned_before_the_search_has_chosen() -> None:
    header, asks, records = two_arms()
    made = tabulate(header, [ask for ask in asks if ask.phase == "search"], records)
    assert row(made, "FDA").tuned == ""


# What is missing


def test_a_finished_study_has_no_notes() -> None:
    assert tabulate(*two_arms()).notes == ()


def test_every_arm_has_a_row_in_the_order_of_the_study_though_nothing_ran() -> None:
    header = study(arm("b"), arm("a"), arm("c"))
    made = tabulate(header, [], {})
    assert [found.arm for found in made.rows] == ["b", "a", "c"]
    assert all(
        math.isnan(found.scores.miou) and math.isnan(found.difference.miou) and found.scores.seeds == 0
        for found in made.rows
    )
    assert made.notes == ("b: nothing ran yet", "a: nothing ran yet", "c: nothing ran yet")


def test_asked_but_not_started_trials_are_nothing_yet() -> None:
    header, asks, _ = two_arms()
    assert "FDA: nothing ran yet" in tabulate(header, asks, {}).notes


def test_a_trial_that_began_and_has_not_reported_is_nothing_yet() -> None:
    header, asks, records = two_arms()
    began = {trial_id: dataclasses.replace(run, reports=(), end=None) for trial_id, run in records.items()}
    assert tabulate(header, asks, began).notes == ("source only: nothing ran yet", "FDA: nothing ran yet")


def test_missing_seeds_of_an_arm_and_of_the_reference() -> None:
    header, asks, records = two_arms()
    for name, seed in [("source only", 1), ("FDA", 2)]:
        (gone,) = [each.trial.id for each in asks if each.arm == name and each.trial.seed == seed]
        del records[gone]
    made = tabulate(header, asks, records)
    found = row(made, "FDA")
    assert (found.scores.seeds, found.troubles.seeds_missing, found.difference.seeds) == (2, 1, 1)
    assert math.isnan(found.difference.miou_ci)
    assert made.notes == (
        "source only: 1 of 3 seeds missing",
        "FDA: 1 of 3 seeds missing",
        "FDA: shares 1 of its 2 seeds with the reference, source only",
    )


def test_a_reference_without_runs_leaves_scores_but_no_differences() -> None:
    header, asks, records = two_arms()
    for each in asks:
        if each.arm == "source only":
            del records[each.trial.id]
    made = tabulate(header, asks, records)
    assert row(made, "FDA").scores.miou > 0
    assert math.isnan(row(made, "FDA").difference.miou)
    assert "FDA: shares no seed with the reference, source only" in made.notes


def test_a_single_seed_has_a_mean_and_no_interval() -> None:
    found = row(tabulate(*two_arms(seeds=1)), "FDA")
    assert found.scores.miou > 0
    assert math.isnan(found.scores.miou_ci)
    assert not found.difference.excludes_zero


def test_a_confirm_run_that_has_not_ended_does_not_count() -> None:
    header, asks, records = two_arms()
    last = asks[-1].trial.id
    records[last] = dataclasses.replace(records[last], end=None)
    assert tabulate(header, asks, records).notes == ("FDA: 1 of 3 seeds missing",)


def test_a_search_that_goes_on_is_said() -> None:
    header, asks, records = two_arms()
    asks = [ask for ask in asks if ask.arm == "source only" or (ask.phase == "search" and ask.number < 3)]
    assert "FDA: 1 of 4 search trials have not ended" in tabulate(header, asks, records).notes


def test_a_small_space_may_end_its_search_early() -> None:
    header, asks, records = two_arms()
    asks = [ask for ask in asks if not (ask.phase == "search" and ask.number == 3)]
    assert tabulate(header, asks, records).notes == ()


# What went wrong


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
        "FDA: failed for reasons outside of the trials: 1 worker lost; the same command tries them again",
    )


def test_an_error_in_the_code_is_to_be_mended_first() -> None:
    header, asks, records = two_arms()
    first, _, last = of(asks, "FDA", "confirm")
    records[first.trial.id] = failed(first, "error", "KeyError: 'x' at own.py:7", retry=True)
    mend = f"an error in the code, see {header.name}/log.txt for its traceback: mend it, then run the same command"
    assert tabulate(header, asks, records).notes[1:] == (f"FDA: {mend}",)
    records[last.trial.id] = failed(last, "data", "cannot read frame.png", retry=True)
    again = "failed for reasons outside of the trials: 1 data; the same command tries them again"
    assert tabulate(header, asks, records).notes[1:] == (f"FDA: {mend}", f"FDA: {again}")


def test_a_long_reason_is_cut_to_a_line() -> None:
    header, asks, records = two_arms()
    records[asks[0].trial.id] = failed(asks[0], "error", "word " * 1000)
    (reason,) = row(tabulate(header, asks, records), "source only").troubles.reasons
    assert len(reason) < 230
    assert reason.endswith(f"word ... ({asks[0].trial.id})")


# A study that is run again


def test_repeated_asks_change_nothing() -> None:
    header, asks, records = two_arms()
    assert tabulate(header, asks + asks, records) == tabulate(header, asks, records)


def test_a_replaced_configuration_leaves_the_table_with_all_its_seeds() -> None:
    header, asks, records = two_arms()
    renewed = ask(header, "FDA", "confirm", 0, recipe={"learning_rate": 0.002, "batch": 4})
    records[renewed.trial.id] = record(renewed, 0.9)
    found = row(tabulate(header, [*asks, renewed], records), "FDA")
    assert (found.scores.seeds, found.troubles.seeds_missing, found.tuned) == (1, 2, "learning_rate=0.002")
    assert found.scores.miou == metrics.cityscapes(confusion_of(Run(renewed, records[renewed.trial.id]))).miou


def test_fewer_seeds_than_were_run_are_the_first_ones() -> None:
    header, asks, records = two_arms(seeds=5)
    fewer = dataclasses.replace(header, seeds=3)
    assert [run.ask.number for run in runs_by_arm(fewer, asks, records)["FDA"].confirm] == [0, 1, 2]
    assert row(tabulate(fewer, asks, records), "FDA").scores.seeds == 3


def test_arms_that_left_the_study_have_no_row() -> None:
    header, asks, records = two_arms()
    assert len(tabulate(dataclasses.replace(header, arms=header.arms[:1]), asks, records).rows) == 1


def test_records_read_from_disk_give_the_same_table(tmp_path: Path) -> None:
    header, asks, records = two_arms()
    header = dataclasses.replace(header, shift={**header.shift, "groups": SINGLE_CLASSES, "size": (64, 128)})
    store = Store(tmp_path)
    store.announce(header)
    for each in asks:
        store.ask(header.name, each)
        run = records[each.trial.id]
        store.begin(run)
        for report in run.reports:
            store.report(each.trial.id, report)
        assert run.end is not None
        store.end(each.trial.id, run.end)
    journal = store.journal(header.name)
    read = {each.trial.id: found for each in journal.asks if (found := store.read(each.trial.id))}
    assert journal.header is not None
    made, expected = tabulate(journal.header, journal.asks, read), tabulate(header, asks, records)
    assert (made.rows, made.notes, made.absent) == (expected.rows, expected.notes, expected.absent)
    assert made.groups == expected.groups


# Classes


def test_a_class_that_the_test_split_never_holds_is_named_and_left_out() -> None:
    header = study(arm("source only"), seeds=2)
    asks = [ask(header, "source only", "confirm", number) for number in range(2)]
    records = {each.trial.id: record(each, absent=(16, 14)) for each in asks}
    made = tabulate(header, asks, records)
    assert made.absent == ("truck", "train")
    (found,) = made.rows
    assert math.isnan(found.scores.iou[14])
    assert math.isnan(found.scores.iou[16])
    assert found.scores.miou == pytest.approx(np.nanmean(found.scores.iou))


def test_groups_are_scored_as_groups_and_the_original_convention_is_left_out() -> None:
    header, asks, records = two_arms(groups=CAMVID_11)
    made = tabulate(header, asks, records)
    found = row(made, "FDA")
    expected = [metrics.cityscapes(confusion_of(run), CAMVID_11).miou for run in confirms(asks, records, "FDA")]
    assert found.scores.miou == pytest.approx(np.mean(expected))
    assert len(found.scores.iou) == len(made.groups) == 11
    assert made.groups[3] == "wall+fence"
    assert math.isnan(found.scores.original_miou)


def test_an_oracle_selector_is_known_as_one() -> None:
    assert tabulate(*two_arms(select="oracle/miou")).selected_by_oracle
    assert not tabulate(*two_arms()).selected_by_oracle
