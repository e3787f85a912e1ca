"""The command line: `python -m platform.study FILE`.

Exit codes: 0 the study is complete, 1 results are missing, 2 bad input, 3 the machine failed (disk, Ray) and the same
command goes on, 4 a mistake of ours, with its traceback; 129, 130 and 143 stopped by SIGHUP, SIGINT and SIGTERM.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from platform import plan
from platform.archive import set_aside
from platform.console import quiet
from platform.files import write_whole
from platform.interruption import BEYOND, MACHINE_FAILED, Interruption
from platform.ledger import Ledger, StoreFault
from platform.loading import StudyFile, StudyFileError, load
from platform.lock import AlreadyRunning, Lock, locked
from platform.networks.bisenet import BiSeNet
from platform.progress import Progress
from platform.provenance import ROOT
from platform.records import Store, StudyHeader
from platform.shifts.shift import DATA_VARIABLE, DataError
from platform.smoke import smoke
from platform.study import Study
from platform.tracking import Owed, Tracker, default_uri, result_files

RESULTS = ROOT / "results"
LOG, STOP = "log.txt", "stop"
"""Files of a study's folder: what Ray and MLflow say; the sign for workers to stop after their current step."""
COMPLETE, INCOMPLETE, BAD_INPUT, OUR_MISTAKE = 0, 1, 2, 4
ANSWER_SECONDS = 5
"""How long the machine of a Ray address may take to answer, and below, Ray itself."""
HEALTH_SECONDS = 30
PATIENCE_SECONDS = 3.0
"""How long an interrupted study waits for MLflow."""
REMEDY = "copy the study file to a new name, or start over with --fresh, which deletes nothing"


class BadInput(ValueError):
    """A user's mistake, said in one line."""


class MachineFailed(Exception):
    """The disk or Ray failed; what was recorded is kept."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _command(options)
    except (BadInput, DataError, StudyFileError) as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("\ninterrupted; what was recorded is kept, and the same command goes on from here", file=sys.stderr)
        return BEYOND + signal.SIGINT
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python must not complain about it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BEYOND + signal.SIGPIPE
    except (MachineFailed, OSError) as failure:
        print(f"error: {failure}; mend that, and the same command goes on from here", file=sys.stderr)
        return MACHINE_FAILED
    except Exception:
        # Python's own code for it, 1, says that results are missing.
        traceback.print_exc()
        return OUR_MISTAKE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m platform.study",
        allow_abbrev=False,
        description="Plan, search, confirm, log and tabulate a study. Run the same command again to go on.",
        epilog="exit codes: 0 complete, 1 results are missing, 2 bad input, 3 the machine failed (disk, Ray), "
        "4 a mistake of ours, "
        "129, 130 or 143 stopped by SIGHUP, SIGINT (Ctrl-C) or SIGTERM; after all but 2 the same command goes on",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a Python file that defines one Study")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--plan", action="store_true", help="print rows, trials, steps, rungs and cost; start nothing")
    what.add_argument("--report", action="store_true", help="write the table again from the records; train nothing")
    what.add_argument("--fresh", action="store_true", help="start over; what there is moves to results/set-aside")
    parser.add_argument("--smoke", action="store_true", help="every row on a tiny shift, in a minute or two")
    parser.add_argument("--address", metavar="HOST:PORT", help="a Ray cluster to run on (default: start Ray here)")
    parser.add_argument("--data", type=Path, metavar="DIR", help=f"the data root (default: ${DATA_VARIABLE})")
    return parser


def _command(options: argparse.Namespace) -> int:
    if options.data is not None:
        if not options.data.is_dir():
            raise BadInput(f"--data must name a folder that exists, got {options.data}")
        os.environ[DATA_VARIABLE] = str(options.data.resolve())
    file = load(options.file)
    if options.smoke:
        file = replace(file, name=f"{file.name}-smoke", study=smoke(file.study))
    if options.plan:
        print(plan.describe(file.study, file.name))
        return COMPLETE
    store = Store(RESULTS)
    if options.report:
        header = store.journal(file.name).header
        if header is None:
            raise BadInput(f"there are no records of {file.name} in {RESULTS}; run the study first, without --report")
        ledger = Ledger(store, file.name, [arm.name for arm in header.arms])
        _name_damages(store)
        return _report(ledger, header)
    return _run(file, store, options.address, options.fresh)


def _run(file: StudyFile, store: Store, address: str | None, fresh: bool) -> int:
    """Check what can be checked, then run what the study has not run yet."""
    study, folder = file.study, store.study_folder(file.name)
    study.shift.check()
    _check_writable(folder)
    if address is not None:
        _check_answers(address)
    try:
        with locked(folder) as lock:
            if fresh and (aside := set_aside(store, file.name)) is not None:
                print(f"starting over; the results so far are in {_shown(aside)}\n")
            identity = study.shift.identity()
            ledger = Ledger(store, file.name, list(study.arms))
            _name_damages(store)
            _refuse_changed_trials(study, ledger, identity)
            _refuse_another_search(study, ledger)
            # Once here, and what is wrong with data or weights is found before any trial begins.
            study.shift.open()
            _check_weights(study)
            return _train(file, ledger, identity, address, lock)
    except AlreadyRunning as holder:
        raise BadInput(f"{file.name} is already running ({holder}); wait for it, or stop it") from holder


def _train(file: StudyFile, ledger: Ledger, identity: dict[str, Any], address: str | None, lock: Lock) -> int:
    """Train, mirror and tabulate; the exit code."""
    folder = ledger.store.study_folder(file.name)
    began = ledger.header.began if ledger.header else datetime.now(UTC).isoformat(timespec="seconds")
    header = plan.header(file.study, file.name, file.question, identity, file.source, began)
    try:
        tracker = Tracker(default_uri(ROOT), header, ledger.store)
    except ValueError as mistake:
        raise BadInput(str(mistake)) from mistake
    print(plan.describe(file.study, file.name), end="\n\n", flush=True)
    ledger.replay(tracker)
    interruption, whole = Interruption(folder / STOP), False
    with interruption.listening():
        try:
            with quiet(folder / LOG) as terminal, _progress(file.study, ledger, tracker, terminal) as progress:
                interruption.say = progress.say
                ledger.listeners += [tracker, progress]
                ledger.announce(header)
                finished = _run_trials(file.study, ledger, identity, address, interruption, lock)
            if interruption.signal is not None and not finished:
                _last_words("stopped; every step is kept, and the same command goes on from here\n")
                return interruption.code
            code = _report(ledger, header)
            whole = True
            return code
        finally:
            _close(tracker, folder, whole)


def _run_trials(
    study: Study, ledger: Ledger, identity: dict[str, Any], address: str | None, interruption: Interruption, lock: Lock
) -> bool:
    """Whether everything that the study asks for has ended."""
    # Importing Ray takes seconds, which neither a plan nor a mistake should wait for.
    from platform import tuner

    try:
        return tuner.run(study, ledger, identity, address, ROOT, interruption, lock)
    except tuner.TooLarge as mistake:
        raise BadInput(str(mistake)) from mistake
    except StoreFault as fault:
        raise MachineFailed(f"the results cannot be written: {fault}") from fault
    except tuner.RayFault as fault:
        raise MachineFailed(str(fault)) from fault


def _close(tracker: Tracker, folder: Path, whole: bool) -> None:
    """Let MLflow have what it lacks, and say what it still lacks then."""
    if whole:
        owed = tracker.close(result_files(folder), "complete")
        _last_words(f"\ncompare the runs: mlflow ui (experiment {folder.name!r})\n{_undelivered(owed)}")
    else:
        _last_words(_undelivered(tracker.close(state="interrupted", patience=PATIENCE_SECONDS)))


def _progress(study: Study, ledger: Ledger, tracker: Tracker, out: TextIO) -> Progress:
    ended = [(ask, ledger.records[ask.trial.id]) for ask in ledger.asks]
    return Progress(
        study=ledger.study,
        select=study.select,
        selector=study.selector,
        planned={arm: (study.search_trials(arm), study.seeds) for arm in study.arms},
        steps=study.budget.steps,
        ended=[(ask, record) for ask, record in ended if record.end is not None and not record.end.retry],
        owed=tracker.owed,
        out=out,
    )


def _report(ledger: Ledger, header: StudyHeader) -> int:
    """Write the table's files, print the table and their paths."""
    # scipy and matplotlib take seconds to import.
    from platform import report, results

    asks, records = ledger.asks, ledger.records
    table = results.table(header, asks, records)
    folder = ledger.store.study_folder(header.name)
    files = report.write(table, asks, records, folder, ledger.store.trial_folder)
    print(f"\n{report.terminal.render(table)}\n")
    for path in files:
        print(f"  {_shown(path)}")
    short = [row.arm for row in table.rows if row.seeds_missing]
    if short:
        print(f"\nresults are missing: {', '.join(short)}; {_shown(folder / 'table.md')} says why", file=sys.stderr)
    return INCOMPLETE if short else COMPLETE


def _last_words(text: str) -> None:
    """Print to a terminal that may be gone, as it is after SIGHUP."""
    try:
        print(text, end="", flush=True)
    except OSError:
        # Python would try again at its exit, and call that a failure.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _undelivered(owed: Owed) -> str:
    """What MLflow lacks, and how it gets that."""
    if not owed:
        return ""
    return (
        f"MLflow lacks {owed}: run the same command again, or\n"
        f"  python -m platform.tracking {_shown(RESULTS)} --to URI\n"
    )


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _check_writable(folder: Path) -> None:
    probe = folder / ".writable"
    try:
        write_whole(probe, b"")
        probe.unlink()
    except OSError as error:
        raise BadInput(
            f"the results folder must be writable, got {folder}: {error.strerror}; free it or run in another checkout"
        ) from error


def _check_weights(study: Study) -> None:
    """Have the ImageNet weights on this machine, if any arm starts from them."""
    if any(arm.filled({}, study.recipe)[1].pretrained for arm in study.arms.values()):
        try:
            BiSeNet(pretrained=True)
        except ValueError as error:
            raise BadInput(str(error)) from error


def _check_answers(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        raise BadInput(f"--address must be HOST:PORT of a Ray cluster's head, got {address!r}; the port is mostly 6379")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
        # Something listens: Ray's own check tells whether it is Ray, which ray.init would ask for minutes.
        check = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
        subprocess.run(check, cwd=ROOT, capture_output=True, timeout=HEALTH_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        reason = error if isinstance(error, OSError) else "what listens there is no Ray head"
        raise BadInput(
            f"no Ray cluster answers at {address} ({reason}); start one with ray start --head, or leave --address out"
        ) from error


def _name_damages(store: Store) -> None:
    for damage in sorted(store.damages):
        print(f"note: {replace(damage, file=_shown(damage.file))} and was left out", file=sys.stderr)


def _refuse_another_search(study: Study, ledger: Ledger) -> None:
    """Trials that were stopped and picked by another rule would stand in the table as if this one had judged them."""
    before = ledger.header
    if before is None or study.search is None or not any(ask.phase == "search" for ask in ledger.asks):
        return
    was = {arm.name: arm.searched for arm in before.arms}
    ranges = {
        f"the ranges of {name!r}": (was[name], {field: str(range_) for field, range_ in arm.ranges.items()})
        for name, arm in study.arms.items()
        if name in was
    }
    rules: dict[str, tuple[object, object]] = ranges | {
        "select": (before.select, study.select),
        "reduction": (before.reduction, study.search.reduction),
        "smoothing": (before.smoothing, study.search.smoothing),
        "rungs, by grace and warm-up,": (before.rungs, study.rungs),
    }
    for name, (then, now) in rules.items():
        if then != now:
            raise BadInput(f"this study has searched with {name} = {then!r}, which is now {now!r}; {REMEDY}")


def _refuse_changed_trials(study: Study, ledger: Ledger, identity: dict[str, object]) -> None:
    """A study that goes on must mean the same trials by its records as its file means now."""
    for ask in list(ledger.asks):
        values = ask.trial.hyperparameters | ask.trial.recipe
        chosen = {name: values[name] for name in study.arms[ask.arm].ranges if name in values}
        now = study.trial(ask.arm, chosen, ask.trial.seed, identity)
        end = ledger.ended(ask)
        if now.id != ask.trial.id and end is not None and end.retry:
            ledger.forget(ask)  # what stood in its way was mended, which made it another trial
        elif now.id != ask.trial.id:
            raise BadInput(
                f"arm {ask.arm!r} already has trials with {_difference(asdict(ask.trial), asdict(now))}; {REMEDY}"
            )


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """The first setting that differs: `recipe.batch = 4, which is now 8`."""
    name = next(name for name in before | now if before.get(name) != now.get(name))
    old, new = before.get(name), now.get(name)
    if isinstance(old, dict) and isinstance(new, dict):
        return f"{name}.{_difference(old, new)}"
    return f"{name} = {old!r}, which is now {new!r}"
