"""The spread between seeds is that of the records of the study most like the one that is planned."""

import dataclasses
from pathlib import Path

import pytest

from platform.records.store import Store
from platform.results.earlier.spread import spread_on_record
from tests.support.kept_study import kept


def test_it_is_that_of_the_studys_own_records(tmp_path: Path) -> None:
    store = Store(tmp_path)
    deviation = kept(store, "mine", steps=400)
    kept(store, "other", steps=300)
    found = spread_on_record(store, "mine", "town", (64, 128), 300)
    assert found is not None
    assert found.deviation == pytest.approx(deviation)
    assert (found.study, found.rows) == ("mine", 2)


def test_else_that_of_the_study_with_the_nearest_steps_on_the_same_shift(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name, steps, size in (("long", 4000, [64, 128]), ("near", 500, [64, 128]), ("large", 300, [128, 256])):
        shift = {"name": "town", "size": size, "groups": [[label] for label in range(19)], "seed": 0}
        kept(store, name, steps=steps, shift=shift)
    found = spread_on_record(store, "new", "town", (64, 128), 300)
    assert found is not None
    assert found.study == "near"
    assert spread_on_record(store, "new", "photographs", (64, 128), 300) is None


def test_a_study_that_has_just_begun_gives_way_to_one_that_has_enough_seeds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept(store, "mine", seeds=2)
    kept(store, "other", seeds=6, steps=4000)
    found = spread_on_record(store, "mine", "town", (64, 128), 400)
    assert found is not None
    assert (found.study, found.rows, found.freedom) == ("other", 2, 10)
    kept(store, "mine", seeds=6)
    assert spread_on_record(store, "mine", "town", (64, 128), 400) == dataclasses.replace(found, study="mine")


def test_a_single_seed_and_damaged_records_say_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept(store, "single", seeds=1)
    assert spread_on_record(store, "new", "town", (64, 128), 400) is None
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "journal.jsonl").write_text("{", encoding="utf-8")
    assert spread_on_record(store, "new", "town", (64, 128), 400) is None
    assert spread_on_record(Store(tmp_path / "none"), "new", "town", (64, 128), 400) is None
