"""The store: what is written comes back, whatever a crash tore; what cannot come back is named."""

import dataclasses
import errno
import itertools
import json
import os
import pickle
import resource
import threading
import zlib
from collections import Counter
from pathlib import Path

import pytest

from platform.records.record import Ask, End, Journal, Record, Report, Score
from platform.records.store import Damage, Store
from tests.support.plain_records import END, HEADER, RECORD, REPORTS, TRIAL


def full(store: Store) -> Path:
    """A trial that reported three times and ended; returns its file."""
    store.begin(RECORD)
    for report in REPORTS:
        store.report(TRIAL.id, report)
    store.end(TRIAL.id, END)
    return store.trial_folder(TRIAL.id) / "record.jsonl"


def of_lines(number: int) -> Record | None:
    """The record as its first `number` lines tell it."""
    if number == 0:
        return None
    return dataclasses.replace(RECORD, reports=REPORTS[: number - 1], end=END if number == 5 else None)


def torn(folder: Path, content: bytes) -> tuple[Store, Path]:
    """A store whose only record holds these bytes, and its file."""
    store = Store(folder)
    file = store.trial_folder(TRIAL.id) / "record.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return store, file


def damage(file: Path, line: int) -> None:
    """Change a byte in the middle of a line."""
    lines = file.read_bytes().splitlines(keepends=True)
    middle = len(lines[line - 1]) // 2
    changed = bytearray(lines[line - 1])
    changed[middle] ^= 0x01
    file.write_bytes(b"".join([*lines[: line - 1], changed, *lines[line:]]))


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
    store.end(TRIAL.id, End("failed", "error", "line one\nline two", 10))
    read = store.read(TRIAL.id)
    assert read is not None
    assert read == dataclasses.replace(
        RECORD, reports=REPORTS[:1], end=End("failed", "error", "line one\nline two", 10)
    )
    assert read.trial.id == TRIAL.id, "what the record holds has the id that it is kept under"


def test_a_record_sums_up_its_reports() -> None:
    assert (RECORD.step, RECORD.hours) == (0, 0)
    record = dataclasses.replace(RECORD, reports=REPORTS)
    assert record.step == 30
    assert record.hours == pytest.approx((10.1 + 20.1 + 30.1) / 3600)


def test_a_journal_comes_back_in_order(tmp_path: Path) -> None:
    store = Store(tmp_path)
    empty = store.journal("question")
    assert (empty.header, empty.asks, empty.ends, empty.losses) == (None, (), {}, {})
    asks = (Ask("FDA β=0.1", "search", 0, TRIAL), Ask("source only", "confirm", 0, dataclasses.replace(TRIAL, seed=2)))
    first, second = (ask.key for ask in asks)
    stopped = End("stopped", "below the cut", "0.1250 at 10 steps, cut 0.2500", 10)
    store.announce(dataclasses.replace(HEADER, seeds=1))
    for ask in asks:
        store.ask("question", ask)
    store.conclude("question", first, End("failed", "data", "town/7.png ends early", 0, retry=True))
    store.lose("question", second[1], 10)
    store.conclude("question", second, stopped)
    store.lose("question", second[1], 20)
    store.conclude("question", first, END)
    store.announce(HEADER)
    journal = store.journal("question")
    assert (journal.header, journal.asks) == (HEADER, asks)
    assert list(journal.ends.items()) == [(second, stopped), (first, END)], "in the order of the last end of each"
    assert journal.losses == {second[1]: 2}
    assert isinstance(journal.asks[0].trial.shift["size"], list), "lists stay lists: they are hashed as such"
    assert store.journal("another question").header is None
    assert store.studies() == ["question"]
    assert store.damages == set()


def test_studies_and_trials_lie_side_by_side(tmp_path: Path) -> None:
    store = Store(tmp_path)
    other = dataclasses.replace(TRIAL, seed=2)
    full(store)
    store.begin(dataclasses.replace(RECORD, trial=other))
    store.announce(HEADER)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.jsonl"))
    trials = sorted(f"trials/{trial.id}/record.jsonl" for trial in (TRIAL, other))
    assert files == ["question/journal.jsonl", *trials]


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
        store.report(TRIAL.id, Report(30, 1.0, {"source/miou": float("nan")}, {}))
    assert file.read_bytes() == before


# What a crash tore


def test_a_file_cut_at_any_byte_loses_the_line_that_was_cut_and_names_it(tmp_path: Path) -> None:
    whole = full(Store(tmp_path / "whole")).read_bytes()
    ends = line_ends(whole)
    store, file = torn(tmp_path / "cut", b"")
    for length in range(len(whole) + 1):
        file.write_bytes(whole[:length])
        store.damages.clear()
        lines = sum(end <= length for end in ends)
        assert store.read(TRIAL.id) == of_lines(lines), length
        cut_off = {Damage(str(file), lines + 1, "cut off")} if length not in (0, *ends) else set()
        assert store.damages == cut_off, length


def test_a_line_cut_at_any_byte_is_cut_away_by_the_next(tmp_path: Path) -> None:
    whole = full(Store(tmp_path / "whole")).read_bytes()
    first, second = line_ends(whole)[:2]
    store, file = torn(tmp_path / "cut", b"")
    for length in range(first, second):
        file.write_bytes(whole[:length])
        store.report(TRIAL.id, REPORTS[0])
        assert file.read_bytes() == whole[:second], length
    assert store.read(TRIAL.id) == of_lines(2)
    assert store.damages == set()


def test_a_torn_first_line_is_begun_again(tmp_path: Path) -> None:
    store, file = torn(tmp_path, full(Store(tmp_path)).read_bytes()[:40])
    assert store.read(TRIAL.id) is None
    assert [str(damage) for damage in store.damages] == [f"{file} line 1 is cut off"]
    store.begin(RECORD)
    assert store.read(TRIAL.id) == RECORD


def test_a_torn_ask_loses_itself_only(tmp_path: Path) -> None:
    store = Store(tmp_path)
    asks = [Ask("FDA", "search", number, dataclasses.replace(TRIAL, seed=number)) for number in range(3)]
    store.announce(HEADER)
    store.ask("question", asks[0])
    file = tmp_path / "question" / "journal.jsonl"
    file.write_bytes(file.read_bytes()[:-10])
    store.ask("question", asks[1])
    store.ask("question", asks[2])
    journal = store.journal("question")
    assert (journal.header, list(journal.asks)) == (HEADER, asks[1:])


# What a disk or a person changed


def test_any_flipped_byte_is_found_and_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    whole = full(Store(tmp_path / "whole")).read_bytes()
    ends = line_ends(whole)
    store, file = torn(tmp_path / "flipped", b"")
    for position, byte in enumerate(whole):
        # Bit by bit in turn; every ninth byte becomes the end of a line.
        changed = (*(byte ^ 1 << bit for bit in range(8)), ord("\n"))[position % 9]
        if changed == byte:
            continue
        flipped = bytearray(whole)
        flipped[position] = changed
        file.write_bytes(flipped)
        store.damages.clear()
        store.read(TRIAL.id)
        line = sum(end <= position for end in ends) + 1
        two_of_one = {line, line + 1} if changed == ord("\n") else {line}
        assert {damage.line for damage in store.damages} == two_of_one, position
        assert {damage.file for damage in store.damages} == {str(file)}


@pytest.mark.parametrize(("damaged", "kept"), [(2, 0), (3, 1), (4, 2)])
def test_a_damaged_report_leaves_a_gap_that_ends_the_record_until_it_is_filled(
    tmp_path: Path, damaged: int, kept: int
) -> None:
    store, file = torn(tmp_path, full(Store(tmp_path)).read_bytes())
    damage(file, damaged)
    assert store.read(TRIAL.id) == dataclasses.replace(RECORD, reports=REPORTS[:kept]), "without the end: it is later"
    assert {str(each) for each in store.damages} == {f"{file} line {damaged} is damaged"}
    for report in REPORTS[kept:]:
        store.report(TRIAL.id, dataclasses.replace(report, seconds=99.0))
        renewed = dataclasses.replace(REPORTS[kept], seconds=99.0)
        expected = (*REPORTS[:kept], renewed, *REPORTS[kept + 1 :])
        assert store.read(TRIAL.id) == dataclasses.replace(RECORD, reports=expected, end=END), "the rest was kept"


def test_a_damaged_first_line_loses_the_record_until_it_is_begun_again(tmp_path: Path) -> None:
    store, file = torn(tmp_path, full(Store(tmp_path)).read_bytes())
    damage(file, 1)
    assert store.read(TRIAL.id) is None
    assert store.damages == {Damage(str(file), 1, "damaged")}
    store.begin(RECORD)
    assert store.read(TRIAL.id) == of_lines(5)


def test_a_damaged_end_leaves_a_trial_that_has_not_ended(tmp_path: Path) -> None:
    store, file = torn(tmp_path, full(Store(tmp_path)).read_bytes())
    damage(file, 5)
    assert store.read(TRIAL.id) == of_lines(4)
    assert store.damages == {Damage(str(file), 5, "damaged")}


def test_the_order_of_lines_does_not_matter(tmp_path: Path) -> None:
    lines = full(Store(tmp_path)).read_bytes().splitlines(keepends=True)
    for order in itertools.permutations(lines):
        store, _ = torn(tmp_path, b"".join(order))
        assert store.read(TRIAL.id) == of_lines(5)
        assert store.damages == set()


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\0" * 64 + b"\n",
        b"\xff\xfe\n",
        b'{"event": "report", "step": 20}\n',
        b"\n",
        b"[]\n",
        pickle.dumps(HEADER) + b"\n",
    ],
    ids=["zeros", "no text", "no checksum", "nothing", "no event", "pickle"],
)
def test_rubbish_between_lines_is_named_and_passed_over(tmp_path: Path, rubbish: bytes) -> None:
    lines = full(Store(tmp_path)).read_bytes().splitlines(keepends=True)
    store, file = torn(tmp_path, b"".join([*lines[:2], rubbish, *lines[2:]]))
    assert store.read(TRIAL.id) == of_lines(5)
    named = range(3, 3 + rubbish.count(b"\n"))
    assert store.damages == {Damage(str(file), number, "damaged") for number in named}


@pytest.mark.parametrize("damaged", range(1, 6))
def test_a_damaged_line_of_a_journal_loses_itself_only(tmp_path: Path, damaged: int) -> None:
    store = Store(tmp_path)
    ask = Ask("FDA", "search", 0, TRIAL)
    store.announce(HEADER)
    store.ask("question", ask)
    store.lose("question", TRIAL.id, 10)
    store.score("question", Score("source only", TRIAL.id, 10, "target/entropy", -0.25))
    store.conclude("question", ask.key, END)
    file = tmp_path / "question" / "journal.jsonl"
    damage(file, damaged)
    journal = store.journal("question")
    assert store.damages == {Damage(str(file), damaged, "damaged")}
    assert journal == Journal(
        HEADER if damaged != 1 else None,
        (ask,) if damaged != 2 else (),
        {ask.key: END} if damaged != 5 else {},
        Counter({TRIAL.id: 1} if damaged != 3 else {}),
        {"source only": {TRIAL.id: {10: {"target/entropy": -0.25}}}} if damaged != 4 else {},
    )


def test_a_disk_that_fills_leaves_the_record_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.begin(RECORD)
    store.report(TRIAL.id, REPORTS[0])
    file = store.trial_folder(TRIAL.id) / "record.jsonl"
    before = file.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in range(0, 300, 20):
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, limits[1]))
        try:
            with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
                store.report(TRIAL.id, dataclasses.replace(REPORTS[1], confusions={"target/test": [[0] * 20] * 20}))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert file.read_bytes() == before
    store.report(TRIAL.id, REPORTS[1])
    assert store.read(TRIAL.id) == of_lines(3)
    assert store.damages == set()


# Readers


def test_a_reader_beside_the_writer_sees_whole_reports_in_order(tmp_path: Path) -> None:
    store = Store(tmp_path)
    trial = dataclasses.replace(TRIAL, steps=60, evaluations=60)
    store.begin(dataclasses.replace(RECORD, trial=trial))
    expected = [
        Report(step, 1.0, {"source/miou": step / 1000}, {"target/test": [[step] * 20] * 20}) for step in range(1, 61)
    ]
    seen: list[tuple[Report, ...]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            record = Store(tmp_path).read(trial.id)
            seen.append(record.reports if record else ())

    reader = threading.Thread(target=read)
    reader.start()
    for report in expected:
        store.report(trial.id, report)
    done.set()
    reader.join()
    assert all(list(reports) == expected[: len(reports)] for reports in seen)
    assert [len(reports) for reports in seen] == sorted(len(reports) for reports in seen)
    record = store.read(trial.id)
    assert record is not None
    assert list(record.reports) == expected


def test_a_line_is_plain_json_that_names_its_event_and_carries_its_checksum(tmp_path: Path) -> None:
    written = full(Store(tmp_path)).read_text().splitlines()
    lines = [json.loads(line) for line in written]
    assert [line["event"] for line in lines] == ["trial", "report", "report", "report", "end"]
    assert lines[0]["trial"]["hyperparameters"] == {"beta": 0.012, "eta": 2.0}
    assert lines[1]["metrics"]["source/miou"] == 10 / 70
    for text, line in zip(written, lines, strict=True):
        checksum = line.pop("crc32")
        assert list(json.loads(text))[-1] == "crc32"
        assert checksum == f"{zlib.crc32(json.dumps(line).encode()):08x}"
    end = {"state": "complete", "cause": "predictions collapsed", "reason": END.reason, "step": 30, "retry": False}
    assert lines[4] == {"event": "end", "of": TRIAL.id, "format": 2, **end}


def test_the_last_end_counts_since_a_failed_trial_may_be_tried_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.begin(RECORD)
    store.end(TRIAL.id, End("failed", "worker lost", "its worker died 3 times", 10, retry=True))
    assert store.read(TRIAL.id) == RECORD, "the report of step 10 is lost, so the end is not known to be one"
    store.report(TRIAL.id, REPORTS[0])
    store.end(TRIAL.id, dataclasses.replace(END, step=10))
    assert store.read(TRIAL.id) == dataclasses.replace(
        RECORD, reports=REPORTS[:1], end=dataclasses.replace(END, step=10)
    )


def test_that_a_search_stopped_a_trial_belongs_to_its_study(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.begin(RECORD)
    store.report(TRIAL.id, REPORTS[0])
    stopped = End("stopped", "below the cut", "0.1000 at 10 steps, cut 0.2000", 10)
    store.conclude("question", ("FDA", TRIAL.id), stopped)
    assert store.journal("question").ends == {("FDA", TRIAL.id): stopped}
    assert store.journal("another").ends == {}
    assert store.read(TRIAL.id) == of_lines(2)


# What another user could have written
