"""Copy a running study to MLflow, in the background, from what its ledger tells.

A tracker never stops or delays a study: the driver only notes which trial has something new, and a thread hands the
newest state of those trials to a process that talks to MLflow. While MLflow is away they are owed and tried again; once
it is back, and may be another or an empty one, everything is compared with the records anew.
"""

import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from platform.records.ledger import Event
from platform.records.one_line import one_line
from platform.records.record import TARGET_TEST, Ask, Record, Report, StudyHeader
from platform.records.storage.files import is_plain
from platform.records.store import PREDICTIONS, RECORD, Store, trial_file
from platform.results.mirror.messages import Answer, Closing, Copy, Ending, Files, Outage, Owed, Request, now
from platform.results.mirror.process import Process
from platform.results.mirror.uri import checked

log = logging.getLogger(__name__)
PAUSE = 0.5
"""Seconds between deliveries, so that reports of one trial that come close together go in one call."""
LONGEST_PAUSE = 30.0
"""Seconds between attempts while MLflow is away, doubled up to here."""
FILES_PAUSE = 60.0
"""Seconds between attempts to store files that have no place."""
TURN_SECONDS = 1.0
"""Time after which files wait for what is newer."""
MOST_PATIENCE = 6
"""`close` takes at most this many times its patience, however slowly MLflow answers."""
COPIES = 50
"""Trials sent at a time."""
RESULT_FILES = frozenset({".md", ".csv", ".tex", ".parquet", ".png"})
"""Extensions of the files in a study's folder that its MLflow run receives."""


@dataclass
class _Trial:
    """What the ledger told last about a trial, and how much of it MLflow holds.

    Rows that mean the same trial share its run: it shows what the row has that has most of it, or the first such row.
    """

    ask: Ask
    record: Record
    at: int
    times: dict[int, int]
    rows: dict[str, tuple[Ask, Record]] = field(default_factory=dict)
    """What each row that means it has of it."""
    version: int = 0
    held_reports: int = 0


class Tracker:
    """One study's mirror in MLflow, a listener of its ledger; `hear` takes microseconds and never raises.

    Raises ValueError when `uri` can never work. Whether MLflow answers is found out in the background.
    """

    def __init__(self, uri: str, header: StudyHeader, store: Store) -> None:
        self._arguments = (checked(uri), header)
        self._rows = [arm.name for arm in header.arms]
        self._texts = {f"{header.name}.py": header.source}
        self._store = store
        self._log_file = store.study_folder(header.name) / "mlflow.log"
        self.trouble = ""
        """Why MLflow does not take everything at the moment, empty while it does."""
        self.unstored = ""
        """Why files have no place at the moment, though numbers have theirs."""
        self.connected = False
        """Whether MLflow answered, and what it holds is known."""
        self.say: Callable[[str], None] = log.warning
        """Takes a line that the user should see at once."""
        self._trials: dict[str, _Trial] = {}
        self._owed: dict[str, None] = {}
        """Ids of trials, those that were refused last at the end."""
        self._files: dict[str, Files] = {}
        """Files that runs lack, by trial; those of the study's own run by the empty id."""
        self._files_at = 0.0
        """When they are tried again."""
        self._there: Mapping[str, int] | None = None
        """The last step of each trial that MLflow held at first."""
        self._lock = threading.Lock()
        """Held for `_trials`, `_owed` and `_files`, never while waiting for MLflow."""
        self._closing: Closing | None = None
        self._results: tuple[Path, ...] = ()
        self._close = threading.Event()
        self._closed = False
        """Whether the study's run has its last status."""
        self._given_up = False
        self._last_success = 0.0
        self._logged: set[str] = set()
        self._process: Process | None = None
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def hear(self, event: Event, ask: Ask, record: Record) -> None:
        """Note what MLflow should hold of a trial, whatever happened to it: its record says all."""
        if event == "wait":
            return  # the run belongs to the study that trains it
        at = now()
        trial_id = record.trial.id
        with self._lock:
            trial = self._trials.get(trial_id)
            if trial is None:
                # Reports and ends of an earlier process came when the record was written last.
                if record.step or record.end is not None:
                    at = self._written(trial_id, at)
                trial = self._trials[trial_id] = _Trial(ask, record, at, {record.step: at})
            elif record.end is None or trial.record.end is None:
                trial.at = at
            trial.times.setdefault(record.step, at)
            trial.rows[ask.arm] = ask, record
            trial.ask, trial.record = max(trial.rows.values(), key=self._precedence)
            trial.version += 1
            self._owed[trial_id] = None

    def owed(self) -> Owed:
        """What MLflow is not known to hold yet; cheap enough to be shown every second."""
        with self._lock:
            owed = [self._trials[trial_id] for trial_id in self._owed]
            lacking = sum(len(trial.record.reports) - trial.held_reports for trial in owed)
            files = sum(map(len, self._files.values()))
        return Owed(len(owed), lacking, self._closing is not None and not self._closed, files)

    def was_there(self) -> Owed:
        """What MLflow held before this tracker: trials with all their reports, and reports."""
        with self._lock:
            there = self._there or {}
            known = [(trial.record, there.get(trial_id)) for trial_id, trial in self._trials.items()]
        whole = sum(step is not None and step >= record.step for record, step in known)
        return Owed(whole, sum(report.step <= (step or 0) for record, step in known for report in record.reports))

    def close(self, files: Sequence[Path] = (), state: Ending = "complete", patience: float = 10.0) -> Owed:
        """Deliver everything and give the study's run its files and status; what is still owed.

        Unfinished runs and an interrupted study become KILLED, until they go on. Gives up when nothing could be
        delivered for `patience` seconds, and in any case after `MOST_PATIENCE` times that.
        """
        self._results = tuple(files)
        self._closing = Closing("FINISHED" if state == "complete" else "KILLED", now())
        began = self._last_success = time.monotonic()
        self._close.set()
        while self._thread.is_alive():
            if time.monotonic() > min(self._last_success + patience, began + MOST_PATIENCE * patience):
                break
            self._thread.join(0.05)
        self._given_up = True
        if (process := self._process) is not None:
            process.stop()
        return self.owed()

    def _precedence(self, row: tuple[Ask, Record]) -> tuple[int, int]:
        ask, record = row
        return record.step, -self._rows.index(ask.arm)

    def _written(self, trial_id: str, otherwise: int) -> int:
        try:
            return int(self._store.storage.modified(trial_file(trial_id, RECORD)) * 1000)
        except OSError:
            return otherwise

    # Everything below runs on the thread.

    def _work(self) -> None:
        pause = PAUSE
        try:
            while not self._given_up:
                if self._close.wait(pause):
                    # Somebody waits now.
                    pause = min(pause, 1.0)
                    time.sleep(pause if self.trouble else 0.0)
                try:
                    self._deliver_owed()
                    if self._closing is not None:
                        self._finish(self._closing)
                        return
                    self._store_files(time.monotonic() + TURN_SECONDS)
                except (Outage, OSError) as error:
                    self.connected = False
                    self._failed("", str(error) if isinstance(error, Outage) else f"MLflow is away ({error})")
                pause = min(2 * pause, LONGEST_PAUSE) if self.trouble else PAUSE
        finally:
            if self._process is not None:
                self._process.stop()

    def _deliver_owed(self) -> None:
        """Try each owed trial once; raises Outage."""
        if not self.connected:
            self._connect()
        tried: set[str] = set()
        well = True
        while batch := self._batch(tried):
            answer = self._ask([copy for copy, _ in batch])
            tried.update(answer.held, answer.refused)
            for copy, version in batch:
                trial_id = copy.record.trial.id
                if trial_id in answer.held:
                    self._delivered(trial_id, version, len(copy.record.reports))
                elif trial_id in answer.refused:
                    well = False
                    self._refused(trial_id, answer.refused[trial_id], answer.steps.get(trial_id))
                if trial_id in answer.pictures and copy.predictions is not None:
                    self._note(Files(trial_id, (copy.predictions,)))
        if well:
            self.trouble = ""

    def _finish(self, closing: Closing) -> None:
        # Somebody may have deleted runs of trials that ended long ago.
        self._connect()
        self._deliver_owed()
        self._ask(closing)
        self._closed = True
        self._files_at = 0.0
        self._store_files()

    def _store_files(self, until: float = math.inf) -> None:
        """Try each file that a run lacks once, unless none had a place a moment ago; raises Outage."""
        with self._lock:
            due = list(self._files.values()) if time.monotonic() >= self._files_at else []
        unstored, wasted = "", 0.0
        for files in due:
            began = time.monotonic()
            if began > until or wasted > TURN_SECONDS:
                break
            answer = self._unread(files) or self._ask(files)
            self._note(files.only(answer.lacking))
            if answer.lacking:
                unstored = unstored or answer.unstored
                wasted += time.monotonic() - began
        if unstored:
            self._files_at = time.monotonic() + FILES_PAUSE
            self._say_unstored(unstored)
        elif due:
            self.unstored = ""

    def _unread(self, files: Files) -> Answer | None:
        """What MLflow would answer of a picture whose predictions cannot be read at the moment; None where they can."""
        try:
            if files.trial:
                self._store.fetched(files.trial, PREDICTIONS)
        except OSError as error:
            why = f"the predictions of trial {files.trial} cannot be read ({one_line(error)})"
            return Answer(lacking=tuple(path.name for path in files.paths), unstored=why)
        return None

    def _note(self, files: Files) -> None:
        """Note the files that a run lacks, after those of the others."""
        with self._lock:
            self._files.pop(files.trial, None)
            if files:
                self._files[files.trial] = files

    def _say_unstored(self, unstored: str) -> None:
        if not self.unstored and self._closing is None:
            self.say(f"{unstored}; numbers arrive, and files are tried again")
        self.unstored = unstored

    def _connect(self) -> None:
        answer = self._ask(None)
        self.connected = True
        with self._lock:
            self._there = answer.steps if self._there is None else self._there
            self._owed = dict.fromkeys(self._trials)
            self._files.clear()
            self._closed = False  # it runs again
        self._note(Files(paths=self._results, texts=self._texts))
        self._well("")

    def _batch(self, tried: set[str]) -> list[tuple[Copy, int]]:
        """The newest state of some owed trials, and which version that is."""
        with self._lock:
            ids = itertools.islice((trial_id for trial_id in self._owed if trial_id not in tried), COPIES)
            trials = [replace(trial, times=dict(trial.times)) for trial in map(self._trials.__getitem__, ids)]
        return [(self._copy(trial), trial.version) for trial in trials]

    def _copy(self, trial: _Trial) -> Copy:
        record = replace(trial.record, reports=tuple(map(_without_val, trial.record.reports)))
        return Copy(trial.ask, record, trial.times, trial.at, self._predictions(record))

    def _predictions(self, record: Record) -> Path | None:
        if record.end is None or record.end.state != "complete":
            return None
        try:
            path = self._store.fetched(record.trial.id, PREDICTIONS)
        except OSError:
            return self._store.trial_folder(record.trial.id) / PREDICTIONS  # it is fetched when its picture is drawn
        return path if path.exists() else None

    def _ask(self, request: Request) -> Answer:
        if self._given_up:
            raise Outage("MLflow is away (the study has ended)")
        if self._process is None:
            self._process = Process(self._log_file, *self._arguments)
        try:
            answer = self._process(request)
        except Outage:
            self._process.stop()
            self._process = None
            raise
        if answer.away:
            raise Outage(answer.away)
        if not (answer.refused or answer.lacking) or answer.held:
            self._last_success = time.monotonic()
        return answer

    def _delivered(self, trial_id: str, version: int, reports: int) -> None:
        with self._lock:
            trial = self._trials[trial_id]
            trial.held_reports = reports
            if trial.version == version:
                del self._owed[trial_id]
        self._well(trial_id)

    def _refused(self, trial_id: str, why: str, held: int | None) -> None:
        with self._lock:
            if held is not None:
                trial = self._trials[trial_id]
                trial.held_reports = sum(report.step <= held for report in trial.record.reports)
            # To the end, so that a run which MLflow will not take does not hold up the others.
            self._owed[trial_id] = self._owed.pop(trial_id)
        self._failed(trial_id, f"MLflow refuses trial {trial_id} ({why})")

    def _failed(self, what: str, trouble: str) -> None:
        if self._given_up:
            return
        self.trouble = trouble
        # Who waits for `close` is told by its caller.
        if what not in self._logged and self._closing is None:
            self._logged.add(what)
            log.warning("%s; what it misses is kept and tried again", trouble)

    def _well(self, what: str) -> None:
        if what in self._logged:
            self._logged.remove(what)
            log.info("MLflow takes %s again", f"trial {what}" if what else "records")


def _without_val(report: Report) -> Report:
    """A report with no confusion matrix but that of the test split, the only one that MLflow's copy needs."""
    counts = report.confusions.get(TARGET_TEST)
    return replace(report, confusions={} if counts is None else {TARGET_TEST: counts})


def result_files(folder: Path) -> list[Path]:
    """The tables and figures in a study's folder."""
    return sorted(path for path in folder.iterdir() if path.suffix in RESULT_FILES and is_plain(path))
