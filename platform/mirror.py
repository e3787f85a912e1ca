"""One study's runs in MLflow, made equal to its records; the only MLflow code of the project.

    experiment <study>
      run <study>                parent: question, study file, result files; one per `StudyHeader.began`
        run <arm> search <n>     one per trial, found again by its tag `trial_id`
        run <arm> seed <n>

What MLflow holds is a function of the study's header and its records, so every method here may be called again after
any failure: a run is found before it is made, reports that it holds are left out, and its status comes last, when all
the rest is there. Reports arrive in order and a batch holds whole ones, so the last step that a run holds says which.

A run's params are the trial's settings under the names of a study file. Its metrics are the records', by step, and, so
that sorting a column never mixes full runs with stopped ones: `final/<metric>` of complete trials only, and
`test/miou` and `test/accuracy` (convention `cityscapes`) of confirm trials only.

This module runs in a process of its own (`serve`), started by `platform.tracking`. In a thread of the driver MLflow's
many short waits for the database would each wait for Python's interpreter lock as well.
"""

import getpass
import logging
import os
import pickle
import queue
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from platform.files import write_new
from platform.labels import Groups
from platform.metrics import cityscapes
from platform.records import Ask, End, State, StudyHeader
from platform.tracking import TEST, Answer, Closing, Copy, Request, now, sqlite_file

ANSWER_SECONDS = 8
"""How long one call over HTTP may take before the store counts as away."""

# Read by MLflow when it is imported, or at each call. Its own seven retries would block for minutes; we try again.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(ANSWER_SECONDS))
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import LifecycleStage, Metric, Param, RunTag  # noqa: E402
from mlflow.entities import Run as MlflowRun  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

BATCH = 200
"""Metrics after which a batch is full. MLflow takes 1000, but a loaded server needs longer than a call may take."""
PAGE = 200
"""Runs asked for at a time, so that a page of a large study stays within `ANSWER_SECONDS`."""
TURN_SECONDS = 1.0
"""After which `deliver` answers, though it was given more."""

FINAL = "final/"
NOT_FINAL = ("loss/", "test/", "learning_rate")
"""Metrics whose last value says nothing about the trained network, or has a name of its own already."""
RUNNING = "RUNNING"
STATUS: dict[State, str] = {"complete": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}
STUDY = "study"
"""Tag `phase` of the parent run."""
END_TAGS = ("state", "cause", "stop_reason")
COMMIT = "mlflow.source.git.commit"


class _Scored(NamedTuple):
    """A report as MLflow takes it."""

    at: int
    step: int
    metrics: dict[str, float]


@dataclass
class _Run:
    """What MLflow is known to hold of a trial."""

    id: str
    status: str
    tags: dict[str, str]
    params: set[str] = field(default_factory=set)
    step: int = 0
    """The last reported step that it holds."""
    final: bool = False
    """Whether the final values are there."""


class Mirror:
    """The runs of one study in one MLflow; nothing is looked up before `connect`."""

    def __init__(self, uri: str, header: StudyHeader) -> None:
        self._file = sqlite_file(uri)
        if self._file is not None:
            _lay_out(self._file)
        self._client = MlflowClient(tracking_uri=uri)
        self._identity = _identity(self._file)
        self._header = header
        self._groups: Groups = tuple(tuple(group) for group in header.shift["groups"])
        self._experiment = ""
        self._parent: MlflowRun
        self._runs: dict[str, _Run] = {}

    def connect(self) -> None:
        """Find or make the experiment and the study's run, and find what MLflow holds of its trials."""
        self._experiment = self._find_experiment()
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
            self._client.log_batch(self._parent.info.run_id, tags=[RunTag(name, value) for name, value in lacking])
        if self._parent.info.status != RUNNING:
            self._client.update_run(self._parent.info.run_id, status=RUNNING)
        # Should files have no place at the moment, numbers still have theirs; `close` asks again.
        with suppress(Exception):
            self._log_study_file()

    def deliver(self, copies: Sequence[Copy]) -> Answer:
        """Make runs equal to these; those for which `TURN_SECONDS` were too short are in no part of the answer."""
        turn = time.monotonic() + TURN_SECONDS
        held: list[str] = []
        refused: dict[str, str] = {}
        self._probe()
        for copy in copies:
            trial_id = copy.record.trial.id
            try:
                self._deliver(copy)
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
        return Answer(tuple(held), refused)

    def close(self, closing: Closing) -> None:
        """Give the study's run its files and its status; runs that have not ended become KILLED."""
        for run in self._runs.values():
            if run.status == RUNNING:
                self._client.set_terminated(run.id, "KILLED", closing.at)
                run.status = "KILLED"
        self._log_study_file()
        for file in closing.files:
            if file.exists():
                self._client.log_artifact(self._parent.info.run_id, str(file))
        self._client.set_terminated(self._parent.info.run_id, closing.status, closing.at)

    @property
    def replaced(self) -> bool:
        """Whether the SQLite file is another one than at first: MLflow would go on writing to the one that is gone."""
        return self._identity is not None and _identity(self._file) != self._identity

    def _deliver(self, copy: Copy) -> None:
        record, end = copy.record, copy.record.end
        reports = self._scored(copy)
        run = self._runs.get(record.trial.id) or self._create_run(copy, reports)
        if end is not None and run.step > record.step:
            # Taken over whole from another study, which had trained it further than this one wants it.
            self._client.delete_run(run.id)
            run = self._create_run(copy, reports)
        tags = _changing_tags(copy)
        outdated = [name for name in END_TAGS if name in run.tags and name not in tags]
        changed = {name: value for name, value in tags.items() if run.tags.get(name) != value}
        status = RUNNING if end is None else STATUS[end.state]
        if run.status == status and run.step >= record.step and not outdated and not changed and run.params:
            return
        if run.status != RUNNING:
            self._client.update_run(run.id, status=RUNNING)
            run.status = RUNNING
        for name in outdated:
            self._client.delete_tag(run.id, name)
            del run.tags[name]

        final: list[Metric] = []
        if end is not None and end.state == "complete" and not run.final and reports:
            newest = reports[-1].metrics
            values = {FINAL + name: value for name, value in newest.items() if not name.startswith(NOT_FINAL)}
            final = _metrics(values, copy.at, end.step)
        *batches, last = _batches([report for report in reports if report.step > run.step])
        params = {name: value for name, value in _settings(copy).items() if name not in run.params}
        for batch in batches:
            self._log(run, batch, params, [], {})
            params = {}
        self._log(run, last, params, final, changed)
        if end is not None:
            if end.state == "complete" and copy.picture is not None and copy.picture.exists():
                self._client.log_artifact(run.id, str(copy.picture))
            self._client.set_terminated(run.id, status, copy.at)
            run.status = status

    def _log(
        self,
        run: _Run,
        reports: Sequence[_Scored],
        params: Mapping[str, str],
        final: Sequence[Metric],
        tags: Mapping[str, str],
    ) -> None:
        """One call; what it held is remembered, so that a delivery that fails halfway goes on from there."""
        metrics = [metric for report in reports for metric in _metrics(report.metrics, report.at, report.step)]
        metrics += final
        if metrics or params or tags:
            self._client.log_batch(
                run.id,
                metrics,
                [Param(name, value) for name, value in params.items()],
                [RunTag(name, value) for name, value in tags.items()],
            )
        run.params.update(params)
        run.tags.update(tags)
        run.step = max([run.step, *(report.step for report in reports)])
        run.final = run.final or bool(final)

    def _scored(self, copy: Copy) -> list[_Scored]:
        """The reports with the times at which they came.

        Those of an earlier process are dated back, from the time of the first that is known, by how long each took.
        """
        scored: list[_Scored] = []
        at = copy.at
        for report in reversed(copy.record.reports):
            at = copy.times.get(report.step, at)
            metrics = dict(report.metrics)
            if TEST in report.confusions:
                score = cityscapes(report.confusions[TEST], self._groups)
                metrics |= {"test/miou": score.miou, "test/accuracy": score.accuracy}
            # The selector comes first, because MLflow's compare view opens with the first metric logged.
            names = sorted(metrics, key=lambda name: (name != self._header.select, name))
            scored.append(_Scored(at, report.step, {name: metrics[name] for name in names}))
            at -= round(1000 * report.seconds)
        return scored[::-1]

    def _create_run(self, copy: Copy, reports: Sequence[_Scored]) -> _Run:
        ask, record = copy.ask, copy.record
        began = copy.times.get(0, copy.at)
        if reports:
            began = min(began, reports[0].at - round(1000 * record.reports[0].seconds))
        commit = record.provenance.get("git_commit", "")
        tags = self._tags(commit) | _trial_tags(ask, record.provenance) | _changing_tags(copy)
        tags["mlflow.parentRunId"] = self._parent.info.run_id
        created = self._client.create_run(self._experiment, began, tags, _run_name(ask))
        run = self._runs[record.trial.id] = _Run(created.info.run_id, created.info.status, tags)
        if commit and COMMIT not in self._parent.data.tags:
            self._client.set_tag(self._parent.info.run_id, COMMIT, commit)
            self._parent.data.tags[COMMIT] = commit
        return run

    def _create_parent(self) -> MlflowRun:
        header = self._header
        return self._client.create_run(self._experiment, _milliseconds(header.began), self._parent_tags(), header.name)

    def _parent_tags(self) -> dict[str, str]:
        header = self._header
        return self._tags("") | {
            "phase": STUDY,
            "began": header.began,
            "mlflow.note.content": header.question,
            "shift": str(header.shift.get("name", "")),
            "reference": header.reference,
            "select": header.select,
            "seeds": str(header.seeds),
            "search_trials": str(header.search_trials),
            "steps": str(header.steps),
        }

    def _find_experiment(self) -> str:
        """The id of the study's experiment; one that was deleted comes back, since its study goes on."""
        experiment = self._client.get_experiment_by_name(self._header.name)
        if experiment is None:
            location = None
            if self._file is not None:
                location = (self._file.parent / "mlruns" / self._header.name).as_uri()
            return str(self._client.create_experiment(self._header.name, artifact_location=location))
        if experiment.lifecycle_stage == LifecycleStage.DELETED:
            self._client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def _probe(self) -> None:
        """Raise unless MLflow takes what is written to the study's run, which fails where that is no longer there."""
        self._client.set_tag(self._parent.info.run_id, "study", self._header.name)

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

    def _log_study_file(self) -> None:
        self._client.log_text(self._parent.info.run_id, self._header.source, f"{self._header.name}.py")


def serve() -> None:
    """Answer a tracker's requests, pickled on standard input and output, until it ends, and then end at once.

    The first is the arguments of `Mirror`. A SQLite file that was replaced ends this process too: MLflow holds on to
    the file that it opened first.
    """
    # Ray sends SIGTERM to all that its driver started, when that is told to stop; what it reported is still to be told.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests,), daemon=True).start()
    # Every failure is answered; MLflow would write its traceback as well.
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    arguments = requests.get()
    mirror: Mirror | None = None
    while True:
        request: Request = requests.get()
        if mirror is not None and mirror.replaced:
            return
        try:
            # Made here, because a SQLite store is opened and laid out by that.
            mirror = mirror or Mirror(*arguments)
            answer = _carry_out(mirror, request)
        except Exception as error:
            answer = Answer(away=reason(error))
        pickle.dump(answer, answers)
        answers.flush()


def _carry_out(mirror: Mirror, request: Request) -> Answer:
    if request is None:
        mirror.connect()
    elif isinstance(request, Closing):
        mirror.close(request)
    else:
        return mirror.deliver(request)
    return Answer()


def _receive(requests: "queue.SimpleQueue[Any]") -> None:
    try:
        while True:
            requests.put(pickle.load(sys.stdin.buffer))
    finally:
        # The driver has ended, perhaps while a call of ours hangs.
        os._exit(0)


def _lay_out(file: Path) -> None:
    """Have a new SQLite store appear whole: MLflow lays it out in some fifty steps, and opens none that was cut off."""
    if file.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder) / file.name
        MlflowClient(tracking_uri=f"sqlite:///{new}").search_experiments(max_results=1)
        # Another study's process may have been faster.
        write_new(file, new.read_bytes())


def reason(error: BaseException) -> str:
    """The first line of the exception at the bottom: MLflow wraps a refused connection four times."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _unavailable(error: Exception) -> bool:
    """Whether the store says so itself: a database that is locked or full, or a server that is overloaded."""
    return isinstance(error, MlflowException) and error.get_http_status_code() in (429, 503)  # type: ignore[no-untyped-call]


def _run_name(ask: Ask) -> str:
    return f"{ask.arm} search {ask.number}" if ask.phase == "search" else f"{ask.arm} seed {ask.trial.seed}"


def _trial_tags(ask: Ask, provenance: Mapping[str, str]) -> dict[str, str]:
    tags = {
        "arm": ask.arm,
        "method": ask.trial.method,
        "phase": ask.phase,
        "seed": str(ask.trial.seed),
        "trial_id": ask.trial.id,
    }
    return tags | {f"provenance/{name}": value for name, value in provenance.items()}


def _changing_tags(copy: Copy) -> dict[str, str]:
    """The tags that a run gets, or that change, while it goes on."""
    tags: dict[str, str] = {}
    if copy.record.losses:
        tags["worker_losses"] = str(copy.record.losses)
    if (parts := max((report.parts for report in copy.record.reports), default=1)) > 1:
        tags["parts"] = str(parts)
    return tags if copy.record.end is None else tags | _end_tags(copy.record.end)


def _end_tags(end: End) -> dict[str, str]:
    values = (end.state, end.cause or "", end.reason)
    return {name: value for name, value in zip(END_TAGS, values, strict=True) if value}


def _settings(copy: Copy) -> dict[str, str]:
    """A run's params: flat, under the names of a study file, so that the compare view lines arms up.

    Costs are params too: as metrics, which the compare view takes in alphabetical order, they would hide the scores.
    """
    trial = copy.record.trial
    resolved = {name: value for meanings in trial.resolved.values() for name, value in meanings.items()}
    settings: dict[str, Any] = {"arm": copy.ask.arm, "method": trial.method, **trial.recipe}
    settings |= trial.hyperparameters | resolved
    settings |= {"seed": trial.seed, "steps": trial.steps, "evaluations": trial.evaluations}
    settings |= {f"cost/{name}": f"{value:.10g}" for name, value in copy.record.cost.items()}
    return {name: str(value) for name, value in settings.items()}


def _metrics(values: Mapping[str, float], at: int, step: int) -> list[Metric]:
    return [Metric(name, float(value), at, step) for name, value in values.items()]


def _batches(reports: Sequence[_Scored]) -> list[list[_Scored]]:
    """Whole reports, in order, `BATCH` metrics or few more at a time; one empty batch where there are none."""
    batches: list[list[_Scored]] = [[]]
    number = 0
    for report in reports:
        if number >= BATCH:
            batches.append([])
            number = 0
        batches[-1].append(report)
        number += len(report.metrics)
    return batches


def _known(run: MlflowRun) -> _Run:
    step = _held_step(run)
    final = any(name.startswith(FINAL) for name in run.data.metrics)
    return _Run(run.info.run_id, run.info.status, dict(run.data.tags), set(run.data.params), step, final)


def _held_step(run: MlflowRun) -> int:
    metrics = run.data.to_proto().metrics
    return max((metric.step for metric in metrics), default=0)


def _worth(run: MlflowRun) -> tuple[bool, int]:
    """Which of two runs of one trial to keep: an ended one, the longer one."""
    return run.info.status in STATUS.values(), _held_step(run)


def _identity(file: Path | None) -> tuple[int, int] | None:
    if file is None:
        return None
    try:
        status = file.stat()
    except OSError:
        return (0, 0)
    return status.st_dev, status.st_ino


def _milliseconds(moment: str) -> int:
    """ISO 8601 as milliseconds since 1970; the present where it is not one."""
    try:
        return round(1000 * datetime.fromisoformat(moment).timestamp())
    except ValueError:
        return now()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry in the password file
        return str(os.getuid())
