"""How long a study will take: by hand where nothing is searched, within bounds where trials are stopped."""

from dataclasses import replace

import pytest

from platform.design.plan import CPU_TERAFLOPS, plan
from platform.methods import FDA, AdaBN, SourceOnly
from platform.networks import BiSeNet18
from platform.records.record import CPU
from platform.results.earlier.pace import Machine, Measured
from platform.results.replay.forecast import HANDOVER_SECONDS, RUN_SECONDS, TEST_STEPS, forecast
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study

RATE = LogUniform(1e-3, 1e-1)
STUDY = Study(
    shift=town(size=(64, 64)),
    arms={"source only": Arm(SourceOnly), "FDA": Arm(FDA)},
    reference="source only",
    budget=Budget(steps=40, evaluations=4),
    seeds=2,
    recipe=Recipe(network=BiSeNet18(width=0.125)),
)
SEARCHED = replace(
    STUDY,
    arms={"source only": Arm(SourceOnly, learning_rate=RATE), "FDA": Arm(FDA, learning_rate=RATE)},
    select="source/miou",
    search=ASHA(trials=8, grace=0.25, smoothing=1),
)
PLANNED, SEARCHED_PLAN = plan(STUDY), plan(SEARCHED)


def taken(method: str, step: float = 0.5) -> list[Measured]:
    """What a search and a confirm trial of a method took, at this study's size."""
    work = next(row.work for row in PLANNED.rows if row.method == method)
    return [
        Measured(Machine(CPU), method, "town", work, 64 * 64, confirms, step, 2.0 + confirms, 1.0)
        for confirms in (False, True)
    ]


EVERY = taken("SourceOnly") + taken("FDA", 1.5)


def test_without_a_search_it_is_the_sum_of_the_trials() -> None:
    one = [40 * step + 4 * 3.0 + 1.0 + HANDOVER_SECONDS for step in (0.5, 1.5)]
    assert forecast(STUDY, PLANNED, EVERY, 1, False).seconds == pytest.approx(RUN_SECONDS + 2 * sum(one))
    assert forecast(STUDY, PLANNED, EVERY, 4, False).seconds == pytest.approx(RUN_SECONDS + max(one))
    assert forecast(STUDY, PLANNED, EVERY, 4, False).measured


def test_a_row_that_was_never_trained_has_the_pace_of_others_by_its_operations() -> None:
    found = forecast(STUDY, PLANNED, taken("SourceOnly"), 1, False)
    works = [row.work for row in PLANNED.rows]
    steps = 0.5 + 0.5 * works[1] / works[0]
    assert found.seconds == pytest.approx(RUN_SECONDS + 2 * (40 * steps + 2 * (4 * 3.0 + 1.0 + HANDOVER_SECONDS)))
    assert found.measured


def test_where_nothing_was_measured_operations_are_reckoned_with() -> None:
    found = forecast(STUDY, PLANNED, [], 1, False)
    steps = sum(row.work / (1000 * CPU_TERAFLOPS) for row in PLANNED.rows)
    trials = (40 + 4 * TEST_STEPS) * steps
    assert found.seconds == pytest.approx(RUN_SECONDS + 2 * trials + 4 * HANDOVER_SECONDS)
    assert not found.measured
    assert forecast(STUDY, PLANNED, [], 1, True).seconds == pytest.approx(found.seconds), "none has a share of a GPU"
    shared = replace(STUDY, budget=replace(STUDY.budget, gpus=0.5))
    on_gpu, without = (forecast(shared, plan(shared), [], 1, gpus).seconds for gpus in (True, False))
    assert on_gpu - RUN_SECONDS < without - RUN_SECONDS, "as a GPU is faster"
    assert without == pytest.approx(found.seconds)


def test_early_stopping_is_counted_and_slots_shorten_it_as_far_as_the_search_fills_them() -> None:
    by_slots = [forecast(SEARCHED, SEARCHED_PLAN, EVERY, slots, False).seconds for slots in (1, 2, 8, 100)]
    assert by_slots == sorted(by_slots, reverse=True)
    confirm = by_slots[0] - forecast(STUDY, PLANNED, EVERY, 1, False).seconds
    whole = sum(8 * (40 * step + 4 * 2.0 + 1.0) for step in (0.5, 1.5))
    rung = sum(8 * (10 * step + 2.0 + 1.0) for step in (0.5, 1.5))
    assert rung < confirm < 0.8 * whole
    assert forecast(SEARCHED, SEARCHED_PLAN, EVERY, 8, False).seconds > RUN_SECONDS + 2 * 40 * 1.5


def test_rows_that_come_after_others_wait_for_them() -> None:
    arms = {"source only": Arm(SourceOnly), "AdaBN": Arm(AdaBN).after("source only")}
    study = replace(STUDY, arms=arms)
    found = forecast(study, plan(study), taken("SourceOnly"), 8, False)
    assert found.seconds > RUN_SECONDS + 40 * 0.5 + 4 * 3.0 + 1.0
