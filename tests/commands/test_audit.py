"""The audit command on a study that is trained for real, and its answers to mistakes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from platform.commands.audit import main
from platform.design.arm import LONGEST_NAME
from platform.records.provenance import ROOT
from platform.records.store import JOURNAL, Store
from platform.scores.selectors import SHELF, EnsV, PriorDivergence, SourceMIoU
from tests.support import invented_study as invented
from tests.support.evident_study import written
from tests.support.patience import PATIENCE
from tests.support.trained_study import NAME, study_file, train

pytestmark = pytest.mark.slow

NAMES = [selector.name for selector in SHELF]
FEW = (SourceMIoU(), PriorDivergence(), EnsV())
BOUNDED = """"source only": Arm(SourceOnly, learning_rate=LogUniform(1e-3, 1e-1)),
        "FDA": Arm(FDA, beta=LogUniform(0.04, 0.2), learning_rate=0.05),
        "target supervised": Arm(TargetSupervised),"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a study of two searched rows and an upper bound; its file lies beside them."""
    folder = tmp_path_factory.mktemp("trained")
    train(study_file(folder, "'source/miou'", trials=2, seeds=1, arms=BOUNDED), folder / "results")
    return folder / "results"


@pytest.fixture(autouse=True)
def _few_selectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: the whole shelf, with a panel for each, takes seconds."""
    monkeypatch.setattr("platform.commands.audit.SHELF", FEW)


def files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def audited(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, str]:
    """What the command prints and says."""
    assert main([str(argument) for argument in arguments]) == 0
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return out, err


def refused(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 2) -> str:
    """The one line with which the command refuses its input, or says that the machine failed."""
    assert main([str(argument) for argument in arguments]) == code
    err = capsys.readouterr().err
    assert re.fullmatch(r"error: [^\n]+\n", err), err
    return err


# What it leaves


def test_the_command_prints_tables_writes_its_files_and_leaves_the_results_alone(results: Path, tmp_path: Path) -> None:
    before = files(results.parent)
    done = subprocess.run(
        [sys.executable, "-m", "platform.audit", str(results / NAME), "--to", str(tmp_path / "deep/audit")],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    written_to = tmp_path / "deep/audit"
    assert sorted(path.name for path in written_to.iterdir()) == ["audit.json", "audit.md", f"{NAME}.png"]
    assert all(f"{written_to / name}" in done.stdout for name in ("audit.json", "audit.md", f"{NAME}.png"))
    assert done.stdout.startswith("12 checkpoints of 6 trials, upper bounds left out: tiny\n")
    for name in (*NAMES, "oracle/miou", "last"):
        assert re.search(rf"^{name} ", done.stdout, re.MULTILINE), name
    assert files(results.parent) == before
    read = json.loads((written_to / "audit.json").read_text(encoding="utf-8"))
    assert (read["studies"], read["trials"], read["checkpoints"]) == ([NAME], 6, 12)
    assert list(read["overall"]) == [*NAMES, "oracle/miou", "last"]
    assert list(read["by_method"]) == ["SourceOnly", "FDA"], "no upper bound"
    overall = read["overall"]["source/miou"]
    assert (overall["trials"]["pools"], overall["configurations"]["pools"], overall["checkpoints"]["pools"]) == (
        1,
        2,
        2,
    )
    assert f"![scores against mIoU]({NAME}.png)" in (written_to / "audit.md").read_text(encoding="utf-8")
    with Image.open(written_to / f"{NAME}.png") as image:
        image.load()
        assert image.format == "PNG"


def test_an_audit_is_the_same_again_and_of_a_whole_folder(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for named, to in ((results / NAME, "one"), (results, "other")):
        audited(capsys, named, "--to", tmp_path / to)
    assert files(tmp_path / "one") == files(tmp_path / "other")


def test_it_goes_to_a_folder_of_its_own_where_it_is_called(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    out, _ = audited(capsys, results)
    assert out.splitlines()[-1] == "  audit/audit.json"
    assert {path.name for path in (tmp_path / "audit").iterdir()} == {"audit.json", "audit.md", f"{NAME}.png"}


def test_a_selector_of_a_study_file_is_judged_beside_the_others(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = study_file(tmp_path / "studies", "Worst()")
    out, _ = audited(capsys, results, "--study", file, "--to", tmp_path / "audit")
    assert re.search(r"^own/worst ", out, re.MULTILINE)
    read = json.loads((tmp_path / "audit/audit.json").read_text(encoding="utf-8"))["overall"]
    own, theirs = (read[name]["checkpoints"] for name in ("own/worst", "target/prior_divergence"))
    assert own["worst"] + theirs["worst"] == own["pools"] == theirs["pools"] > 0, "of two checkpoints each the other"


def small(folder: Path, name: str = "invented", marks: Callable[..., int | None] = lambda ask, step: step) -> Store:
    header = invented.study(*map(invented.arm, ("source only", "FDA")), name=name, seeds=2, search_trials=2)
    return written(folder, header, *invented.full(header, {"source only": 0.4, "FDA": 0.5}), marks)


def test_several_results_are_audited_together(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small(tmp_path / "elsewhere")
    out, _ = audited(capsys, results, tmp_path / "elsewhere", "--to", tmp_path / "audit")
    assert out.startswith("40 checkpoints of 14 trials, upper bounds left out: tiny, invented\n")
    assert {path.name for path in (tmp_path / "audit").glob("*.png")} == {"tiny.png", "invented.png"}


def test_studies_of_one_name_in_two_places_are_told_apart_by_their_places(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [tmp_path / place for place in ("here", "elsewhere")]
    for place in places:
        small(place)
    out, _ = audited(capsys, *places, "--to", tmp_path / "audit")
    assert out.startswith("56 checkpoints")
    page = (tmp_path / "audit/audit.md").read_text(encoding="utf-8")
    assert all(f"## Only invented in {place}" in page for place in places)
    assert len(list((tmp_path / "audit").glob("*.png"))) == 2


def test_results_that_are_named_twice_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small(tmp_path / "here")
    code = main([str(tmp_path / "here"), str(tmp_path / "here/invented"), "--to", str(tmp_path / "audit")])
    assert code == 2
    assert capsys.readouterr().err == (
        "error: an audit takes each study once, got one that is named twice; name results once\n"
    )


def test_studies_whose_names_differ_by_signs_have_a_figure_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a study", "a+study"):
        small(tmp_path / "results", name)
    audited(capsys, tmp_path / "results", "--to", tmp_path / "audit")
    assert len(list((tmp_path / "audit").glob("*.png"))) == 2


@pytest.mark.parametrize("name", ["audit", "中文", "x" * LONGEST_NAME])
def test_a_study_may_be_called_anything(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small(tmp_path / "results", name)
    audited(capsys, tmp_path / "results", "--to", tmp_path / "audit")
    assert len(list((tmp_path / "audit").iterdir())) == 3


def test_a_study_that_has_nothing_to_judge_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small(tmp_path / "results")
    header = invented.study(invented.arm("source only"), name="begun", seeds=1)
    written(tmp_path / "results", header, [], {}, lambda ask, step: step)
    _, err = audited(capsys, tmp_path / "results", "--to", tmp_path / "audit")
    assert err == "begun: left out, no trial that counts has reported\n"


def test_trials_of_two_studies_are_said_to_count_in_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small(tmp_path / "results", "one")
    small(tmp_path / "results", "other")
    _, err = audited(capsys, tmp_path / "results", "--to", tmp_path / "audit")
    assert err == "note: 8 of 8 trials are of several of these studies, and count in each\n"


@pytest.mark.parametrize("below", ["", "further/down"])
def test_a_place_where_no_folder_can_be_is_refused_before_the_work(
    below: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main([str(results), "--to", str(tmp_path / "file" / below)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: --to must name a folder, got {tmp_path}/file")
    assert err.endswith(f"and {tmp_path}/file is a file; name another place\n")


def test_an_audit_whose_reader_has_gone_is_written_whole(results: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "platform.audit", str(results), "--to", str(tmp_path / "audit")]
    done = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True)
    assert done.stdout is not None
    done.stdout.close()
    assert done.stderr is not None
    assert done.stderr.read() == ""
    assert done.wait() == 141
    assert len(list((tmp_path / "audit").iterdir())) == 3


# What is left out is said


def test_evaluations_without_evidence_and_damaged_lines_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = small(tmp_path / "results", marks=lambda ask, step: None if step == 400 and ask.number else step)
    with (store.study_folder("invented") / JOURNAL).open("a", encoding="utf-8") as journal:
        journal.write("{\n")
    _, err = audited(capsys, tmp_path / "results", "--to", tmp_path / "audit")
    said = err.splitlines()
    assert said[0] == "invented: 2 of 28 evaluations have left no evidence that can be read"
    assert re.search(rf"{JOURNAL} line \d+ is ", " ".join(said[1:]))


def test_an_evaluation_that_lacks_evidence_does_not_end_the_audit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a search trial of which all others are whole."""
    header = invented.study(*map(invented.arm, ("source only", "FDA")), seeds=1, search_trials=2)
    asks, records = invented.full(header, {"source only": 0.4, "FDA": 0.5})
    for ask in asks:
        records[ask.trial.id] = invented.record(ask)
    first = asks[0]
    written(
        tmp_path / "results", header, asks, records, lambda ask, step: None if (ask, step) == (first, 200) else step
    )
    assert main([str(tmp_path / "results"), "--to", str(tmp_path / "audit")]) == 0
    err = capsys.readouterr().err
    assert err == "invented: 1 of 24 evaluations have left no evidence that can be read\n"


# Mistakes


def test_results_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([])
    assert exit_.value.code == 2
    assert "RESULTS" in capsys.readouterr().err


@pytest.mark.parametrize("there", [True, False], ids=["empty", "missing"])
def test_a_folder_that_is_no_results_is_refused(
    there: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    if there:
        folder.mkdir()
    line = refused(capsys, folder, "--to", tmp_path / "audit")
    assert line.startswith(f"error: RESULTS must be a folder of results, or of one study in it, got {folder}")
    assert not (tmp_path / "audit").exists()


def test_results_of_before_have_left_no_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(ROOT / "tests/fixtures/results_of_0_1_0"), "--to", str(tmp_path / "audit")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("error: an audit needs evaluations that have left evidence, got none of ")
    assert "Traceback" not in err
    assert not (tmp_path / "audit").exists()


def test_trials_without_any_evidence_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small(tmp_path / "results", marks=lambda ask, step: None)
    assert main([str(tmp_path / "results"), "--to", str(tmp_path / "audit")]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "invented: 28 of 28 evaluations have left no evidence that can be read",
        "error: an audit needs evaluations that have left evidence, got none of invented; run it until a trial has "
        "reported, with this version, whose trials leave evidence",
    ]


@pytest.mark.parametrize("select", ["oracle/miou", "target/prior_divergence"])
def test_a_study_without_a_selector_of_its_own_brings_none(
    select: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = study_file(tmp_path, repr(select))
    line = refused(capsys, results, "--study", file, "--to", tmp_path / "audit")
    assert line == f"error: --study must name a file with a selector of its own, got {select}; leave it out\n"


@pytest.mark.parametrize("name", ["nowhere.py", "empty.py"])
def test_a_study_file_that_is_none_is_refused(
    name: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.py").write_text("", encoding="utf-8")
    assert name in refused(capsys, results, "--study", tmp_path / name, "--to", tmp_path / "audit")


def test_a_place_that_cannot_be_written_is_said(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "audit/audit.md").mkdir(parents=True)
    assert "audit cannot be written" in refused(capsys, results, "--to", tmp_path / "audit", code=3)


OWN = """
class Worst(Selector):
    def METHOD:
        BODY
"""


@pytest.mark.parametrize(
    ("method", "body", "said"),
    [
        ("score(self, evidence)", "return 1 / 0", "the selector Worst raises ZeroDivisionError: division by zero"),
        ("score(self, evidence)", "return float('nan')", "Worst must give a finite number for a checkpoint, got nan"),
        ("scores(self, candidates)", "return [0.0]", "Worst.scores must give one number for each of"),
        ("score(self, evidence)", "return float(len(open('/etc/passwd').read()))", "reaches for something else (open"),
    ],
    ids=["raises", "nan", "too few", "leaks"],
)
def test_a_selector_that_fails_is_one_line(
    method: str, body: str, said: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = study_file(tmp_path, "Worst()")
    head, _, rest = file.read_text(encoding="utf-8").partition("@dataclass")
    _, _, tail = rest.partition("\nstudy = ")
    own = OWN.replace("METHOD", method).replace("BODY", body)
    file.write_text(f"{head}{own}\nstudy = {tail}", encoding="utf-8")
    line = refused(capsys, results, "--study", file, "--to", tmp_path / "audit")
    assert said in line
    assert not (tmp_path / "audit").exists()


def test_nothing_that_went_wrong_has_left_anything_in_the_results(results: Path) -> None:
    assert {path.name for path in results.iterdir()} == {NAME, "trials"}
    assert {path.name for path in (results / NAME).iterdir()} == {JOURNAL}
