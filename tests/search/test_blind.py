"""What decisions see of the records: no number that target labels made, and none that would change them."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from platform.records.ledger import Ledger
from platform.records.record import TARGET_TEST, TARGET_VAL, Ask, Report
from platform.records.store import Store
from platform.records.trial import Trial
from platform.scores.selectors import Selector
from platform.search import decisions
from platform.search.blind import BlindRecords
from tests.support import ledgers
from tests.support.invented_study import confusion
from tests.support.judged_study import STUDY, Judged, Sure, by, metrics

np.ma.count([])  # imports what np.unique would, see test_choice.py
ARM, BOUND = "source only", "target supervised"
NAMES = ("source/miou", "source/accuracy", "target/effective_classes", "loss/cross_entropy", "learning_rate")
LABELLED = ("oracle/miou", "oracle/accuracy", "oracle/of_mine")


def report(step: int) -> Report:
    values = dict.fromkeys((*NAMES, *LABELLED), step / 100)
    return Report(step, 1.5, values, {"source/val": [[1]], TARGET_VAL: [[2]], TARGET_TEST: [[3]]}, node="n", device="d")


def book(folder: Path, *asks: Ask) -> Ledger:
    made = ledgers.ledger(folder)
    for ask in asks:
        if ask.trial.id in made.records:
            made.ask(ask)
            continue
        ledgers.begin(made, ask)
        made.report(ask, report(10))
    return made


def test_decisions_see_no_confusion_and_no_metric_of_target_labels(tmp_path: Path) -> None:
    ask = ledgers.ask()
    ledger = book(tmp_path, ask)
    record = BlindRecords(ledger, "FDA", "source/miou")[ask.trial.id]
    (seen,), (whole,) = record.reports, ledger.records[ask.trial.id].reports
    assert seen == dataclasses.replace(whole, confusions={}, metrics=seen.metrics)
    assert set(seen.metrics) == set(NAMES)
    assert dataclasses.replace(record, reports=()) == dataclasses.replace(ledger.records[ask.trial.id], reports=())
    assert set(whole.metrics) == {*NAMES, *LABELLED}, "the records themselves keep all"
    assert set(whole.confusions) == {"source/val", TARGET_VAL, TARGET_TEST}


@pytest.mark.parametrize("select", LABELLED)
def test_the_one_that_selects_an_upper_bound_is_left_to_it_and_no_other(select: str, tmp_path: Path) -> None:
    bound, other = ledgers.ask("FDA"), ledgers.ask("source only")
    ledger = book(tmp_path, bound, other)
    seen = BlindRecords(ledger, "FDA", select)
    assert set(seen[bound.trial.id].reports[0].metrics) == {*NAMES, select}
    assert seen[bound.trial.id].reports[0].confusions == {}
    others = BlindRecords(ledger, "source only", "source/miou")
    assert {frozenset(others[ask.trial.id].reports[0].metrics) for ask in (bound, other)} == {frozenset(NAMES)}


def test_a_report_that_comes_is_seen_and_one_that_was_seen_is_not_made_again(tmp_path: Path) -> None:
    ask = ledgers.ask()
    ledger = book(tmp_path, ask)
    seen = BlindRecords(ledger, "FDA", "source/miou")
    first = seen[ask.trial.id]
    assert seen[ask.trial.id] is first
    ledger.report(ask, report(20))
    assert [each.step for each in seen[ask.trial.id].reports] == [10, 20]
    assert not any(name.startswith("oracle/") for each in seen[ask.trial.id].reports for name in each.metrics)
    ledger.end(ask, ledgers.COMPLETE)
    assert seen[ask.trial.id].end == ledgers.COMPLETE


def test_it_has_the_trials_of_the_ledger(tmp_path: Path) -> None:
    asks = [ledgers.ask(number=number) for number in range(3)]
    ledger = book(tmp_path, *asks)
    seen = BlindRecords(ledger, "FDA", "source/miou")
    assert (set(seen), len(seen)) == ({ask.trial.id for ask in asks}, 3)
    with pytest.raises(KeyError):
        seen["nobody"]


# Whatever target labels say


def truth(trial: Trial, step: int) -> dict[str, float]:
    values = metrics(trial, step)
    return values | {"source/accuracy": 1 - values["source/miou"] / 2, "oracle/accuracy": values["oracle/miou"]}


def lies(trial: Trial, step: int) -> dict[str, float]:
    """The same numbers, but for those of target labels, which are turned round."""
    values = truth(trial, step)
    return {name: 1 - value if name.startswith("oracle/") else value for name, value in values.items()}


def confusions(trial: Trial, step: int, quality: float) -> dict[str, Any]:
    return {
        "source/val": confusion(0.5, (trial.seed, step)),
        TARGET_VAL: confusion(quality, (trial.seed, step)),
        TARGET_TEST: confusion(quality, (step,)),
    }


def runs(folder: Path, study: Any, slots: int) -> tuple[Judged, Judged]:
    """The study twice, its target labels saying one thing and the other."""
    true, other = (Judged(folder / name, study, slots=slots) for name in ("true", "other"))
    true.confusions = lambda trial, step: confusions(trial, step, metrics(trial, step)["oracle/miou"])
    true.metrics, other.metrics = truth, lies
    other.confusions = lambda trial, step: confusions(trial, step, 1 - metrics(trial, step)["oracle/miou"])
    return true.run(), other.run()


@pytest.mark.parametrize(
    "select",
    ["source/miou", "source/accuracy", "target/view_consistency", "population/ensv", "population/gated_ranks", Sure()],
    ids=str,
)
@pytest.mark.parametrize("slots", [1, 3])
def test_other_target_labels_lead_to_the_same_asks_and_ends(select: str | Selector, slots: int, tmp_path: Path) -> None:
    study = dataclasses.replace(by(select), arms={ARM: STUDY.arms[ARM]})
    true, other = runs(tmp_path, study, slots)
    assert true.decisions() == other.decisions()
    assert [ask.trial for ask in true.ledger.asks] == [ask.trial for ask in other.ledger.asks]
    numbers = [
        [report.metrics["oracle/miou"] for record in driver.ledger.records.values() for report in record.reports]
        for driver in (true, other)
    ]
    assert numbers[0] != numbers[1]
    assert len(true.rates(ARM, "stopped")) >= 2


def test_other_target_labels_lead_an_upper_bound_to_another_choice(tmp_path: Path) -> None:
    """What the strong test above would miss, were the records that it compares the same."""
    true, other = runs(tmp_path, by("source/miou"), 1)
    assert true.winner(BOUND) != other.winner(BOUND)
    assert true.winner(ARM) == other.winner(ARM)


def test_other_target_labels_lead_a_study_that_selects_by_them_to_another_choice(tmp_path: Path) -> None:
    study = dataclasses.replace(by("oracle/miou"), arms={ARM: STUDY.arms[ARM]})
    true, other = runs(tmp_path, study, 1)
    assert true.winner(ARM) != other.winner(ARM)


def test_every_decision_reads_the_records_through_it() -> None:
    """Nothing in the module of decisions takes a report or a metric from the ledger itself."""
    text = Path(decisions.__file__).read_text(encoding="utf-8")
    assert "ledger.records" not in text
    assert Store.__name__ not in text
