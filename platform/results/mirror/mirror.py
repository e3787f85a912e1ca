"""One study's runs in MLflow, made equal to its records.

    experiment <study>
      run <study>                parent: question, study file, result files; one per `StudyHeader.began`
        run <arm> search <n>     one per trial, found again by its tag `trial_id`
        run <arm> seed <n>

What MLflow holds is a function of the study's header and its records, so every method here may be called again after
any failure: a run is found before it is made, reports that it holds are left out, and its status comes last, when all
numbers are there. Reports arrive in order and a batch holds whole ones, so the last step that a run holds says which.
Files come when everything else is there, since their place may be another and away; the tag `lacks` says that they
have not.

A run's params are the trial's settings under the names of a study file. Its metrics are the records', by step, and, so
that sorting a column never mixes full runs with stopped ones: `final/<metric>` of complete trials only, and
`test/miou` and `test/accuracy` (convention `cityscapes`) of confirm trials only.

This module runs in a process of its own (`platform.results.mirror.serving`). In a thread of the driver MLflow's many
short waits for the database would each wait for Python's interpreter lock as well.
"""

import getpass
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Metric
from mlflow.entities import Run as MlflowRun
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.exceptions import MlflowException

from platform.records.record import TARGET_TEST, StudyHeader
from platform.results.mirror import filing
from platform.results.mirror.entries import (
    COMMIT,
    END_TAGS,
    FINAL,
    LACKS,
    LONGEST_TAG,
    PICTURE,
    RUNNING,
    STATUS,
    STUDY,
    Scored,
    accepted,
    batches_of,
    changing_tags,
    final_metrics,
    fitting,
    metrics_at,
    settings,
    trial_tags,
)
from platform.results.mirror.messages import Answer, Closing, Copy, Files, milliseconds
from platform.results.mirror.places import database
from platform.results.mirror.places.files import Place
from platform.results.mirror.places.run import log
from platform.results.mirror.places.sqlite import identity, lay_out
from platform.results.mirror.reasons import ADDRESS, NO_MLFLOW, Unusable, reason
from platform.results.mirror.uri import DATABASES, sqlite_file
from platform.results.report.markdown import quoted
from platform.scores.metrics import cityscapes

PAGE = 200
"""Runs asked for at a time, so that MLflow answers within `ANSWER_SECONDS` for a large study too."""
TURN_SECONDS = 1.0
"""Time after which `deliver` answers, even if it was given more."""


@dataclass
class _Run:
    """What MLflow is known to hold of a trial."""

    id: str
    status: str
    location: str
    """Where it keeps its files."""
    began: int
    tags: dict[str, str]
    params: set[str] = field(default_factory=set)
    step: int = 0
    """The last reported step that it holds."""
    final: bool = False
    """Whether the final values are there."""
    refused: dict[str, str] = field(default_factory=dict)
    """Why MLflow would not take some of the tags and params, which are not sent again as they are."""


class Mirror:
    """The runs of one study in one MLflow; nothing is looked up before `connect`."""

    def __init__(self, uri: str, header: StudyHeader) -> None:
        self._uri = uri
        self._file = sqlite_file(uri)
        if self._file is not None:
            lay_out(self._file)
        if uri.startswith(("sqlite", *DATABASES)):
            database.check(uri)
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self._identity = identity(self._file) if self._file is not None else None
        self._header = header
        self._groups = header.groups
        self._experiment = ""
        self._parent: MlflowRun
        self._runs: dict[str, _Run] = {}

    def connect(self) -> Answer:
        """Find or make the experiment and the study's run, and find what MLflow holds of its trials."""
        self._experiment = self._find_experiment()
        if not self._experiment:
            raise Unusable(f"{NO_MLFLOW}, though it speaks JSON; {ADDRESS}")
        found = self._search(f"tags.phase = '{STUDY}'")
        parents = [run for run in found if run.data.tags.get("began") == self._header.began]
        children = {run.info.run_id: list(self._children(run)) for run in parents}
        # A call that was given up as lost can still be carried out, and make a second run of the same thing.
        parents.sort(key=lambda run: len(children[run.info.run_id]), reverse=True)
        for surplus in parents[1:]:
            self._client.delete_run(surplus.info.run_id)
        self._parent = parents[0] if parents else self._create_parent()
        self._runs = {}
        for run in sorted(children.get(self._parent.info.run_id, []), key=_worth, reverse=True):
            if run.data.tags["trial_id"] in self._runs:
                self._client.delete_run(run.info.run_id)
            else:
                self._runs[run.data.tags["trial_id"]] = _known(run)
        if lacking := self._parent_tags().items() - self._parent.data.tags.items():
            log(self._client, self._parent.info.run_id, [], {}, dict(lacking))
        if self._parent.info.status != RUNNING:
            self._client.update_run(self._parent.info.run_id, status=RUNNING)
        return Answer(steps={trial_id: run.step for trial_id, run in self._runs.items()})

    def deliver(self, copies: Sequence[Copy]) -> Answer:
        """Make runs equal to these copies; the answer leaves out those for which `TURN_SECONDS` were too short."""
        turn = time.monotonic() + TURN_SECONDS
        held: list[str] = []
        refused: dict[str, str] = {}
        steps: dict[str, int] = {}
        self._probe()
        for copy in copies:
            trial_id = copy.record.trial.id
            try:
                self._deliver(copy)
            except _Refused as error:
                refused[trial_id], steps[trial_id] = str(error), self._runs[trial_id].step
            except Exception as error:
                if _unavailable(error):
                    raise
                # Is it MLflow that failed, or is it this run? A write elsewhere tells.
                self._probe()
                self._find_again(trial_id)
                refused[trial_id] = reason(error)
            else:
                held.append(trial_id)
            if time.monotonic() > turn:
                break
        pictures = tuple(name for name in (*held, *steps) if LACKS in self._runs[name].tags)
        return Answer(tuple(held), refused, steps=steps, pictures=pictures)

    def close(self, closing: Closing) -> None:
        """Give the study's run its status; runs that have not ended become KILLED."""
        for run in self._runs.values():
            if run.status == RUNNING:
                self._client.set_terminated(run.id, "KILLED", max(closing.at, run.began))
                run.status = "KILLED"
        parent = self._parent.info  # which a clock may have dated that was set back since
        self._client.set_terminated(parent.run_id, closing.status, max(closing.at, parent.start_time))

    def store(self, asked: Files) -> Answer:
        """Store files of a run; the answer names those that have no place, and says why."""
        run = self._runs[asked.trial] if asked.trial else _known(self._parent)
        answer = filing.store(Place(self._client, self._uri, run.id, run.location), asked, self._groups)
        if answer.lacking:
            # Is it their place that is away, or MLflow?
            self._probe()
        elif LACKS in run.tags and not answer.lost:
            self._client.delete_tag(run.id, LACKS)
            del run.tags[LACKS]
        return answer

    @property
    def replaced(self) -> bool:
        """Whether another SQLite file is in the place of the first: MLflow would go on writing to the lost one."""
        return self._file is not None and identity(self._file) != self._identity

    def _deliver(self, copy: Copy) -> None:
        record, end = copy.record, copy.record.end
        reports = self._scored(copy)
        run = self._run_of(copy, reports)
        tags = changing_tags(copy)
        outdated = [name for name in END_TAGS if name in run.tags and name not in tags]
        changed = {name: value for name, value in tags.items() if run.tags.get(name) != value}
        params = {name: value for name, value in settings(copy, self._header.arms).items() if name not in run.params}
        status = RUNNING if end is None else STATUS[end.state]
        if run.status != status or run.step < record.step or outdated or changed or params:
            self._reopen(run, outdated)
            if end is not None and copy.predictions is not None:
                changed[LACKS] = PICTURE
            self._log_reports(run, copy, reports, params, changed)
            if end is not None:
                self._client.set_terminated(run.id, status, max(copy.at, run.began))
                run.status = status
        if run.refused:
            raise _Refused("; ".join(f"{name}: {why}" for name, why in run.refused.items()))

    def _run_of(self, copy: Copy, reports: Sequence[Scored]) -> _Run:
        run = self._runs.get(copy.record.trial.id)
        if run is not None and copy.record.end is not None:
            # Taken over whole from another study, which had trained it further than this one wants it; or another row
            # has more of it than the one that began it.
            of_another_row = run.tags.get("arm") != trial_tags(copy.ask, {})["arm"]
            if run.step > copy.record.step or of_another_row:
                self._client.delete_run(run.id)
                run = None
        return run or self._create_run(copy, reports)

    def _reopen(self, run: _Run, outdated: Iterable[str]) -> None:
        if run.status != RUNNING:
            self._client.update_run(run.id, status=RUNNING)
            run.status = RUNNING
        for name in outdated:
            if run.refused.pop(name, None) is None:
                self._client.delete_tag(run.id, name)
            del run.tags[name]

    def _log_reports(
        self,
        run: _Run,
        copy: Copy,
        reports: Sequence[Scored],
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        """Params come with the first batch of new reports, tags and final values with the last."""
        *batches, last = batches_of([report for report in reports if report.step > run.step])
        for batch in batches:
            self._log(run, batch, params, [], {})
            params = {}
        self._log(run, last, params, [] if run.final else final_metrics(copy, reports), tags)

    def _log(
        self,
        run: _Run,
        reports: Sequence[Scored],
        params: Mapping[str, str],
        final: Sequence[Metric],
        tags: Mapping[str, str],
    ) -> None:
        """One call; what it held is remembered, so that a delivery that fails halfway goes on from there."""
        metrics = [metric for report in reports for metric in metrics_at(report.metrics, report.at, report.step)]
        refused = log(self._client, run.id, [*metrics, *final], params, tags)
        run.refused = {name: why for name, why in run.refused.items() if name not in tags} | refused
        run.params.update(params)
        run.tags.update(tags)
        run.step = max([run.step, *(report.step for report in reports)])
        run.final = run.final or bool(final)

    def _scored(self, copy: Copy) -> list[Scored]:
        """The reports with the times at which they came.

        Those of an earlier process are dated back, from the time of the first that is known, by how long each took.
        """
        scored: list[Scored] = []
        at = copy.at
        for report in reversed(copy.record.reports):
            at = copy.times.get(report.step, at)
            metrics = report.metrics | report.times
            if TARGET_TEST in report.confusions:
                score = cityscapes(report.confusions[TARGET_TEST], self._groups)
                metrics |= {"test/miou": score.miou, "test/accuracy": score.accuracy}
            # The selector comes first, because MLflow's compare view opens with the first metric logged.
            names = accepted(sorted(metrics, key=lambda name: (name != self._header.select, name)))
            scored.append(Scored(at, report.step, {fits: metrics[name] for name, fits in names.items()}))
            at = max(0, at - round(1000 * report.seconds))
        return scored[::-1]

    def _create_run(self, copy: Copy, reports: Sequence[Scored]) -> _Run:
        ask, record = copy.ask, copy.record
        began = copy.times.get(0, copy.at)
        if reports:
            began = max(0, min(began, reports[0].at - round(1000 * record.reports[0].seconds)))
        commit = record.provenance.get("git_commit", "")
        tags = self._tags(commit) | trial_tags(ask, record.provenance) | changing_tags(copy)
        tags["mlflow.parentRunId"] = self._parent.info.run_id
        created = self._client.create_run(self._experiment, began, tags, ask.name)
        run = self._runs[record.trial.id] = _known(created)
        run.tags = tags
        if commit and COMMIT not in self._parent.data.tags:
            self._set_tag(COMMIT, commit)
            self._parent.data.tags[COMMIT] = commit
        return run

    def _create_parent(self) -> MlflowRun:
        header = self._header
        return self._client.create_run(self._experiment, milliseconds(header.began), self._parent_tags(), header.name)

    def _parent_tags(self) -> dict[str, str]:
        header = self._header
        tags = self._tags("") | {
            "phase": STUDY,
            "began": header.began,
            "mlflow.note.content": quoted(header.question),
            "shift": str(header.shift.get("name", "")),
            "reference": header.reference,
            "select": header.select,
            "seeds": header.seeds_named,
            "search_trials": str(header.search_trials),
            "steps": str(header.steps),
        }
        return fitting(tags, LONGEST_TAG)

    def _find_experiment(self) -> str:
        """The id of the study's experiment; one that was deleted comes back, since its study goes on."""
        experiment = self._client.get_experiment_by_name(self._header.name)
        if experiment is None:
            location = None
            # Workspaces have locations of their own.
            workspaces = MLFLOW_ENABLE_WORKSPACES.get()  # type: ignore[no-untyped-call]
            if self._file is not None and not workspaces:
                location = (self._file.parent / "mlruns" / self._header.name).as_uri()
            return str(self._client.create_experiment(self._header.name, artifact_location=location))
        if experiment.lifecycle_stage == LifecycleStage.DELETED:
            self._client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def _probe(self) -> None:
        """Raise unless MLflow takes what is written to the study's run, which fails where that is no longer there."""
        self._set_tag("study", self._header.name)

    def _set_tag(self, name: str, value: str) -> None:
        """Set a tag of the study's own run."""
        self._client.set_tag(self._parent.info.run_id, name, value, synchronous=True)

    def _find_again(self, trial_id: str) -> None:
        """Raise where MLflow no longer has the run that it had of a trial."""
        if run := self._runs.get(trial_id):
            found = self._client.get_run(run.id)
            if found.info.lifecycle_stage == LifecycleStage.DELETED:
                raise LookupError(f"the run of trial {trial_id} was deleted")
            self._runs[trial_id] = _known(found)

    def _tags(self, git_commit: str) -> dict[str, str]:
        tags = {
            "study": self._header.name,
            "mlflow.user": _user(),
            "mlflow.source.name": f"{self._header.name}.py",
            "mlflow.source.type": "LOCAL",
        }
        return tags | ({COMMIT: git_commit} if git_commit else {})

    def _children(self, parent: MlflowRun) -> Iterator[MlflowRun]:
        found = self._search(f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
        return (run for run in found if "trial_id" in run.data.tags)

    def _search(self, condition: str) -> Iterator[MlflowRun]:
        token: str | None = None
        while True:
            page = self._client.search_runs([self._experiment], condition, max_results=PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return


class _Refused(Exception):
    """MLflow has a trial's numbers, but would not take some of its params and tags."""


def _unavailable(error: Exception) -> bool:
    """Whether the store says so itself: a database that is locked or full, or a server that is overloaded."""
    return isinstance(error, MlflowException) and error.get_http_status_code() in (429, 503)  # type: ignore[no-untyped-call]


def _known(run: MlflowRun) -> _Run:
    info, data = run.info, run.data
    known = _Run(info.run_id, info.status, info.artifact_uri, info.start_time, dict(data.tags), set(data.params))
    return replace(known, step=_held_step(run), final=any(name.startswith(FINAL) for name in data.metrics))


def _held_step(run: MlflowRun) -> int:
    metrics = run.data.to_proto().metrics
    return max((metric.step for metric in metrics), default=0)


def _worth(run: MlflowRun) -> tuple[bool, int]:
    """Which of two runs of one trial to keep: an ended one, the longer one."""
    return run.info.status in STATUS.values(), _held_step(run)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry in the password file
        return str(os.getuid())
