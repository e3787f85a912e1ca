"""A plan says what its seeds can show, by the records that there are."""

from pathlib import Path

from platform.commands.terminal.plan import describe
from platform.methods import FDA, SourceOnly
from platform.records.store import Store
from platform.results.statistics.power import seeds_for, smallest_difference
from platform.shifts import town
from platform.study import Arm, Budget, Study
from tests.support.kept_study import kept

ARMS = {"source only": Arm(SourceOnly), "FDA": Arm(FDA), "FDA 0.05": Arm(FDA, beta=0.05)}


def planned(seeds: int = 5, arms: dict[str, Arm] = ARMS) -> Study:
    budget = Budget(steps=400, evaluations=4)
    return Study(shift=town(), arms=arms, reference="source only", budget=budget, seeds=seeds)


def said(study: Study, store: Store | None = None) -> str:
    return " ".join(describe(study, "new", store=store).split())


def test_without_records_the_spread_is_two_points() -> None:
    text = said(planned())
    assert f"a true difference in mIoU of {smallest_difference(0.02, 5, 2):.3f} to the reference has a p of" in text
    assert "deviation between seeds of 0.02, taken for granted; 0.05 takes 5, 0.02 takes 13" in text


def test_records_of_a_study_on_the_same_shift_have_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    deviation = kept(store, "older")
    text = said(planned(seeds=3), store)
    assert f"mIoU of {smallest_difference(deviation, 3, 2):.3f} to the reference" in text
    assert (
        f"between seeds of {deviation:.3f}, that of 2 rows of older; 0.05 takes {seeds_for(0.05, deviation, 2)},"
        in text
    )


def test_one_seed_or_one_row_shows_nothing() -> None:
    assert "shows no difference: one seed tells nothing from chance" in said(planned(seeds=1))
    assert "shows one row, which is compared with nothing" in said(planned(arms={"source only": Arm(SourceOnly)}))
