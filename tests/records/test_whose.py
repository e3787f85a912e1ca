"""Records say whose they are and in which format: another's lines do not count, and those of earlier versions do."""

import dataclasses
import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from platform.records.record import Ask, End
from platform.records.store import Damage, Store
from tests.support.plain_records import END, HEADER, RECORD, REPORTS, TRIAL

FIXTURE = Path(__file__).parents[1] / "fixtures/results_of_0_1_0"
"""The results of a study as version 0.1.0 wrote them; they stay as they are."""
OTHER = dataclasses.replace(TRIAL, seed=2)


def of_version_0_1_0(folder: Path) -> Store:
    shutil.copytree(FIXTURE, folder, dirs_exist_ok=True)
    return Store(folder)


def filled(folder: Path) -> Store:
    """Two complete trials of one study."""
    store = Store(folder)
    store.announce(HEADER)
    for number, trial in enumerate((TRIAL, OTHER)):
        store.ask("question", Ask("FDA β=0.1", "confirm", number, trial))
        store.begin(dataclasses.replace(RECORD, trial=trial))
        for report in REPORTS:
            store.report(trial.id, report)
        store.end(trial.id, END)
        store.conclude("question", ("FDA β=0.1", trial.id), END)
    return store


def exchange(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def changed(file: Path, number: int, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the values of a line, with the checksum that belongs to them."""
    lines = file.read_bytes().splitlines(keepends=True)
    values = json.loads(lines[number - 1])
    del values["crc32"]
    change(values)
    body = json.dumps(values).encode()
    lines[number - 1] = b'%s, "crc32": "%08x"}\n' % (body[:-1], zlib.crc32(body))
    file.write_bytes(b"".join(lines))


@pytest.mark.parametrize("old", [False, True], ids=["", "of version 0.1.0"])
def test_records_that_were_exchanged_do_not_count(tmp_path: Path, old: bool) -> None:
    """By a wrong rsync, or a backup that was restored to another place."""
    store = of_version_0_1_0(tmp_path) if old else filled(tmp_path)
    files = [store.trial_folder(trial.id) / "record.jsonl" for trial in (TRIAL, OTHER)]
    lengths = [len(file.read_bytes().splitlines()) for file in files]
    exchange(*files)
    assert store.read(TRIAL.id) is None
    assert store.damages == {Damage(str(files[0]), line, f"of {OTHER.id!r}") for line in range(1, lengths[1] + 1)}
    store.begin(RECORD)
    assert store.read(TRIAL.id) == RECORD, "it is trained again, and nothing of the other's comes in"
    for report in REPORTS:
        store.report(TRIAL.id, report)
    store.end(TRIAL.id, END)
    assert store.read(TRIAL.id) == dataclasses.replace(RECORD, reports=REPORTS, end=END)


@pytest.mark.parametrize("old", [False, True], ids=["", "of version 0.1.0"])
def test_another_studys_journal_does_not_count(tmp_path: Path, old: bool) -> None:
    store = of_version_0_1_0(tmp_path) if old else filled(tmp_path)
    shutil.copytree(tmp_path / "question", tmp_path / "another")
    journal = store.journal("another")
    assert (journal.header, journal.asks, journal.ends, journal.losses) == (None, (), {}, {})
    assert {damage.what for damage in store.damages} == {"of 'question'"}
    store.announce(dataclasses.replace(HEADER, name="another"))
    assert store.journal("another").header is not None
    assert store.journal("another").asks == ()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda values: values.update(event="epoch"), "of an unknown kind, 'epoch'"),
        (
            lambda values: values.update(note="x"),
            "none that this version understands (note: Unexpected keyword",
        ),
        (lambda values: values.pop("step"), "none that this version understands (step: Field required)"),
        (lambda values: values.update(step="20"), "none that this version understands (step: Input should be a valid "),
        (lambda values: values.update(metrics=None), "none that this version understands (metrics: Input should be"),
        (lambda values: values.update(of="another"), "of 'another'"),
        (lambda values: values.update(format=3), "in format 3, which a newer version writes"),
    ],
    ids=["kind", "field", "no step", "text", "null", "of", "newer"],
)
def test_a_line_that_this_version_does_not_understand_is_named_and_left_out(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], what: str
) -> None:
    store = filled(tmp_path)
    file = store.trial_folder(TRIAL.id) / "record.jsonl"
    changed(file, 3, change)
    assert store.read(TRIAL.id) == dataclasses.replace(RECORD, reports=REPORTS[:1]), "up to the gap"
    (damage,) = store.damages
    assert str(damage).startswith(f"{file} line 3 is {what}")
    assert damage.newer == ("newer" in what)
    store.report(TRIAL.id, REPORTS[1])
    assert store.read(TRIAL.id) == dataclasses.replace(RECORD, reports=REPORTS, end=END)


@pytest.mark.parametrize("line", range(1, 6))
def test_a_line_of_a_journal_from_a_newer_version_is_named(tmp_path: Path, line: int) -> None:
    store = filled(tmp_path)
    changed(tmp_path / "question/journal.jsonl", line, lambda values: values.update(event="merge", format=7))
    store.journal("question")
    assert {(damage.line, damage.what, damage.newer) for damage in store.damages} == {
        (line, "in format 7, which a newer version writes", True)
    }


@pytest.mark.parametrize("written", [FIXTURE, FIXTURE.with_name("results_of_format_1")], ids=["0.1.0", "format 1"])
def test_results_of_earlier_versions_are_read(written: Path, tmp_path: Path) -> None:
    """Every later version reads them, and goes on with them."""
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    store = Store(tmp_path)
    journal = store.journal("question")
    searched, confirmed, lost = (dataclasses.replace(TRIAL, seed=seed) for seed in (0, 1, 2))
    arm = "FDA β=0.1"
    assert journal.header == HEADER
    assert journal.asks == (
        Ask(arm, "search", 0, searched),
        Ask(arm, "confirm", 0, confirmed),
        Ask(arm, "confirm", 1, lost),
    )
    stopped = End("stopped", "below the cut", "rung 10: mean 0.1250 is below the cut 0.2500", 10)
    failed = End("failed", "worker lost", "worker lost 4 times since step 10", 10, retry=True)
    assert journal.ends == {(arm, searched.id): stopped, (arm, confirmed.id): END, (arm, lost.id): failed}
    assert journal.losses == {lost.id: 1}
    assert store.read(searched.id) == dataclasses.replace(RECORD, trial=searched, reports=REPORTS[:1])
    assert store.read(confirmed.id) == dataclasses.replace(RECORD, reports=REPORTS, end=END)
    assert store.read(lost.id) == dataclasses.replace(RECORD, trial=lost, reports=REPORTS[:1], end=failed)
    assert store.damages == set()
    for report in REPORTS[1:]:
        store.report(lost.id, report)
    store.end(lost.id, END)
    assert store.read(lost.id) == dataclasses.replace(RECORD, trial=lost, reports=REPORTS, end=END)
