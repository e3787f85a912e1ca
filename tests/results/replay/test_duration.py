"""How long a study takes on so many slots: against bounds, by hand, and the same decisions on any of them."""

import random

import pytest

from platform.results.replay.duration import Work, duration
from platform.results.replay.replay import Curve, Repetition
from platform.study import ASHA

STEPS = (10, 20, 30, 40)


def search(curves: list[Curve], parallel: int, promote: bool = False, rungs: tuple[int, ...] = (20,)) -> Repetition:
    setting = ASHA(trials=len(curves), reduction=2, smoothing=1, parallel=parallel, promote=promote)
    return Repetition(curves, STEPS, rungs, setting)


def curve(*values: float, seconds: float = 1.0) -> Curve:
    return Curve(values, len(values) < len(STEPS), (seconds,) * len(values))


def test_one_slot_takes_what_all_takes_together() -> None:
    rows = {"FDA": Work(search([curve(*[0.5] * 4, seconds=2.0)] * 3, 3), (7.0, 9.0)), "fixed": Work(None, (1.0,))}
    assert duration(rows, 1) == 3 * 4 * 2 + 7 + 9 + 1


def test_what_may_be_trained_is_trained_at_once_and_no_slot_waits_for_another_row() -> None:
    """Two at a time of one row, by hand: the other row fills the third slot; then the confirm trials come."""

    def rows() -> dict[str, Work]:
        return {"FDA": Work(search([curve(*[0.5] * 4)] * 4, 2, rungs=()), (3.0, 3.0, 3.0)), "fixed": Work(None, (5.0,))}

    assert duration(rows(), 2) == 4 + 4 + 3 + 5, "the confirm trials of the first row come before the other row"
    assert duration(rows(), 3) == 4 + 4 + 3
    assert duration(rows(), 100) == 4 + 4 + 3


def test_a_row_that_comes_after_another_waits_for_its_confirm_trials() -> None:
    rows = {"after": Work(None, (2.0,), ("first",)), "first": Work(None, (3.0, 4.0))}
    assert duration(rows, 4) == 4 + 2


def test_a_trial_that_failed_takes_what_it_took() -> None:
    assert duration({"FDA": Work(search([curve(0.5), curve(*[0.4] * 4)], 1), ())}, 1) == 1 + 4


@pytest.mark.parametrize("seed", range(40))
def test_more_slots_change_how_long_it_takes_and_nothing_else(seed: int) -> None:
    draw = random.Random(seed)
    made = [
        [
            Curve(tuple(draw.random() for _ in STEPS), False, tuple(draw.uniform(0.5, 2) for _ in STEPS))
            for _ in range(draw.randint(1, 9))
        ]
        for _ in range(draw.randint(1, 4))
    ]
    parallel, promote = draw.randint(1, 5), draw.random() < 0.5
    confirm = tuple(draw.uniform(1, 5) for _ in range(3))
    taken, ends = {}, []
    for slots in (1, 2, 3, 8, 64):
        rows = {
            str(number): Work(search(curves, min(parallel, len(curves)), promote, (10, 20)), confirm)
            for number, curves in enumerate(made)
        }
        taken[slots] = duration(rows, slots)
        searches = [row.search for row in rows.values() if row.search is not None]
        assert all(each.clock.finished for each in searches)
        ends.append([each.clock.ends for each in searches])
    assert all(other == ends[0] for other in ends)
    assert all(taken[1] / slots - 1e-9 <= taken[slots] <= taken[1] + 1e-9 for slots in taken)
    assert taken[64] >= max(confirm) + max(sum(curves[0].seconds[:1]) for curves in made)


def test_what_is_tuned_as_another_row_waits_for_its_search_and_for_no_confirm_trial() -> None:
    rows = {
        "FDA too": Work(None, (5.0,), tuned_as="FDA"),
        "FDA": Work(search([curve(*[0.5] * 4)] * 2, 2, rungs=()), (3.0,)),
    }
    assert duration(rows, 2) == 4 + 5
