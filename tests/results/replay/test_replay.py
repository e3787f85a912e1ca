"""Replays of recorded searches: against another simulation, and on real curves."""

import itertools
import json
import math
import random
import statistics
from collections.abc import Sequence

import pytest

from platform.design.asha import cut
from platform.records.provenance import ROOT
from platform.results.replay.replay import Curve, Effect, replay
from platform.study import ASHA

STEPS = (10, 20, 30, 40)
FIXTURE = json.loads((ROOT / "tests" / "fixtures" / "learning_curves.json").read_text())
REAL = {entry["name"]: tuple(entry["miou"]) for entry in FIXTURE}
"""mIoU of real runs after each epoch: 50 epochs, or 75 of which self-training takes the last 25."""
ADVERSARIAL = [name for name in REAL if name.startswith("adv") and len(REAL[name]) == 50]
WINNER = "adv_DSC_LAB_R101"
COLLAPSING, STEADY = "adv_DSC_SSL50_R101", "adv_DSC_LAB_SSL50_R101"


def whole(*curves: Sequence[float]) -> list[Curve]:
    return [Curve(tuple(curve)) for curve in curves]


def replayed(
    curves: Sequence[Curve],
    steps: Sequence[int],
    rungs: Sequence[int],
    reduction: int,
    smoothing: int,
    parallel: int = 2,
) -> Effect:
    setting = ASHA(trials=parallel, reduction=reduction, smoothing=smoothing, parallel=parallel, promote=False)
    return replay(curves, steps, rungs, setting)


# Against another simulation


def one_after_another(
    curves: list[list[float]], rungs: dict[int, list[float]], reduction: int, smoothing: int
) -> set[int]:
    """Which trials are stopped one at a time, from the definition: fewer than max(1, n // reduction) are better."""
    stopped = set()
    for number, curve in enumerate(curves):
        for rung, seen in rungs.items():
            value = statistics.fmean(curve[max(0, rung - smoothing) : rung])
            seen.append(value)
            if sum(other > value for other in seen) >= max(1, len(seen) // reduction):
                stopped.add(number)
                break
    return stopped


@pytest.mark.parametrize("seed", range(30))
def test_whole_curves_one_after_another_are_stopped_by_the_definition(seed: int) -> None:
    draw = random.Random(seed)
    length, reduction, smoothing = draw.randint(3, 12), draw.randint(2, 4), draw.randint(1, 4)
    curves = [[draw.random() for _ in range(length)] for _ in range(draw.randint(1, 25))]
    judged = sorted(draw.sample(range(1, length), draw.randint(1, length - 1)))
    steps = tuple(10 * number for number in range(1, length + 1))
    outcome = replayed(whole(*curves), steps, [10 * rung for rung in judged], reduction, smoothing, parallel=1)
    stopped = one_after_another(curves, {rung: [] for rung in judged}, reduction, smoothing)
    finals = {number: curve[-1] for number, curve in enumerate(curves)}
    winner = max(finals, key=finals.__getitem__)
    assert set(outcome.stopped) == stopped
    assert outcome.winner_stopped == (winner in stopped)
    left = [value for number, value in finals.items() if number not in stopped]
    assert outcome.regret == pytest.approx(finals[winner] - max(left))
    assert (outcome.open, outcome.trials, outcome.full_steps) == ((), len(curves), len(curves) * steps[-1])


def test_trials_advance_in_turn_and_make_room_when_they_end() -> None:
    curves = whole([0.5, 0.5, 0.5, 0.5], [0.6, 0.4, 0.4, 0.4], [0.55, 0.3, 0.3, 0.3], [0.7, 0.7, 0.7, 0.7])
    # Two at a time: 0 arrives first and goes on, 1 is better; they end, then 2 is stopped and 3 is the best of four.
    both = replayed(curves, STEPS, [10], 2, 1, parallel=2)
    assert both.stopped == (2,)
    assert both.least_steps == both.most_steps == 3 * 40 + 10
    # The second rung comes when both have advanced twice: by then 1 has fallen behind.
    assert replayed(curves[:2], STEPS, [10, 20], 2, 1, parallel=2).stopped == (1,)
    # In the other order the first arrival goes on, whatever it is.
    assert replayed(curves[1::-1], STEPS, [10, 20], 2, 1, parallel=2).stopped == (1,)


def test_nothing_is_stopped_without_rungs() -> None:
    outcome = replayed(whole([0.1] * 4, [0.9] * 4), STEPS, [], 3, 3)
    assert outcome == Effect(2, 2, (), (), 80, 80, 80, 0.0, False)


def test_what_the_early_bird_costs_is_the_regret() -> None:
    outcome = replayed(whole([0.9, 0.2, 0.2, 0.2], [0.1, 0.8, 0.8, 0.8]), STEPS, [10], 2, 1)
    assert (outcome.stopped, outcome.winner_stopped) == ((1,), True)
    assert outcome.regret == pytest.approx(0.6)


# Curves that end too early


def test_a_trial_that_the_study_stopped_is_open_when_it_would_have_gone_on() -> None:
    curves = [*whole([0.5] * 4), Curve((0.6, 0.6)), *whole([0.7, 0.4, 0.4, 0.4])]
    outcome = replayed(curves, STEPS, [10], 2, 1)
    assert (outcome.open, outcome.stopped, outcome.whole) == ((1,), (), 2)
    assert (outcome.full_steps, outcome.most_steps, outcome.least_steps) == (120, 120, 100), "to its end, or no further"
    assert outcome.regret == 0.0, "of what is known: nobody can pick an open trial"
    assert outcome.winner_stopped is False


def test_a_trial_that_the_study_stopped_may_be_stopped_again() -> None:
    outcome = replayed([*whole([0.5] * 4), Curve((0.4, 0.6))], STEPS, [10], 2, 1)
    assert (outcome.open, outcome.stopped, outcome.most_steps) == ((), (1,), 50)
    later = replayed([*whole([0.5] * 4), Curve((0.4, 0.3))], STEPS, [20], 2, 1)
    assert (later.open, later.stopped, later.most_steps) == ((), (1,), 60), "where its curve ends"


def test_a_trial_that_failed_would_have_failed_in_any_setting() -> None:
    curves = [Curve((0.9, 0.9), failed=True), *whole([0.5] * 4, [0.5] * 4), Curve((), failed=True)]
    outcome = replayed(curves, STEPS, [30], 2, 1)
    assert (outcome.open, outcome.stopped) == ((), ())
    assert outcome.full_steps == outcome.most_steps == outcome.least_steps == 20 + 40 + 40
    assert (outcome.regret, outcome.winner_stopped) == (0.0, False), "it is neither picked nor missed"


def test_the_only_whole_curve_of_a_row_tells_nothing_of_what_stopping_lost() -> None:
    outcome = replayed([*whole([0.5] * 4), Curve((0.4, 0.4))], STEPS, [10], 2, 1)
    assert (outcome.whole, outcome.regret, outcome.winner_stopped) == (1, None, None)
    alone = replayed([*whole([0.5] * 4), Curve((0.4, 0.4), failed=True)], STEPS, [10], 2, 1)
    assert (alone.whole, alone.regret, alone.winner_stopped) == (1, 0.0, False), "what failed would have failed anyway"


def test_a_row_without_a_whole_curve_has_no_regret() -> None:
    outcome = replayed([Curve((0.4,)), Curve((0.2, 0.3), failed=True), Curve(())], STEPS, [10], 2, 1)
    assert (outcome.regret, outcome.winner_stopped) == (None, None)
    assert replayed([], STEPS, [10], 2, 1) == Effect(0, 0, (), (), 0, 0, 0, None, None)


def test_a_thousand_curves_end_as_successive_halving_promises() -> None:
    draw = random.Random(0)
    steps = tuple(range(1, 21))
    curves = whole(*([value + draw.gauss(0, 0.01) for _ in steps] for value in (draw.random() for _ in range(1000))))
    outcome = replayed(curves, steps, (4, 12), 3, 3, parallel=8)
    assert len(outcome.stopped) == pytest.approx(1000 * 8 / 9, abs=30), "a third of a third goes on"
    assert 1 - outcome.most_steps / outcome.full_steps > 0.6
    assert outcome.regret is not None
    assert outcome.regret < 0.02


# Real curves: adversarial runs jump by up to 12.8 points from one epoch to the next


def lost(names: Sequence[str], rungs: Sequence[int], smoothing: int, reduction: int = 2) -> float:
    """Share of the orders in which these trials may be asked for the winner is stopped."""
    epochs = range(1, len(REAL[names[0]]) + 1)
    orders = list(itertools.permutations(names))
    outcomes = [replayed(whole(*map(REAL.__getitem__, order)), epochs, rungs, reduction, smoothing) for order in orders]
    return sum(outcome.winner_stopped is True for outcome in outcomes) / len(orders)


def rungs(grace: float, smoothing: int, reduction: int = 2) -> tuple[int, ...]:
    search_ = ASHA(trials=1, grace=grace, smoothing=smoothing, reduction=reduction)
    return search_.rungs(range(1, 51), 0.0)


def test_the_curves_are_as_rough_as_said() -> None:
    assert max(ADVERSARIAL, key=lambda name: REAL[name][-1]) == WINNER
    falls = {name: max(before - after for before, after in itertools.pairwise(REAL[name])) for name in ADVERSARIAL}
    assert max(falls.values()) == pytest.approx(0.128)
    assert REAL["adv_DSC_R101"][30] - REAL["adv_DSC_R101"][31] == pytest.approx(0.075), "as late as that"


@pytest.mark.parametrize("reduction", [2, 3])
def test_one_noisy_evaluation_stops_the_winner_where_a_mean_does_not(reduction: int) -> None:
    # After 12 of 50 epochs the winner leads; at epoch 13 it falls by 5 points for once.
    assert lost(ADVERSARIAL, rungs(0.26, 1, reduction), 1, reduction) == 0.75
    assert lost(ADVERSARIAL, rungs(0.26, 3, reduction), 3, reduction) == 0
    assert lost(ADVERSARIAL, rungs(0.26, 5, reduction), 5, reduction) == 0


@pytest.mark.parametrize("reduction", [2, 3])
def test_the_default_grace_and_smoothing_keep_the_winner_in_every_order(reduction: int) -> None:
    default = ASHA(trials=1)
    at = rungs(default.grace, default.smoothing, reduction)
    assert at[0] == 10
    assert lost(ADVERSARIAL, at, default.smoothing, reduction) == 0
    # A longer mean reaches back to the fall of 12.8 points at epoch 6.
    assert lost(ADVERSARIAL, rungs(default.grace, 5, reduction), 5, reduction) > 0.5


@pytest.mark.parametrize("smoothing", [1, 3, 5])
def test_a_grace_of_less_than_ten_epochs_loses_the_winner_mostly_whatever_the_mean(smoothing: int) -> None:
    early = [lost(ADVERSARIAL, rungs(epoch / 50, smoothing), smoothing) for epoch in range(1, 10)]
    late = [lost(ADVERSARIAL, rungs(epoch / 50, smoothing), smoothing) for epoch in range(11, 13)]
    assert statistics.fmean(early) > 0.5
    assert min(early) > 0
    assert max(late) == 0


def test_no_rung_before_a_collapse_sees_it_and_any_after_it_does() -> None:
    """Self-training begins at epoch 50 and collapses: the rungs of the default schedule lie at 15 and 45."""
    curves, epochs = whole(REAL[COLLAPSING], REAL[STEADY]), range(1, 76)
    early = replayed(curves, epochs, (15, 45), 3, 3)
    assert early.winner_stopped
    assert early.regret == pytest.approx(0.125), "12.5 points, which only the failure of the collapsed run could save"
    late = replayed(curves[::-1], epochs, (57,), 3, 3)
    assert late.stopped == (1,)
    assert late.regret == 0
    # A running best would still show the collapsed run level with the other.
    assert max(REAL[COLLAPSING][:57]) > max(REAL[STEADY][:57]) - 0.003
    assert statistics.fmean(REAL[COLLAPSING][54:57]) < statistics.fmean(REAL[STEADY][54:57]) - 0.1


def test_the_replay_cuts_as_the_study_does() -> None:
    assert math.isclose(cut([0.1, 0.3, 0.2], 2), 0.3)
    assert replayed(whole([0.1] * 4, [0.3] * 4, [0.2] * 4), STEPS, [10], 2, 1).stopped == (2,)
