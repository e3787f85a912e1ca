"""`--report`: the table of the study that ran, and records of which none can be made."""

import shutil
from pathlib import Path

import pytest

from platform.commands.study import main
from platform.records.location import RESULTS_VARIABLE
from platform.records.record import End, Report
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
    """A file of the study whose results lie beside it."""
    path = tmp_path / "invented.py"
    path.write_text(FILE)
    header = invented.study(invented.arm("source only"), source=FILE)
    store = Store(tmp_path / "results")
    store.announce(header)
    ask = invented.ask(header, "source only", "search", 0)
    store.ask(header.name, ask)
    store.begin(invented.begun(ask))
    for step in invented.EVALUATED_STEPS:
        store.report(ask.trial.id, Report(step, 1.0, {"source/miou": 0.5}, {}))
    end = End("complete", None, "", 400)
    store.end(ask.trial.id, end)
    store.conclude(header.name, ask.key, end)
    monkeypatch.setenv(RESULTS_VARIABLE, str(tmp_path / "results"))
    return str(path)


def test_the_table_is_written_of_a_study_that_is_under_way(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([file, "--report"]) == 1
    assert (Path(file).parent / "results" / "invented" / "table.csv").is_file()
    assert "has changed" not in capsys.readouterr().err


def test_it_says_that_the_file_has_changed_since(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(file).write_text(FILE.replace("steps=4", "steps=5"))
    assert main([file, "--report"]) == 1
    assert (
        "invented.py has changed since the study ran; this is the table of the study that ran"
        in capsys.readouterr().err
    )


def test_a_table_is_not_written_over_by_dashes_when_the_trials_were_left_behind(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Path(file).parent / "results"
    assert main([file, "--report"]) == 1
    before = {path.name: path.read_bytes() for path in (results / "invented").iterdir()}
    shutil.rmtree(results / "trials")
    capsys.readouterr()
    assert "the records of trials must lie beside their study, got none of invented in" in refused(
        capsys, file, "--report"
    )
    assert {path.name: path.read_bytes() for path in (results / "invented").iterdir()} == before


def test_a_renamed_study_is_named(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(file).parent
    (folder / "results" / "invented").rename(folder / "results" / "other")
    other = shutil.copy(file, folder / "other.py")
    message = "a study's folder must keep its name, got other, which holds the journal of 'invented'; rename it back"
    assert message in refused(capsys, str(other), "--report")


def test_results_in_a_file_are_refused(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    for place in (file, f"{file}/results"):
        assert f"and {file} is a file; name another place" in refused(capsys, file, "--results", place)
