"""Recorded checkpoints as an audit finds them in a store."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from platform.records.record import ORACLE_MIOU, Ask, End, Record, StudyHeader
from platform.records.store import JOURNAL, Store, evidence_file
from platform.results.audit.checkpoints import Checkpoint, checkpoints
from platform.scores.evidence import Evidence
from platform.scores.selectors import SHELF
from platform.scores.selectors.selector import Selector
from tests.support import invented_study as invented
from tests.support.evident_study import Company, Mark, Marks, leave, with_tests, written

SELECTORS = {"mark": Mark(), "company": Company()}
TESTED = (0.1, 0.4, 0.3, 0.2)


def mark(ask: Ask, step: int) -> int:
    """A number that no other evaluation of a study has."""
    rows = [*invented.ARMS, "shares"]
    return 10_000 * rows.index(ask.arm) + 1000 * ask.number + step + (500 if ask.phase == "confirm" else 0)


def small(*names: str, **changes: Any) -> tuple[StudyHeader, list[Ask], dict[str, Record]]:
    """A study of two search trials, the second of which was stopped, and two seeds, tested at every evaluation."""
    header = invented.study(*map(invented.arm, names or ("source only", "FDA")), seeds=2, search_trials=2, **changes)
    asks, records = invented.full(header, dict.fromkeys((arm.name for arm in header.arms), 0.5))
    for ask in asks:
        if ask.phase == "confirm":
            records[ask.trial.id] = with_tests(records[ask.trial.id], TESTED)
    return header, asks, records


def found(store: Store, selectors: Mapping[str, Selector] | None = None, study: str = "invented") -> list[Checkpoint]:
    said = list[str]()
    made = checkpoints(store, study, study, SELECTORS if selectors is None else selectors, said.append)
    assert said == []
    return made


def of(made: Sequence[Checkpoint], name: str) -> list[Checkpoint]:
    return sorted((each for each in made if each.ask.name == name), key=lambda each: each.step)


def test_every_evaluation_is_judged_with_what_it_is_worth(tmp_path: Path) -> None:
    header, asks, records = small()
    made = found(written(tmp_path, header, asks, records, mark))
    assert len(made) == sum(len(record.reports) for record in records.values()) == 2 * (4 + 2 + 2 * 4)
    for ask in asks:
        own = of(made, ask.name)
        reports = records[ask.trial.id].reports
        assert [each.step for each in own] == [report.step for report in reports]
        assert [each.scores["mark"] for each in own] == [mark(ask, report.step) for report in reports]
        assert [each.val for each in own] == [report.metrics[ORACLE_MIOU] for report in reports]
        assert all(each.ask == ask and each.arm.name == ask.arm for each in own)
        assert {(each.study, each.steps) for each in own} == {("invented", invented.STEPS)}
        if ask.phase == "confirm":
            assert [each.test for each in own] == pytest.approx(TESTED)
        else:
            assert {each.test for each in own} == {None}
    assert {each.arm.name for each in made if each.is_reference} == {"source only"}
    assert {each.step for each in made if each.is_last} == {invented.STEPS}


def test_a_selector_that_compares_sees_trials_of_one_phase_that_came_as_far_of_the_study_and_of_the_row(
    tmp_path: Path,
) -> None:
    header, asks, records = small()
    made = found(written(tmp_path, header, asks, records, mark))
    seen = {
        phase: {
            each.step: (each.scores["company"], each.scores_in_row["company"])
            for each in made
            if each.ask.phase == phase
        }
        for phase in ("search", "confirm")
    }
    assert seen["search"] == {100: (4, 2), 200: (4, 2), 300: (2, 1), 400: (2, 1)}
    assert seen["confirm"] == dict.fromkeys(invented.EVALUATED_STEPS, (4, 2))
    assert all(each.scores_in_row["mark"] == each.scores["mark"] for each in made)


def test_upper_bounds_are_left_out_and_nobody_is_compared_with_them(tmp_path: Path) -> None:
    header, asks, records = small("source only", "target supervised")
    made = found(written(tmp_path, header, asks, records, mark))
    assert {each.arm.name for each in made} == {"source only"}
    assert {each.scores["company"] for each in made if each.ask.phase == "confirm"} == {2}


def test_a_trial_that_two_arms_share_counts_once_for_the_first(tmp_path: Path) -> None:
    header, asks, records = small()
    shares = dataclasses.replace(invented.arm("FDA"), name="shares")
    header = dataclasses.replace(header, arms=(*header.arms, shares))
    asks += [dataclasses.replace(ask, arm="shares") for ask in asks if ask.arm == "FDA"]
    made = found(written(tmp_path, header, asks, records, mark))
    assert len(made) == 28
    assert {each.arm.name for each in made} == {"source only", "FDA"}


def test_what_an_upper_bound_shares_with_an_arm_is_that_arms(tmp_path: Path) -> None:
    header, asks, records = small()
    bound = dataclasses.replace(invented.arm("FDA"), name="shares", supervised=True)
    header = dataclasses.replace(header, arms=(bound, *header.arms))
    asks = [*(dataclasses.replace(ask, arm="shares") for ask in asks if ask.arm == "FDA"), *asks]
    made = found(written(tmp_path, header, asks, records, mark))
    assert {each.arm.name for each in made} == {"source only", "FDA"}
    assert len(made) == 28


def test_an_arm_that_left_the_study_is_left_out(tmp_path: Path) -> None:
    header, asks, records = small()
    store = written(tmp_path, header, asks, records, mark)
    store.announce(dataclasses.replace(header, arms=header.arms[:1]))
    assert {each.arm.name for each in found(store)} == {"source only"}


def test_what_another_study_trained_beyond_the_studys_end_is_left_out(tmp_path: Path) -> None:
    header, asks, records = small()
    store = written(tmp_path, header, asks, records, mark)
    (stopped,) = (ask for ask in asks if ask.name == "FDA search 1")
    whole = invented.record(stopped)
    for report in whole.reports[2:]:
        store.report(stopped.trial.id, report)
        (store.trial_folder(stopped.trial.id) / evidence_file(report.step)).write_bytes(b"never looked at")
    store.end(stopped.trial.id, End("complete", None, "", invented.STEPS))
    assert [each.step for each in of(found(store), "FDA search 1")] == [100, 200]


def test_a_trial_that_goes_on_counts_as_far_as_it_came_and_one_that_has_not_begun_does_not(tmp_path: Path) -> None:
    header, asks, records = small()
    going, waiting = asks[-2:]
    half = records[going.trial.id]
    records[going.trial.id] = dataclasses.replace(half, reports=half.reports[:3], end=None)
    store = written(tmp_path, header, asks[:-1], records, mark)
    store.ask(header.name, waiting)
    made = found(store)
    assert [each.step for each in of(made, going.name)] == [100, 200, 300]
    assert of(made, waiting.name) == []


def test_a_failed_trial_counts_as_far_as_it_came(tmp_path: Path) -> None:
    header, asks, records = small()
    records[asks[0].trial.id] = invented.failed(asks[0], reports=2)
    made = found(written(tmp_path, header, asks, records, mark))
    assert [each.step for each in of(made, asks[0].name)] == [100, 200]
    assert not any(each.is_last for each in of(made, asks[0].name))


# Evidence that is not there


def without(*steps: int) -> Marks:
    return lambda ask, step: None if ask.name == "FDA seed 1" and step in steps else mark(ask, step)


def test_evaluations_without_evidence_are_counted_and_left_out(tmp_path: Path) -> None:
    said = list[str]()
    store = written(tmp_path, *small(), without(200, 400))
    made = checkpoints(store, "invented", "invented", SELECTORS, said.append)
    assert said == ["invented: 2 of 28 evaluations have left no evidence that can be read"]
    assert [each.step for each in of(made, "FDA seed 1")] == [100, 300]
    confirm = {each.step: each.scores["company"] for each in made if each.ask.phase == "confirm"}
    assert confirm == {100: 4, 200: 3, 300: 4, 400: 3}


def folder_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


def link_instead(file: Path) -> None:
    moved = file.rename(file.with_suffix(".moved"))
    file.symlink_to(moved)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut off": lambda file: file.write_bytes(file.read_bytes()[:1000]),
    "empty": lambda file: file.write_bytes(b""),
    "something else": lambda file: file.write_text("{}", encoding="utf-8"),
    "a folder": folder_instead,
    "a link": link_instead,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_evidence_is_as_good_as_none(tmp_path: Path, damage: str) -> None:
    header, asks, records = small()
    store = written(tmp_path, header, asks, records, mark)
    DAMAGES[damage](store.trial_folder(asks[0].trial.id) / evidence_file(100))
    said = list[str]()
    made = checkpoints(store, "invented", "invented", SELECTORS, said.append)
    assert said == ["invented: 1 of 28 evaluations have left no evidence that can be read"]
    assert [each.step for each in of(made, asks[0].name)] == [200, 300, 400]


def test_records_from_before_there_was_evidence_give_no_checkpoint(tmp_path: Path) -> None:
    said = list[str]()
    store = written(tmp_path, *small(), lambda ask, step: None)
    assert checkpoints(store, "invented", "invented", {each.name: each for each in SHELF}, said.append) == []
    assert said == ["invented: 28 of 28 evaluations have left no evidence that can be read"]


@dataclass(frozen=True, kw_only=True)
class Best(Selector):
    """The distance to the best candidate, of which there must be one."""

    name: ClassVar[str] = "own/best"

    def scores(self, candidates: Sequence[Evidence]) -> list[float]:
        marks = [float(each.target.places) for each in candidates]
        best = max(marks)
        return [each - best for each in marks]


def test_no_selector_is_asked_to_compare_nothing_at_all(tmp_path: Path) -> None:
    said = list[str]()
    store = written(tmp_path, *small(), lambda ask, step: None if step == 200 else mark(ask, step))
    made = checkpoints(store, "invented", "invented", {"best": Best()}, said.append)
    assert {each.step for each in made} == {100, 300, 400}


def test_a_journal_without_a_header_is_told(tmp_path: Path) -> None:
    header, asks, records = small()
    store = written(tmp_path, header, asks, records, mark)
    journal = store.study_folder("invented") / JOURNAL
    _, *rest = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    journal.write_text("".join(rest), encoding="utf-8")
    said = list[str]()
    assert checkpoints(store, "invented", "invented", SELECTORS, said.append) == []
    assert said == [
        "invented: left out, the journal of invented has lost its header; run the study again, which writes it"
    ]


def test_a_test_split_that_holds_nothing_to_score_leaves_a_trial_untested(tmp_path: Path) -> None:
    """Somebody else's records may say so, of which a table makes a dash."""
    header, asks, records = small()
    ask = asks[-1]
    nothing = [[0] * 20 for _ in range(20)]
    reports = (
        dataclasses.replace(report, confusions={**report.confusions, "target/test": nothing})
        for report in records[ask.trial.id].reports
    )
    records[ask.trial.id] = dataclasses.replace(records[ask.trial.id], reports=tuple(reports))
    made = found(written(tmp_path, header, asks, records, mark))
    assert {each.test for each in of(made, ask.name)} <= {None}


def test_a_report_that_does_not_say_its_val_miou_cannot_be_judged(tmp_path: Path) -> None:
    """As somebody else's records may."""
    header, asks, records = small()
    ask = asks[0]
    first, *rest = records[ask.trial.id].reports
    poor = dataclasses.replace(first, metrics={"source/miou": 0.5})
    records[ask.trial.id] = dataclasses.replace(records[ask.trial.id], reports=(poor, *rest))
    store = written(tmp_path, header, asks, records, mark)
    made = checkpoints(store, "invented", "invented", SELECTORS, list[str]().append)
    assert [each.step for each in of(made, ask.name)] == [200, 300, 400]


def test_records_are_only_read(tmp_path: Path) -> None:
    header, asks, records = small()
    store = written(tmp_path, header, asks[:-1], records, mark)
    store.ask(header.name, asks[-1])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    found(store)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    leave(store, asks[-1], records[asks[-1].trial.id], mark)
    assert len(found(store)) == 28, "read anew"
