"""`--reselect` on a study that is trained for real: its table is the one that the other selector leads to."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from platform.commands.study import main
from platform.records.ledger import Ledger
from platform.records.record import StudyHeader
from platform.records.store import PREDICTIONS, Store, evidence_file
from platform.results.aggregation import tabulate
from platform.results.reselection import Reselected, reselected
from platform.scores.selectors import SHELF
from platform.scores.selectors.choice import identity_of
from platform.search.judge import EvidenceJudge
from tests.support.refusals import refused
from tests.support.trained_study import NAME, study_file, train

pytestmark = pytest.mark.slow

INDIVIDUAL, COMPARING = "target/prior_divergence", "population/ensv"
CASES = {
    "individual": (INDIVIDUAL, "last"),
    "comparing": (COMPARING, "last"),
    "individual, its checkpoint": (INDIVIDUAL, "selected"),
}


class Trained:
    """A study that was selected by the worst, and the same study by other selectors, which began with its trials."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[tuple[str, str], Path] = {}
        self.first = self.study("Worst()", "last")

    def study(self, select: str, checkpoint: str) -> Path:
        """The results of the study by a selector, and with its file among them."""
        key = select, checkpoint
        if key not in self.known:
            results = self.folder / f"{len(self.known)}"
            for other in self.known.values():
                shutil.copytree(other / "trials", results / "trials", dirs_exist_ok=True)
            train(study_file(results, select, checkpoint), results)
            self.known[key] = results
        return self.known[key]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def pair(trained: Trained, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """Results of the study by the worst, and by another selector; the first has the trials of both."""
    select, checkpoint = request.param
    second = trained.study(repr(select), checkpoint)
    first = tmp_path / "first"
    shutil.copytree(trained.study("Worst()", checkpoint), first)
    shutil.copytree(second / "trials", first / "trials", dirs_exist_ok=True)
    return first, second


def ledger(results: Path) -> tuple[StudyHeader, Ledger]:
    store = Store(results)
    header = store.journal(NAME).header
    assert header is not None
    return header, Ledger(store, NAME, [arm.name for arm in header.arms])


def again(results: Path, select: str) -> Reselected:
    header, book = ledger(results)
    selector = next(each for each in SHELF if each.name == select)
    judge = EvidenceJudge(selector, select, book.store)
    return reselected(book.store, header, book.asks, book.by_arm(), judge, identity_of(selector))


def learning_rates(found: Reselected | Ledger, arm: str) -> set[float]:
    return {ask.trial.recipe["learning_rate"] for ask in found.asks if (ask.arm, ask.phase) == (arm, "confirm")}


def files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# The same table


@pytest.mark.parametrize("pair", CASES.values(), ids=CASES, indirect=True)
def test_rows_are_those_of_a_study_that_selected_so_from_the_beginning(
    pair: tuple[Path, Path], request: pytest.FixtureRequest
) -> None:
    """In all of their fields, hours included; only what is said of the choice differs, and when the study began."""
    first, second = pair
    select, _ = request.node.callspec.params["pair"]
    header, book = ledger(second)
    expected, found = tabulate(header, book.asks, book.by_arm()), again(first, select)
    made = tabulate(found.header, found.asks, found.records)
    assert [row.arm for row in made.rows] == ["source only", "FDA", "AdaBN"]
    for row, other in zip(made.rows, expected.rows, strict=True):
        assert repr(row) == repr(other), "nan equals nothing"
        assert row.scores.seeds == 2
        assert (row.effort.stopped, row.troubles.failed) == (0, 0)
    assert (made.notes, made.absent) == (expected.notes, expected.absent)
    assert (found.header.arms, found.header.select, found.header.selector) == (
        header.arms,
        header.select,
        header.selector,
    )
    assert {(ask.arm, ask.phase, ask.number, ask.trial.id) for ask in found.asks} == {
        (ask.arm, ask.phase, ask.number, ask.trial.id) for ask in book.asks
    }


@pytest.mark.parametrize("pair", [*CASES.values()][1:], ids=[*CASES][1:], indirect=True)
def test_the_command_writes_the_table_that_the_other_studys_report_writes(
    pair: tuple[Path, Path], request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = pair
    select, _ = request.node.callspec.params["pair"]
    assert main([str(second / f"{NAME}.py"), "--results", str(second), "--report"]) == 0
    before = files(first)
    capsys.readouterr()
    assert main([str(first / f"{NAME}.py"), "--results", str(first), "--reselect", select]) == 0
    out, err = capsys.readouterr()
    folder = first / NAME / select.replace("/", "-")
    assert err == ""
    assert "reselected from records: search trials were proposed by own/worst" in " ".join(out.split())
    assert f"{folder}/table.md" in "".join(out.split())
    assert (folder / "table.csv").read_bytes() == (second / NAME / "table.csv").read_bytes()
    written = {path.relative_to(first) for path in folder.iterdir()}
    assert {path: content for path, content in files(first).items() if path not in written} == before


def test_the_other_selector_chooses_otherwise(trained: Trained) -> None:
    """What the worst chose is what prior divergence likes least: the tables would be alike if nothing were chosen."""
    _, book = ledger(trained.first)
    found = again(trained.first, INDIVIDUAL)
    assert learning_rates(book, "source only").isdisjoint(learning_rates(found, "source only"))
    after = [{ask.trial.after for ask in each.asks if ask.arm == "AdaBN"} for each in (book, found)]
    assert after[0].isdisjoint(after[1])


def test_what_the_other_choice_lacks_is_said(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tmp_path / "first"
    shutil.copytree(trained.first, first)
    # Whatever the test before has brought along: what the study did not ask for itself.
    own = {ask.trial.id for ask in ledger(first)[1].asks}
    for folder in (first / "trials").iterdir():
        if folder.name not in own:
            shutil.rmtree(folder)
    assert main([str(first / f"{NAME}.py"), "--results", str(first), "--reselect", INDIVIDUAL]) == 1
    out, err = capsys.readouterr()
    said = " ".join(out.split())
    assert "source only: another configuration is chosen than by the study, learning_rate=" in said
    assert "2 of its 2 seeds were trained by no study" in said
    assert "nan" not in out
    folder = first / NAME / INDIVIDUAL.replace("/", "-")
    assert not any("nan" in (folder / name).read_text(encoding="utf-8") for name in ("table.md", "table.tex"))
    assert err.startswith("\nresults are missing: source only, FDA, AdaBN; ")


def test_the_studys_own_selector_gives_its_own_table(trained: Trained, tmp_path: Path) -> None:
    first = tmp_path / "first"
    shutil.copytree(trained.first, first)
    file = str(first / f"{NAME}.py")
    assert main([file, "--results", str(first), "--report"]) == 0
    assert main([file, "--results", str(first), "--reselect", "own/worst"]) == 0
    tables = [(first / NAME / folder / "table.csv").read_bytes() for folder in (".", "own-worst")]
    assert tables[0] == tables[1]


def test_metrics_that_trials_report_need_no_evidence(trained: Trained, tmp_path: Path) -> None:
    first = tmp_path / "first"
    shutil.copytree(trained.first, first, ignore=shutil.ignore_patterns("evidence-*", PREDICTIONS))
    for select in ("source/accuracy", "oracle/miou"):
        assert main([str(first / f"{NAME}.py"), "--results", str(first), "--reselect", select]) in (0, 1)
        assert (first / NAME / select.replace("/", "-") / "table.md").is_file()


# Mistakes


def damaged(file: Path) -> None:
    file.write_bytes(b"something else")


@pytest.mark.parametrize("damage", [Path.unlink, damaged], ids=["none", "damaged"])
@pytest.mark.parametrize("select", [INDIVIDUAL, COMPARING])
def test_evidence_that_cannot_be_read_is_one_line(
    trained: Trained,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    select: str,
) -> None:
    first = tmp_path / "first"
    shutil.copytree(trained.first, first)
    trial = next(ask.trial.id for ask in ledger(first)[1].asks if ask.phase == "search")
    damage(first / "trials" / trial / evidence_file(8))
    code = main([str(first / f"{NAME}.py"), "--results", str(first), "--reselect", select])
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert f"{trial}/{evidence_file(8)}" in err
    assert code in (2, 3)


def test_a_comparing_selector_cannot_pick_checkpoints_here_either(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when a study is loaded: it compares trials at one step."""
    first = tmp_path / "first"
    shutil.copytree(trained.study("Worst()", "selected"), first)
    line = refused(capsys, str(first / f"{NAME}.py"), "--results", str(first), "--reselect", COMPARING)
    assert COMPARING in line


@pytest.mark.parametrize("select", ["target/prior_divergenze", "", "oracle", "own/other"])
def test_a_selector_that_there_is_not_is_refused(
    trained: Trained, capsys: pytest.CaptureFixture[str], select: str
) -> None:
    file = str(trained.first / f"{NAME}.py")
    line = refused(capsys, file, "--results", str(trained.first), "--reselect", select)
    assert "--reselect must be one of source/miou, source/accuracy, target/entropy, " in line
    assert f", or own/worst, its file's own, got {select!r}" in line
    if select == "target/prior_divergenze":
        assert "Did you mean 'target/prior_divergence'?" in line


def test_a_study_without_records_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = study_file(tmp_path, "'source/miou'")
    line = refused(capsys, str(file), "--results", str(tmp_path / "results"), "--reselect", INDIVIDUAL)
    assert "run the study first, without --reselect" in line
    assert not (tmp_path / "results").exists()
