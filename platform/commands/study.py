"""The study command: `python -m platform.study FILE` plans, runs or tabulates the study of a file."""

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any, Literal, TextIO

from platform import shifts
from platform.commands.against import against
from platform.commands.before.beside import load
from platform.commands.before.planned import check_difference, plan
from platform.commands.before.refusals import (
    check_answers,
    check_files,
    check_identity,
    check_interpreter,
    check_selector,
    check_sendable,
    check_source_images,
    check_temporary,
    check_weights,
    check_writable,
    own_mistakes,
    refuse_another_search,
    refuse_changed_trials,
    refuse_fewer_looks,
    refuse_newer,
)
from platform.commands.before.token import close_token
from platform.commands.exits import (
    EPILOG,
    BadInput,
    MachineFailed,
    Parser,
    bad_input,
    ending,
    last_words,
    say,
)
from platform.commands.report import name_damages, report, reselect, tabulate
from platform.commands.submission import submission
from platform.commands.terminal.log import quiet, told
from platform.commands.terminal.plan import describe
from platform.commands.terminal.progress import Progress
from platform.commands.terminal.text import shown
from platform.design.header import header as header_of
from platform.design.loading import StudyFile, StudyFileError
from platform.design.study import Study
from platform.records.archive import set_aside
from platform.records.ledger import Ledger, StoreFault
from platform.records.location import RESULTS, RESULTS_VARIABLE, results_store
from platform.records.provenance import JOB_VARIABLE, ROOT, provenance
from platform.records.record import StudyHeader
from platform.records.storage.locks import AlreadyRunning, NoLocks, StudyLock, study_lock
from platform.records.storage.storage import Folder, NotShared
from platform.records.storage.tokens import STOP
from platform.records.store import Store
from platform.results.mirror.messages import Ending, Owed
from platform.results.mirror.tracker import Tracker, result_files
from platform.results.mirror.uri import checked, default_uri
from platform.results.rounds.rounds import has_all, has_rounds, seeds_asked
from platform.running.interruption import Interruption
from platform.running.placement import TooLarge
from platform.running.workers.code import Code, Edited, taken
from platform.scores.selectors.judgement import Misjudged
from platform.search.decisions import Seeds
from platform.search.judge import EvidenceLost, judges_of
from platform.shifts.cache import opened
from platform.shifts.shift import DATA_VARIABLE, DataError
from platform.training.cost import Uncounted

LOG = "log.txt"
"""File of a study's folder: what Ray and MLflow say."""
LOOK = "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui"
"""Shows the runs; without MLflow's own runner of jobs."""
PATIENCE_SECONDS = 3.0
"""How long an interrupted study waits for MLflow."""


@ending(DataError, Edited, Misjudged, NoLocks, NotShared, StudyFileError, TooLarge, Uncounted)
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    check_difference(options.difference, options.plan)
    _set_data_root(options.data)
    file = _study_file(options.file, options.smoke)
    if options.smoke and options.data is not None:
        say("note: --smoke reads no data")
    with told(shifts.__name__):
        if options.plan:
            return plan(file, options.address, lambda: _results(options.results), options.difference)
        store = _results(options.results)
        if options.report:
            return report(file, store)
        if options.submission is not None:
            return submission(file, store, options.submission)
        if options.reselect is not None:
            return reselect(file, store, options.reselect)
        if options.against is not None:
            return against(file, store, options.against)
        return _run(file, store, options.address, options.fresh)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m platform.study",
        allow_abbrev=False,
        description="Plan, search, confirm, log and tabulate a study. Run the same command again to go on.",
        epilog=f"exit codes: 0 complete, 1 results are missing, {EPILOG}; after all but 2 the same command goes on",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a Python file that defines one Study")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--plan", action="store_true", help="print rows, trials, steps, rungs and cost; start nothing")
    what.add_argument("--report", action="store_true", help="write the table again from the records; train nothing")
    what.add_argument(
        "--reselect", metavar="NAME", help="the table that another selector would have led to, from the records alone"
    )
    what.add_argument(
        "--against",
        metavar="OTHER",
        help="why numbers differ from those of another study on record, by its name, folder or file, or of a trial, "
        "by its id, or of two, ID:ID; proposes the study that would tell",
    )
    what.add_argument("--submission", type=Path, metavar="DIR", help="what venues ask, answered from the records")
    what.add_argument("--fresh", action="store_true", help="start over; what there is moves to results/set-aside")
    parser.add_argument(
        "--difference", type=float, metavar="MIOU", help="with --plan, how many seeds find a true difference of so much"
    )
    parser.add_argument("--smoke", action="store_true", help="every row on a tiny shift, some seconds each")
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="a Ray cluster's head, or auto on that head (default: start Ray here)"
    )
    parser.add_argument(
        "--results",
        metavar="DIR",
        help=f"the folder of results, or s3://BUCKET/PREFIX (default: ${RESULTS_VARIABLE}, or results)",
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help=f"the data root (default: ${DATA_VARIABLE})")
    return parser


def _set_data_root(data: Path | None) -> None:
    """Have the shifts of this process and of its workers read from a folder."""
    if data is None:
        return
    if not data.is_dir():
        raise BadInput(f"--data must name a folder that exists, got {data}")
    os.environ[DATA_VARIABLE] = str(data.resolve())


def _study_file(path: Path, small: bool) -> StudyFile:
    file = load(path)
    if not small:
        return file
    # What a shift or a network of the user's gives for a smoke run may be none.
    with bad_input():
        return replace(file, name=f"{file.name}-smoke", study=file.study.smoke())


def _results(named: str | None) -> Store:
    """Where the results lie: by the option, else by the environment, else in the checkout. Raises BadInput."""
    results = named or os.environ.get(RESULTS_VARIABLE)
    if not results and JOB_VARIABLE in os.environ:
        raise BadInput(
            "a Ray job must keep its results outside of the checkout, which Ray deletes, got no place; start Ray on "
            f"the head with {RESULTS_VARIABLE} in its environment, or pass --results"
        )
    with bad_input():
        return results_store(results or str(RESULTS))


def _run(file: StudyFile, store: Store, address: str | None, fresh: bool) -> int:
    """Check what can be checked, then run what the study has not run yet."""
    study, folder = file.study, store.study_folder(file.name)
    check_interpreter()
    check_temporary()
    with own_mistakes(study.shift):
        study.shift.check()
    check_files(study)
    check_selector(study)
    check_writable(Folder(folder))
    if store.shared:
        check_writable(store.storage, file.name)
    if address is None:
        with suppress(BadInput):  # of no use here
            close_token()
    else:
        close_token()
        check_answers(address)
    try:
        with study_lock(folder) as lock, taken(file.path, ships=address is not None) as code:
            provenance()
            Folder(folder).tidy("")
            if fresh and (aside := set_aside(store, file.name)) is not None:
                print(f"starting over; the results so far are in {shown(aside)}\n")
            with own_mistakes(study.shift):
                identity = study.shift.identity()
            check_identity(study.shift, identity)
            ledger = Ledger(store, file.name, list(study.arms), judges_of(study, store))
            name_damages(store)
            refuse_newer(store)
            refuse_changed_trials(file, ledger, identity)
            refuse_another_search(study, ledger)
            refuse_fewer_looks(study, ledger)
            check_sendable(study)
            images = ledger.header.images if ledger.header else {}
            # Once here, and what is wrong with data or weights is found before any trial begins. A cluster's nodes find
            # it by themselves, and its head may train nothing.
            if address is None:
                with own_mistakes(study.shift):
                    splits = opened(study.shift, say)
                check_source_images(study, splits)
                images = splits.images
            check_weights(study)
            return _train(file, ledger, identity, images, address, code, lock)
    except AlreadyRunning as holder:
        raise BadInput(f"{file.name} is already running ({holder}); wait for it, or stop it") from holder


def _train(
    file: StudyFile,
    ledger: Ledger,
    identity: dict[str, Any],
    images: dict[str, int],
    address: str | None,
    code: Code,
    lock: StudyLock,
) -> int:
    """Train, mirror and tabulate; the exit code."""
    with bad_input():
        uri = checked(default_uri(ROOT))
    # The header's costs are counted exactly, which takes a while for many rows.
    print(describe(file.study, file.name, store=ledger.store, elsewhere=address is not None), end="\n\n", flush=True)
    folder = ledger.store.study_folder(file.name)
    began = ledger.header.began if ledger.header else datetime.now(UTC).isoformat(timespec="seconds")
    header = replace(header_of(file.study, file.name, file.question, identity, file.source, began), images=images)
    tracker = Tracker(uri, header, ledger.store)
    ledger.replay(tracker)
    interruption = Interruption(ledger.store.storage, f"{file.name}/{STOP}")
    ended: Literal["by an error", "by a signal", "whole"] = "by an error"
    with interruption.listening():
        try:
            with quiet(folder / LOG) as terminal, _progress(file.study, ledger, tracker, terminal) as progress:
                interruption.say = tracker.say = progress.say
                ledger.listeners += [tracker, progress]
                ledger.announce(header)
                rounds = partial(_rounds, file.study, header, ledger, progress) if has_rounds(header) else None
                finished = _run_trials(file.study, ledger, identity, address, code, interruption, lock, rounds)
            if interruption.signal is not None and not finished:
                last_words(f"stopped; {_kept(interruption)}, and the same command goes on from here\n")
                ended = "by a signal"
                return interruption.code
            tabulated = tabulate(ledger, header)
            ledger.store.publish(file.name, folder.glob(LOG))
            ended = "whole"
            return tabulated
        finally:
            _close(tracker, ledger, header, ended)


def _run_trials(
    study: Study,
    ledger: Ledger,
    identity: dict[str, Any],
    address: str | None,
    code: Code,
    interruption: Interruption,
    lock: StudyLock,
    rounds: Callable[[], Seeds] | None,
) -> bool:
    """Run what is left of a study; whether everything that it asks for has ended."""
    from platform.running import cluster, tuner

    try:
        return tuner.run(study, ledger, identity, address, code, interruption, lock, rounds)
    except EvidenceLost as lost:
        raise MachineFailed(lost) from lost
    except StoreFault as fault:
        raise MachineFailed(f"the results cannot be written: {fault}") from fault
    except cluster.RayFault as fault:
        raise MachineFailed(fault) from fault


def _rounds(study: Study, header: StudyHeader, ledger: Ledger, progress: Progress) -> Seeds:
    """What the scores so far ask for."""
    seeds = seeds_asked(header, ledger.asks, ledger.by_arm())
    progress.expect(_planned(study, seeds))
    return seeds


def _planned(study: Study, seeds: Seeds) -> dict[str, tuple[int, int]]:
    """The search and confirm trials of each row for so many seeds."""
    return {
        row.name: (row.search_trials, len(row.confirms(seeds[row.name]))) if seeds[row.name] else (0, 0)
        for row in study.rows
    }


def _close(
    tracker: Tracker, ledger: Ledger, header: StudyHeader, ended: Literal["by an error", "by a signal", "whole"]
) -> None:
    """Give MLflow what it lacks, and say what it lacks even then."""
    if ended == "whole":
        state: Ending = "complete" if has_all(header, ledger.asks, ledger.by_arm()) else "interrupted"
        owed = tracker.close(result_files(ledger.store.study_folder(ledger.study)), state)
        last_words(f"\ncompare the runs (experiment {ledger.study!r}):\n  {LOOK}\n")
    else:
        owed = tracker.close(state="interrupted", patience=PATIENCE_SECONDS)
    if owed and ended == "by an error":
        # The error itself comes after this, and what mends it brings this along.
        say(f"note: MLflow lacks {owed}, which the next run gives it")
    elif owed:
        last_words(_undelivered(owed, tracker, ledger.store))


def _progress(study: Study, ledger: Ledger, tracker: Tracker, out: TextIO) -> Progress:
    ended = [(ask, ledger.record(ask)) for ask in ledger.asks]
    return Progress(
        study=ledger.study,
        select=study.selected_by,
        selector=lambda arm: study.row(arm).selector,
        planned=_planned(study, {row.name: row.seeds for row in study.rows}),
        steps=study.budget.steps,
        ended=[(ask, record) for ask, record in ended if record.end is not None and not record.end.retry],
        owed=tracker.owed,
        out=out,
    )


def _kept(interruption: Interruption) -> str:
    """What a stopped study has kept."""
    if not interruption.lost:
        return "every step is kept"
    return f"every step is kept but what these had trained, which did not stop: {', '.join(interruption.lost)}"


def _undelivered(owed: Owed, tracker: Tracker, store: Store) -> str:
    """What MLflow lacks, why, and how it gets that."""
    again = "the same command again"
    copied = "" if store.shared else f", or\n  python -m platform.tracking {quote(shown(store.folder))} --to URI"
    if not (owed.trials or owed.study):
        why = tracker.unstored or tracker.trouble or "MLflow is slow"
        return f"MLflow has all numbers and lacks {owed}: {why}\nthen run {again}{copied}\n"
    why = f" ({tracker.trouble})" if tracker.trouble else ""
    return f"MLflow lacks {owed}{why}: run {again}{copied}\n"
