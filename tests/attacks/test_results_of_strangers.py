"""Results that somebody else made: nothing in them chooses a path, hangs a command, fills the memory or is executed."""

import dataclasses
import itertools
import json
import os
import stat
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from platform.commands import replay, tracking
from platform.commands.exits import BadInput
from platform.commands.remote import job
from platform.commands.remote.command import main as remote
from platform.commands.remote.connection import prepare_for
from platform.records.ledger import Ledger
from platform.records.record import Ask
from platform.records.storage.files import NotPlain
from platform.records.store import PREDICTIONS, Store, is_study_name
from platform.results.mirror.tracker import result_files
from platform.results.report import comma_separated, latex, markdown, parquet, terminal, write
from tests.support.fetched import Fetched
from tests.support.invented_study import made
from tests.support.plain_records import HEADER, RECORD, REPORTS, TRIAL
from tests.support.seen_alike import by_arm, tabulate

FIXTURES = Path(__file__).parents[1] / "fixtures"

SECRET = "the user's own"
ESCAPE = "\x1b]0;owned\x07\x1b[2J"


def line(of: str, event: str, values: dict[str, Any]) -> bytes:
    """A line with the checksum that belongs to it: whoever writes one can compute that."""
    body = json.dumps({"event": event, "of": of, "format": 1, **values}).encode()
    return b'%s, "crc32": "%08x"}\n' % (body[:-1], zlib.crc32(body))


def sealed(body: bytes) -> bytes:
    return b'%s, "crc32": "%08x"}\n' % (body[:-1], zlib.crc32(body))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A study of one trial."""
    store = Store(tmp_path / "results")
    store.announce(HEADER)
    store.ask("question", Ask("FDA β=0.1", "search", 0, dataclasses.replace(TRIAL, seed=0)))
    store.begin(RECORD)
    for report in REPORTS:
        store.report(TRIAL.id, report)
    return store


@pytest.mark.parametrize("name", ["..", ".", ".hidden", "trials", "Set-Aside", "a/b", "../x", "a\\b", "", "\x1b[31m"])
@pytest.mark.parametrize("command", ["stop", "fetch"])
def test_no_command_takes_a_path_for_a_study(command: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        remote([command, name])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "a study" in said.splitlines()[-1]
    assert "\x1b" not in said


@pytest.mark.parametrize("name", [".hidden", "trials", "set-aside", f"red{ESCAPE}"])
def test_folders_that_no_study_has_made_are_no_studies(store: Store, name: str) -> None:
    (store.folder / name).mkdir(exist_ok=True)
    (store.folder / name / "journal.jsonl").write_bytes((store.folder / "question/journal.jsonl").read_bytes())
    assert store.studies() == ["question"]
    assert replay.main([str(store.folder / name)]) == 2
    assert not is_study_name(name)


@pytest.mark.parametrize(
    "name", ["../../escaped", "/etc/escaped", "..", "trials", f"{ESCAPE}", "another"], ids=itertools.count()
)
def test_a_header_of_another_name_chooses_no_path(store: Store, name: str, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    journal = store.folder / "question/journal.jsonl"
    for of in ("question", name):
        with journal.open("ab") as file:
            file.write(line(of, "study", dataclasses.asdict(dataclasses.replace(HEADER, name=name))))
        store.damages.clear()
        assert store.journal("question").header == HEADER
        assert store.damages
        assert store.studies() == ["question"]
        replay.main([str(store.folder)])
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "content",
    [
        sealed(b'{"event": "study", "of": "que\\stion", "format": 1}'),
        sealed(b'{"event": "study", "of": "que\xffstion", "format": 1}'),
        sealed(b'{"event": "study", "of": "question", "format": ' + b"9" * 5000 + b"}"),
        sealed(b'{"event": "study", "of": "question", "format": 1, "name": ' + b"[" * 100_000 + b"}"),
        sealed(b'{"event": "ask", "of": "question", "format": 1, "arm": ' + b'{"a":' * 100_000 + b"}"),
        sealed(b'{"event": "rung", "of": "question", "format": 1, "value": NaN}'),
        b"\0" * 10_000 + b"\n",
    ],
    ids=["escape", "bytes", "digits", "depth", "objects", "no number", "zeros"],
)
def test_a_line_with_a_true_checksum_may_say_anything(store: Store, content: bytes) -> None:
    with (store.folder / "question/journal.jsonl").open("ab") as file:
        file.write(content)
    assert store.journal("question").header == HEADER
    assert len(store.damages) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": 10**12},
        {"search_trials": 10**12},
        {"steps": 0},
        {"steps": 10**30},
        {"smoothing": -1},
        {"reference": "nobody"},
        {"arms": ()},
        {"arms": HEADER.arms * 2},
        {"began": "../../x"},
        {"began": "0001-01-01T00:00:00"},
        {"began": "9999-12-31T23:59:59-23:59"},
        {"shift": {}},
        {"shift": HEADER.shift | {"size": [10**9, 1]}},
        {"shift": HEADER.shift | {"size": ["a", 1]}},
        {"shift": HEADER.shift | {"groups": [[99]]}},
        {"shift": HEADER.shift | {"groups": [[]]}},
        {"shift": HEADER.shift | {"groups": []}},
        {"shift": HEADER.shift | {"name": 5}},
        {"rungs": [10**400]},
        {"arms": (dataclasses.replace(HEADER.arms[0], cost={"gflops": 10**400}), *HEADER.arms[1:])},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_a_header_that_no_study_has_is_left_out(store: Store, changes: dict[str, Any]) -> None:
    header = dataclasses.asdict(HEADER) | {name: value for name, value in changes.items() if name != "arms"}
    if "arms" in changes:
        header["arms"] = [dataclasses.asdict(arm) for arm in changes["arms"]]
    with (store.folder / "question/journal.jsonl").open("ab") as file:
        file.write(line("question", "study", header))
    assert store.journal("question").header == HEADER
    assert len(store.damages) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"evaluations": 10**12},
        {"evaluations": 0},
        {"evaluations": -(10**9)},
        {"steps": 10**20, "evaluations": 10**19},
        {"method": ESCAPE},
        {"hyperparameters": {ESCAPE: 1}},
        {"recipe": {"\u202e": 1}},
        {"seed": -1},
        {"hyperparameters": {"beta": 10**400}},
        {"resolved": {"beta": {"band": [-(10**400)]}}},
    ],
    ids=itertools.count(),
)
def test_a_trial_that_no_study_has_is_left_out(store: Store, changes: dict[str, Any]) -> None:
    trial = dataclasses.replace(TRIAL, **changes)
    begun = {"trial": dataclasses.asdict(trial), "provenance": {}, "cost": {}}
    (store.folder / "trials" / trial.id).mkdir(parents=True)
    (store.folder / "trials" / trial.id / "record.jsonl").write_bytes(line(trial.id, "trial", begun))
    assert store.read(trial.id) is None
    assert len(store.damages) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"confusions": {"target/test": [[0, 0]]}},
        {"confusions": {"target/test": []}},
        {"confusions": {"target/test": [[0] * 20] * 19 + [[0] * 19]}},
        {"confusions": {"target/test": [[-1] * 20] * 20}},
        {"confusions": {"target/test": [[2**63] * 20] * 20}},
        {"confusions": {ESCAPE: [[0] * 20] * 20}},
        {"metrics": {ESCAPE: 1.0}},
        {"seconds": 1e300},
        {"seconds": -1.0},
        {"parts": 0},
    ],
    ids=itertools.count(),
)
def test_a_report_that_no_trial_gives_is_left_out(store: Store, changes: dict[str, Any]) -> None:
    values = vars(dataclasses.replace(REPORTS[0], step=1, **changes))
    with (store.trial_folder(TRIAL.id) / "record.jsonl").open("ab") as file:
        file.write(line(TRIAL.id, "report", values))
    assert store.read(TRIAL.id) == dataclasses.replace(RECORD, reports=REPORTS)
    assert len(store.damages) == 1


def test_a_trial_whose_cost_no_table_can_hold_is_left_out(store: Store) -> None:
    record = store.trial_folder(TRIAL.id) / "record.jsonl"
    rest = record.read_bytes().splitlines(keepends=True)[1:]
    begun = {"trial": dataclasses.asdict(TRIAL), "provenance": {}, "cost": {"gflops": 10**400}}
    record.write_bytes(line(TRIAL.id, "trial", begun) + b"".join(rest))
    assert store.read(TRIAL.id) is None
    assert len(store.damages) == 1


def test_texts_of_records_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    """By terminal, Markdown, spreadsheets, LaTeX: here every text of a record at once."""
    evil = f"=cmd|' /C calc'!A0<script>alert(1)</script>[x](javascript:1)\\input{{/etc/passwd}}{ESCAPE}"
    header, asks, records, _ = made(evil)
    store = Store(tmp_path)
    header = dataclasses.replace(header, question=evil, select=header.select)
    store.announce(header)
    for ask in asks:
        trial = dataclasses.replace(ask.trial, recipe=ask.trial.recipe | {"schedule": evil}, method="FDA")
        store.ask(header.name, dataclasses.replace(ask, trial=trial))
        record = records[ask.trial.id]
        store.begin(dataclasses.replace(record, trial=trial, provenance={"host": evil}))
        for report in record.reports:
            store.report(trial.id, dataclasses.replace(report, node=evil, device=evil))
        if record.end:
            ended = dataclasses.replace(record.end, cause="error", reason=evil)
            store.end(trial.id, ended)
            store.conclude(header.name, (ask.arm, trial.id), ended)
    journal = store.journal(header.name)
    assert journal.header is not None
    found = {ask.trial.id: store.read(ask.trial.id) for ask in journal.asks}
    read = {name: record for name, record in found.items() if record is not None}
    assert len(read) == len(records)
    table = tabulate(journal.header, journal.asks, read)
    texts = [
        terminal.render(table),
        markdown.render(table),
        comma_separated.render(table),
        latex.render(table),
    ]
    for text in texts:
        assert "\x1b" not in text
        assert "\x07" not in text
    assert "<script" not in texts[1].replace("\\<script", "")
    assert "](javascript" not in texts[1].replace("\\](", "")
    assert not [cell for row in texts[2].splitlines() for cell in row.split(",") if cell.startswith(("=", '"='))]
    assert "\\input" not in texts[3]
    assert parquet.render(journal.asks, by_arm(journal.asks, read))


def test_numbers_beyond_those_of_a_column_are_text_in_parquet() -> None:
    _, asks, records, _ = made("a")
    ask = dataclasses.replace(asks[0], trial=dataclasses.replace(asks[0].trial, hyperparameters={"beta": 10**30}))
    assert parquet.render([ask], by_arm([ask], records))


@pytest.mark.parametrize("results", ["results_of_0_1_0", "results_of_format_1"])
def test_a_table_is_made_of_records_that_leave_out_what_it_shows(results: str, tmp_path: Path) -> None:
    """Whose costs lack fields, and whose matrices are too small to be scored."""
    store = Store(FIXTURES / results)
    header = store.journal("question").header
    assert header is not None
    ledger = Ledger(store, "question", [arm.name for arm in header.arms])
    table = tabulate(header, ledger.asks, ledger.records)
    files = write(table, ledger.asks, ledger.by_arm(), tmp_path, lambda trial: store.fetched(trial, PREDICTIONS))
    assert {file.suffix for file in files} >= {".md", ".csv", ".tex", ".parquet"}
    assert [row.troubles.seeds_missing for row in table.rows] == [3, 3]
    assert "nan" in terminal.render(table)


@pytest.mark.parametrize("what", ["link", "pipe", "link to a pipe"])
@pytest.mark.parametrize("file", ["question/journal.jsonl", f"trials/{TRIAL.id}/record.jsonl"])
def test_records_that_are_no_plain_files_are_one_line(
    store: Store, what: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store.ask("question", Ask("FDA β=0.1", "confirm", 0, TRIAL))
    path = store.folder / file
    other = path.rename(path.with_name("other"))
    if what != "link":
        other.unlink()
        os.mkfifo(path if what == "pipe" else other)
    if what != "pipe":
        path.symlink_to(other)
    with pytest.raises(NotPlain):
        store.storage.read(file)
    assert tracking.main([str(store.folder), "--to", f"sqlite:///{store.folder}/mlflow.db"]) == 2
    named = {"link": "a link", "pipe": "a pipe", "link to a pipe": "a link"}[what]
    assert capsys.readouterr().err == f"error: {path} must be a plain file, got {named}; move it away\n"


def test_a_folder_that_the_user_linked_is_read(store: Store) -> None:
    trials = store.folder / "trials"
    trials.rename(store.folder.with_name("on-another-disk"))
    trials.symlink_to(store.folder.with_name("on-another-disk"))
    assert store.read(TRIAL.id) == dataclasses.replace(RECORD, reports=REPORTS)


def test_links_among_the_tables_are_not_copied_to_mlflow(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "study").mkdir()
    (tmp_path / "study/table.md").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "study/table.csv")
    (tmp_path / "study/table.tex").write_text("ours")
    assert [path.name for path in result_files(tmp_path / "study")] == ["table.tex"]


def _link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def _pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def _sparse(path: Path, _: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 << 30)


def _folder(path: Path, _: Path) -> None:
    path.mkdir()


def _privileged(path: Path, _: Path) -> None:
    path.write_bytes(b"#!/bin/sh\n")
    path.chmod(0o6777)


@pytest.mark.parametrize("make", [_link, _pipe, _sparse, _folder])
@pytest.mark.parametrize("name", ["table.md", "log.txt", "prediction.npz", "record.jsonl"])
def test_fetching_takes_plain_files_of_known_names_over(
    tmp_path: Path, make: Callable[[Path, Path], None], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    fetched = Fetched(tmp_path)
    trial = fetched.theirs.trial_folder(fetched.asks[0].trial.id)
    folder = trial if name in ("prediction.npz", "record.jsonl") else fetched.theirs.study_folder("invented")
    (folder / name).unlink(missing_ok=True)
    make(folder / name, tmp_path / "secret")
    for odd in ("evil.so", ".bashrc", "table.html"):
        (folder / odd).write_text("x")
    fetched.take_over()
    names = {path.name for path in fetched.mine.folder.rglob("*") if not path.is_dir()}
    assert names <= {"journal.jsonl", "record.jsonl", "table.md"}
    assert not (fetched.mine.folder / folder.relative_to(fetched.theirs.folder) / name).exists()
    assert not any(path.is_symlink() for path in fetched.mine.folder.rglob("*"))
    assert "what no study leaves, or is no plain file: " in capsys.readouterr().err


def test_fetching_leaves_a_trial_that_is_a_link(tmp_path: Path) -> None:
    """It would be a folder of this machine."""
    fetched = Fetched(tmp_path)
    trial = fetched.theirs.trial_folder(fetched.asks[0].trial.id)
    trial.rename(tmp_path / "elsewhere")
    trial.symlink_to(tmp_path / "elsewhere")
    fetched.take_over()
    assert not fetched.mine.trial_folder(fetched.asks[0].trial.id).exists()


def test_fetching_takes_no_rights_over(tmp_path: Path) -> None:
    fetched = Fetched(tmp_path)
    _privileged(fetched.theirs.study_folder("invented") / "table.tex", tmp_path)
    fetched.take_over()
    mode = (fetched.mine.study_folder("invented") / "table.tex").stat().st_mode
    assert mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR | stat.S_IWOTH) == 0


@pytest.mark.parametrize(
    "content", ["[" * 10_000, "a: 2001-99-99", "a: !!python/object/apply:os.system [id]", "a: 0o99", "\ud800"]
)
def test_a_cluster_file_of_any_content_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "cluster.yaml").write_text(content, errors="surrogatepass")
    with pytest.raises(BadInput, match=r"cluster\.yaml must be"):
        prepare_for(tmp_path / "cluster.yaml")


def test_of_a_jobs_log_a_terminal_obeys_colours_alone(capsys: pytest.CaptureFixture[str]) -> None:
    class Client:
        async def tail_job_logs(self, _: str) -> Any:
            yield f"\x1b[31mred\x1b[0m\n{ESCAPE}\r\tend\n"

    import asyncio

    following = job.Following(lambda: None, lambda _: "")  # type: ignore[arg-type, return-value]
    asyncio.run(following._show(Client(), "job"))  # type: ignore[arg-type]
    assert capsys.readouterr().out == "\x1b[31mred\x1b[0m\n\\x1b]0;owned\\x07\\x1b[2J\\r\tend\n"
