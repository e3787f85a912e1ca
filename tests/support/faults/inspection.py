"""What must hold of a study's results when its command has ended well, whatever happened on the way.

Records, decisions and MLflow are compared with what they must be, computed anew and in another way where there is one.
"""

import csv
import functools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from platform.records.record import Ask, End, Report
from platform.records.storage.files import PARTIAL
from platform.records.store import CHECKPOINT, JOURNAL, PREDICTIONS, RECORD, Store
from platform.records.trial import Trial, confirm_seed
from platform.scores.evidence import loaded
from platform.scores.metrics import cityscapes
from platform.scores.selectors.judgement import judged
from platform.search.health import ailment
from platform.shifts.labels import Groups
from platform.study import Study
from tests.support.faults.processes import Machine
from tests.support.faults.rounds import Reports, Rounds, Searched
from tests.support.faults.small_study import NAME, Numbers, Undisturbed, same


class Ended(NamedTuple):
    """A line of the journal: a trial ended for an arm."""

    arm: str
    trial: str
    end: End


Decision = Ask | Ended


def inspect(machine: Machine, undisturbed: Undisturbed, uri: str | None = None) -> None:
    """Everything that must hold after the command has ended with exit code 0."""
    study = undisturbed.study
    check_readable(machine.results)
    check_journal(machine.results, undisturbed)
    check_records(machine.results, undisturbed)
    check_files(machine.results, undisturbed)
    check_table(machine.results, study)
    check_mlflow(machine.results, study, uri or machine.sqlite)
    assert machine.left_behind() == []


def decisions(results: Path) -> list[Decision]:
    """What the journal says, line by line, but for its headers."""
    found: list[Decision] = []
    for line in (results / NAME / JOURNAL).read_text().splitlines():
        values = json.loads(line)
        event = values.pop("event")
        for said_of_the_line in ("of", "format", "crc32"):
            del values[said_of_the_line]
        if event == "ask":
            found.append(Ask(**{**values, "trial": Trial(**values["trial"])}))
        elif event == "end":
            found.append(Ended(values["arm"], values["trial"], End(**values["end"])))
    return found


def asks(results: Path) -> list[Ask]:
    """Every trial that the study asked for."""
    return [event for event in decisions(results) if isinstance(event, Ask)]


def ends(results: Path) -> dict[str, End]:
    """How every trial ended for the study."""
    return {event.trial: event.end for event in decisions(results) if isinstance(event, Ended)}


def check_readable(results: Path) -> None:
    """No line of the journal or of a record is damaged."""
    store = Store(results)
    for ask in store.journal(NAME).asks:
        store.read(ask.trial.id)
    assert not store.damages


def check_journal(results: Path, undisturbed: Undisturbed) -> None:
    """Every trial was asked for once and ended once after that, as it must, and no choice was confirmed too early."""
    said = decisions(results)
    asked, ended = (
        [event for event in said if isinstance(event, Ask)],
        [each for each in said if isinstance(each, Ended)],
    )
    expected = _expected(Store(results), undisturbed)
    assert {ask.place: ask for ask in asked} == {ask.place: ask for ask, _ in expected}
    assert {(each.arm, each.trial): each.end for each in ended} == {ask.key: end for ask, end in expected}
    assert (len(asked), len(ended)) == (len(expected), len(expected)), "something was asked for or ended twice"
    begun: set[tuple[str, str]] = set()
    searching = {ask.key for ask in asked if ask.phase == "search"}
    for event in said:
        if isinstance(event, Ended):
            assert (event.arm, event.trial) in begun, "a trial ended before it was asked for"
            searching.discard((event.arm, event.trial))
        else:
            assert event.phase == "search" or event.arm not in {arm for arm, _ in searching}, "picked too early"
            begun.add(event.key)


def scored_reports(store: Store, study: Study) -> Callable[[str], tuple[Report, ...]]:
    """Gives the reports of a trial, the selector's scores among their metrics, from the evidence that it left."""
    name, selector = study.selected_by, study.selector

    def scored(trial: str, report: Report) -> Report:
        if selector is None or name in report.metrics:
            return report
        (score,) = judged(selector, [loaded(store.evidence(trial, report.step))])
        return replace(report, metrics=report.metrics | {name: score})

    @functools.cache
    def reports(trial: str) -> tuple[Report, ...]:
        record = store.read(trial)
        assert record is not None
        return tuple(scored(trial, report) for report in record.reports)

    return reports


def _expected(store: Store, undisturbed: Undisturbed) -> list[tuple[Ask, End]]:
    """Every trial that the study must ask for, and how it must end."""
    study, reports = undisturbed.study, scored_reports(store, undisturbed.study)
    found: list[tuple[Ask, End]] = []
    for row in study.rows:
        searched = Rounds(study, row.name, NAME, undisturbed.identity, reports).searched()
        found += [(Ask(row.name, "search", number, each.trial), each.end) for number, each in enumerate(searched)]
        values = _winner(study, row.name, searched, reports)
        for number in range(study.seeds):
            trial = row.trial(values, confirm_seed(number), undisturbed.identity)
            cause, reason = ailment(reports(trial.id)) or (None, "")
            found.append((Ask(row.name, "confirm", number, trial), End("complete", cause, reason, trial.steps)))
    return found


def _winner(study: Study, arm: str, searched: list[Searched], reports: Reports) -> dict[str, Any]:
    """The values of the trial that came furthest; of several, of the one with the highest selector there."""
    healthy = [each for each in searched if each.end.state != "failed"]
    if not searched:
        return {}
    furthest = max(each.end.step for each in healthy)
    there = [each.trial for each in healthy if each.end.step == furthest]
    at = [next(report for report in reports(trial.id) if report.step == furthest) for trial in there]
    scores = [report.metrics[study.row(arm).selector] for report in at]
    best = there[scores.index(max(scores))]
    return {name: (best.hyperparameters | best.recipe)[name] for name in study.arms[arm].ranges}


def check_records(results: Path, undisturbed: Undisturbed) -> None:
    """Every asked trial has one record, its reports are those of an undisturbed one, and none stands there twice."""
    ended = ends(results)
    asked = {ask.trial.id: ask for ask in asks(results)}
    assert {path.name for path in (results / "trials").iterdir()} == asked.keys()
    for trial, ask in asked.items():
        lines = [json.loads(line) for line in (Store(results).trial_folder(trial) / RECORD).read_text().splitlines()]
        events = [line["event"] for line in lines]
        last = ["end"] if ended[trial].state != "stopped" else []
        assert events == ["trial", *["report"] * (len(events) - 1 - len(last)), *last], (trial, events)
        assert Trial(**lines[0]["trial"]) == ask.trial
        assert lines[0]["cost"]["parameters"] > 0
        if last:
            assert {name: lines[-1][name] for name in vars(ended[trial])} == vars(ended[trial])
        mine = [
            Numbers(line["step"], line["metrics"], line["confusions"]) for line in lines if line["event"] == "report"
        ]
        theirs = [numbers for numbers in undisturbed.trained(ask.trial).reports if numbers.step <= ended[trial].step]
        assert mine == theirs, f"the numbers of {trial} ({ask.arm} {ask.phase} {ask.number}) are others"
        assert all(line["parts"] == 1 and line["seconds"] > 0 for line in lines if line["event"] == "report")


def check_files(results: Path, undisturbed: Undisturbed) -> None:
    """Weights and predictions are there of finished confirm trials alone, and those of undisturbed ones."""
    ended = ends(results)
    finished = {
        ask.trial.id: ask.trial
        for ask in asks(results)
        if ask.phase == "confirm" and ended[ask.trial.id].state == "complete"
    }
    for name in (CHECKPOINT, PREDICTIONS):
        assert {path.parent.name for path in (results / "trials").glob(f"*/{name}")} == finished.keys()
    for trial_id, trial in finished.items():
        folder, trained = results / "trials" / trial_id, undisturbed.trained(trial)
        modules = torch.load(folder / CHECKPOINT, weights_only=True)["modules"]
        assert modules.keys() == trained.weights.keys()
        for name, weights in trained.weights.items():
            assert same(_arrays(modules[name]), _arrays(weights)), f"the weights of {trial_id} are others"
        with np.load(folder / PREDICTIONS) as kept:
            assert same({name: kept[name] for name in kept.files if name != "trial"}, trained.predictions)
    assert [path for path in results.rglob("*") if PARTIAL in path.name] == []
    assert list((results / NAME).glob("stop*")) == []


def check_table(results: Path, study: Study) -> None:
    """Every arm has its row with all its seeds, and the trials that were stopped or failed are counted."""
    ended = ends(results)
    with (results / NAME / "table.csv").open() as file:
        rows = {row["arm"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(study.arms)
    for arm, row in rows.items():
        states = Counter(ended[ask.trial.id].state for ask in asks(results) if (ask.arm, ask.phase) == (arm, "search"))
        assert int(row["scores/seeds"]) == study.seeds
        assert (int(row["effort/stopped"]), int(row["troubles/failed"])) == (states["stopped"], states["failed"])
        assert 0 <= float(row["scores/miou"]) <= 1


def check_mlflow(results: Path, study: Study, uri: str) -> None:
    """MLflow holds each trial once, under one parent, in its right state and with all its numbers."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(NAME)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ACTIVE_ONLY, max_results=1000)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    assert parents[0].info.status == "FINISHED"
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parents[0].info.run_id}
    asked = {ask.trial.id: ask for ask in asks(results)}
    assert sorted(run.data.tags["trial_id"] for run in children) == sorted(asked)
    ended, reports = ends(results), scored_reports(Store(results), study)
    for run in children:
        trial = run.data.tags["trial_id"]
        _check_run(client, run, asked[trial], reports(trial), ended[trial], study.shift.groups)
    files = {file.path for file in client.list_artifacts(parents[0].info.run_id)}
    assert files >= {f"{NAME}.py", "table.md", "table.csv"}


def _check_run(client: MlflowClient, run: Run, ask: Ask, reports: tuple[Report, ...], end: End, groups: Groups) -> None:
    status = "FAILED" if end.state == "failed" else "FINISHED"
    assert run.info.status == status, (ask, run.info.status)
    tags = {"arm": ask.arm, "phase": ask.phase, "seed": str(ask.trial.seed), "state": end.state}
    assert tags.items() <= run.data.tags.items()
    assert (run.data.tags.get("cause"), run.data.tags.get("stop_reason", "")) == (end.cause, end.reason)
    assert run.data.params["method"] == ask.trial.method
    curves = {name: sorted(_curve(client, run, name)) for name in run.data.metrics if not name.startswith("final/")}
    wanted: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for report in reports:
        for name, value in (report.metrics | report.times | _test_scores(report, groups)).items():
            wanted[name].append((report.step, value))
    assert curves == wanted, f"the curves of {ask.trial.id} are others"
    final = {name for name in run.data.metrics if name.startswith("final/")}
    assert bool(final) == (end.state == "complete")
    for name in final:
        assert list(_curve(client, run, name)) == [wanted[name.removeprefix("final/")][-1]]


def _test_scores(report: Report, groups: Groups) -> dict[str, float]:
    if "target/test" not in report.confusions:
        return {}
    score = cityscapes(report.confusions["target/test"], groups)
    return {"test/miou": score.miou, "test/accuracy": score.accuracy}


def _curve(client: MlflowClient, run: Run, name: str) -> Iterator[tuple[int, float]]:
    return ((metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name))


def _arrays(tensors: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}
