"""Selectors that judge a trial by the others, by loops over places and candidates."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from platform.scores.evidence import Evidence
from platform.scores.metrics import confusion
from platform.scores.selectors.dispersity import InformationMaximisation, NuclearNorm, PriorDivergence
from platform.scores.selectors.population import Committee, EnsV, GatedRanks
from platform.scores.selectors.population.gated_ranks import ranked
from tests.support.made_evidence import (
    COLLAPSED,
    CONFIDENTLY_WRONG,
    GOOD,
    MEDIOCRE,
    UNSURE,
    Predictor,
    evidence,
    evidence_of,
    one_hot,
    random_logits,
    sampled,
)

MAPS = [np.random.default_rng(seed).integers(0, 4, (2, 3, 5)).astype(np.uint8) for seed in range(4)]


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """mIoU of two maps: of each class, twice what both have, and so on from counters."""
    one, other = Counter(first.ravel().tolist()), Counter(second.ravel().tolist())
    both = Counter(a for a, b in zip(first.ravel().tolist(), second.ravel().tolist(), strict=True) if a == b)
    shares = [both[each] / (one[each] + other[each] - both[each]) for each in one | other]
    return sum(shares) / len(shares)


def test_a_committee_agrees_with_each_other_member_in_turn() -> None:
    expected = [
        np.mean([agreement(mine, theirs) for other, theirs in enumerate(MAPS) if other != number])
        for number, mine in enumerate(MAPS)
    ]
    found = Committee().scores([evidence(maps=maps) for maps in MAPS])
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_committee_of_one_agrees_with_nobody() -> None:
    assert Committee().scores([evidence()]) == [0.0]


def test_a_herd_that_errs_together_is_believed() -> None:
    """A known failure of both that look at others alone."""
    herd = [evidence_of(COLLAPSED, seed) for seed in range(3)]
    for each in (Committee(), EnsV()):
        *erring, right = each.scores([*herd, evidence_of(GOOD)])
        assert min(erring) > right


def test_the_ensemble_s_class_is_that_of_the_mean_probability() -> None:
    logits = [random_logits(40, seed) for seed in range(3)]
    votes = []
    for place in range(40):
        mean = sum(special.softmax(each[place].astype(np.float64)) for each in logits) / 3
        votes.append(max(range(19), key=lambda number, mean=mean: mean[number]))  # type: ignore[misc]
    expected = [np.mean([int(each[place].argmax()) == votes[place] for place in range(40)]) for each in logits]
    assert EnsV().scores([evidence(target=sampled(each)) for each in logits]) == pytest.approx(expected, rel=1e-12)


def test_one_that_is_sure_outvotes_two_that_are_not() -> None:
    sure, hesitant = evidence(target=sampled(one_hot([1], 9))), evidence(target=sampled(one_hot([2], 0.5)))
    assert EnsV().scores([sure, hesitant, hesitant]) == [1.0, 0.0, 0.0]


def test_an_ensemble_of_one_agrees_with_itself() -> None:
    assert EnsV().scores([evidence_of(GOOD)]) == [1.0]


@pytest.mark.parametrize("scores", [[0.3, 0.1, 0.7], [1.0, 1.0, 0.0, 1.0], [2.0, 2.0], [-1.0, 5.0, 5.0, 7.0, -1.0]])
def test_ranks_are_those_of_scipy_from_0_to_1(scores: list[float]) -> None:
    assert ranked(scores) == pytest.approx((stats.rankdata(scores) - 1) / (len(scores) - 1), rel=1e-12)


def test_a_single_rank_is_in_the_middle() -> None:
    assert ranked([-3.0]).tolist() == [0.5]


PREDICTORS = (GOOD, UNSURE, MEDIOCRE, CONFIDENTLY_WRONG, COLLAPSED)


def with_source(predictor: Predictor, right: int) -> Evidence:
    """What a predictor leaves, but for the source, on which so many of 100 pixels of one class are right."""
    labels = np.zeros(100, np.uint8)
    predicted = np.where(np.arange(100) < right, 0, 255).astype(np.uint8)
    return replace(evidence_of(predictor), source_confusion=confusion(predicted, labels))


def test_gated_ranks_are_the_mean_of_three_ranks_less_1_behind_the_gate() -> None:
    candidates = [with_source(*each) for each in zip(PREDICTORS, [90, 46, 44, 20, 80], strict=True)]
    ranks = [
        (stats.rankdata([judge.score(each) for each in candidates]) - 1) / 4
        for judge in (InformationMaximisation(), NuclearNorm(), PriorDivergence())
    ]
    expected = [float(sum(of)) / 3 for of in zip(*ranks, strict=True)]
    assert len({*expected}) > 3
    found = GatedRanks().scores(candidates)
    assert found == pytest.approx([rank - behind for rank, behind in zip(expected, [0, 0, 1, 1, 0], strict=True)])
    assert GatedRanks(gate=0.0).scores(candidates) == pytest.approx(expected, rel=1e-12)


def test_whoever_is_behind_the_gate_ranks_below_all_that_are_not() -> None:
    candidates = [with_source(*each) for each in zip(PREDICTORS, [90, 20, 88, 30, 85], strict=True)]
    scores = GatedRanks().scores(candidates)
    assert max(scores[1], scores[3]) <= min(scores[0], scores[2], scores[4])


def test_the_best_on_the_source_is_never_behind_the_gate() -> None:
    candidates = [with_source(GOOD, 90), with_source(GOOD, 90), with_source(GOOD, 89)]
    assert GatedRanks(gate=1.0).scores(candidates) == [0.5, 0.5, -0.5]


def test_a_single_candidate_has_the_middle_rank() -> None:
    assert GatedRanks().scores([with_source(GOOD, 50)]) == [0.5]


@pytest.mark.parametrize("each", [Committee(), EnsV(), GatedRanks()], ids=lambda each: each.name)
def test_of_no_candidates_there_are_no_scores(each: Committee | EnsV | GatedRanks) -> None:
    assert each.scores([]) == []
