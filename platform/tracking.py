"""The mirror of a study's records in MLflow; the only MLflow code of the project.

    experiment <study>
      run <study>                parent: question, study file, result files
        run <arm> search <n>     one per trial, found again by its tag `trial_id`
        run <arm> seed <n>

The records on disk are the truth and this is a copy of them, so a tracker never stops or delays a study: the driver
only appends to a list in memory, and a thread delivers it. Delivering an event twice changes nothing: runs are found by
trial id, steps that MLflow holds are left out, and MLflow itself keeps one of two equal metrics.

A run's params are the trial's settings under the names of a study file. Its metrics are the records', by step, and, so
that sorting a column never mixes full runs with stopped ones: `final/<metric>` of complete trials only, and
`test/miou` and `test/accuracy` (convention `cityscapes`) of confirm trials only.
"""

import getpass
import logging
import os
import re
import socket
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from platform.labels import Groups
from platform.metrics import cityscapes
from platform.records import Ask, End, Record, Report, State, StudyHeader

ANSWER_SECONDS = 8
"""How long one call may take before the store counts as unreachable."""

# Read by MLflow when it is imported, or at each call. Its own seven retries would block for minutes; the queue is ours.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(ANSWER_SECONDS))
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import LifecycleStage, Metric, Param, RunTag  # noqa: E402
from mlflow.entities import Run as MlflowRun  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from sqlalchemy.engine import make_url  # noqa: E402

log = logging.getLogger(__name__)

BATCH = 200
"""Metrics after which a batch is full. MLflow takes 1000, but a loaded server needs longer than a call may take."""
PAGE = 200
"""Runs asked for at a time, so that a page of a large study stays within `ANSWER_SECONDS`."""
PAUSE = 0.5
"""Seconds between deliveries, so that the reports of one run that come close together share a batch."""
LONGEST_PAUSE = 30.0
"""Seconds between attempts while MLflow is away, doubled up to here."""
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}

TEST = "target/test"
FINAL = "final/"
NOT_FINAL = ("loss/", "test/", "learning_rate")
"""Metrics whose last value says nothing about the trained network, or has a name of its own already."""
STATUS: dict[State, str] = {"complete": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}
STUDY = "study"
"""Tag `phase` of the parent run."""
OPENED, CLOSED = "study opened", "study closed"
"""Places of the parent run in the queue, whose other places are trials; its end comes after everything else."""


def default_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI where it is set, else the SQLite store at the root, which `mlflow ui` opens by default."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / 'mlflow.db'}"


@dataclass(frozen=True, slots=True)
class _Begun:
    ask: Ask
    record: Record
    at: int
    """When it happened, in milliseconds since 1970, as MLflow counts; so for every event."""


@dataclass(frozen=True, slots=True)
class _Reported:
    ask: Ask
    report: Report
    at: int


@dataclass(frozen=True, slots=True)
class _Ended:
    ask: Ask
    end: End
    pictures: tuple[Path, ...]
    at: int


@dataclass(frozen=True, slots=True)
class _Opened:
    pass


@dataclass(frozen=True, slots=True)
class _Closed:
    status: str
    artifacts: tuple[Path, ...]
    at: int


class _Scored(NamedTuple):
    """A report as MLflow takes it."""

    at: int
    step: int
    metrics: dict[str, float]


_TrialEvent = _Begun | _Reported | _Ended
_StudyEvent = _Opened | _Closed


@dataclass
class _Run:
    """What MLflow is known to hold of a trial."""

    id: str
    status: str
    params: set[str] = field(default_factory=set)
    steps: set[int] = field(default_factory=set)
    found: bool = False
    """Whether it was there before this tracker: `steps` is then read from MLflow first."""
    newest: dict[str, float] = field(default_factory=dict)
    """The metrics of the last report."""
    finished: bool = False
    """Whether the final values are there."""

    @property
    def ended(self) -> bool:
        return self.status in STATUS.values()


class Tracker:
    """One study's mirror, owned by its driver; `begin`, `report` and `end` return in microseconds and never raise.

    Raises ValueError when the store at `uri` cannot be used, or does not answer within `ANSWER_SECONDS`. It holds a
    thread, so it can be neither pickled nor copied.
    """

    def __init__(self, uri: str, header: StudyHeader, study_file: Path) -> None:
        self._header = header
        self._study_file = study_file
        self._groups: Groups = tuple(tuple(group) for group in header.shift["groups"])
        self._doubtful: set[str] = set()
        """Trials whose run was asked for without an answer: MLflow may hold it or not."""

        artifacts = _check(uri)
        try:
            _silence()
            self._client = MlflowClient(tracking_uri=uri)
            self._experiment = _experiment(self._client, header.name, artifacts)
            self._parent = self._open_parent()
            self._runs = {run.data.tags["trial_id"]: _known(run) for run in self._children()}
        except Exception as error:
            raise _refused(uri, _reason(error)) from error

        self._inbox: deque[_TrialEvent | _StudyEvent] = deque([_Opened()])
        self._owed: dict[str, list[_TrialEvent | _StudyEvent]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._patience = self._give_up = 0.0
        self._troubled: set[str] = set()
        """What failed at the last attempt, so that an outage is logged once."""
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def begin(self, ask: Ask, record: Record) -> None:
        """A trial runs, for the first time or again; reports of its record that MLflow lacks are delivered too.

        A trial that ended before this tracker was made is mirrored by `begin` with its record, followed by `end`; it
        costs MLflow nothing when its run is complete there.
        """
        self._inbox.append(_Begun(ask, record, _now()))

    def report(self, ask: Ask, report: Report) -> None:
        """A trial reported."""
        self._inbox.append(_Reported(ask, report, _now()))

    def end(self, ask: Ask, end: End, pictures: Sequence[Path] = ()) -> None:
        """A trial ended; pictures that exist when this is delivered become artifacts of its run."""
        self._inbox.append(_Ended(ask, end, tuple(pictures), _now()))

    def owed(self) -> int:
        """Events that MLflow does not hold yet."""
        with self._lock:
            return len(self._inbox) + sum(len(events) for events in self._owed.values())

    def close(
        self,
        artifacts: Sequence[Path] = (),
        state: Literal["complete", "interrupted"] = "complete",
        patience: float = 10.0,
    ) -> int:
        """Deliver everything, give the study's run its files and its status; the number of events still owed.

        Unfinished runs and an interrupted study become KILLED, until they are begun again. Gives up when nothing could
        be delivered for `patience` seconds.
        """
        status = "FINISHED" if state == "complete" else "KILLED"
        self._inbox.append(_Closed(status, tuple(artifacts), _now()))
        self._patience = patience
        self._give_up = time.monotonic() + patience
        self._closing.set()
        while self._thread.is_alive() and time.monotonic() < self._give_up:
            self._thread.join(0.05)
        return self.owed()

    # The queue: what the driver appends to the inbox, the thread sorts into one list of events per run, in order.

    def _work(self) -> None:
        pause = PAUSE
        while True:
            closing = self._closing.wait(pause)
            well = self._deliver_owed()
            pause = PAUSE if well else min(2 * pause, LONGEST_PAUSE)
            if closing and (not self.owed() or time.monotonic() > self._give_up):
                return
            if closing and not well:
                time.sleep(PAUSE)

    def _deliver_owed(self) -> bool:
        """Try every run once, but stop where MLflow is away; whether all went well."""
        with self._lock:
            while self._inbox:
                event = self._inbox.popleft()
                self._owed.setdefault(_place(event), []).append(event)
        well = True
        for key, events in sorted(self._owed.items(), key=lambda item: item[0] == CLOSED):
            try:
                self._deliver(key, events)
            except Exception as error:
                well = False
                self._failed(key, error)
                if _away(error):
                    break
            else:
                self._delivered(key)
        return well

    def _delivered(self, key: str) -> None:
        with self._lock:
            del self._owed[key]
        if self._troubled & {key, ""}:
            self._troubled -= {key, ""}
            log.info("MLflow takes records again")

    def _failed(self, key: str, error: Exception) -> None:
        with self._lock:
            # To the end, so that a run which MLflow will not take does not hold up the others.
            self._owed[key] = self._owed.pop(key)
        trouble = "" if _away(error) else key
        if trouble not in self._troubled:
            self._troubled.add(trouble)
            what = "is away" if _away(error) else f"refuses records of {key}"
            log.warning("MLflow %s (%s); what it misses is kept and tried again", what, _reason(error))

    # Delivery: everything below runs on the thread, except while the tracker is made.

    def _deliver(self, key: str, events: Sequence[_TrialEvent | _StudyEvent]) -> None:
        for event in events:
            if isinstance(event, _Opened):
                self._client.log_text(self._parent, self._header.source, self._study_file.name)
            elif isinstance(event, _Closed):
                self._close_study(event)
        if trial_events := [event for event in events if isinstance(event, _TrialEvent)]:
            self._deliver_trial(key, trial_events)

    def _deliver_trial(self, trial_id: str, events: Sequence[_TrialEvent]) -> None:
        run = self._runs.get(trial_id) or self._find_or_create(trial_id, events[0])
        again = any(isinstance(event, _Begun) and event.record.end is None for event in events)
        if run.ended and not again:
            return
        if run.status != "RUNNING":
            self._client.update_run(run.id, status="RUNNING")
            run.status = "RUNNING"

        params = _settings(events[0])
        reports = self._lacking(run, events)
        ended = next((event for event in events if isinstance(event, _Ended)), None)
        final: list[Metric] = []
        tags: list[RunTag] = []
        if ended is not None:
            tags = [RunTag("state", ended.end.state), RunTag("stop_reason", ended.end.reason)]
            if ended.end.state == "complete" and not run.finished:
                values = {FINAL + name: value for name, value in run.newest.items() if not name.startswith(NOT_FINAL)}
                final = _metrics(values, ended.at, ended.end.step)
        *batches, last = _batches(reports)
        for batch in batches:
            self._log(run, batch, params)
        self._log(run, last, params, final, tags)

        if ended is not None:
            self._client.set_terminated(run.id, STATUS[ended.end.state], ended.at)
            self._log_files(run.id, ended.pictures)
            run.status = STATUS[ended.end.state]

    def _log(
        self,
        run: _Run,
        reports: Sequence[_Scored],
        params: dict[str, str],
        final: Sequence[Metric] = (),
        tags: Sequence[RunTag] = (),
    ) -> None:
        """One batch; what it held is remembered, so that a delivery that fails halfway goes on from there."""
        metrics = [metric for report in reports for metric in _metrics(report.metrics, report.at, report.step)]
        metrics += final
        rest = [Param(name, value) for name, value in params.items() if name not in run.params]
        if metrics or rest or tags:
            self._client.log_batch(run.id, metrics, rest, tags)
        run.params.update(params)
        run.steps.update(report.step for report in reports)
        self._give_up = time.monotonic() + self._patience

    def _lacking(self, run: _Run, events: Sequence[_TrialEvent]) -> list[_Scored]:
        """The reports that MLflow does not hold yet, in order of steps."""
        reports = [_Scored(at, report.step, self._metrics(report)) for at, report in _reports(events)]
        if reports and reports[-1].step >= max(run.steps, default=0):
            run.newest = reports[-1].metrics
        if reports and run.found:
            # A batch holds whole reports and arrives whole, so that any metric of a report witnesses the others.
            for witness in {next(iter(report.metrics)) for report in reports if report.metrics}:
                run.steps.update(metric.step for metric in self._client.get_metric_history(run.id, witness))
            run.found = False
        return [report for report in reports if report.step not in run.steps]

    def _metrics(self, report: Report) -> dict[str, float]:
        """A report's metrics; the selector comes first, because the compare view opens with the first one logged."""
        metrics = dict(report.metrics)
        if TEST in report.confusions:
            score = cityscapes(report.confusions[TEST], self._groups)
            metrics |= {"test/miou": score.miou, "test/accuracy": score.accuracy}
        return {name: metrics[name] for name in sorted(metrics, key=lambda name: (name != self._header.select, name))}

    def _find_or_create(self, trial_id: str, first: _TrialEvent) -> _Run:
        run = None
        if trial_id in self._doubtful:
            run = next((_known(found) for found in self._children(f" and tags.trial_id = '{trial_id}'")), None)
        if run is None:
            self._doubtful.add(trial_id)
            provenance = first.record.provenance if isinstance(first, _Begun) else {}
            tags = self._tags(provenance.get("git_commit", "")) | _trial_tags(first.ask, provenance)
            tags["mlflow.parentRunId"] = self._parent
            created = self._client.create_run(self._experiment, first.at, tags, _run_name(first.ask))
            run = _Run(created.info.run_id, created.info.status)
        self._doubtful.discard(trial_id)
        self._runs[trial_id] = run
        return run

    def _open_parent(self) -> str:
        """The run of the study itself, made or found again."""
        header = self._header
        facts = {
            "phase": STUDY,
            "mlflow.note.content": header.question,
            "shift": str(header.shift.get("name", "")),
            "reference": header.reference,
            "select": header.select,
            "seeds": str(header.seeds),
            "search_trials": str(header.search_trials),
            "steps": str(header.steps),
        }
        tags = self._tags("") | facts
        found = self._client.search_runs([self._experiment], f"tags.phase = '{STUDY}'", max_results=1)
        if not found:
            return str(self._client.create_run(self._experiment, _now(), tags, header.name).info.run_id)
        run_id = str(found[0].info.run_id)
        self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        self._client.update_run(run_id, status="RUNNING")
        return run_id

    def _close_study(self, closed: _Closed) -> None:
        for run in self._runs.values():
            if run.status == "RUNNING":
                try:
                    self._client.set_terminated(run.id, "KILLED", closed.at)
                except MlflowException as error:
                    if _away(error):
                        raise
                    log.debug("run %s was deleted in MLflow (%s)", run.id, _reason(error))
                run.status = "KILLED"
        self._client.set_terminated(self._parent, closed.status, closed.at)
        self._log_files(self._parent, closed.artifacts)

    def _tags(self, git_commit: str) -> dict[str, str]:
        tags = {
            "study": self._header.name,
            "mlflow.user": _user(),
            "mlflow.source.name": str(self._study_file),
            "mlflow.source.type": "LOCAL",
        }
        return tags | ({"mlflow.source.git.commit": git_commit} if git_commit else {})

    def _children(self, condition: str = "") -> Iterator[MlflowRun]:
        token: str | None = None
        where = f"tags.mlflow.parentRunId = '{self._parent}'{condition}"
        while True:
            page = self._client.search_runs([self._experiment], where, max_results=PAGE, page_token=token)
            yield from (run for run in page if "trial_id" in run.data.tags)
            token = page.token
            if not token:
                return

    def _log_files(self, run_id: str, files: Sequence[Path]) -> None:
        for file in files:
            if file.exists():
                self._client.log_artifact(run_id, str(file))
            else:
                log.warning("%s does not exist, so MLflow does not get it", file)


def _place(event: _TrialEvent | _StudyEvent) -> str:
    if isinstance(event, _TrialEvent):
        return event.ask.trial.id
    return OPENED if isinstance(event, _Opened) else CLOSED


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


def _settings(first: _TrialEvent) -> dict[str, str]:
    """A run's params: flat, under the names of a study file, so that the compare view lines arms up.

    Costs are params too: as metrics, which the compare view takes in alphabetical order, they would hide the scores.
    """
    ask, trial = first.ask, first.ask.trial
    resolved = {name: value for meanings in trial.resolved.values() for name, value in meanings.items()}
    settings: dict[str, Any] = {
        "arm": ask.arm,
        "method": trial.method,
        **trial.recipe,
        **trial.hyperparameters,
        **resolved,
    }
    settings |= {"seed": trial.seed, "steps": trial.steps, "evaluations": trial.evaluations}
    if isinstance(first, _Begun):
        settings |= {f"cost/{name}": f"{value:.10g}" for name, value in first.record.cost.items()}
    return {name: str(value) for name, value in settings.items()}


def _reports(events: Sequence[_TrialEvent]) -> list[tuple[int, Report]]:
    """(timestamp, report), one per step, in order of steps.

    Reports of an earlier process are dated back from the moment their trial began again by the time they took.
    """
    reports: dict[int, tuple[int, Report]] = {}
    for event in events:
        if isinstance(event, _Begun):
            at = event.at
            for report in reversed(event.record.reports):
                reports.setdefault(report.step, (at, report))
                at -= round(1000 * report.seconds)
        elif isinstance(event, _Reported):
            reports.setdefault(event.report.step, (event.at, event.report))
    return [reports[step] for step in sorted(reports)]


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
    finished = any(name.startswith(FINAL) for name in run.data.metrics)
    return _Run(run.info.run_id, run.info.status, params=set(run.data.params), found=True, finished=finished)


def _experiment(client: MlflowClient, name: str, artifacts: Path | None) -> str:
    """The id of the study's experiment; one that was deleted comes back, since its study goes on."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = None if artifacts is None else (artifacts / name).as_uri()
        return str(client.create_experiment(name, artifact_location=location))
    if experiment.lifecycle_stage == LifecycleStage.DELETED:
        log.info("restoring the deleted MLflow experiment %r", name)
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def _check(uri: str) -> Path | None:
    """Find out quickly what MLflow finds out slowly; the folder of artifacts where the store is a local file."""
    backend = uri.partition(":")[0].partition("+")[0]
    try:
        if backend == "sqlite":
            return _check_sqlite(uri)
        if backend in DATABASE_PORTS:
            url = make_url(uri)
            address = (url.host or "localhost", url.port or DATABASE_PORTS[backend])
            socket.create_connection(address, timeout=ANSWER_SECONDS).close()
    except Exception as error:
        raise _refused(uri, _reason(error)) from error
    if backend == "file" or ("://" not in uri and not uri.startswith("databricks")):
        raise _refused(uri, "neither a server nor a database; MLflow keeps no runs in folders any more")
    return None


def _check_sqlite(uri: str) -> Path | None:
    database = make_url(uri).database
    if not database or database == ":memory:":
        raise ValueError("a SQLite store needs a file")
    file = Path(database).absolute()
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(file, timeout=ANSWER_SECONDS)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()
    finally:
        connection.close()
    return file.parent / "mlruns"


def _refused(uri: str, reason: str) -> ValueError:
    shown = re.sub(r"://[^/]*@", "://***@", uri)
    return ValueError(
        f"MLflow must answer within {ANSWER_SECONDS} s, but {shown!r} gave: {reason.replace(uri, shown)}; start that "
        "server, set MLFLOW_TRACKING_URI to another store, or unset it to use mlflow.db at the root"
    )


def _reason(error: BaseException) -> str:
    """The first line of the exception at the bottom: MLflow wraps a refused connection four times."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _away(error: Exception) -> bool:
    """Whether MLflow as a whole failed, and not this one request."""
    if not isinstance(error, MlflowException):
        return False
    status = error.get_http_status_code()  # type: ignore[no-untyped-call]
    return bool(status >= 500 or status == 429)


def _silence() -> None:
    # Every failure comes back as an exception, which is logged here; MLflow logs its traceback as well.
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry in the password file
        return str(os.getuid())


def _now() -> int:
    return time.time_ns() // 1_000_000
