"""The store: what is written comes back, whatever a crash tore."""

import dataclasses
import json
import threading
from pathlib import Path

import pytest

from platform.records import ArmHeader, Ask, End, Record, Report, Store, StudyHeader
from platform.trials import Trial

COUNTS = [[3, 0], [1, 2]]
TRIAL = Trial(
    method="FDA",
    hyperparameters={"beta": 0.012, "eta": 2.0},
    recipe={"learning_rate": 1e-3, "batch": 4, "pretrained": False, "augmentation": "flip"},
    shift={"name": "town", "size": [64, 128], "groups": [[0], [1, 2]], "data": None},
    resolved={"beta": {"band": 0}},
    seed=1,
    steps=30,
    evaluations=3,
    threads=1,
    code="0123456789ab",
)
RECORD = Record(TRIAL, {"host": "näther", "git_commit": "0123abc"}, {"parameters": 12_581_672.0, "gflops": 51.26})
REPORTS = tuple(
    Report(step, 0.1 + step, {"source/miou": step / 70, "loss/cross_entropy": 1e-300}, {"target/test": COUNTS})
    for step in (10, 20, 30)
)
END = End("complete", "", 30)
HEADER = StudyHeader(
    name="question",
    question='How "wide"?\nReally.',
    arms=(
        ArmHeader("source only", "SourceOnly", False, "source/miou", {}, {"gflops": 51.26}),
        ArmHeader("FDA β=0.1", "FDA", True, "source/miou", {"beta": "LogUniform(0.01, 0.1)"}, {"gflops": 51.26}),
    ),
    reference="source only",
    select="source/miou",
    seeds=3,
    search_trials=4,
    steps=30,
    rungs=(10, 20),
    reduction=2,
    shift={"name": "town", "size": [64, 128], "groups": [[0], [1, 2]]},
    source="study = Study(...)\n",
)


def full(store: Store) -> Path:
    """A trial that reported three times and ended; returns its file."""
    store.begin(RECORD)
    for report in REPORTS:
        store.report(TRIAL.id, report)
    store.end(TRIAL.id, END)
    return store.trial_folder(TRIAL.id) / "record.jsonl"


def line_ends(text: bytes) -> list[int]:
    """Where the lines end, their newlines included."""
    return [position + 1 for position, byte in enumerate(text) if byte == ord("\n")]


def test_a_record_comes_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.read(TRIAL.id) is None
    store.begin(RECORD)
    assert store.read(TRIAL.id) == RECORD
    store.report(TRIAL.id, REPORTS[0])
    assert store.read(TRIAL.id) == dataclasses.replace(RECORD, reports=REPORTS[:1])
    store.end(TRIAL.id, End("failed", "line one\nline two", 10))
    read = store.read(TRIAL.id)
    assert read is not None
    assert read == dataclasses.replace(RECORD, reports=REPORTS[:1], end=End("failed", "line one\nline two", 10))
    assert read.trial.id == TRIAL.id, "what the record holds has the id that it is kept under"


def test_a_record_sums_up_its_reports() -> None:
    assert (RECORD.step, RECORD.hours) == (0, 0)
    record = dataclasses.replace(RECORD, reports=REPORTS)
    assert record.step == 30
    assert record.hours == pytest.approx((10.1 + 20.1 + 30.1) / 3600)


def test_asks_and_the_last_header_come_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.header("question") is None
    assert store.asked("question") == []
    asks = [Ask("FDA β=0.1", "search", 0, TRIAL), Ask("source only", "confirm", 0, dataclasses.replace(TRIAL, seed=2))]
    store.announce(dataclasses.replace(HEADER, seeds=1))
    for ask in asks:
        store.ask("question", ask)
    store.announce(HEADER)
    assert store.asked("question") == asks
    assert store.header("question") == HEADER
    assert isinstance(store.asked("question")[0].trial.shift["size"], list), "lists stay lists: they are hashed as such"
    assert store.header("another question") is None


def test_studies_and_trials_lie_side_by_side(tmp_path: Path) -> None:
    store = Store(tmp_path)
    other = dataclasses.replace(TRIAL, seed=2)
    full(store)
    store.begin(dataclasses.replace(RECORD, trial=other))
    store.announce(HEADER)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.jsonl"))
    trials = sorted(f"trials/{trial.id}/record.jsonl" for trial in (TRIAL, other))
    assert files == ["question/asked.jsonl", *trials]


def test_what_is_written_twice_counts_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    full(store)
    store.begin(dataclasses.replace(RECORD, provenance={"host": "elsewhere"}))
    store.report(TRIAL.id, dataclasses.replace(REPORTS[0], seconds=99.0))
    assert store.read(TRIAL.id) == dataclasses.replace(RECORD, reports=REPORTS, end=END)


def test_reports_are_ordered_by_step(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.begin(RECORD)
    for report in reversed(REPORTS):
        store.report(TRIAL.id, report)
    assert store.read(TRIAL.id) == dataclasses.replace(RECORD, reports=REPORTS)


def test_a_number_that_json_has_no_word_for_is_not_written(tmp_path: Path) -> None:
    store = Store(tmp_path)
    file = full(store)
    before = file.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.report(TRIAL.id, Report(40, 1.0, {"source/miou": float("nan")}, {}))
    assert file.read_bytes() == before


def test_a_file_cut_at_any_byte_loses_its_last_line_at_most(tmp_path: Path) -> None:
    whole = full(Store(tmp_path / "whole")).read_bytes()
    ends = line_ends(whole)
    store = Store(tmp_path / "cut")
    file = store.trial_folder(TRIAL.id) / "record.jsonl"
    file.parent.mkdir(parents=True)
    for length in range(len(whole) + 1):
        file.write_bytes(whole[:length])
        # A line that lacks nothing but its newline is whole.
        lines = sum(end - 1 <= length for end in ends)
        expected = None
        if lines:
            expected = dataclasses.replace(RECORD, reports=REPORTS[: lines - 1], end=END if lines == 5 else None)
        assert store.read(TRIAL.id) == expected, length


def test_what_is_appended_to_a_torn_line_is_read(tmp_path: Path) -> None:
    whole = full(Store(tmp_path / "whole")).read_bytes()
    first, second = line_ends(whole)[:2]
    store = Store(tmp_path / "cut")
    file = store.trial_folder(TRIAL.id) / "record.jsonl"
    file.parent.mkdir(parents=True)
    for length in range(first, second + 1):
        file.write_bytes(whole[:length])
        store.report(TRIAL.id, REPORTS[1])
        kept = REPORTS[:2] if length >= second - 1 else REPORTS[1:2]
        assert store.read(TRIAL.id) == dataclasses.replace(RECORD, reports=kept), length
        assert file.read_bytes().endswith(b"\n")


def test_a_torn_first_line_is_begun_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    file = full(store)
    whole = file.read_bytes()
    file.write_bytes(whole[:40])
    store.begin(RECORD)
    assert store.read(TRIAL.id) == RECORD


@pytest.mark.parametrize("rubbish", [b"\0" * 64, b"\xff\xfe", b'{"event": "report", "step"', b"\n\n"])
def test_rubbish_that_a_crash_left_is_passed_over(tmp_path: Path, rubbish: bytes) -> None:
    store = Store(tmp_path)
    file = full(store)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:2]) + rubbish)
    store.report(TRIAL.id, REPORTS[1])
    assert store.read(TRIAL.id) == dataclasses.replace(RECORD, reports=REPORTS[:2])


def test_a_torn_ask_loses_itself_only(tmp_path: Path) -> None:
    store = Store(tmp_path)
    asks = [Ask("FDA", "search", number, dataclasses.replace(TRIAL, seed=number)) for number in range(3)]
    store.announce(HEADER)
    store.ask("question", asks[0])
    file = tmp_path / "question" / "asked.jsonl"
    file.write_bytes(file.read_bytes()[:-10])
    store.ask("question", asks[1])
    store.ask("question", asks[2])
    assert store.asked("question") == asks[1:]
    assert store.header("question") == HEADER


def test_a_reader_beside_the_writer_sees_whole_reports_in_order(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.begin(RECORD)
    expected = [
        Report(step, 1.0, {"source/miou": step / 1000}, {"target/test": [[step] * 20] * 20}) for step in range(1, 61)
    ]
    seen: list[tuple[Report, ...]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            record = Store(tmp_path).read(TRIAL.id)
            seen.append(record.reports if record else ())

    reader = threading.Thread(target=read)
    reader.start()
    for report in expected:
        store.report(TRIAL.id, report)
    done.set()
    reader.join()
    assert all(list(reports) == expected[: len(reports)] for reports in seen)
    assert [len(reports) for reports in seen] == sorted(len(reports) for reports in seen)
    record = store.read(TRIAL.id)
    assert record is not None
    assert list(record.reports) == expected


def test_a_line_is_plain_json_that_names_its_event(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in full(Store(tmp_path)).read_text().splitlines()]
    assert [line["event"] for line in lines] == ["trial", "report", "report", "report", "end"]
    assert lines[0]["trial"]["hyperparameters"] == {"beta": 0.012, "eta": 2.0}
    assert lines[1]["metrics"]["source/miou"] == 10 / 70
    assert lines[4] == {"event": "end", "state": "complete", "reason": "", "step": 30, "retry": False}


def test_the_last_end_counts_since_a_failed_trial_may_be_tried_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.begin(RECORD)
    store.end(TRIAL.id, End("failed", "out of memory", 10, retry=True))
    store.end(TRIAL.id, END)
    assert store.read(TRIAL.id) == dataclasses.replace(RECORD, end=END)


def test_that_a_search_stopped_a_trial_belongs_to_its_study(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.begin(RECORD)
    stopped = End("stopped", "rung 10", 10)
    store.stop("question", TRIAL.id, stopped)
    assert store.stopped("question") == {TRIAL.id: stopped}
    assert store.stopped("another") == {}
    record = store.read(TRIAL.id)
    assert record is not None
    assert record.end is None
