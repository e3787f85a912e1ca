"""`--submission`: from records alone, into a folder of its own, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from platform.commands import submission
from platform.commands.study import main
from platform.records.location import RESULTS_VARIABLE
from platform.records.store import Store
from tests.support import invented_study as invented
from tests.support.refusals import refused

FILE = '''"""Any study of this name."""

from platform.methods import SourceOnly
from platform.shifts import town
from platform.study import Arm, Budget, Study

study = Study(shift=town(), arms={"a": Arm(SourceOnly)}, reference="a", budget=Budget(steps=4, evaluations=1), seeds=1)
'''


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of a complete study whose results lie beside it."""
    path = tmp_path / "invented.py"
    path.write_text(FILE)
    header, asks, records, _ = invented.made(source=FILE)
    store = Store(tmp_path / "results")
    store.announce(header)
    for ask in asks:
        store.ask(header.name, ask)
        record = records[ask.trial.id]
        store.begin(record)
        for report in record.reports:
            store.report(ask.trial.id, report)
        assert record.end is not None
        if record.end.state != "stopped":
            store.end(ask.trial.id, record.end)
        store.conclude(header.name, ask.key, record.end)
    monkeypatch.setenv(RESULTS_VARIABLE, str(tmp_path / "results"))
    return str(path)


def test_the_kit_is_written_and_its_table_is_the_studys(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([file, "--report"]) == 0
    capsys.readouterr()
    assert main([file, "--submission", str(tmp_path / "deep" / "kit")]) == 0
    assert "README.md says what each is" in capsys.readouterr().out
    kit = tmp_path / "deep" / "kit"
    made = {path.name for path in (tmp_path / "results" / "invented").iterdir()} - {"journal.jsonl", "records.parquet"}
    assert {"table.md", "curves.png", "responses.png"} <= made
    for name in made:
        assert (kit / name).read_bytes() == (tmp_path / "results" / "invented" / name).read_bytes()
    monkeypatch.setenv(RESULTS_VARIABLE, str(kit / "results"))
    assert main([str(kit / "invented.py"), "--report"]) == 0
    assert (kit / "results" / "invented" / "table.md").read_bytes() == (kit / "table.md").read_bytes()


def test_an_interrupted_study_gives_a_kit_and_says_so(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = tmp_path / "results" / "invented" / "journal.jsonl"
    lines = [line for line in journal.read_bytes().splitlines(keepends=True) if b'"number": 2' not in line]
    journal.write_bytes(b"".join(lines))
    assert main([file, "--submission", str(tmp_path / "kit")]) == 1
    assert "results are missing: source only, FDA; run the study to its end" in capsys.readouterr().err
    assert "not complete" in (tmp_path / "kit" / "README.md").read_text()


def test_an_empty_folder_will_do(file: str, tmp_path: Path) -> None:
    (tmp_path / "kit").mkdir()
    assert main([file, "--submission", str(tmp_path / "kit")]) == 0


def test_a_folder_that_holds_something_is_refused_and_stays(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit" / "mine").write_text("kept")
    message = refused(capsys, file, "--submission", str(tmp_path / "kit"))
    assert f"must name a folder that is empty or not there yet, got {tmp_path / 'kit'}; name another" in message
    assert [path.name for path in (tmp_path / "kit").iterdir()] == ["mine"]


def test_a_file_and_a_place_in_one_are_refused(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    for place in (file, f"{file}/kit"):
        assert f"--submission must name a folder, got {place}, and {file} is a file" in refused(
            capsys, file, "--submission", place
        )


def test_a_folder_that_cannot_be_written_is_refused(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], unprivileged: Callable[[Path], None]
) -> None:
    (tmp_path / "closed").mkdir(mode=0o555)
    unprivileged(tmp_path)
    message = refused(capsys, file, "--submission", str(tmp_path / "closed" / "kit"))
    assert "--submission must name a folder that can be written" in message
    assert "Permission denied" in message


def test_a_disk_that_takes_nothing_is_said_in_one_line(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(submission, "write_whole", full)
    message = refused(capsys, file, "--submission", str(tmp_path / "kit"))
    assert "must name a folder that can be written" in message
    assert "(No space left on device); name another" in message


def test_without_records_there_is_no_kit(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = str(tmp_path / "none")
    message = refused(capsys, file, "--results", empty, "--submission", str(tmp_path / "kit"))
    assert "there are no records of invented in" in message
    assert "run the study first, without --submission" in message
    assert not (tmp_path / "kit").exists()


def test_a_study_whose_trials_have_not_reported_gives_no_kit(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = invented.study(invented.arm("source only"), source=FILE)
    store = Store(tmp_path / "begun")
    store.announce(header)
    ask = invented.ask(header, "source only", "search", 0)
    store.ask(header.name, ask)
    store.begin(invented.begun(ask))
    message = refused(capsys, file, "--results", str(tmp_path / "begun"), "--submission", str(tmp_path / "kit"))
    assert "a submission kit needs trials that have reported, got none of invented" in message


def test_names_of_whoever_makes_the_kit_are_known(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "jane.doe")
    monkeypatch.setattr("socket.gethostname", lambda: "gpu-17.example.edu")
    Path(file).write_text(FILE)
    text = f'"""By jane.doe on gpu-17.example.edu, in {tmp_path}."""\n'
    header, asks, records, _ = invented.made(source=text)
    store = Store(tmp_path / "signed")
    store.announce(header)
    for ask in asks[-1:]:
        store.ask(header.name, ask)
        store.begin(records[ask.trial.id])
        for report in records[ask.trial.id].reports:
            store.report(ask.trial.id, report)
    assert main([file, "--results", str(tmp_path / "signed"), "--submission", str(tmp_path / "kit")]) == 1
    said = (tmp_path / "kit" / "invented.py").read_text()
    assert not any(name in said for name in ("jane", "gpu-17", str(tmp_path)))
