"""Verdicts on made checkpoints, of which every choice is known by hand."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import pytest

from platform.records.record import ORACLE_MIOU
from platform.results.audit.audit import LAST, SETTING, Audit, EarlyStopping, Verdict, audit, finished
from platform.results.audit.checkpoints import Checkpoint
from platform.results.audit.measures import Pool, Regret, regret, weighted_spearman
from platform.scores.selectors import EnsV, Entropy, Selector
from tests.support import invented_study as invented
from tests.support.made_checkpoints import confirmed, searched

NAMES = ("right", "wrong")
SELECTORS: dict[str, Selector] = {name: Entropy() for name in NAMES}
"""Whatever they would say, scores are made: they only say that they do not compare."""


def flat(value: float) -> list[float]:
    """The same value at each of four evaluations."""
    return [value] * 4


def scores(right: float, wrong: float) -> dict[str, list[float]]:
    return {"right": flat(right), "wrong": flat(wrong)}


def both(value: float) -> dict[str, list[float]]:
    """Scores of a selector that ranks as the value does, and of one that ranks the other way."""
    return scores(value, -value)


def judged(*trials: Sequence[Checkpoint]) -> Audit:
    return audit([checkpoint for trial in trials for checkpoint in trial], SELECTORS)


def told(verdicts: Mapping[str, Verdict]) -> str:
    """All that is found, as text: nan equals nothing."""
    return repr(dict(verdicts))


def known(found: Regret | None) -> Regret:
    assert found is not None
    return found


# Trials


CONFIRMED = (
    confirmed("source only", 0, [0.9, 0.9, 0.9, 0.30], both(0.30)),
    confirmed("source only", 1, [0.0, 0.0, 0.0, 0.35], both(0.35)),
    confirmed("FDA", 0, [0.1, 0.1, 0.1, 0.50], both(0.50)),
    confirmed("FDA", 1, [0.2, 0.2, 0.2, 0.45], both(0.45)),
)


def test_one_of_all_finished_confirm_trials_is_chosen_by_its_last_checkpoint_and_worth_its_test_miou() -> None:
    found = judged(*CONFIRMED).overall
    right, wrong = known(found["right"].trials), known(found["wrong"].trials)
    assert (right.pools, right.mean, right.worst) == (1, 0, 0)
    assert right.spearman == pytest.approx(1)
    assert wrong.mean == wrong.largest == pytest.approx(0.5 - 0.3)
    assert wrong.worst == 1
    assert wrong.spearman == pytest.approx(weighted_spearman([4, 3, 1, 2], [0.30, 0.35, 0.50, 0.45]))


def test_the_labelled_val_split_competes_where_the_test_split_judges() -> None:
    misled = confirmed("FDA", 2, flat(0.2), both(0.2), val=flat(0.99))
    found = judged(*CONFIRMED, misled).overall[ORACLE_MIOU]
    assert known(found.trials).mean == pytest.approx(0.5 - 0.2)
    assert known(found.trials).worst == 1


def test_a_trial_that_has_not_come_to_its_end_is_none_of_the_finished() -> None:
    unfinished = confirmed("FDA", 3, [0.9, 0.9], {name: [9.0, 9.0] for name in NAMES})
    every = [checkpoint for trial in (*CONFIRMED, unfinished) for checkpoint in trial]
    assert [each.ask.name for each in finished(every)] == [
        "source only seed 1",
        "source only seed 2",
        "FDA seed 1",
        "FDA seed 2",
    ]
    assert audit(every, SELECTORS).overall["right"].trials == judged(*CONFIRMED).overall["right"].trials


def test_a_single_trial_is_no_choice() -> None:
    found = judged(CONFIRMED[0]).overall
    assert all(verdict.trials is None for verdict in found.values())


# Configurations


SEARCHED = (
    searched("source only", 0, [0.0, 0.0, 0.0, 0.30], scores(1, 2)),
    searched("source only", 1, [0.9, 0.9, 0.9, 0.20], scores(0, 3)),
    searched("FDA", 0, [0.0, 0.0, 0.0, 0.45], scores(5, 1)),
    searched("FDA", 1, [0.0, 0.0, 0.0, 0.15], scores(4, 2)),
    searched("FDA", 2, [0.0, 0.0, 0.0, 0.25], scores(3, 0)),
)


def test_a_configuration_of_each_row_is_chosen_and_worth_its_val_miou() -> None:
    found = judged(*SEARCHED, *CONFIRMED).overall
    right, wrong = known(found["right"].configurations), known(found["wrong"].configurations)
    assert (right.pools, right.mean, right.worst) == (2, 0, 0)
    assert wrong.mean == pytest.approx((0.1 + 0.3) / 2)
    assert wrong.largest == pytest.approx(0.3)
    assert wrong.worst == 2
    assert right == regret(
        [
            Pool("made", ("source only",) * 2, (1, 0), (0.30, 0.20)),
            Pool("made", ("FDA",) * 3, (5, 4, 3), (0.45, 0.15, 0.25)),
        ]
    )


def test_a_row_beats_the_reference_where_its_chosen_configuration_is_worth_more() -> None:
    third = (
        searched("adversarial", 0, flat(0.10), scores(0, 0)),
        searched("adversarial", 1, flat(0.29), scores(1, 1)),
    )
    found = judged(*SEARCHED, *third).overall
    # By `right` 0.45 and 0.29 against 0.30; by `wrong` 0.15 and 0.29 against 0.20.
    assert {name: (found[name].beats_reference, found[name].compared) for name in NAMES} == {
        "right": (1, 2),
        "wrong": (1, 2),
    }
    assert (found[ORACLE_MIOU].beats_reference, found[ORACLE_MIOU].compared) == (1, 2)


def test_nothing_is_compared_without_search_trials_of_the_reference() -> None:
    found = judged(*SEARCHED[2:]).overall["right"]
    assert (found.beats_reference, found.compared) == (0, 0)
    assert found.configurations is not None


def test_a_stopped_search_trial_is_not_chosen() -> None:
    stopped = searched("FDA", 3, [0.9, 0.9], {name: [99.0, 99.0] for name in NAMES})
    assert (
        judged(*SEARCHED, stopped).overall["right"].configurations == judged(*SEARCHED).overall["right"].configurations
    )


# Checkpoints


def test_one_of_the_evaluations_of_each_confirm_trial_is_chosen_and_the_last_is_a_choice_too() -> None:
    peaked = confirmed("FDA", 0, [0.1, 0.5, 0.3, 0.2], {"right": [1, 4, 3, 2], "wrong": [4, 1, 2, 3]})
    rising = confirmed("FDA", 1, [0.1, 0.2, 0.3, 0.4], {"right": [1, 2, 3, 4], "wrong": [1, 1, 1, 0]})
    found = judged(peaked, rising, *SEARCHED).overall
    assert (known(found["right"].checkpoints).pools, known(found["right"].checkpoints).mean) == (2, 0)
    assert known(found["wrong"].checkpoints).mean == pytest.approx((0.4 + 0.3) / 2)
    assert known(found["wrong"].checkpoints).worst == 2
    assert known(found[LAST].checkpoints).mean == pytest.approx((0.3 + 0.0) / 2)
    assert known(found[ORACLE_MIOU].checkpoints).mean == 0


def test_the_labels_of_val_choose_a_checkpoint_that_the_test_split_judges() -> None:
    trial = confirmed("FDA", 0, [0.1, 0.5, 0.3, 0.2], scores(0, 0), val=[0.4, 0.3, 0.2, 0.1])
    assert known(judged(trial).overall[ORACLE_MIOU].checkpoints).mean == pytest.approx(0.4)


def test_checkpoints_that_were_not_tested_are_left_out() -> None:
    """As of versions that tested a confirm trial at its end alone."""
    trial = confirmed("FDA", 0, [0.1, 0.5, 0.3, 0.2], both(1))
    older = [dataclasses.replace(each, test=each.test if each.is_last else None) for each in trial]
    assert all(verdict.checkpoints is None for verdict in audit(older, SELECTORS).overall.values())


# What is asked of whom


def test_the_last_checkpoint_and_the_oracle_are_asked_what_they_can_answer() -> None:
    found = judged(*SEARCHED, *CONFIRMED).overall
    assert list(found) == [*NAMES, ORACLE_MIOU, LAST]
    last, labelled = found[LAST], found[ORACLE_MIOU]
    assert (last.configurations, last.trials, last.early_stopping, last.compared) == (None, None, None, 0)
    assert last.checkpoints is not None
    assert labelled.configurations is None, "it would be judged by itself"
    assert labelled.trials is not None
    assert math.isnan(labelled.spearman)


def test_scores_correlate_with_val_over_all_checkpoints() -> None:
    every = [checkpoint for trial in (*SEARCHED, *CONFIRMED) for checkpoint in trial]
    expected = weighted_spearman([each.scores["right"] for each in every], [each.val for each in every])
    assert audit(every, SELECTORS).overall["right"].spearman == pytest.approx(expected)


# Several studies and methods


def test_several_studies_are_averaged_and_each_is_told() -> None:
    elsewhere = [
        confirmed(row, number, flat(test), both(-test), study="other")
        for row, number, test in (("source only", 0, 0.7), ("FDA", 0, 0.1), ("FDA", 1, 0.2))
    ]
    found = judged(*CONFIRMED, *elsewhere)
    assert found.studies == ("made", "other")
    assert (found.trials, found.checkpoints) == (7, 28)
    assert known(found.overall["right"].trials).mean == pytest.approx((0 + 0.6) / 2)
    assert known(found.overall["wrong"].trials).mean == pytest.approx((0.2 + 0) / 2)
    for study, trials in (("made", CONFIRMED), ("other", elsewhere)):
        assert told(found.by_study[study]) == told(judged(*trials).overall)
    means = [verdicts["right"].spearman for verdicts in found.by_study.values()]
    assert found.overall["right"].spearman == pytest.approx(sum(means) / 2)


def test_a_study_that_ranks_nothing_leaves_the_others_their_correlation() -> None:
    alone = confirmed("FDA", 0, flat(0.4), both(1), study="one trial whose scores are all alike")
    found = judged(*CONFIRMED, alone)
    assert found.overall["right"].spearman == pytest.approx(found.by_study["made"]["right"].spearman)


def test_rows_of_two_studies_with_the_same_name_are_two_rows() -> None:
    other = [searched("FDA", number, flat(val), both(val), study="other") for number, val in ((0, 0.1), (1, 0.2))]
    assert known(judged(*SEARCHED, *other).overall["right"].configurations).pools == 3


def test_verdicts_by_method_see_the_trials_of_that_method_alone_beside_the_studys_reference() -> None:
    found = judged(*SEARCHED, *CONFIRMED)
    assert list(found.by_method) == ["SourceOnly", "FDA"]
    alone = judged(*SEARCHED[2:], *CONFIRMED[2:]).overall
    beside = {
        name: dataclasses.replace(
            verdict, beats_reference=found.overall[name].beats_reference, compared=found.overall[name].compared
        )
        for name, verdict in alone.items()
    }
    assert told(found.by_method["FDA"]) == told(beside)
    assert found.by_method["FDA"]["right"].compared == 1
    assert found.by_method["SourceOnly"]["right"].compared == 0


# What compares


def test_a_selector_that_compares_chooses_in_a_row_among_its_trials_and_never_a_checkpoint() -> None:
    """Among the study it would choose the first of each row, among the row the second, as a study's search does."""
    trials = [
        searched(row, number, flat(value), {"ensv": flat(-value)}, in_row={"ensv": flat(value)})
        for row in ("source only", "FDA")
        for number, value in enumerate((0.2, 0.4))
    ]
    confirm = [confirmed("FDA", number, flat(value), {"ensv": flat(-value)}) for number, value in ((0, 0.3), (1, 0.6))]
    found = audit([each for trial in (*trials, *confirm) for each in trial], {"ensv": EnsV()}).overall["ensv"]
    assert known(found.configurations).mean == 0
    assert known(found.trials).mean == pytest.approx(0.3)
    assert found.checkpoints is None
    assert math.isnan(found.spearman)
    assert found.early_stopping is not None


# Early stopping


def stopping(*trials: Sequence[Checkpoint]) -> dict[str, EarlyStopping | None]:
    """What is found by selector, to ten digits."""
    found = {name: verdict.early_stopping for name, verdict in judged(*trials).overall.items()}
    return {name: each and dataclasses.replace(each, regret=round(each.regret, 10)) for name, each in found.items()}


def late_bloomer(number: int, row: str = "FDA") -> list[Checkpoint]:
    """The best in the end, of which one selector thinks little until then."""
    return searched(row, number, [0.1, 0.2, 0.3, 0.8], {"right": [3, 3, 3, 9], "wrong": [0, 0, 0, 9]})


def steady(number: int, row: str = "FDA") -> list[Checkpoint]:
    return searched(row, number, flat(0.5), {"right": flat(1), "wrong": flat(5)})


def test_the_replayed_setting_judges_after_three_of_four_evaluations() -> None:
    assert SETTING.rungs(invented.EVALUATED_STEPS, 0.0) == (300,)


def test_a_selector_that_misjudges_the_beginning_has_the_best_trial_stopped() -> None:
    """One of the two goes on from the rung, whichever came first."""
    for pair in ((steady(0), late_bloomer(1)), (late_bloomer(0), steady(1))):
        found = stopping(*pair)
        assert found["wrong"] == EarlyStopping(rows=1, stopped=1, trials=2, best_stopped=1, regret=0.3)
        assert found["right"] == EarlyStopping(rows=1, stopped=1, trials=2, best_stopped=0, regret=0)
        labelled = found[ORACLE_MIOU]
        assert labelled is not None
        assert labelled.best_stopped == 1, "labels may mislead as well"


def test_the_choice_among_those_that_go_on_may_cost_something_too() -> None:
    misjudged = searched("FDA", 2, flat(0.1), {"right": flat(0), "wrong": flat(7)})
    poor = searched("FDA", 3, flat(0.2), {"right": flat(-1), "wrong": flat(0)})
    assert stopping(steady(0), misjudged, poor, late_bloomer(1))["wrong"] == EarlyStopping(1, 2, 4, 1, 0.7)


def test_rows_are_averaged_and_those_whose_trials_were_stopped_are_left_out() -> None:
    cut_short = searched("adversarial", 0, [0.9, 0.9], {name: [9.0, 9.0] for name in NAMES})
    alone = steady(0, "lightweight adversarial")
    other = searched("source only", 0, flat(0.2), {"right": flat(0), "wrong": flat(0)})
    found = stopping(steady(0), late_bloomer(1), other, steady(1, "source only"), cut_short, alone)
    assert found["wrong"] == EarlyStopping(rows=2, stopped=2, trials=4, best_stopped=1, regret=0.15)
    assert set(stopping(cut_short, steady(1, "adversarial"), alone).values()) == {None}


def test_nothing_is_stopped_within_a_studys_longest_warm_up() -> None:
    warm = dataclasses.replace(invented.arm("FDA"), warm_up=0.5)
    bloomer = {"right": [3.0, 3, 3, 9], "wrong": [0.0, 0, 0, 9]}
    found = stopping(
        searched("FDA", 0, flat(0.5), scores(1, 5), arm=warm),
        searched("FDA", 1, [0.1, 0.2, 0.3, 0.8], bloomer, arm=warm),
    )
    assert found["wrong"] == EarlyStopping(rows=1, stopped=0, trials=2, best_stopped=0, regret=0)


@pytest.mark.parametrize("trial", [0, 1])
@pytest.mark.parametrize("step", [100, 200, 300])
def test_a_row_of_which_an_evaluation_has_no_evidence_is_not_replayed(trial: int, step: int) -> None:
    trials = [steady(0), late_bloomer(1), steady(2)]
    trials[trial] = [each for each in trials[trial] if each.step != step]
    assert set(stopping(*trials).values()) == {None}
