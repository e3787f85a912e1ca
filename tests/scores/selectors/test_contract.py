"""What every selector promises. A new one joins by its place on the SHELF, and by one line in KNOWN."""

import ast
import dataclasses
import functools
import inspect
import math
import re
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest

import platform.scores.selectors
from platform.records.provenance import ROOT
from platform.scores.evidence import Evidence, saved, shuffled
from platform.scores.selectors import SHELF
from platform.scores.selectors.selector import Selector
from platform.shifts.labels import CAMVID_11, NUM_CLASSES, VOID
from tests.support.made_evidence import (
    COLLAPSED,
    CONFIDENTLY_WRONG,
    GOOD,
    MEDIOCRE,
    UNSURE,
    Predictor,
    evidence,
    evidence_of,
    mixture,
    one_hot,
    pairs,
    random_logits,
    sampled,
)


class Known(NamedTuple):
    """What is known of a selector before any network is trained."""

    ranks: str
    """Whether it prefers (>) the good predictor to the collapsed one, the good one to the one that is wrong and sure,
    the unsure one to the one that is wrong and sure; or the other way (<), a known failure; ? where nobody can say."""
    shuffled: float = 1e-9
    """By how much its score may change with the order of samples: more than rounding where it draws among them."""


KNOWN = {
    "source/miou": Known("><<"),
    "source/accuracy": Known("><<"),
    "target/entropy": Known("<<<"),
    "target/max_square": Known("<<<"),
    "target/mde": Known("<<<"),
    "target/information": Known("><<"),
    "target/nuclear_norm": Known("><<"),
    "target/prior_divergence": Known(">>>"),
    "target/norm_and_prior": Known(">>>"),
    "target/snd": Known("<??", shuffled=0.15),
    "both/v_measure": Known(">>?", shuffled=0.2),
    "both/ami": Known(">>?", shuffled=0.2),
    "target/transfer_score": Known(">?<", shuffled=0.05),
    "both/dev": Known(">??"),
    "target/view_consistency": Known("<<<"),
    "target/cte": Known("<<<"),
    "target/mixval": Known("><<"),
    "population/committee": Known(">>>"),
    "population/ensv": Known(">>?"),
    "population/gated_ranks": Known(">?<"),
}
PAIRS = ((GOOD, COLLAPSED), (GOOD, CONFIDENTLY_WRONG), (UNSURE, CONFIDENTLY_WRONG))


@functools.cache
def made(predictor: Predictor, seed: int = 0) -> Evidence:
    """A predictor's evidence, in arrays that nobody can write to."""
    return sealed(evidence_of(predictor, seed))


def sealed(values: Evidence) -> Evidence:
    for part in (values, values.source, values.target, values.flipped, values.zoomed, values.disturbed, values.mixed):
        for field in dataclasses.fields(part):
            array = getattr(part, field.name)
            if isinstance(array, np.ndarray):
                array.setflags(write=False)
    return values


CANDIDATES = (GOOD, UNSURE, COLLAPSED)


@pytest.fixture
def candidates() -> list[Evidence]:
    return [made(predictor) for predictor in CANDIDATES]


@pytest.fixture(params=SHELF, ids=lambda each: each.name)
def selector(request: pytest.FixtureRequest) -> Selector:
    """Every selector in turn."""
    each: Selector = request.param
    return each


def test_no_name_stands_for_two_selectors() -> None:
    assert len({each.name for each in SHELF}) == len(SHELF)


def test_the_table_knows_every_selector_and_no_other() -> None:
    assert KNOWN.keys() == {each.name for each in SHELF}


def test_every_selector_that_is_written_is_on_the_shelf() -> None:
    folder = ROOT / "platform" / "scores" / "selectors"
    written = {
        node.name
        for file in folder.rglob("*.py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Selector" for base in node.bases)
    }
    assert written == {type(each).__name__ for each in SHELF}


def test_the_package_hands_out_every_selector() -> None:
    assert all(getattr(platform.scores.selectors, type(each).__name__) is type(each) for each in SHELF)


# Names and words


def test_a_selector_is_known_by_its_domain_and_its_measure(selector: Selector) -> None:
    domain, measure = selector.name.split("/")
    assert domain in {"source", "target", "both", "population"}
    assert re.fullmatch(r"[a-z_]+", measure)


def test_without_target_labels_nothing_is_called_an_oracle(selector: Selector) -> None:
    assert not selector.name.startswith("oracle/")


def test_a_selector_that_compares_says_so_by_its_domain(selector: Selector) -> None:
    assert selector.compares() == selector.name.startswith("population/")


def test_a_selector_is_a_frozen_dataclass_of_settings_with_defaults(selector: Selector) -> None:
    kind = type(selector)
    assert kind() == selector
    assert hash(kind()) == hash(selector)
    assert "name" not in {field.name for field in dataclasses.fields(selector)}
    with pytest.raises(dataclasses.FrozenInstanceError):
        selector.name = "target/other"  # type: ignore[misc]
    for field in dataclasses.fields(selector):
        assert field.kw_only
        assert selector != dataclasses.replace(selector, **{field.name: 2 * getattr(selector, field.name)})


def words_of(selector: Selector) -> str:
    """What a selector says of itself, on one line."""
    return " ".join((inspect.getdoc(type(selector)) or "").split())


def test_a_selector_says_its_equation_its_source_its_cost_and_when_it_fails(selector: Selector) -> None:
    words = words_of(selector)
    equation = words.partition(". ")[0]
    assert re.search(r"[=/^|]| - |\blog\b|\bmean\b|\bshare\b|\brank\b|\bmIoU\b|\baccuracy\b", equation, re.IGNORECASE)
    assert re.search(r"\bOurs\b|\b(19|20)\d\d\b|arXiv:", words), "a source, or 'Ours'"
    assert "Cost: " in words
    assert "Known failure: " in words


# Scores


def test_scores_are_finite_numbers_of_python_one_for_each_candidate(
    selector: Selector, candidates: list[Evidence]
) -> None:
    scores = selector.scores(candidates)
    assert isinstance(scores, list)
    assert len(scores) == len(candidates)
    assert [type(score) for score in scores] == [float] * len(scores)
    assert all(map(math.isfinite, scores))


def test_a_candidate_is_judged_by_itself_unless_the_selector_compares(
    selector: Selector, candidates: list[Evidence]
) -> None:
    if selector.compares():
        with pytest.raises(NotImplementedError, match="must have score"):
            selector.score(candidates[0])
    else:
        assert selector.scores(candidates) == [selector.score(each) for each in candidates]


def test_a_single_candidate_has_a_score(selector: Selector) -> None:
    (score,) = selector.scores([made(GOOD)])
    assert type(score) is float
    assert math.isfinite(score)


def test_the_same_evidence_has_the_same_score(selector: Selector, candidates: list[Evidence]) -> None:
    scores = selector.scores(candidates)
    assert selector.scores(candidates) == scores
    assert selector.scores([evidence_of(predictor) for predictor in CANDIDATES]) == scores


def test_global_randomness_plays_no_part_and_is_left_alone(selector: Selector, candidates: list[Evidence]) -> None:
    scores = selector.scores([evidence_of(predictor) for predictor in CANDIDATES])
    np.random.seed(5)
    assert selector.scores([evidence_of(predictor) for predictor in CANDIDATES]) == scores
    drawn = np.random.random()
    np.random.seed(5)
    assert np.random.random() == drawn


def test_the_order_of_candidates_does_not_matter(selector: Selector, candidates: list[Evidence]) -> None:
    scores = selector.scores(candidates)
    assert selector.scores(candidates[::-1])[::-1] == pytest.approx(scores, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_samples_does_not_matter(selector: Selector, candidates: list[Evidence], seed: int) -> None:
    expected = pytest.approx(selector.scores(candidates), rel=0, abs=KNOWN[selector.name].shuffled)
    assert selector.scores(shuffled(candidates, seed)) == expected


def test_evidence_is_read_and_not_changed(selector: Selector) -> None:
    """The arrays cannot be written to, so that whoever tries fails here."""
    read = [sealed(evidence_of(predictor)) for predictor in CANDIDATES]
    before = [saved(each) for each in read]
    selector.scores(read)
    assert [saved(each) for each in read] == before


# What is known of the ranks that it gives


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("pair", range(len(PAIRS)), ids=["collapsed", "confidently wrong", "unsure"])
def test_a_selector_ranks_made_predictors_as_it_is_known_to(selector: Selector, pair: int, seed: int) -> None:
    """Known failures are asserted too: a selector without them, or a predictor that does not show them, is another."""
    better, worse = PAIRS[pair]
    first, _, last = selector.scores([made(better, seed), made(MEDIOCRE, seed), made(worse, seed)])
    expected = KNOWN[selector.name].ranks[pair]
    if expected != "?":
        assert (first > last) == (expected == ">")
        assert first != last


def test_a_selector_that_takes_a_collapse_for_the_better_says_so(selector: Selector) -> None:
    failure = words_of(selector).partition("Known failure: ")[2]
    if KNOWN[selector.name].ranks.startswith("<"):
        assert re.search(r"constant|one class|sure|entropy|size of logits", failure)


# Evidence at the edge of what there may be


def extreme(logits: np.ndarray, features: np.ndarray, labels: Sequence[int] | np.ndarray) -> Evidence:
    """Evidence in which both domains look like this, and views, mixtures and maps repeat it."""
    classes = logits.argmax(axis=1)
    return evidence(
        source=sampled(logits, features),
        target=sampled(logits, features),
        source_labels=labels,
        source_confusion=np.eye(20, dtype=np.int64),
        flipped=pairs(classes, classes),
        zoomed=pairs(classes, classes),
        disturbed=pairs(classes, classes),
        mixed=mixture(classes, classes, classes),
        maps=classes[:60].reshape(3, 4, 5).astype(np.uint8),
        groups=CAMVID_11,
    )


RANDOM = np.random.default_rng(0)
NUMBER = 90
NOISE = RANDOM.normal(0, 1, (NUMBER, 8))
LABELS = RANDOM.integers(0, NUM_CLASSES, NUMBER)
HUGE = np.where(RANDOM.random((NUMBER, NUM_CLASSES)) < 0.5, 6e4, -6e4).astype(np.float16)
EXTREMES = {
    "one class, surely": extreme(one_hot([0] * NUMBER, 6e4), np.ones((NUMBER, 8)), LABELS),
    "one class, hardly": extreme(one_hot([3] * NUMBER, 0.01), NOISE, LABELS),
    "no class": extreme(np.zeros((NUMBER, NUM_CLASSES), np.float16), np.zeros((NUMBER, 8)), LABELS),
    "infinite logits": extreme(HUGE, NOISE, LABELS),
    "all logits infinite": extreme(np.full((NUMBER, NUM_CLASSES), 6e4, np.float16), NOISE, LABELS),
    "infinite features": extreme(random_logits(NUMBER, 1), np.where(NOISE > 0, 6e4, -6e4), LABELS),
    "features of one point": extreme(random_logits(NUMBER, 2), np.full((NUMBER, 8), 0.1), LABELS),
    "features of two points": extreme(random_logits(NUMBER, 3), np.sign(NOISE[:, :1]), LABELS),
    "features that vanish": extreme(random_logits(NUMBER, 3), np.full((NUMBER, 1), 6e-8), LABELS),
    "samples of one class": extreme(random_logits(NUMBER, 4), NOISE, [5] * NUMBER),
    "samples of no class": extreme(random_logits(NUMBER, 5), NOISE, [VOID] * NUMBER),
    "a single labelled sample": extreme(random_logits(NUMBER, 6), NOISE, [*[VOID] * (NUMBER - 1), 7]),
    "domains apart": evidence(
        source=sampled(random_logits(NUMBER, 7), NOISE - 50), target=sampled(random_logits(NUMBER, 8), NOISE + 50)
    ),
    "nothing alike": evidence(
        flipped=pairs([0] * 9, [1] * 9),
        zoomed=pairs([0] * 9, [1] * 9),
        disturbed=pairs([0] * 9, [1] * 9),
        mixed=mixture([0] * 9, [1] * 9, [2] * 9),
    ),
    "nothing seen again": evidence(
        flipped=pairs([], []), zoomed=pairs([], []), disturbed=pairs([], []), mixed=mixture([], [], [])
    ),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_extreme_evidence_has_a_finite_score_without_a_warning(selector: Selector, name: str) -> None:
    each = EXTREMES[name]
    with warnings.catch_warnings(), np.errstate(divide="raise", over="raise", invalid="raise"):
        warnings.simplefilter("error")
        scores = selector.scores([each]), selector.scores([each, each]), selector.scores([each, shuffled([each], 1)[0]])
    assert all(math.isfinite(score) for found in scores for score in found)
    assert scores[1][0] == scores[1][1]
