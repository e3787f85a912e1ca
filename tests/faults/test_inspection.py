"""The inspection of the fault tests can fail: it finds whatever is changed in good results."""

import json
import shutil
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from platform.records.store import CHECKPOINT, JOURNAL, RECORD
from tests.support.faults import inspection, processes
from tests.support.faults.processes import MARK, Finished, Machine
from tests.support.faults.small_study import NAME, Undisturbed

pytestmark = pytest.mark.slow

Lines = list[dict[str, Any]]


@pytest.fixture
def results(tmp_path: Path, finished: Finished) -> Path:
    """A copy of good results."""
    return shutil.copytree(finished.machine.results, tmp_path / "results")


@pytest.fixture
def store(tmp_path: Path, finished: Finished) -> Path:
    """A copy of the MLflow store that goes with them."""
    return Path(shutil.copy(finished.machine.checkout.root / "mlflow.db", tmp_path / "mlflow.db"))


def rewrite(path: Path, change: Callable[[Lines], Lines]) -> None:
    """Change the lines of a record or journal, and give each the checksum that it must have."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        del line["crc32"]
    bodies = [json.dumps(line).encode() for line in change(lines)]
    path.write_bytes(b"".join(b'%s, "crc32": "%08x"}\n' % (body[:-1], zlib.crc32(body)) for body in bodies))


def a_stopped_or_complete(results: Path, state: str) -> Path:
    """The record of a search trial that ended so."""
    searched = [ask.trial.id for ask in inspection.asks(results) if ask.phase == "search"]
    trial = next(trial for trial in searched if inspection.ends(results)[trial].state == state)
    return results / "trials" / trial / RECORD


def first(lines: Lines, **wanted: Any) -> int:
    """Where the first line with these values is."""
    return next(number for number, line in enumerate(lines) if wanted.items() <= line.items())


def nudged(lines: Lines) -> Lines:
    lines[3]["metrics"]["source/miou"] += 1e-12
    return lines


def miscounted(lines: Lines) -> Lines:
    lines[3]["confusions"]["target/val"][0][0] += 1
    return lines


@pytest.mark.parametrize(
    "change",
    [
        nudged,
        miscounted,
        lambda lines: [*lines[:3], lines[2], *lines[3:]],
        lambda lines: [*lines[:3], *lines[4:]],
        lambda lines: [*lines, lines[-1]],
        lambda lines: lines[:-1],
    ],
    ids=["nudged", "miscounted", "report twice", "report missing", "end twice", "end missing"],
)
def test_a_changed_record_is_found(results: Path, undisturbed: Undisturbed, change: Callable[[Lines], Lines]) -> None:
    inspection.check_records(results, undisturbed)
    rewrite(a_stopped_or_complete(results, "complete"), change)
    with pytest.raises(AssertionError):
        inspection.check_records(results, undisturbed)


def twice(event: str) -> Callable[[Lines], Lines]:
    return lambda lines: [*lines, lines[first(lines, event=event)]]


def without(event: str) -> Callable[[Lines], Lines]:
    def change(lines: Lines) -> Lines:
        del lines[first(lines, event=event)]
        return lines

    return change


def another_proposal(lines: Lines) -> Lines:
    lines[first(lines, event="ask", arm="light", number=1)]["trial"]["hyperparameters"]["lambda_adv"] *= 1.001
    return lines


def swapped_proposals(lines: Lines) -> Lines:
    one, other = (first(lines, event="ask", phase="search", number=number) for number in (1, 2))
    lines[one]["trial"], lines[other]["trial"] = lines[other]["trial"], lines[one]["trial"]
    return lines


def spared(lines: Lines) -> Lines:
    stop = next(number for number, line in enumerate(lines) if line.get("end", {}).get("state") == "stopped")
    lines[stop]["end"] |= {"state": "complete", "cause": None, "reason": "", "step": 16}
    return lines


def stopped_for_nothing(lines: Lines) -> Lines:
    end = next(number for number, line in enumerate(lines) if line.get("end", {}).get("state") == "complete")
    reason = "rung 4: source/miou 0.0100 is below the cut 0.0200"
    lines[end]["end"] = {"state": "stopped", "cause": "below the cut", "reason": reason, "step": 4, "retry": False}
    return lines


def too_early(lines: Lines) -> Lines:
    confirmed = first(lines, event="ask", arm="source only", phase="confirm")
    line = lines.pop(confirmed)
    return [*lines[: first(lines, event="end")], line, *lines[first(lines, event="end") :]]


def confirmed_another(lines: Lines) -> Lines:
    confirmed = first(lines, event="ask", arm="source only", phase="confirm")
    lines[confirmed]["trial"]["recipe"]["learning_rate"] *= 1.001
    return lines


@pytest.mark.parametrize(
    "change",
    [
        twice("ask"),
        twice("end"),
        without("ask"),
        without("end"),
        another_proposal,
        swapped_proposals,
        spared,
        stopped_for_nothing,
        confirmed_another,
        too_early,
    ],
    ids=[
        "ask twice",
        "end twice",
        "ask missing",
        "end missing",
        "another proposal",
        "swapped proposals",
        "spared",
        "stopped for nothing",
        "confirmed another",
        "confirmed too early",
    ],
)
def test_a_changed_journal_is_found(results: Path, undisturbed: Undisturbed, change: Callable[[Lines], Lines]) -> None:
    rewrite(results / NAME / JOURNAL, lambda lines: lines)
    inspection.check_journal(results, undisturbed)
    rewrite(results / NAME / JOURNAL, change)
    with pytest.raises((AssertionError, KeyError)):
        inspection.check_journal(results, undisturbed)


def test_a_damaged_line_is_found(results: Path) -> None:
    inspection.check_readable(results)
    record = a_stopped_or_complete(results, "complete")
    record.write_bytes(record.read_bytes().replace(b'"report"', b'"repost"', 1))
    with pytest.raises(AssertionError):
        inspection.check_readable(results)


def leave_a_checkpoint(results: Path) -> None:
    (a_stopped_or_complete(results, "complete").parent / CHECKPOINT).write_bytes(b"")


def lose_a_checkpoint(results: Path) -> None:
    next(results.glob(f"trials/*/{CHECKPOINT}")).unlink()


def change_a_weight(results: Path) -> None:
    path = next(results.glob(f"trials/*/{CHECKPOINT}"))
    state = torch.load(path, weights_only=True)
    next(iter(state["modules"]["segmentation"].values())).view(-1)[0] += 1
    torch.save(state, path)


def leave_a_partial_file(results: Path) -> None:
    (results / NAME / "table.md.partial-123").write_bytes(b"")


@pytest.mark.parametrize("change", [leave_a_checkpoint, lose_a_checkpoint, change_a_weight, leave_a_partial_file])
def test_changed_files_are_found(results: Path, undisturbed: Undisturbed, change: Callable[[Path], None]) -> None:
    inspection.check_files(results, undisturbed)
    change(results)
    with pytest.raises(AssertionError):
        inspection.check_files(results, undisturbed)


@pytest.mark.parametrize("change", [lambda rows: rows[:-1], lambda rows: [rows[0], *rows[:0:-1]]])
def test_a_changed_table_is_found(
    results: Path, undisturbed: Undisturbed, change: Callable[[list[str]], list[str]]
) -> None:
    inspection.check_table(results, undisturbed.study)
    table = results / NAME / "table.csv"
    table.write_text("\n".join(change(table.read_text().splitlines())))
    with pytest.raises(AssertionError):
        inspection.check_table(results, undisturbed.study)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE runs SET status = 'RUNNING' WHERE name = 'light seed 2'",
        "UPDATE runs SET status = 'FAILED' WHERE name = 'light seed 2'",
        "UPDATE runs SET lifecycle_stage = 'deleted' WHERE name = 'light seed 2'",
        "UPDATE tags SET value = 'another' WHERE key = 'trial_id' AND run_uuid IN "
        "(SELECT run_uuid FROM runs WHERE name = 'light seed 2')",
        "UPDATE metrics SET value = value + 1e-9 WHERE key = 'source/miou' AND step = 2",
        "DELETE FROM metrics WHERE key = 'source/miou' AND step = 4",
        "INSERT INTO metrics SELECT key, value, timestamp + 1, run_uuid, step, is_nan FROM metrics "
        "WHERE key = 'source/miou' AND step = 4",
        "DELETE FROM tags WHERE key = 'state'",
    ],
)
def test_a_changed_mlflow_is_found(results: Path, store: Path, undisturbed: Undisturbed, change: str) -> None:
    uri = f"sqlite:///{store}"
    inspection.check_mlflow(results, undisturbed.study, uri)
    connection = sqlite3.connect(store)
    assert connection.execute(change).rowcount > 0
    connection.commit()
    connection.close()
    with pytest.raises(AssertionError):
        inspection.check_mlflow(results, undisturbed.study, uri)


def test_a_process_that_was_left_behind_is_found(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE", 0.1)
    machine = replace(finished.machine, mark="another")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={MARK: "another"}) as left:
        found = machine.left_behind()
        left.kill()
    assert len(found) == 1
    assert "input()" in found[0]
    assert Machine(machine.checkout, machine.study).left_behind() == []
