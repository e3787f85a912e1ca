"""Which checkpoint a table scores, and what it says of the others: by hand, on made records."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from platform.records.ledger import Ledger
from platform.records.record import Ask, Record, StudyHeader
from platform.records.store import Store
from platform.results.lines import NONE
from platform.results.report import markdown, terminal, wording
from platform.results.table import UNTESTED, Row, Table
from platform.scores import metrics
from platform.study import Study
from tests.support import invented_study as invented
from tests.support.evident_study import confusion_of, with_tests
from tests.support.planned_study import study as planned
from tests.support.refusals import refused
from tests.support.seen_alike import tabulate
from tests.support.tabulated import row

FIXTURES = Path(__file__).parents[1] / "fixtures"
SELECT = "source/miou"
TESTS = {
    ("source only", 0): ([0.10, 0.30, 0.20, 0.15], [1, 2, 3, 0]),
    ("source only", 1): ([0.40, 0.10, 0.20, 0.30], [9, 8, 7, 6]),
    ("FDA", 0): ([0.50, 0.60, 0.70, 0.45], [5, 5, 4, 5]),
    ("FDA", 1): ([0.20, 0.90, 0.55, 0.35], [1, 4, 2, 3]),
}
"""By row and number of a confirm trial: mIoU on the test split of its evaluations, and what the selector says of them.

Picked are 0.20 and 0.40 of the source only; of FDA 0.45, the last of equals, and 0.90.
"""


def small(**changes: Any) -> tuple[StudyHeader, list[Ask], dict[str, Record]]:
    header = invented.study(*(invented.arm(name, searched={}) for name in ("source only", "FDA")), seeds=2, **changes)
    asks = [invented.ask(header, name, "confirm", number) for name, number in TESTS]
    records = {
        ask.trial.id: with_tests(invented.record(ask), TESTS[ask.arm, ask.number][0], {SELECT: said_of(ask)})
        for ask in asks
    }
    return header, asks, records


def said_of(ask: Ask) -> Sequence[float]:
    return TESTS[ask.arm, ask.number][1]


def made(**changes: Any) -> Table:
    return tabulate(*small(**changes))


def checkpoints(found: Row) -> tuple[float, ...]:
    return dataclasses.astuple(found.checkpoints)


def test_a_matrix_has_the_iou_that_is_asked_for() -> None:
    score = metrics.cityscapes(confusion_of(0.2, 0.9))
    assert score.iou == pytest.approx([0.2, 0.9] * 9 + [0.2])


# What tables say of checkpoints


def test_the_last_the_selected_and_the_best_checkpoint_are_means_over_seeds() -> None:
    found = made()
    assert checkpoints(row(found, "source only")) == pytest.approx(
        ((0.15 + 0.30) / 2, (0.20 + 0.40) / 2, (0.30 + 0.40) / 2)
    )
    assert checkpoints(row(found, "FDA")) == pytest.approx(((0.45 + 0.35) / 2, (0.45 + 0.90) / 2, (0.70 + 0.90) / 2))


def test_each_row_is_selected_by_its_own_metric() -> None:
    """An upper bound's is one of target labels."""
    header, asks, records = small()
    arms = (header.arms[0], dataclasses.replace(header.arms[1], select="oracle/miou"))
    for ask in asks:
        values = [0.9, 0.1, 0.2, 0.3]
        records[ask.trial.id] = with_tests(
            records[ask.trial.id], TESTS[ask.arm, ask.number][0], {"oracle/miou": values}
        )
    found = tabulate(dataclasses.replace(header, arms=arms), asks, records)
    assert row(found, "source only").checkpoints.selected == pytest.approx((0.20 + 0.40) / 2)
    assert row(found, "FDA").checkpoints.selected == pytest.approx((0.50 + 0.20) / 2)


def test_what_compares_trials_of_one_step_selects_no_checkpoint_and_an_upper_bounds_labels_do() -> None:
    header, asks, records = small()
    arms = (header.arms[0], dataclasses.replace(header.arms[1], select="oracle/miou"))
    for ask in (ask for ask in asks if ask.arm == "FDA"):
        values = [0.9, 0.1, 0.2, 0.3]
        records[ask.trial.id] = with_tests(
            records[ask.trial.id], TESTS[ask.arm, ask.number][0], {"oracle/miou": values}
        )
    found = tabulate(dataclasses.replace(header, arms=arms, compares=True), asks, records)
    compared = row(found, "source only")
    assert checkpoints(compared) == pytest.approx(((0.15 + 0.30) / 2, math.nan, (0.30 + 0.40) / 2), nan_ok=True)
    assert wording.mious_of_checkpoints(compared)[1] == NONE
    assert "Selected: by none, since source/miou compares trials of one step. Best: " in wording.checkpoints(found)
    assert row(found, "FDA").checkpoints.selected == pytest.approx((0.50 + 0.20) / 2)


def test_only_complete_runs_count() -> None:
    header, asks, records = small()
    ask = asks[-1]
    running = records[ask.trial.id]
    records[ask.trial.id] = dataclasses.replace(running, reports=running.reports[:2], end=None)
    assert checkpoints(row(tabulate(header, asks, records), "FDA")) == pytest.approx((0.45, 0.45, 0.70))


def test_a_run_that_was_not_tested_everywhere_has_no_best_checkpoint() -> None:
    header, asks, records = small()
    run = records[asks[-1].trial.id]
    untested = dataclasses.replace(run.reports[1], confusions={})
    records[asks[-1].trial.id] = dataclasses.replace(run, reports=(run.reports[0], untested, *run.reports[2:]))
    assert checkpoints(row(tabulate(header, asks, records), "FDA")) == pytest.approx((0.45, 0.45, 0.70))


def test_a_run_that_its_selector_has_not_judged_has_no_selected_checkpoint() -> None:
    header, asks, records = small()
    for ask in asks:
        run = records[ask.trial.id]
        unjudged = (dataclasses.replace(report, metrics={"oracle/miou": 0.1}) for report in run.reports)
        records[ask.trial.id] = dataclasses.replace(run, reports=tuple(unjudged))
    found = tabulate(header, asks, records)
    assert [each.checkpoints for each in found.rows] == [UNTESTED, UNTESTED]
    assert row(found, "FDA").scores.seeds == 2, "the last checkpoint counts, whoever judges it"


def test_every_format_shows_them_under_their_names() -> None:
    found = made()
    text, page = terminal.render(found), markdown.render(found)
    assert any(line.split() == ["FDA", "0.400", "0.675", "0.800"] for line in text.splitlines())
    assert "0.675" in page
    for said in (" ".join(text.split()), " ".join(page.split())):
        assert "scores above are those of the last checkpoint" in said
        assert "Best: by the test labels" in said


# Records of before


def test_records_of_before_that_tested_the_last_alone_show_dashes() -> None:
    header, asks, _ = small()
    records = {ask.trial.id: invented.record(ask) for ask in asks}
    found = tabulate(header, asks, records)
    assert [wording.mious_of_checkpoints(each) for each in found.rows] == [(NONE,) * 3] * 2
    assert all(each.scores.miou > 0 for each in found.rows)
    assert "checkpoint" not in terminal.render(found)


@pytest.mark.parametrize("results", ["results_of_0_1_0", "results_of_format_1"])
def test_results_of_earlier_versions_show_dashes(results: str) -> None:
    store = Store(FIXTURES / results)
    header = store.journal("question").header
    assert header is not None
    assert header.checkpoint == "last"
    ledger = Ledger(store, "question", [arm.name for arm in header.arms])
    found = tabulate(header, ledger.asks, ledger.records)
    assert [wording.mious_of_checkpoints(each) for each in found.rows] == [(NONE,) * 3] * 2


# A study whose selected checkpoint counts


def test_the_selected_checkpoint_is_scored_everywhere() -> None:
    found = made(checkpoint="selected")
    fda, reference = row(found, "FDA"), row(found, "source only")
    assert reference.scores.miou == pytest.approx((0.20 + 0.40) / 2)
    assert fda.scores.miou == pytest.approx((0.45 + 0.90) / 2) == fda.checkpoints.selected
    assert fda.scores.iou == pytest.approx([(0.45 + 0.90) / 2] * 19)
    assert fda.comparison.to_reference.miou == pytest.approx(((0.45 - 0.20) + (0.90 - 0.40)) / 2)
    assert fda.scores.accuracy == pytest.approx(fda.scores.miou), "of these matrices"
    assert [each.checkpoints for each in found.rows] == [each.checkpoints for each in made().rows]
    assert "of the selected checkpoint" in " ".join(terminal.render(found).split())


def test_the_last_checkpoint_is_scored_otherwise() -> None:
    fda = row(made(), "FDA")
    assert fda.scores.miou == pytest.approx((0.45 + 0.35) / 2) == fda.checkpoints.last
    assert fda.comparison.to_reference.miou == pytest.approx(((0.45 - 0.15) + (0.35 - 0.30)) / 2)


def test_ious_by_class_are_those_of_the_selected_checkpoint() -> None:
    header, asks, records = small(checkpoint="selected")
    for ask in asks[2:]:
        run = records[ask.trial.id]
        picked = max(run.reports, key=lambda report: (report.metrics[SELECT], report.step))
        confusions = picked.confusions | {"target/test": confusion_of(0.2, 0.9)}
        reports = (
            dataclasses.replace(report, confusions=confusions) if report is picked else report for report in run.reports
        )
        records[ask.trial.id] = dataclasses.replace(run, reports=tuple(reports))
    found = row(tabulate(header, asks, records), "FDA")
    assert found.scores.iou == pytest.approx([0.2, 0.9] * 9 + [0.2])


def test_a_run_that_is_not_complete_has_no_selected_checkpoint_that_counts() -> None:
    header, asks, records = small(checkpoint="selected")
    run = records[asks[-1].trial.id]
    records[asks[-1].trial.id] = dataclasses.replace(run, reports=run.reports[:3], end=None)
    found = row(tabulate(header, asks, records), "FDA")
    assert (found.scores.seeds, found.troubles.seeds_missing) == (1, 1)
    assert found.scores.miou == pytest.approx(0.45)


def test_a_selected_checkpoint_that_was_not_tested_leaves_a_seed_without_a_score() -> None:
    """As of trials that an earlier version trained."""
    header, asks, _ = small(checkpoint="selected")
    records = {}
    for ask in asks:
        run = invented.record(ask)
        judged = (
            dataclasses.replace(report, metrics=report.metrics | {SELECT: value})
            for report, value in zip(run.reports, said_of(ask), strict=True)
        )
        records[ask.trial.id] = dataclasses.replace(run, reports=tuple(judged))
    fda, reference = row(tabulate(header, asks, records), "FDA"), row(tabulate(header, asks, records), "source only")
    assert (fda.scores.seeds, reference.scores.seeds) == (1, 0)
    assert math.isnan(reference.scores.miou)
    assert all(map(math.isnan, checkpoints(fda)))


# What a study may ask for


STUDY = """
from platform.methods import SourceOnly
from platform.shifts import town
from platform.study import Arm, Budget, Study
study = Study(shift=town(), arms={'a': Arm(SourceOnly)}, reference='a', budget=Budget(steps=4, evaluations=2), GIVEN)
"""


@pytest.mark.parametrize("select", ["population/ensv", "population/committee", "population/gated_ranks"])
def test_a_selector_that_compares_trials_cannot_pick_among_the_steps_of_one(
    select: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "compares.py"
    file.write_text(STUDY.replace("GIVEN", f"checkpoint='selected', select={select!r}"), encoding="utf-8")
    line = refused(capsys, str(file), "--plan")
    assert f"Study.checkpoint must be 'last' with {select}" in line
    assert line.endswith("got 'selected'\n")


def test_a_checkpoint_of_another_kind_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "best.py"
    file.write_text(STUDY.replace("GIVEN", "checkpoint='best'"), encoding="utf-8")
    assert "Study.checkpoint must be 'last' or 'selected', got 'best'" in refused(capsys, str(file), "--plan")


@pytest.mark.parametrize("select", ["source/miou", "target/nuclear_norm", "oracle/miou"])
def test_any_other_selector_may(select: str) -> None:
    made: Study = planned(select=select, checkpoint="selected")
    assert made.checkpoint == "selected"
