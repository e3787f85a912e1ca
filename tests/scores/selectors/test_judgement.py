"""Selectors at work: what counts as a score, what is said of what does not, and the room that they are computed in."""

import gc
import math
import re
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from platform.scores.evidence import Evidence, saved
from platform.scores.selectors import SHELF, Selector
from platform.scores.selectors.example import example
from platform.scores.selectors.judgement import Misjudged, judged, judged_by_each
from platform.scores.selectors.sealed import Leak, sealed
from tests.support.made_evidence import GOOD, MEDIOCRE, UNSURE, evidence_of

np.ma.count([])  # imports what np.unique would, see test_choice.py
CANDIDATES = [evidence_of(GOOD), evidence_of(UNSURE), evidence_of(MEDIOCRE)]


@dataclass(frozen=True)
class Own(Selector):
    """Gives what a test says for a checkpoint."""

    give: Callable[[Evidence], Any]

    def score(self, evidence: Evidence) -> Any:
        return self.give(evidence)


@dataclass(frozen=True)
class OfAll(Selector):
    """Gives what a test says for all checkpoints."""

    give: Callable[[Sequence[Evidence]], Any]

    def scores(self, candidates: Sequence[Evidence]) -> Any:
        return self.give(candidates)


def refused(selector: Selector) -> str:
    with pytest.raises(Misjudged) as caught:
        judged(selector, CANDIDATES)
    return str(caught.value)


def fails(evidence: Evidence) -> float:
    raise KeyError("who")


# Numbers


@pytest.mark.parametrize(
    ("score", "number"),
    [
        (1, 1.0),
        (0.5, 0.5),
        (-1e300, -1e300),
        (10**20, 1e20),
        (np.float64(0.5), 0.5),
        (np.float32(0.1), 0.1),
        (np.float16(0.1), 0.1),
        (np.int64(3), 3.0),
        (np.uint8(3), 3.0),
        (np.array(0.25), 0.25),
        (torch.tensor(0.25), 0.25),
        (torch.tensor(2), 2.0),
    ],
)
def test_a_number_is_a_score_whichever_librarys(score: object, number: float) -> None:
    scores = judged(Own(lambda _: score), CANDIDATES)
    assert scores == [number] * 3
    assert {type(each) for each in scores} == {float}


@pytest.mark.parametrize(
    "score",
    [
        *(math.nan, math.inf, -math.inf, np.float32("nan"), np.float64("inf"), torch.tensor(math.nan)),
        *(True, False, np.bool_(True), torch.tensor(True)),
        *(None, "0.5", np.str_("0.5"), 1j, b"1", [0.5], (0.5,), np.ones(1), torch.ones(1), Decimal("0.5"), object()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_refused_with_what_it_is(score: object) -> None:
    said = refused(Own(lambda _: score))
    assert re.match(r"Own must give a finite number for a checkpoint, got .+; mend it$", said)


def test_what_is_no_number_is_said_in_one_line() -> None:
    assert "\n" not in refused(Own(lambda evidence: evidence.maps))


def test_an_integer_beyond_all_floats_is_refused() -> None:
    assert "must give a finite number" in refused(Own(lambda _: 10**400))


@pytest.mark.parametrize("number", [0, 1, 2, 4])
def test_another_number_of_scores_than_of_checkpoints_is_refused(number: int) -> None:
    said = refused(OfAll(lambda _: [0.5] * number))
    assert said == f"OfAll.scores must give one number for each of 3 candidates, got {number}"


@pytest.mark.parametrize("scores", [(0.1, 0.2, 0.3), np.array([0.1, 0.2, 0.3]), iter([0.1, 0.2, 0.3])], ids=type)
def test_scores_of_all_may_be_any_series(scores: Any) -> None:
    assert judged(OfAll(lambda _: scores), CANDIDATES) == [0.1, 0.2, 0.3]


def test_scores_that_are_none_are_named_as_such() -> None:
    assert "judgement.py" not in refused(OfAll(lambda _: None))


def test_no_checkpoint_has_no_score() -> None:
    assert [judged(selector, []) for selector in SHELF if not selector.compares()] == [[]] * sum(
        not selector.compares() for selector in SHELF
    )


# What it raises


def test_an_exception_is_said_in_a_line_with_its_place() -> None:
    line = fails.__code__.co_firstlineno + 1
    assert refused(Own(fails)) == f"the selector Own raises KeyError: 'who' at test_judgement.py:{line}; mend it"


def test_an_exception_of_a_library_has_the_place_that_called_it() -> None:
    def multiplies(evidence: Evidence) -> Any:
        return evidence.target.logits @ evidence.target.logits

    said = refused(Own(multiplies))
    assert said.endswith(f" at test_judgement.py:{multiplies.__code__.co_firstlineno + 1}; mend it")
    assert "\n" not in said


@pytest.mark.parametrize("error", [SystemExit(3), SystemExit("enough"), RuntimeError("two\nlines"), AssertionError()])
def test_whatever_it_raises_is_said_in_a_line(error: BaseException) -> None:
    def raises(_: Evidence) -> float:
        raise error

    said = refused(Own(raises))
    assert said.startswith(f"the selector Own raises {type(error).__name__}")
    assert "\n" not in said


def test_one_that_says_neither_is_told_what_it_must_say() -> None:
    assert "Selector must have score(self, evidence), got neither it nor scores" in refused(Selector())


# What it sees


def test_it_sees_another_order_and_the_same_one_for_all_and_every_time() -> None:
    seen: list[list[bytes]] = []

    def notes(candidates: Sequence[Evidence]) -> list[float]:
        seen.append([saved(each) for each in candidates])
        return [0.0] * len(candidates)

    selector = OfAll(notes)
    judged(selector, CANDIDATES)
    judged(selector, CANDIDATES)
    assert seen[0] == seen[1]
    assert not set(seen[0]) & {saved(each) for each in CANDIDATES}


def test_what_it_changes_is_its_own_copy() -> None:
    def worsens(evidence: Evidence) -> float:
        evidence.maps[:] = 0
        evidence.target.logits[:] = 0
        return float(evidence.maps.sum())

    before = [saved(each) for each in CANDIDATES]
    assert judged(Own(worsens), CANDIDATES) == [0.0] * 3
    assert [saved(each) for each in CANDIDATES] == before


@pytest.mark.parametrize("selector", SHELF, ids=lambda each: each.name)
def test_scores_of_the_shelf_are_the_same_each_time_and_with_others_beside_them(selector: Selector) -> None:
    scores = judged(selector, CANDIDATES)
    assert judged(selector, CANDIDATES) == scores
    assert judged_by_each({each.name: each for each in SHELF}, CANDIDATES)[selector.name] == scores
    if not selector.compares():
        assert [judged(selector, [each])[0] for each in CANDIDATES] == scores


def test_a_warning_breaks_nothing_even_where_warnings_are_errors() -> None:
    def warns(evidence: Evidence) -> float:
        warnings.warn("a warning", stacklevel=1)
        return float(np.nan_to_num(np.log(np.zeros(1)) / 0)[0] < 0) + float(np.float16(6e4) * np.float16(6e4) > 0)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        assert judged(Own(warns), CANDIDATES) == [2.0] * 3
        assert warnings.filters == before
    with np.errstate(all="raise"):
        assert judged(Own(warns), CANDIDATES) == [2.0] * 3
        assert np.geterr()["divide"] == "raise"


# The room


def opens(_: object = None) -> float:
    with Path(__file__).open(encoding="utf-8") as file:
        return float(len(file.readline()))


def test_the_guard_is_off_again_afterwards() -> None:
    assert judged(Own(lambda _: 1.0), CANDIDATES) == [1.0] * 3
    assert opens() > 0
    assert gc.get_objects()


@pytest.mark.parametrize("selector", [Own(fails), Own(opens), OfAll(lambda _: sys.exit(1)), Own(lambda _: None)])
def test_the_guard_is_off_again_after_an_exception_too(selector: Selector) -> None:
    refused(selector)
    assert opens() > 0
    assert judged(Own(lambda _: 1.0), CANDIDATES) == [1.0] * 3


def test_what_it_reaches_for_is_named() -> None:
    assert refused(Own(opens)) == (
        "a selector must compute from its evidence alone, got Own, which reaches for something else "
        f"(open {__file__!r}); leave that out, and import what it needs where the file begins"
    )


def test_a_room_in_a_room_is_refused_and_leaves_the_outer_one_sealed() -> None:
    """A selector that judges by another, as it would from a study file, is given nothing by that."""

    def twice() -> float:
        try:
            sealed(lambda: 1.0)
        except Leak:
            return opens()
        return opens()

    with pytest.raises(Leak):
        sealed(twice)


def test_other_threads_are_not_hindered() -> None:
    inside, done = threading.Event(), threading.Event()

    def waits(_: Evidence) -> float:
        inside.set()
        return float(done.wait(60))

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(judged, Own(waits), CANDIDATES[:1])
        assert inside.wait(60)
        assert opens() > 0
        assert gc.get_objects()
        other = threading.Thread(target=opens)
        other.start()
        other.join()
        assert judged(Own(lambda _: 2.0), CANDIDATES[:1]) == [2.0], "another selector meanwhile"
        with pytest.raises(Misjudged, match="reaches for something else"):
            judged(Own(opens), CANDIDATES[:1])
        done.set()
        assert future.result() == [1.0]


def test_no_frame_of_ours_that_holds_evidence_as_it_is_can_be_reached() -> None:
    reached: list[tuple[str, list[object]]] = []

    def walks(_: Evidence) -> float:
        try:
            raise KeyError
        except KeyError as error:
            frame: Any = getattr(error.__traceback__, "tb_frame", None)
        while frame is not None:
            reached.append((frame.f_code.co_name, list(frame.f_locals.values())))
            frame = frame.f_back
        return 1.0

    candidates = [example(0), example(1)]
    judged(Own(walks), candidates)
    assert {"walks", "score"} <= {name for name, _ in reached}
    assert not {"judged", "_judged", "test_no_frame_of_ours_that_holds_evidence_as_it_is_can_be_reached"} & {
        name for name, _ in reached
    }
    held = [value for _, values in reached for value in values]
    held += [each for value in held if isinstance(value, list) for each in value]
    assert not [value for value in held if any(value is each for each in candidates)]


@pytest.mark.parametrize("pool", [True, False], ids=["a pool", "a thread"])
def test_a_thread_of_its_own_is_no_way_out(pool: bool) -> None:
    def reads(_: Evidence) -> float:
        if pool:
            return ThreadPoolExecutor(1).submit(opens).result()
        threading.Thread(target=opens).start()
        return 1.0

    assert "reaches for something else" in refused(Own(reads))


def test_a_score_that_is_computed_later_is_no_way_out() -> None:
    class Later:
        ndim, dtype = 0, np.dtype(float)

        def item(self) -> float:
            return opens()

    assert "reaches for something else" in refused(Own(lambda _: Later()))


# What is not refused


def descends(evidence: Evidence) -> float:
    weights = torch.zeros(19, requires_grad=True)
    optimiser = torch.optim.SGD([weights], lr=0.1)
    loss = (torch.from_numpy(evidence.target.probabilities) @ weights - 1).square().mean()
    (weights.grad,) = torch.autograd.grad(loss, [weights])
    optimiser.step()
    return float(-weights.detach().sum())


def test_an_optimiser_may_be_used() -> None:
    import torch._dynamo  # noqa: F401 - as the refusal would have it

    assert judged(Own(descends), CANDIDATES)
