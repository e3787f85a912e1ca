"""The Parquet file holds all that the records hold."""

import io
import math

import numpy as np
import pandas as pd
import pytest

from platform.results.report.parquet import LEADING, render
from tests.support.invented_study import arm, ask, failed, made, mishaps, study
from tests.support.seen_alike import by_arm


def read(content: bytes) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(content))


def test_parquet_has_a_line_per_report_with_all_that_a_trial_is() -> None:
    _, asks, records, _ = made()
    frame = read(render(asks, by_arm(asks, records)))
    assert len(frame) == sum(len(record.reports) for record in records.values())
    last = frame[(frame.arm == "FDA") & (frame.phase == "confirm") & (frame.seed == 3)].iloc[-1]
    run = records[asks[-1].trial.id]
    assert last.trial == asks[-1].trial.id
    assert (last.step, last.state, last.number) == (400, "complete", 2)
    assert last["source/miou"] == run.reports[-1].metrics["source/miou"]
    assert last["hyperparameter/beta"] == 0.0117
    assert last["recipe/learning_rate"] == 0.02
    assert last["resolved/beta/band"] == 6
    assert last["cost/parameters"] == 12_581_672
    assert np.array_equal(last["confusion/target/test"].reshape(20, 20), run.reports[-1].confusions["target/test"])
    assert frame["confusion/target/test"].notna().sum() == 6


def test_parquet_gives_the_table_again() -> None:
    _, asks, records, rows = made()
    frame = read(render(asks, by_arm(asks, records)))
    scored = frame.dropna(subset="confusion/target/test")
    for row in rows.rows:
        counts = scored[scored.arm == row.arm]["confusion/target/test"].tolist()
        matrices = np.stack(counts).reshape(-1, 20, 20)[:, :19]
        right = np.diagonal(matrices, axis1=1, axis2=2)
        union = matrices.sum(2) + matrices.sum(1)[:, :19] - right
        assert (right / union).mean() == pytest.approx(row.scores.miou)


def test_parquet_of_nothing_has_its_columns() -> None:
    frame = read(render([], {}))
    assert list(frame.columns) == list(LEADING)
    assert len(frame) == 0


def test_parquet_keeps_trials_that_never_reported() -> None:
    _, asks, records, _ = made()
    records[asks[0].trial.id] = failed(asks[0], "data", "images/0007.png ends early", reports=0)
    del records[asks[1].trial.id]
    frame = read(render(asks, by_arm(asks, records))).set_index("trial")
    first, second = (frame.loc[[each.trial.id]].iloc[0].to_dict() for each in asks[:2])
    assert [first[name] for name in ("state", "cause", "reason")] == ["failed", "data", "images/0007.png ends early"]
    assert math.isnan(first["step"])
    assert pd.isna(second["state"])


def test_parquet_lists_a_repeated_ask_once() -> None:
    _, asks, records, _ = made()
    assert render(asks + asks, by_arm(asks, records)) == render(asks, by_arm(asks, records))


def test_fields_of_one_name_and_two_types_become_text() -> None:
    header = study(arm("a", searched={}), arm("b", searched={}), seeds=1)
    asks = [
        ask(header, "a", "confirm", 0, hyperparameters={"window": 3}),
        ask(header, "b", "confirm", 0, hyperparameters={"window": "hann"}),
    ]
    assert read(render(asks, {}))["hyperparameter/window"].tolist() == ["3", '"hann"']


def test_parquet_tells_causes_and_halves() -> None:
    _, asks, records, _ = mishaps()
    frame = read(render(asks, by_arm(asks, records)))
    last = frame.groupby("trial").last()
    for trial_id, run in records.items():
        cause = last.loc[[trial_id], "cause"].tolist()[0]
        assert run.end is not None
        assert run.end.cause == (None if pd.isna(cause) else cause)
    halved = {trial_id for trial_id, run in records.items() if any(report.parts == 2 for report in run.reports)}
    assert set(frame[frame.parts == 2].trial) == halved != set()
    assert (frame[frame.step.notna() & ~frame.trial.isin(halved)].parts == 1).all()
