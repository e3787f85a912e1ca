"""All files of a study are written whole, and pictured with what its trials left behind."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from platform.records.record import StudyHeader
from platform.records.store import PREDICTIONS, Store
from platform.results import report
from platform.results import table as tables
from platform.results.report.predictions import predictions
from platform.results.responses.fields import SearchedField, searched_fields
from platform.results.runs import ArmRuns
from platform.study import LeaveOneOut
from tests.support.ablated import ablated
from tests.support.invented_study import arm, made, study
from tests.support.pictures import picture
from tests.support.seen_alike import by_arm, runs_by_arm, tabulate


def test_write_gives_every_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    header, asks, records, rows = made()
    store = Store(tmp_path)
    for each in asks:
        if each.trial.confirms:
            picture(store.trial_folder(each.trial.id), 13)
    folder = store.study_folder(header.name)
    paths = report.write(rows, asks, by_arm(asks, records), folder, lambda trial: store.fetched(trial, PREDICTIONS))
    assert [path.name for path in paths] == [
        "table.md",
        "table.csv",
        "table.tex",
        "records.parquet",
        "curves.png",
        "responses.png",
        "comparison.png",
    ]
    assert sorted(paths) == sorted(folder.iterdir())
    for path in paths[-3:]:
        Image.open(path).verify()


def test_writing_again_replaces_every_file(tmp_path: Path) -> None:
    _, asks, records, rows = made()
    first = report.write(rows, asks, by_arm(asks, records), tmp_path / "study", tmp_path.joinpath)
    before = [path.read_bytes() for path in first]
    _, others, theirs, table = made(qualities=(0.3, 0.7))
    second = report.write(table, others, by_arm(others, theirs), tmp_path / "study", tmp_path.joinpath)
    assert first == second
    assert all(old != path.read_bytes() for old, path in zip(before, second, strict=True))


def test_a_study_without_records_is_written(tmp_path: Path) -> None:
    header = study(arm("source only"), arm("FDA"))
    paths = report.write(tabulate(header, [], {}), [], {}, tmp_path, tmp_path.joinpath)
    names = ["table.md", "table.csv", "table.tex", "records.parquet", "curves.png", "responses.png"]
    assert [path.name for path in paths] == names


def test_of_a_study_that_searches_nothing_any_more_the_old_responses_go(tmp_path: Path) -> None:
    for searched, left in (({"learning_rate": "Uniform(0.1, 0.2)"}, True), ({}, False)):
        header = study(arm("source only", searched=searched))
        report.write(tabulate(header, [], {}), [], {}, tmp_path, tmp_path.joinpath)
        assert (tmp_path / "responses.png").exists() is left


def test_what_searches_say_is_computed_once_for_a_report_and_not_for_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def noted(header: StudyHeader, runs: Mapping[str, ArmRuns]) -> tuple[SearchedField, ...]:
        asked.append(header.name)
        return searched_fields(header, runs)

    monkeypatch.setattr(tables, "searched_fields", noted)
    header, asks, records, table = made()
    report.terminal.render(table)
    assert asked == []
    report.write(table, asks, by_arm(asks, records), tmp_path, tmp_path.joinpath)
    assert asked == [header.name]


def test_the_comparison_shows_the_lowest_seed_and_skips_what_it_cannot_read(tmp_path: Path) -> None:
    header, asks, records, _ = made("source only", "FDA", "torn", "absent", "other images")
    confirm = {(each.arm, each.trial.seed): each.trial.id for each in asks if each.trial.confirms}
    picture(tmp_path / confirm["source only", 2], 1)
    picture(tmp_path / confirm["source only", 3], 2)
    picture(tmp_path / confirm["FDA", 1], 13)
    picture(tmp_path / confirm["other images", 1], 13, np.zeros((2, 16, 32, 3), np.uint8))
    (tmp_path / confirm["torn", 1]).mkdir()
    (tmp_path / confirm["torn", 1] / PREDICTIONS).write_bytes(b"PK\x03\x04 torn")
    found = predictions(runs_by_arm(header, asks, records), lambda trial: tmp_path / trial / PREDICTIONS)
    assert {name: int(arrays["prediction"][0, 0, 0]) for name, arrays in found.items()} == {"source only": 1, "FDA": 13}


def test_a_pickle_in_place_of_a_picture_is_not_opened(tmp_path: Path) -> None:
    header, asks, records, _ = made(seeds=1)
    (trial_id,) = [each.trial.id for each in asks if (each.arm, each.phase) == ("FDA", "confirm")]
    (tmp_path / trial_id).mkdir()
    touched = tmp_path / "touched"
    harmful = np.empty(1, object)
    harmful[0] = Touches(touched)
    np.savez(tmp_path / trial_id / PREDICTIONS, images=harmful, truth=harmful, prediction=harmful)
    assert predictions(runs_by_arm(header, asks, records), lambda trial: tmp_path / trial / PREDICTIONS) == {}
    assert not touched.exists()


class Touches:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_effects_are_written_where_there_is_an_ablation_and_go_where_there_is_none(tmp_path: Path) -> None:
    _, asks, records, table = ablated(LeaveOneOut())
    paths = report.write(table, asks, by_arm(asks, records), tmp_path / "study", tmp_path.joinpath)
    names = {path.name for path in paths}
    assert {"effects.csv", "effects.png"} <= names
    Image.open(tmp_path / "study" / "effects.png").verify()
    _, others, theirs, without = made()
    report.write(without, others, by_arm(others, theirs), tmp_path / "study", tmp_path.joinpath)
    assert {path.name for path in (tmp_path / "study").iterdir()} == {*names, "responses.png"} - {
        "effects.csv",
        "effects.png",
    }
