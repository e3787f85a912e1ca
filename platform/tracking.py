"""Follow a study into MLflow, or copy one there from its records: `python -m platform.tracking RESULTS --to URI`.

The records on disk are the truth and MLflow holds a copy, so a tracker never stops or delays a study. The driver only
notes which trial has something new; a thread hands the newest state of those trials to a process that talks to MLflow
(`platform.mirror`). While MLflow is away they are owed and tried again; once it is back, and may be another or an empty
one, everything is compared with the records anew. What is still owed when a study ends, the same command delivers at
its next run, and the command above at any time.

Exit codes of the command: 0 everything is there, 2 bad input, 3 something is still owed.
"""

import argparse
import itertools
import logging
import os
import pickle
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Literal, cast
from urllib.parse import unquote, urlsplit

from platform.provenance import ROOT
from platform.records import JOURNAL, PICTURE, RECORD, Ask, Phase, Record, Store, StudyHeader, trial_file

log = logging.getLogger("platform.tracking")

DELIVERED, BAD_INPUT, OWED = 0, 2, 3
"""Exit codes."""
PAUSE = 0.5
"""Seconds between deliveries, so that reports of one trial that come close together go in one call."""
LONGEST_PAUSE = 30.0
"""Seconds between attempts while MLflow is away, doubled up to here."""
STUCK_SECONDS = 180.0
"""After which a call that does not come back is given up: longer than anything that MLflow itself waits for."""
MOST_PATIENCE = 6
"""`close` takes at most this many times its patience, however slowly MLflow answers."""
COPIES = 50
"""Trials sent at a time."""

COMMAND_PATIENCE = 60.0
"""How long the command waits for an MLflow that answered at first."""
CLEAR = "\r\x1b[2K"
PHASES: tuple[Phase, ...] = ("search", "confirm")

TEST = "target/test"
DATABASES = ("postgresql", "mysql", "mssql")
RESULT_FILES = frozenset({".md", ".csv", ".tex", ".parquet", ".png", ".html"})
"""Endings of the files of a study's folder that its run gets."""
Ending = Literal["complete", "interrupted"]


@dataclass(frozen=True)
class Owed:
    """What MLflow is not known to hold yet; false when that is nothing."""

    trials: int
    reports: int
    study: bool = False
    """Whether the study's own run lacks its files and its last status."""

    def __bool__(self) -> bool:
        return self.trials > 0 or self.study

    def __str__(self) -> str:
        if not self.trials:
            return "the study's files and status" if self.study else "nothing"
        return f"{_many(self.trials, 'trial')} with {_many(self.reports, 'report')}"


@dataclass(frozen=True)
class Copy:
    """What MLflow should hold of a trial; of the confusion matrices only the one of the test split."""

    ask: Ask
    record: Record
    times: Mapping[int, int]
    """When reports came, by step, in milliseconds since 1970 as MLflow counts; step 0 is when the trial began. Those
    of an earlier process are missing."""
    at: int
    """When the trial ended, or what else came last."""
    picture: Path | None


@dataclass(frozen=True)
class Closing:
    """How a study's own run ends."""

    status: Literal["FINISHED", "KILLED"]
    files: tuple[Path, ...]
    at: int


@dataclass(frozen=True)
class Answer:
    """What came of a request."""

    held: tuple[str, ...] = ()
    """Ids of trials that MLflow holds as they were sent."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why MLflow did not take a trial, though it took others."""
    away: str = ""
    """Why MLflow could not be used, or is no longer the one it was: connect again before anything else."""


Request = list[Copy] | Closing | None
"""Copies to deliver, the end of the study, or, as None, to connect and look up what is there."""


class Outage(Exception):
    """MLflow cannot be used at the moment."""


@dataclass
class _Trial:
    """What the driver said last of a trial, and how much of it MLflow holds."""

    ask: Ask
    record: Record
    at: int
    times: dict[int, int]
    version: int = 0
    held_reports: int = 0


class Tracker:
    """One study's mirror, a listener of its ledger; `begin`, `report`, `end`, `lose` take microseconds, never raise.

    Raises ValueError when `uri` can never work. Whether MLflow answers is found out in the background.
    """

    def __init__(self, uri: str, header: StudyHeader, store: Store) -> None:
        self._arguments = (checked(uri), header)
        self._store = store
        self._log_file = store.study_folder(header.name) / "mlflow.log"
        self.trouble = ""
        """Why MLflow does not take everything at the moment, empty while it does."""
        self.connected = False
        """Whether MLflow answered, and what it holds is known."""
        self._trials: dict[str, _Trial] = {}
        self._owed: dict[str, None] = {}
        """Ids of trials, those that were refused last at the end."""
        self._lock = threading.Lock()
        """Held for `_trials` and `_owed`, never while waiting for MLflow."""
        self._closing: Closing | None = None
        self._close = threading.Event()
        self._closed = False
        """Whether the study's run has its files and last status."""
        self._given_up = False
        self._last_success = 0.0
        self._logged: set[str] = set()
        self._process: _Process | None = None
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def begin(self, ask: Ask, record: Record) -> None:
        """A trial begins or goes on; of one that ended before this tracker was made, its record says all."""
        self._note(ask, record)

    def report(self, ask: Ask, record: Record) -> None:
        """A trial reported."""
        self._note(ask, record)

    def end(self, ask: Ask, record: Record) -> None:
        """A trial ended."""
        self._note(ask, record)

    def lose(self, ask: Ask, record: Record) -> None:
        """A trial lost its worker and goes on."""
        self._note(ask, record)

    def wait(self, ask: Ask, record: Record) -> None:
        """Nothing: it is the other study's run."""

    def owed(self) -> Owed:
        """What MLflow is not known to hold yet; cheap enough to be shown every second."""
        with self._lock:
            owed = [self._trials[trial_id] for trial_id in self._owed]
            lacking = sum(len(trial.record.reports) - trial.held_reports for trial in owed)
        return Owed(len(owed), lacking, self._closing is not None and not self._closed)

    def close(self, files: Sequence[Path] = (), state: Ending = "complete", patience: float = 10.0) -> Owed:
        """Deliver everything and give the study's run its files and status; what is still owed.

        Unfinished runs and an interrupted study become KILLED, until they go on. Gives up when nothing could be
        delivered for `patience` seconds, and in any case after `MOST_PATIENCE` times that.
        """
        self._closing = Closing("FINISHED" if state == "complete" else "KILLED", tuple(files), now())
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

    def _note(self, ask: Ask, record: Record) -> None:
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
            trial.record = record
            trial.version += 1
            self._owed[trial_id] = None

    def _written(self, trial_id: str, otherwise: int) -> int:
        try:
            return int(self._store.storage.modified(trial_file(trial_id, RECORD)) * 1000)
        except OSError:
            return otherwise

    # Everything below runs on the thread.

    def _work(self) -> None:
        pause = PAUSE
        try:
            while not (self._closed or self._given_up):
                if self._close.wait(pause):
                    # Somebody waits now.
                    pause = min(pause, 1.0)
                    time.sleep(pause if self.trouble else 0.0)
                try:
                    self._deliver_owed()
                    if self._closing is not None:
                        self._finish(self._closing)
                except (Outage, OSError) as error:
                    self.connected = False
                    self._failed("", f"MLflow is away ({error})")
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
                    self._refused(trial_id, answer.refused[trial_id])
        if well:
            self.trouble = ""

    def _finish(self, closing: Closing) -> None:
        # Somebody may have deleted runs of trials that ended long ago.
        self._connect()
        self._deliver_owed()
        self._ask(closing)
        self._closed = True

    def _connect(self) -> None:
        self._ask(None)
        self.connected = True
        with self._lock:
            self._owed = dict.fromkeys(self._trials)
        self._well("")

    def _batch(self, tried: set[str]) -> list[tuple[Copy, int]]:
        """The newest state of some owed trials, and which version that is."""
        with self._lock:
            ids = itertools.islice((trial_id for trial_id in self._owed if trial_id not in tried), COPIES)
            trials = [(replace(trial, times=dict(trial.times))) for trial in map(self._trials.__getitem__, ids)]
        return [(self._copy(trial), trial.version) for trial in trials]

    def _copy(self, trial: _Trial) -> Copy:
        reports = tuple(
            replace(report, confusions={name: counts for name, counts in report.confusions.items() if name == TEST})
            for report in trial.record.reports
        )
        record = replace(trial.record, reports=reports)
        return Copy(trial.ask, record, trial.times, trial.at, self._picture(record))

    def _picture(self, record: Record) -> Path | None:
        if record.end is None or record.end.state != "complete":
            return None
        try:
            return self._store.fetched(record.trial.id, PICTURE)
        except OSError:
            return None  # a run without its picture is worth more than none

    def _ask(self, request: Request) -> Answer:
        if self._given_up:
            raise Outage("the study has ended")
        if self._process is None:
            self._process = _Process(self._log_file, *self._arguments)
        try:
            answer = self._process(request)
        except Outage:
            self._process.stop()
            self._process = None
            raise
        if answer.away:
            raise Outage(answer.away)
        if not answer.refused or answer.held:
            self._last_success = time.monotonic()
        return answer

    def _delivered(self, trial_id: str, version: int, reports: int) -> None:
        with self._lock:
            trial = self._trials[trial_id]
            trial.held_reports = reports
            if trial.version == version:
                del self._owed[trial_id]
        self._well(trial_id)

    def _refused(self, trial_id: str, why: str) -> None:
        with self._lock:
            # To the end, so that a run which MLflow will not take does not hold up the others.
            self._owed[trial_id] = self._owed.pop(trial_id)
        self._failed(trial_id, f"MLflow refuses trial {trial_id} ({why})")

    def _failed(self, what: str, trouble: str) -> None:
        if self._given_up:
            return
        self.trouble = trouble
        if what not in self._logged:
            self._logged.add(what)
            log.warning("%s; what it misses is kept and tried again", trouble)

    def _well(self, what: str) -> None:
        if what in self._logged:
            self._logged.remove(what)
            log.info("MLflow takes %s again", f"trial {what}" if what else "records")


class _Process:
    """The process that talks to MLflow; it ends when its input does, so that it never outlives the driver."""

    def __init__(self, log_file: Path, uri: str, header: StudyHeader) -> None:
        errors: int | IO[bytes] = subprocess.DEVNULL
        with suppress(OSError):
            log_file.parent.mkdir(parents=True, exist_ok=True)
            errors = log_file.open("ab")
        # In a session of its own: Ctrl-C is for the driver, which then says what else is to be done.
        self._popen = subprocess.Popen(
            [sys.executable, "-c", "from platform.mirror import serve; serve()"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        if not isinstance(errors, int):
            errors.close()
        self._send((uri, header))

    def __call__(self, request: Request) -> Answer:
        """Raises Outage when the process has ended, or does not answer."""
        self._send(request)
        assert self._popen.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._popen.stdout, selectors.EVENT_READ)
            if not selector.select(STUCK_SECONDS):
                raise Outage(f"no answer within {STUCK_SECONDS:.0f} s")
        try:
            return cast(Answer, pickle.load(self._popen.stdout))
        except (EOFError, pickle.UnpicklingError, ValueError) as error:
            raise Outage("the process that writes to it ended") from error

    def stop(self) -> None:
        """End the process at once, whatever it waits for."""
        self._popen.kill()
        self._popen.wait()
        assert self._popen.stdin is not None
        with suppress(OSError):
            self._popen.stdin.close()

    def _send(self, message: object) -> None:
        assert self._popen.stdin is not None
        try:
            pickle.dump(message, self._popen.stdin)
            self._popen.stdin.flush()
        except (OSError, ValueError) as error:
            raise Outage("the process that writes to it ended") from error


def default_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI where it is set, else the SQLite store at the root, which `mlflow ui` opens by default."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / 'mlflow.db'}"


def result_files(folder: Path) -> list[Path]:
    """The tables and figures in a study's folder."""
    return sorted(path for path in folder.iterdir() if path.suffix in RESULT_FILES)


def checked(uri: str) -> str:
    """The URI, with a SQLite file's path made absolute; raises ValueError when it can never work."""
    scheme = uri.partition(":")[0].partition("+")[0]
    if scheme in ("http", "https"):
        with suppress(ValueError):
            address = urlsplit(uri)
            if address.hostname and (address.port is None or address.port > 0):
                return uri
    elif scheme == "sqlite":
        return _checked_sqlite(uri)
    elif scheme in DATABASES:
        return _checked_database(uri)
    raise _refusal(uri, "must be http://HOST:PORT, sqlite:////PATH/mlflow.db or the URL of a PostgreSQL, MySQL or "
                        "SQL Server database (MLflow keeps no runs in folders any more)")  # fmt: skip


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store, None for any other."""
    return Path(unquote(uri.removeprefix("sqlite:///"))) if uri.startswith("sqlite:///") else None


def _checked_sqlite(uri: str) -> str:
    file = sqlite_file(uri)
    if file is None or not file.name or file.name == ":memory:" or "?" in uri:
        raise _refusal(uri, "must name a file as sqlite:///FILE or sqlite:////ABSOLUTE/FILE")
    file = file.absolute()
    if not file.parent.is_dir():
        raise _refusal(uri, f"must name a file in a folder that exists, which {file.parent} does not")
    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise _refusal(uri, f"must name a file that can be written, which {file} cannot")
    with suppress(OSError), file.open("rb") as content:
        if content.read(16) not in (b"", b"SQLite format 3\0"):
            raise _refusal(uri, f"must name a SQLite database, which {file} is not")
    return f"sqlite:///{file}"


def _checked_database(uri: str) -> str:
    # Only what MLflow needs for these; the driver has no use for it.
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        make_url(uri).get_dialect().import_dbapi()
    except (SQLAlchemyError, ValueError) as error:
        raise _refusal(uri, f"must be a database's URL ({str(error).splitlines()[0]})") from error
    except ImportError as error:
        raise _refusal(uri, f"needs a database driver that is not installed ({error})") from error
    return uri


def _refusal(uri: str, rule: str) -> ValueError:
    shown = uri
    if "@" in uri:
        shown = f"{uri.partition('://')[0]}://***@{uri.rpartition('@')[2]}"
    return ValueError(
        f"a tracking URI {rule.replace(uri, shown)}, got {shown!r}; correct MLFLOW_TRACKING_URI or --to, or leave it "
        "unset to use mlflow.db at the root"
    )


def now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return time.time_ns() // 1_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m platform.tracking",
        description="Copy studies from their records into MLflow: what it holds already stays, what it lacks is added.",
        epilog="exit codes: 0 everything is there, 2 bad input, 3 something is still owed",
    )
    parser.add_argument("results", type=Path, metavar="RESULTS", help="a folder of results, or of one study in it")
    parser.add_argument("--to", required=True, metavar="URI", help="http://HOST:PORT, sqlite:////PATH/mlflow.db, ...")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.ERROR)
    try:
        uri = checked(options.to)
        store, studies = _studies(options.results)
        owed = [_copy_study(uri, store, study) for study in studies]
    except ValueError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return OWED if any(owed) else DELIVERED


def _studies(results: Path) -> tuple[Store, list[str]]:
    results = results.absolute()
    if (results / JOURNAL).is_file():
        return Store(results.parent), [results.name]
    if results.is_dir() and (studies := Store(results).studies()):
        return Store(results), studies
    raise ValueError(
        f"RESULTS must be a folder of results, or of one study in it, got {results}, which holds no {JOURNAL}; "
        "studies leave theirs in results/ at the root of the checkout"
    )


def _copy_study(uri: str, store: Store, study: str) -> Owed:
    """Copy one study and say how it went; raises ValueError when MLflow does not answer at all."""
    # Here, because only the command needs it.
    from platform.ledger import Ledger

    header = store.journal(study).header
    if header is None:
        print(f"{study}: not copied, because its journal has no readable header")
        return Owed(0, 0, study=True)
    ledger = Ledger(store, study, [arm.name for arm in header.arms])
    # What was asked for and never begun has no run.
    begun = [ask for ask in ledger.asks if ledger.records[ask.trial.id].provenance]
    tracker = Tracker(uri, header, store)
    for ask in begun:
        tracker.begin(ask, ledger.records[ask.trial.id])
    whole = tracker.owed()
    _wait(tracker, uri, study)
    state: Ending = "complete" if _complete(header, ledger.asks, ledger.records) else "interrupted"
    owed = tracker.close(result_files(store.study_folder(study)), state, COMMAND_PATIENCE)
    what = f"{owed} could not be copied: {tracker.trouble or 'MLflow is slow'}" if owed else f"{whole} copied"
    damages = f"; {_many(len(store.damages), 'damaged line')} left out" if store.damages else ""
    print(f"{CLEAR if sys.stdout.isatty() else ''}{study}: {what}{damages}", flush=True)
    return owed


def _wait(tracker: Tracker, uri: str, study: str) -> None:
    """Show what is owed until nothing is, or nothing changes any more."""
    changed, before = time.monotonic(), tracker.owed()
    while not tracker.connected:
        if tracker.trouble:
            trouble = tracker.trouble
            tracker.close(patience=0.0)
            raise _refusal(uri, f"must be that of an MLflow that answers, and here {trouble}")
        time.sleep(0.05)
    while (owed := tracker.owed()) and time.monotonic() < changed + COMMAND_PATIENCE:
        if owed != before:
            changed, before = time.monotonic(), owed
        if sys.stdout.isatty():
            print(f"{CLEAR}{study}: {owed} to go", end="", flush=True)
        time.sleep(0.1)


def _complete(header: StudyHeader, asks: Sequence[Ask], records: Mapping[str, Record]) -> bool:
    """Whether nothing is left to do: all that was asked for has ended, and every arm with a winner has its seeds."""
    for arm in header.arms:
        mine = [ask for ask in asks if ask.arm == arm.name]
        ends = {phase: [records[ask.trial.id].end for ask in mine if ask.phase == phase] for phase in PHASES}
        if None in ends["search"] + ends["confirm"]:
            return False
        if len(ends["search"]) < arm.search_trials:
            return False
        without_winner = bool(ends["search"]) and all(end and end.state == "failed" for end in ends["search"])
        if len(ends["confirm"]) < header.seeds and not without_winner:
            return False
    return True


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


if __name__ == "__main__":
    # Run as a command this file is the module __main__, while `platform.mirror` imports platform.tracking.
    from platform.tracking import main as command

    sys.exit(command())
