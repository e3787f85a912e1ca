"""`--against`, on studies that are trained for real: what differs is said, and the study that would tell runs."""

import json
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from platform.commands.before.beside import load
from platform.commands.study import main
from platform.records.archive import set_aside
from platform.records.record import Ask
from platform.records.store import Store
from platform.results.ablation.effects import Ablation, ablations
from platform.results.against.text import BROKEN
from platform.results.aggregation import tabulate
from platform.results.statistics.intervals import interval
from platform.scores import metrics
from tests.support.refusals import refused
from tests.support.trained_study import study_file, train

pytestmark = pytest.mark.slow

ARMS = """"source only": Arm(SourceOnly, learning_rate=0.05),
        "FDA": Arm(FDA, beta=BETA, learning_rate=RATE),
        "AdaBN": Arm(AdaBN).after("source only"),"""
SEARCH = "    search=ASHA(trials=3, grace=1.0),\n"


def make(folder: Path, name: str, beta: float, rate: float, before: str = "", after: str = "") -> Path:
    """A study file of a name of its own, and its results beside it."""
    arms = ARMS.replace("BETA", str(beta)).replace("RATE", str(rate))
    template = study_file(folder / "template", '"target/norm_and_prior"', arms=arms)
    file = folder / f"{name}.py"
    file.write_text(template.read_text().replace(SEARCH, "").replace(before, after))
    train(file, folder / "results")
    return file


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three studies of one results folder: two settings of a row differ in the second, the steps in the third."""
    folder = tmp_path_factory.mktemp("trained")
    make(folder, "first", 0.1, 0.05)
    make(folder, "second", 0.2, 0.02)
    make(folder, "longer", 0.2, 0.05, "steps=8, evaluations=2", "steps=12, evaluations=3")
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of these to change."""
    return shutil.copytree(trained, tmp_path / "mine")


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command on the first study; its exit code, and what it prints."""

    def command(other: str | Path, *options: str, file: str = "first.py") -> tuple[int, str]:
        arguments = [str(folder / file), "--results", str(folder / "results"), "--against", str(other), *options]
        code = main(arguments)
        said = capsys.readouterr()
        assert said.err == ""
        assert all(len(line) <= 80 or "/" in line for line in said.out.splitlines()), said.out
        return code, said.out

    return command


def asked(folder: Path, study: str, arm: str, seed: int = 1) -> Ask:
    asks = Store(folder / "results").journal(study).asks
    return next(ask for ask in asks if ask.arm == arm and ask.trial.seed == seed)


def proposed(folder: Path, study: str = "first") -> list[Path]:
    return sorted((folder / "results" / study / "against").glob("*.py"))


def scores(folder: Path, study: str, arm: str) -> list[float]:
    """What the seeds of a row score, from their last confusion matrices alone."""
    store = Store(folder / "results")
    header = store.journal(study).header
    assert header is not None
    records = [store.read(asked(folder, study, arm, seed).trial.id) for seed in (1, 2)]
    found = [record.reports[-1].confusions["target/test"] for record in records if record is not None]
    return [metrics.cityscapes(matrix, header.groups).miou for matrix in found]


def effects_of(results: Path, path: Path) -> tuple[Ablation, ...]:
    """The ablations in the table of a study that is trained to its end."""
    ledger = train(path, results)
    header = Store(results).journal(path.stem).header
    assert header is not None
    return ablations(tabulate(header, ledger.asks, ledger.by_arm()))


@pytest.mark.parametrize("how", ["name", "file", "folder"])
def test_another_study_is_named_in_any_way(how: str, folder: Path, run: Run) -> None:
    other = {"name": "second", "file": folder / "second.py", "folder": folder / "results" / "second"}[how]
    code, text = run(other)
    assert code == 0
    assert "beta                  0.1 (band 3)            0.2 (band 6)" in text
    assert "learning_rate         0.05                    0.02" in text
    assert "Nothing differs that decides the numbers of source only and AdaBN." in text
    assert "4 trials are on both sides, by the same id, and all of their numbers are equal." in text


def test_the_difference_is_that_of_the_tables_scores_seed_by_seed(folder: Path, run: Run) -> None:
    _, text = run("second")
    this, other = (scores(folder, study, "FDA") for study in ("first", "second"))
    mean, half_width = interval([one - two for one, two in zip(this, other, strict=True)])
    row = next(line for line in text.splitlines() if line.startswith("FDA"))
    assert f"{mean:+.3f}±{half_width:.3f}" in row
    assert row.endswith("2, paired")


def test_the_study_that_would_tell_trains_only_what_is_between_its_ends(folder: Path, run: Run) -> None:
    _, text = run("second")
    (path,) = proposed(folder)
    assert str(path) in text
    before = {each.name for each in (folder / "results" / "trials").iterdir()}
    train(path, folder / "results")
    between = {"this without beta=0.1", "this without learning_rate=0.05"}
    assert {row.name for row in load(path).study.rows} == {"this", "this bare"} | between
    assert "The row 'this bare' is other." in " ".join(path.read_text(encoding="utf-8").split())
    for seed in (1, 2):
        assert asked(folder, path.stem, "this", seed).trial.id == asked(folder, "first", "FDA", seed).trial.id
        assert asked(folder, path.stem, "this bare", seed).trial.id == asked(folder, "second", "FDA", seed).trial.id
    new = {each.name for each in (folder / "results" / "trials").iterdir()} - before
    assert new == {asked(folder, path.stem, arm, seed).trial.id for arm in between for seed in (1, 2)}


def test_the_table_of_the_study_that_would_tell_says_what_each_setting_is_worth(
    folder: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """The effects of two settings add up to the difference between the ends."""
    _, text = run("second")
    (path,) = proposed(folder)
    (found,) = effects_of(folder / "results", path)
    effects = {each.contrast.name: each.worth.miou for each in found.effects}
    assert [*effects] == ["beta=0.1", "learning_rate=0.05", "beta=0.1 x learning_rate=0.05"]
    this, other = (scores(folder, study, "FDA") for study in ("first", "second"))
    gap = sum(this) / 2 - sum(other) / 2
    assert effects["beta=0.1"] + effects["learning_rate=0.05"] == pytest.approx(gap)
    assert f"{gap:+.3f}" in text
    assert main([str(path), "--report", "--results", str(folder / "results")]) == 0
    assert r"beta=0.1 x learning\_rate=0.05" in (folder / "results" / path.stem / "table.md").read_text(
        encoding="utf-8"
    )
    capsys.readouterr()


def test_settings_that_all_rows_share_are_told_apart_in_files_of_their_own(folder: Path, run: Run) -> None:
    code, text = run("longer")
    assert code == 0
    assert "No study is proposed for source only and AdaBN: steps alone differs" in text
    first, second = proposed(folder)
    assert [load(path).study.budget.steps for path in (first, second)] == [8, 12]
    ids = dict[str, str]()
    for path in (first, second):
        study = load(path).study
        ids |= {row.name: row.trial({}, 1, study.shift.identity()).id for row in study.rows}
    assert ids.keys() == {"this", "this without beta=0.1", "steps=12", "steps=12 without beta=0.1"}
    assert ids["this"] == asked(folder, "first", "FDA").trial.id
    assert ids["steps=12 without beta=0.1"] == asked(folder, "longer", "FDA").trial.id
    assert "The row 'steps=12 without beta=0.1' is other." in " ".join(second.read_text(encoding="utf-8").split())


@pytest.mark.parametrize("other", ["second", "longer"])
def test_a_proposal_can_be_planned_and_made_small(
    other: str, folder: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rows of `--smoke` are trained, and their table has the effects, of which one seed tells none."""
    run(other)
    for path in proposed(folder):
        assert main([str(path), "--plan", "--results", str(folder / "results")]) == 0
        assert "would be refused" not in capsys.readouterr().err
        smoke = folder / f"small_{path.name}"
        text = path.read_text(encoding="utf-8")
        smoke.write_text(f"{text.replace('study = Study(', 'made = [Study(')}]\nstudy = made[0].smoke()\n")
        (found,) = effects_of(folder / "small", smoke)
        assert all(each.worth.seeds == 1 and not each.worth.told for each in found.effects)


def test_two_trials_are_named_by_their_ids(folder: Path, run: Run) -> None:
    one, two = (asked(folder, study, "FDA").trial.id for study in ("first", "second"))
    code, text = run(f"{one}:{two}")
    assert code == 0
    assert f"this   trial {one} (FDA, seed 1)\n       in {folder / 'results'}" in text
    assert "One run has no interval: the difference" in text
    assert run(two) == (code, text), "the trial of the file's study that is most like the other"
    (path,) = proposed(folder)
    between = {"this without beta=0.1", "this without learning_rate=0.05"}
    assert load(path).study.arms.keys() == {"this", "this bare"} | between


def test_trials_of_other_results_are_named_by_their_folders(folder: Path, run: Run) -> None:
    elsewhere = shutil.copytree(folder / "results", folder / "elsewhere")
    one, two = (asked(folder, study, "FDA").trial.id for study in ("first", "second"))
    assert run(f"{one}:{elsewhere / 'trials' / two}")[0] == 0
    _, text = run(elsewhere / "trials" / one)
    assert "1 trial is on both sides, by the same id, and all of its numbers are equal." in text


def test_what_was_set_aside_is_compared_with_what_came_after_it(
    folder: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(folder / "results")
    aside = set_aside(store, "first")
    train(folder / "first.py", folder / "results")
    code, text = run(str(aside))
    assert code == 0
    assert "6 trials are on both sides, by the same id, and all of their numbers are equal." in text
    assert aside is not None
    file, results = str(folder / "first.py"), str(folder / "results")
    assert aside in refused(capsys, file, "--results", results, "--against", "before")


def changed(path: Path, event: str, change: Callable[[dict[str, Any]], None], form: int | None = None) -> None:
    """Change the lines of an event in a record, with the checksum that belongs to them."""
    lines = []
    for line in path.read_bytes().splitlines(keepends=True):
        values = json.loads(line)
        del values["crc32"]
        if values["event"] == event:
            change(values)
        if form is not None:
            values["format"] = form
        body = json.dumps(values).encode()
        lines.append(b'%s, "crc32": "%08x"}\n' % (body[:-1], zlib.crc32(body)))
    path.write_bytes(b"".join(lines))


def test_equal_ids_with_other_numbers_are_a_broken_promise(folder: Path, run: Run) -> None:
    elsewhere = shutil.copytree(folder / "results", folder / "elsewhere")
    trial = asked(folder, "first", "FDA").trial.id
    changed(elsewhere / "trials" / trial / "record.jsonl", "report", lambda line: line["metrics"].update({"loss": 1.0}))
    assert run(elsewhere / "first")[0] == 0, "what only one side has reported is no difference"
    changed(
        elsewhere / "trials" / trial / "record.jsonl",
        "report",
        lambda line: line["metrics"].update({"learning_rate": 1.0}),
    )
    code, text = run(elsewhere / "first")
    assert code == 1
    assert text.index(BROKEN) < text.index("this - other")
    assert f"{trial} at step 4: learning_rate is" in text
    changed(elsewhere / "trials" / trial / "record.jsonl", "report", lambda line: line.update({"device": "GPU"}))
    code, text = run(elsewhere / "first")
    assert code == 0
    assert BROKEN not in text
    assert "1 of 6 trials of the same ids were trained on another device" in text


def test_code_that_differs_is_said_with_how_to_find_out(folder: Path, run: Run) -> None:
    elsewhere = shutil.copytree(folder / "results", folder / "elsewhere")
    (elsewhere / "first").rename(elsewhere / "kept")
    store, older = Store(folder / "results"), Store(elsewhere)
    header = store.journal("first").header
    assert header is not None
    older.announce(header)
    for ask in store.journal("first").asks:
        trial, record = replace(ask.trial, code="0123456789ab"), store.read(ask.trial.id)
        assert record is not None
        older.ask("first", replace(ask, trial=trial))
        older.begin(replace(record, trial=trial, provenance=record.provenance | {"git_commit": "0123abc"}))
        for report in record.reports:
            older.report(trial.id, report)
        assert record.end is not None
        older.end(trial.id, record.end)
        older.conclude("first", (ask.arm, trial.id), record.end)
    code, text = run(elsewhere / "first")
    assert code == 0
    said = " ".join(text.split())
    assert "paired because of other code, which may draw otherwise." in said
    assert "No study is proposed for source only, FDA and AdaBN: nothing differs that a study file can say." in said
    assert "git commit: check out 0123abc in another folder, and run the study there as well" in said
    assert proposed(folder) == []


def test_a_study_without_all_of_its_seeds_ends_with_one(folder: Path, run: Run) -> None:
    elsewhere = shutil.copytree(folder / "results", folder / "elsewhere")
    shutil.rmtree(elsewhere / "trials" / asked(folder, "second", "FDA", 2).trial.id)
    code, text = run(elsewhere / "second")
    assert code == 1
    assert "! other: FDA: 1 of 2 seeds missing" in text


@pytest.mark.parametrize("results", ["results_of_0_1_0", "results_of_format_1"])
def test_records_of_earlier_versions_are_compared(
    results: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fixtures = Path(__file__).parents[1] / "fixtures" / results
    (folder / "question.py").write_text((folder / "first.py").read_text())
    shutil.copytree(fixtures, folder / "results", dirs_exist_ok=True)
    other = shutil.copytree(fixtures, folder / "old")
    code = main(
        [str(folder / "question.py"), "--results", str(folder / "results"), "--against", str(other / "question")]
    )
    assert code == 1
    text = capsys.readouterr().out
    assert "! other: source only: nothing ran yet" in text
    assert "! other: FDA β=0.1: 3 of 3 seeds missing (1 failed: 1 worker lost)" in text
    assert "3 trials are on both sides" in text


def test_lines_that_are_damaged_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = shutil.copytree(folder / "results", folder / "elsewhere")
    record = elsewhere / "trials" / asked(folder, "first", "FDA").trial.id / "record.jsonl"
    record.write_bytes(record.read_bytes().replace(b'"step": 8', b'"step": 9'))
    arguments = [str(folder / "first.py"), "--results", str(folder / "results"), "--against", str(elsewhere / "first")]
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert "record.jsonl lines 3 to 4 are damaged; left out" in said.err.replace("line 3 is", "lines 3 to 4 are")
    assert "1 of 2 seeds missing" in said.out


def test_mistakes_are_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, results = str(folder / "first.py"), str(folder / "results")

    def said(other: str | Path) -> str:
        return refused(capsys, file, "--results", results, "--against", str(other))

    assert "got nothing; there are longer, second" in said("nothing")
    assert "got secnod. Did you mean 'second'?" in said("secnod")
    assert "another study than the file's own, got first" in said("first")
    assert "another study than the file's own, got first" in said(file)
    assert "nothing.py, which is no file" in said(folder / "nothing.py")
    assert "there is no record of a trial 0123456789ab" in said("0123456789ab")
    own = asked(folder, "first", "FDA").trial.id
    assert f"must name another trial, got {own}" in said(own)
    assert "--against must be a folder of results" in said(folder)
    (folder / "unrun.py").write_text((folder / "first.py").read_text())
    assert "there are no records of unrun in" in said(folder / "unrun.py")
    unrun = str(folder / "unrun.py")
    assert "there are no records of unrun in" in refused(capsys, unrun, "--results", results, "--against", "second")


def test_studies_without_a_common_row_are_refused_with_two_ids(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def rename(line: dict[str, Any]) -> None:
        for arm in line["arms"]:
            arm["name"] += " of hers"
            arm["after"] = [f"{name} of hers" for name in arm["after"]]
        line["reference"] += " of hers"

    changed(folder / "results" / "second" / "journal.jsonl", "study", rename)
    changed(
        folder / "results" / "second" / "journal.jsonl", "ask", lambda line: line.update(arm=f"{line['arm']} of hers")
    )
    file, results = str(folder / "first.py"), str(folder / "results")
    said = refused(capsys, file, "--results", results, "--against", "second")
    assert "the two must have a row of the same name, got source only, FDA, AdaBN, and source only of hers" in said
    ids = said.rstrip().rpartition("--against ")[2]
    assert main([file, "--results", results, "--against", ids]) == 2, "both studies have the same first trial"


def test_other_studies_files_are_not_executed(folder: Path, run: Run) -> None:
    (folder / "second.py").write_text("raise SystemExit('executed')\n")
    assert run(folder / "second.py")[0] == 0


def test_nothing_is_written_but_what_is_proposed(folder: Path, run: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    run("second")
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    assert after.keys() - before.keys() == set(proposed(folder))
