"""The comparison table says what the records say: every number against a computation of its own, every gap aloud."""

import dataclasses
import math
import statistics
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from platform.records.store import Store
from platform.results.runs import Run
from platform.results.table import FIXED, UNTIMED
from platform.scores import metrics
from platform.shifts.labels import CAMVID_11, SINGLE_CLASSES
from tests.support.invented_study import COST, arm, ask, failed, full, record, study
from tests.support.seen_alike import runs_by_arm, tabulate
from tests.support.tabulated import confirms, confusion_of, row, two_arms

# The interval


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
    assert found.comparison.to_reference.miou == pytest.approx(statistics.fmean(differences))
    assert found.comparison.to_reference.miou_ci == pytest.approx(
        2.7764 * statistics.stdev(differences) / math.sqrt(5), rel=1e-4
    )
    assert found.comparison.to_reference.seeds == 5


def test_the_order_of_asks_does_not_change_the_pairs() -> None:
    header, asks, records = two_arms()
    assert tabulate(header, asks[::-1], records) == tabulate(header, asks, records)


def test_the_reference_differs_from_itself_by_nothing() -> None:
    found = row(tabulate(*two_arms()), "source only")
    assert (
        found.comparison.to_reference.miou,
        found.comparison.to_reference.miou_ci,
        found.comparison.to_reference.told,
    ) == (0, 0, False)


def test_search_trials_never_enter_the_scores() -> None:
    header, asks, records = two_arms()
    without = {trial_id: record for trial_id, record in records.items() if record.trial.confirms}
    scores = [
        (found.scores.miou, found.comparison.to_reference.miou, found.scores.accuracy)
        for found in tabulate(header, asks, records).rows
    ]
    assert scores == [
        (found.scores.miou, found.comparison.to_reference.miou, found.scores.accuracy)
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


def test_speed_is_that_of_reports_that_noted_it() -> None:
    header, asks, records = two_arms()
    timed = [run.ask.trial.id for run in confirms(asks, records, "FDA")]
    for trial_id, images in zip(timed, (30, 60), strict=False):
        *before, last = records[trial_id].reports
        noted = dataclasses.replace(
            last,
            seconds=4.0,
            evaluating=1.0,
            saving=1.0,
            awaiting_images=0.3,
            awaiting_device=0.6,
            images=images,
            device="NVIDIA L4, 58 multiprocessors" if images == 60 else "CPU",
            precision="bfloat16" if images == 60 else "float32",
        )
        records[trial_id] = dataclasses.replace(records[trial_id], reports=(*before, noted))
    speed = row(tabulate(header, asks, records), "FDA").speed
    assert speed.trained_on == ("CPU, float32", "NVIDIA L4, 58 multiprocessors, bfloat16")
    assert speed.images_per_second == pytest.approx(90 / 6)
    assert (speed.awaiting_images, speed.awaiting_device) == pytest.approx((0.1, 0.2))
    assert (speed.evaluating, speed.saving) == pytest.approx((0.2, 0.2))
    assert row(tabulate(header, asks, records), "source only").speed == UNTIMED


def test_the_latency_is_the_median_over_confirm_runs_and_says_on_what() -> None:
    header, asks, records = two_arms()
    timed = [run.ask.trial.id for run in confirms(asks, records, "FDA")]
    for trial_id, seconds, device in zip(timed, (0.010, 0.040, 0.012), ("cpu", "cpu", "NVIDIA L4"), strict=False):
        *before, last = records[trial_id].reports
        noted = dataclasses.replace(last, latency=seconds, device=device, precision="float32")
        records[trial_id] = dataclasses.replace(records[trial_id], reports=(*before, noted))
    latency = row(tabulate(header, asks, records), "FDA").latency
    assert latency.milliseconds == pytest.approx(12.0)
    assert latency.timed_on == ("NVIDIA L4, float32", "cpu, float32, 1 thread")
    assert row(tabulate(header, asks, records), "source only").latency == latency, "it deploys the same network"


def test_networks_that_differ_are_timed_apart_and_without_a_time_there_is_none() -> None:
    header, asks, records = two_arms()
    for name, seconds in (("source only", 0.010), ("FDA", 0.030)):
        for run in confirms(asks, records, name):
            record = records[run.ask.trial.id]
            *before, last = record.reports
            cost = record.cost | {"deployed_gflops": 1000 * seconds}
            noted = (*before, dataclasses.replace(last, latency=seconds))
            records[run.ask.trial.id] = dataclasses.replace(record, reports=noted, cost=cost)
    table = tabulate(header, asks, records)
    assert [row(table, name).latency.milliseconds for name in ("source only", "FDA")] == pytest.approx([10.0, 30.0])
    header, asks, records = two_arms()
    untimed = row(tabulate(header, asks, records), "FDA").latency
    assert math.isnan(untimed.milliseconds)
    assert untimed.timed_on == ()


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
        math.isnan(found.scores.miou) and math.isnan(found.comparison.to_reference.miou) and found.scores.seeds == 0
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
    assert (found.scores.seeds, found.troubles.seeds_missing, found.comparison.to_reference.seeds) == (2, 1, 1)
    assert math.isnan(found.comparison.to_reference.miou_ci)
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
    assert math.isnan(row(made, "FDA").comparison.to_reference.miou)
    assert "FDA: shares no seed with the reference, source only" in made.notes


def test_a_single_seed_has_a_mean_and_no_interval() -> None:
    found = row(tabulate(*two_arms(seeds=1)), "FDA")
    assert found.scores.miou > 0
    assert math.isnan(found.scores.miou_ci)
    assert not found.comparison.to_reference.told


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


def test_a_class_that_the_test_split_never_holds_is_named_and_counts_where_it_is_predicted() -> None:
    header = study(arm("source only"), seeds=2)
    asks = [ask(header, "source only", "confirm", number) for number in range(2)]
    records = {each.trial.id: record(each, absent=(16, 14)) for each in asks}
    made = tabulate(header, asks, records)
    assert made.absent == ("truck", "train")
    (found,) = made.rows
    assert found.scores.iou[14] == found.scores.iou[16] == 0
    assert found.scores.miou == pytest.approx(np.mean(found.scores.iou))


def test_a_class_that_some_runs_predict_counts_in_these_runs_and_one_that_none_does_is_left_out() -> None:
    header = study(arm("source only"), seeds=2)
    asks = [ask(header, "source only", "confirm", number) for number in range(2)]
    records = {}
    for number, each in enumerate(asks):
        made = record(each, absent=(16, 14))
        *before, last = made.reports
        counts = np.array(last.confusions["target/test"])
        counts[:, 16] = 0
        counts[:, 14] *= number
        confusions = last.confusions | {"target/test": counts.tolist()}
        reports = (*before, dataclasses.replace(last, confusions=confusions))
        records[each.trial.id] = dataclasses.replace(made, reports=reports)
    (found,) = tabulate(header, asks, records).rows
    assert math.isnan(found.scores.iou[16])
    assert found.scores.iou[14] == 0


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
