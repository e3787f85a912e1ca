"""Studies whose rows race, or follow a path, before they run: looks, plan and header."""

import math

import pytest

from platform.commands.terminal.plan import describe
from platform.design.ablation.contrasts import contrasts
from platform.design.ablation.designs import Design
from platform.design.header import header
from platform.design.plan import plan
from platform.methods import FDA, Adversarial
from platform.results.statistics.power import ASSUMED_DEVIATION, smallest_difference
from platform.study import AblationPath, Arm, FractionalFactorial, FullFactorial, LeaveOneOut, ablate
from tests.support.planned_study import ARMS, LEARNING_RATE, study


@pytest.mark.parametrize(
    ("seeds", "race_from", "looks"),
    [(12, 3, (3, 6, 12)), (10, 3, (3, 6, 10)), (7, 6, (6, 7)), (16, 2, (2, 4, 8, 16)), (5, None, (5,))],
)
def test_looks_come_at_twice_as_many_seeds_each(seeds: int, race_from: int | None, looks: tuple[int, ...]) -> None:
    made = study(seeds=seeds, race_from=race_from)
    assert made.looks == looks
    head = header(made, "study", "", {}, "", "")
    assert (head.looks, head.first_seeds, head.times_looked) == (looks, looks[0], len(looks))
    assert head.seeds_named == (str(seeds) if race_from is None else f"{race_from} to {seeds}")


def test_a_plan_of_a_race_says_what_it_takes_at_least_and_at_most() -> None:
    raced, whole, first = (
        plan(study(seeds=seeds, race_from=start)) for seeds, start in ((12, 3), (12, None), (3, None))
    )
    assert (raced.steps_at_most, raced.steps_at_least) == (whole.steps_at_most, first.steps_at_least)
    text = " ".join(describe(study(seeds=12, race_from=3), "study").split())
    assert "60 confirm (seeds 1 to 12; rows race from 3 on, and may have no more)" in text


def test_what_a_race_shows_costs_its_looks() -> None:
    """A difference of the same size takes more seeds where the level is shared among three looks."""

    def wished(race_from: int | None) -> int:
        text = " ".join(describe(study(seeds=12, race_from=race_from), "study").split())
        return int(text.split("0.05 takes ")[1].split(",")[0])

    assert wished(3) > wished(None)


def test_a_smoke_run_does_not_race() -> None:
    assert study(seeds=12, race_from=3).smoke().looks == (1,)


PARTS = {"flips": {"augmentation": "none"}, "adversary": Adversarial, "entropy": {"entropy_weight": 0.0}}


def test_a_plan_of_a_path_counts_the_rows_that_one_way_takes() -> None:
    arm = Arm(FDA, Adversarial, learning_rate=LEARNING_RATE)
    arms = {"source only": ARMS["source only"], **ablate(arm, PARTS, AblationPath(), name="ours", retuned=True)}
    made = study(arms=arms)
    planned = plan(made)
    assert len(made.rows) == 9
    assert len(planned.rows) == 8
    assert planned.trials == 8 * 17
    assert planned.warnings == (
        "the path of 'ours' trains 7 of its 8 rows, wherever their scores lead; the plan has those of one way, the "
        "parts put in in their order",
    )
    text = describe(made, "study")
    assert "of 7 compared" in " ".join(text.split())


def test_a_smoke_run_trains_every_row_of_a_path() -> None:
    rows = ablate(Arm(FDA, Adversarial), PARTS, AblationPath(), name="ours")
    small = study(arms={**ARMS, **rows}).smoke()
    assert {arm.cell.design for arm in small.arms.values() if arm.cell} == {"full factorial"}
    assert {row.row.name for row in plan(small).rows} == {*ARMS, *rows}


@pytest.mark.parametrize(
    ("design", "words", "variance"),
    [
        (LeaveOneOut(), "leave one out, 3 parts in 4 rows", 2.0),
        (FullFactorial(), "full factorial, 3 parts in 8 rows", 0.5),
        (FractionalFactorial(most=4), "fractional factorial, 3 parts in 4 rows, resolution III", 1.0),
        (AblationPath(), "path, 3 parts in 7 rows", 2.0),
    ],
)
def test_a_plan_says_the_design_and_the_smallest_effect_that_is_found(
    design: Design, words: str, variance: float
) -> None:
    """The variance of an effect is that of a row by the sum of its squared weights; two rows' difference has two."""
    rows = ablate(Arm(FDA, Adversarial), PARTS, design, name="ours")
    cells = {name: arm.cell for name, arm in rows.items() if arm.cell is not None}
    number = len(contrasts(cells)) or 3 + 2 + 1  # the parts that a path's steps try
    text = " ".join(describe(study(arms={**ARMS, **rows}), "study").split())
    least = smallest_difference(ASSUMED_DEVIATION * math.sqrt(variance / 2), 5, number)
    assert f"parts ours: {words}; an effect of {least:.3f} is found likewise, of {number}: 0.05 takes" in text


def test_a_path_must_have_all_its_rows() -> None:
    rows = ablate(Arm(FDA, Adversarial), PARTS, AblationPath(), name="ours")
    del rows["ours with flips alone"]
    with pytest.raises(ValueError, match="the ablation 'ours' must have all rows of its design, path"):
        study(arms={**ARMS, **rows})
