"""The kit holds what its table rests on, tells nobody whose it is, and is a crate that others can read."""

import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from platform.records.ledger import Ledger
from platform.records.record import Ask, Record, StudyHeader
from platform.records.store import PREDICTIONS, Store
from platform.results import report
from platform.results.aggregation import tabulate
from platform.results.report import markdown
from platform.results.submission.crate import METADATA
from platform.results.submission.kit import CHECKLIST, FORM, README, kit
from platform.shifts.labels import groups
from platform.study import LeaveOneOut
from tests.support.ablated import ablated
from tests.support.invented_study import AWKWARD, arm, ask, failed, full, made, mishaps, record, study
from tests.support.pictures import picture
from tests.support.seen_alike import by_arm
from tests.support.submitted import CONSTRAINTS, TODAY, made_kit, recorded, written

HOST, NODE, USER, HOME = "gpu-17.vision.example.edu", "10.21.3.44", "jane.doe", "/home/jane.doe"
EMAIL, REMOTE, AUTHOR = "jane@example.edu", "git@github.com:janes-lab/secret-paper.git", "Jane Q. Doe"
SECRETS = (HOST, NODE, USER, HOME, EMAIL, "janes-lab", AUTHOR, "jane@")


def signed() -> tuple[StudyHeader, list[Ask], dict[str, Record]]:
    """A study whose records say in every place that can say it whose it is."""
    source = f'"""Ours.\n\nBy {AUTHOR} <{EMAIL}>, {REMOTE}, on {HOST}."""\nDATA = "{HOME}/data/cityscapes"\n'
    header, asks, records, _ = made(source=source, question=f"Does it help? Ask {EMAIL}.")
    where = {
        trial: dataclasses.replace(
            known,
            provenance={**known.provenance, "host": HOST},
            reports=tuple(dataclasses.replace(report, node=NODE) for report in known.reports),
        )
        for trial, known in records.items()
    }
    lost = next(each for each in asks if (each.arm, each.phase, each.number) == ("FDA", "confirm", 2))
    reason = f"{HOME}/data/cityscapes/0007.png on {HOST} ({NODE}:6379) ends early; see https://github.com/janes-lab/x"
    broken = dataclasses.replace(where[lost.trial.id], reports=where[lost.trial.id].reports[:2])
    where[lost.trial.id] = dataclasses.replace(broken, end=failed(lost, "data", reason).end)
    return header, asks, where


def texts(files: dict[str, bytes]) -> dict[str, str]:
    """Every file as text, the table of reports among them."""
    parquet = pd.read_parquet(io.BytesIO(files["records.parquet"])).to_json()
    return {name: content.decode() for name, content in files.items() if not name.endswith((".parquet", ".png"))} | {
        "records.parquet": parquet
    }


def test_nothing_in_the_kit_says_whose_it_is() -> None:
    files = texts(made_kit(*signed(), names=(USER, HOME, AUTHOR, REMOTE)).files)
    told = {name: secret for name, text in files.items() for secret in SECRETS if secret in text}
    assert told == {}
    assert "machine 1" in files["records.parquet"]
    assert "<path>/0007.png on machine 1" in files["table.md"].replace("\\", "")
    assert 'DATA = "<path>/cityscapes"' in files["invented.py"]
    assert "Look at these" not in files[README]


def test_hosts_paths_mail_and_repositories_are_known_by_how_they_look() -> None:
    files = texts(made_kit(*signed()).files)
    seen = [secret for secret in SECRETS if secret not in (USER, AUTHOR)]
    assert {name: secret for name, text in files.items() for secret in seen if secret in text} == {}
    assert files["invented.py"].startswith(f'"""Ours.\n\nBy {AUTHOR} <<e-mail>>, <remote>, on machine 1."""')


def test_what_decides_a_trials_id_stays_and_is_named() -> None:
    header, asks, records = made()[:3]
    first = asks[0]
    trial = dataclasses.replace(first.trial, hyperparameters={"folder": f"{HOME}/translated"})
    asks[0] = dataclasses.replace(first, trial=trial)
    records[trial.id] = dataclasses.replace(records.pop(first.trial.id), trial=trial)
    readme = made_kit(header, asks, records, names=(USER,)).files[README].decode().replace("\\", "")
    assert "**Look at these, which may still say whose they are:**" in readme
    assert f"- results/trials/{trial.id}/record.jsonl: {USER}, {HOME}/translated" in readme
    assert "- results/invented/journal.jsonl: " in readme


def test_names_that_are_words_of_other_texts_are_left_alone() -> None:
    header, asks, records, _ = made(source='"""The root of a town."""\n', question="Is it the root?")
    files = made_kit(header, asks, records, names=("root", "town", "vm", "user")).files
    assert files["invented.py"].decode() == header.source


def test_the_table_is_made_again_from_the_kits_records(tmp_path: Path) -> None:
    header, asks, records, table = mishaps()
    files = made_kit(header, asks, records).files
    written(files, tmp_path)
    store = Store(tmp_path / "results")
    journal = store.journal(header.name)
    assert journal.header == header
    ledger = Ledger(store, header.name, [each.name for each in header.arms])
    again = tabulate(header, ledger.asks, ledger.by_arm())
    assert store.damages == set()
    assert markdown.render(again) == markdown.render(table) == files["table.md"].decode()


@pytest.mark.parametrize("ablates", [False, True])
def test_whatever_a_study_leaves_is_in_the_kit_its_readme_and_its_crate(ablates: bool, tmp_path: Path) -> None:
    header, asks, records, table = ablated(LeaveOneOut()) if ablates else made()
    for each in asks:
        if each.trial.confirms:
            picture(tmp_path / each.trial.id, 13)

    def predictions_of(trial: str) -> Path:
        return tmp_path / trial / PREDICTIONS

    paths = report.write(table, asks, by_arm(asks, records), tmp_path / "study", predictions_of)
    files = kit(recorded(header, asks, records, predictions_of), (), CONSTRAINTS, TODAY).files
    graph = {entity["@id"]: entity for entity in json.loads(files[METADATA])["@graph"]}
    names = {path.name for path in paths}
    assert {"comparison.png", "curves.png"} <= names
    assert ({"effects.csv", "effects.png"} if ablates else {"responses.png"}) <= names
    for path in paths:
        assert files[path.name] == path.read_bytes() or path.name == "records.parquet", "which tells nobody's machine"
        assert f"- `{path.name}`: " in files[README].decode()
        assert {"@id": path.name} in graph["./"]["hasPart"]
        assert (graph[path.name]["encodingFormat"] == "image/png") is (path.suffix == ".png")
        assert graph[path.name]["description"]


def test_the_crate_is_one_that_its_library_reads(tmp_path: Path) -> None:
    rocrate = pytest.importorskip("rocrate.rocrate")
    header, asks, records, _ = made(name="my study, twice")
    files = made_kit(header, asks, records).files
    crate = rocrate.ROCrate(written(files, tmp_path))
    parts = {Path(entity.source).relative_to(tmp_path).as_posix() for entity in crate.data_entities}
    assert parts == files.keys() - {METADATA} | {"results"}
    assert all(Path(entity.source).exists() for entity in crate.data_entities)
    assert crate.metadata.profile == "https://w3id.org/ro/crate/1.2"
    root = crate.root_dataset
    assert {"name", "description", "datePublished", "license"} <= root.properties().keys()
    run = crate.dereference("#run")
    assert [entity.id for entity in run["result"]] == ["records.parquet", "table.md"]
    assert run["object"][0].id == "my%20study%2C%20twice.py"


def test_every_reference_of_the_crate_is_to_something_in_it() -> None:
    graph: list[dict[str, Any]] = json.loads(made_kit(*made()[:3]).files[METADATA])["@graph"]
    known = {entity["@id"] for entity in graph}
    assert len(known) == len(graph)
    found = set(re.findall(r'"@id": "([^"]+)"', json.dumps(graph)))
    assert found - known == {"https://w3id.org/ro/crate/1.2"}


def test_a_study_that_is_not_complete_says_what_is_missing() -> None:
    header, asks, records = made()[:3]
    last = next(each for each in asks if (each.arm, each.phase, each.number) == ("FDA", "confirm", 2))
    whole = made_kit(header, asks, records)
    cut = made_kit(header, [each for each in asks if each != last], records)
    assert (whole.missing, cut.missing) == ([], ["FDA"])
    for name in (README, FORM, CHECKLIST):
        assert "**The study is not complete: seeds are missing of FDA.**" in cut.files[name].decode()
        assert "not complete" not in whole.files[name].decode()
    assert "Rows with fewer seeds: FDA" in cut.files[CHECKLIST].decode()


def test_files_are_those_that_the_readme_names() -> None:
    files = made_kit(*made()[:3]).files
    named = re.findall(r"^- `([^`]+)`:", files[README].decode(), re.MULTILINE)
    assert {name for name in named if not name.endswith("/")} == {
        name for name in files if not name.startswith("results/")
    }
    assert files["constraints.txt"] == CONSTRAINTS
    environment = json.loads(files["environment.json"])
    assert environment["commit"] == ["0123abc"]


def test_awkward_names_break_no_table() -> None:
    header = study(*map(arm, AWKWARD), groups=groups("road", "car"))
    asks, records = full(header, dict.fromkeys(AWKWARD, 0.5))
    for name in (FORM, CHECKLIST):
        for line in made_kit(header, asks, records).files[name].decode().splitlines():
            assert not line.startswith("|") or len(re.findall(r"(?<!\\)\|", line)) == 3


def test_records_of_somebody_else_show_no_sign_that_a_page_obeys() -> None:
    header, asks, records = made()[:3]
    header = dataclasses.replace(header, licences={"town": "<script>alert(1)</script>"})
    first = asks[0].trial.id
    records[first] = dataclasses.replace(records[first], provenance={"processor": "[x](http://y) | z"})
    text = made_kit(header, asks, records).files[FORM].decode()
    assert "<script>" not in text
    assert r"\[x\](http://y) \| z" in text


def test_a_study_of_one_trial_that_has_begun_gives_a_kit() -> None:
    header = study(arm("source only"))
    only = ask(header, "source only", "search", 0)
    running = dataclasses.replace(record(only, reports=1), end=None)
    found = made_kit(header, [only], {only.trial.id: running})
    assert found.missing == ["source only"]
    assert "no run that counts has ended" in found.files[FORM].decode()
