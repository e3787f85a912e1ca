"""The rows of a recorded study: how far its curves go, which trials failed, and what they took."""

from dataclasses import replace
from pathlib import Path

import pytest

from platform.records.record import End, Phase, Report
from platform.records.store import Store
from platform.records.trial import evaluated_steps
from platform.results.replay.curves import RecordedRow, recorded_row
from platform.results.replay.replay import Curve, replay
from tests.support import invented_study as invented
from tests.support.simulated_study import STUDY, Simulation

STEPS = invented.EVALUATED_STEPS


def row(folder: Path, end: End | None, values: list[float], classes: tuple[float, ...] = ()) -> RecordedRow:
    """One search trial, with its effective classes where they matter, and a confirm trial of two reports."""
    header = invented.study(invented.arm("FDA"))
    store = Store(folder)
    store.announce(header)
    lengths: dict[Phase, int] = {"search": len(values), "confirm": 2}
    for phase, reports in lengths.items():
        ask = invented.ask(header, "FDA", phase, 0)
        store.ask(header.name, ask)
        store.begin(invented.begun(ask))
        for number, step in enumerate(STEPS[:reports]):
            metrics = {"source/miou": values[number] if phase == "search" else 0.5, "loss/cross_entropy": 3.0}
            if classes:
                metrics["target/effective_classes"] = classes[number]
            store.report(ask.trial.id, Report(step, 1.5 + number, metrics, {}))
        if end is not None and phase == "search":
            store.end(ask.trial.id, end)
    journal = store.journal(header.name)
    return recorded_row(store, journal, header.arms[0])


def test_a_curve_is_what_the_selector_said_and_the_seconds_are_the_reports(tmp_path: Path) -> None:
    found = row(tmp_path, End("complete", None, "", 400), [0.1, 0.2, 0.3, 0.4])
    assert found.curves == (Curve((0.1, 0.2, 0.3, 0.4), False, (1.5, 2.5, 3.5, 4.5)),)
    assert found.confirm == (4.0,)


def test_a_trial_without_an_end_or_with_one_from_outside_is_open(tmp_path: Path) -> None:
    lost = End("failed", "worker lost", "gone", 200, retry=True)
    for name, end in (("running", None), ("lost", lost)):
        assert row(tmp_path / name, end, [0.1, 0.2]).curves[0].failed is False


def test_a_trial_that_diverged_or_had_an_error_has_failed(tmp_path: Path) -> None:
    diverged = End("failed", "diverged", "loss is nan", 200)
    error = End("failed", "error", "a bug", 200, retry=True)
    for name, end in (("diverged", diverged), ("error", error)):
        assert row(tmp_path / name, end, [0.1, 0.2]).curves == (Curve((0.1, 0.2), True, (1.5, 2.5)),)


def test_a_trial_fails_at_the_evaluation_that_shows_its_ailment_whoever_let_it_go_on(tmp_path: Path) -> None:
    classes = (1.0, 1.0, 1.0, 1.0)
    found = row(tmp_path / "whole", End("complete", None, "", 400), [0.1, 0.2, 0.3, 0.4], classes)
    assert found.curves == (Curve((0.1, 0.2), True, (1.5, 2.5, 3.5, 4.5)),), "at the third, as a search has it"
    healthy = row(tmp_path / "late", End("complete", None, "", 400), [0.1, 0.2, 0.3, 0.4], (5.0, 1.0, 1.0, 1.0))
    assert healthy.curves[0] == Curve((0.1, 0.2, 0.3, 0.4), False, (1.5, 2.5, 3.5, 4.5)), "at the last it is complete"


def test_trials_have_their_numbers_wherever_their_lines_stand_and_those_beyond_the_study_do_not_count(
    tmp_path: Path,
) -> None:
    header = invented.study(invented.arm("FDA"))
    store = Store(tmp_path)
    store.announce(header)
    for number in (1, 0, 2):
        ask = invented.ask(header, "FDA", "search", number)
        store.ask(header.name, ask)
        store.begin(invented.begun(ask))
        store.report(ask.trial.id, Report(STEPS[0], 1.0, {"source/miou": number / 10, "loss/cross_entropy": 3.0}, {}))
    found = recorded_row(store, store.journal(header.name), replace(header.arms[0], search_trials=2))
    assert [curve.values for curve in found.curves] == [(0.0,), (0.1,)]


@pytest.mark.parametrize("promote", [True, False])
@pytest.mark.parametrize("parallel", [1, 3])
def test_a_study_replayed_under_its_own_setting_decides_as_it_did(tmp_path: Path, promote: bool, parallel: int) -> None:
    assert STUDY.search is not None
    study = replace(STUDY, search=replace(STUDY.search, promote=promote, parallel=parallel))
    simulation = Simulation(tmp_path, study, slots=3)
    simulation.run(fails="bands")
    stopped = 0
    for row in (row for row in study.rows if row.search_trials and row.name != "bands"):
        assert row.search is not None
        ends = [record.end for record in simulation.record(row.name, "search")]
        header = replace(invented.arm(row.name), select=row.selector, search_trials=row.search_trials)
        curves = recorded_row(simulation.ledger.store, simulation.ledger.store.journal("simulated"), header).curves
        outcome = replay(curves, evaluated_steps(row.budget.steps, row.budget.evaluations), study.rungs, row.search)
        assert outcome.stopped == tuple(
            number for number, end in enumerate(ends) if end is not None and end.state == "stopped"
        )
        assert outcome.most_steps == outcome.least_steps == sum(end.step for end in ends if end is not None)
        stopped += len(outcome.stopped)
    assert stopped, "or nothing is compared"
