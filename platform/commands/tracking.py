"""Copy studies from their records into MLflow: `python -m platform.tracking RESULTS --to URI`.

The records on disk are the truth, and MLflow holds a copy. What is still owed when a study ends, the study command
delivers at its next run, and this command at any time, to any MLflow: everything is compared with the records anew.
"""

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from platform.commands.exits import COMPLETE, EPILOG, OWED, BadInput, Parser, bad_input, ending, say
from platform.records.ledger import Ledger
from platform.records.location import on_record, recorded
from platform.records.store import Store
from platform.results.mirror.messages import Ending, Owed, many
from platform.results.mirror.tracker import RESULT_FILES, Tracker, result_files
from platform.results.mirror.uri import checked, without_secrets

COMMAND_PATIENCE = 60.0
"""How long the command waits, in seconds, for an MLflow that answered at first."""
SILENT_SECONDS = 10.0
"""How long the command says nothing while nothing happens."""
CLEAR = "\r\x1b[2K"
"""What a terminal clears its line by."""


@ending()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = Parser(
        prog="python -m platform.tracking",
        description="Copy studies from their records into MLflow: what it holds already stays, what it lacks is added.",
        epilog=f"exit codes: 0 everything is there, {EPILOG}; 3 also when something is still owed",
    )
    parser.add_argument("results", metavar="RESULTS", help="a folder of results, or of one study in it")
    parser.add_argument("--to", required=True, metavar="URI", help="http://HOST:PORT, sqlite:////PATH/mlflow.db, ...")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.ERROR)
    with bad_input():
        uri = checked(options.to)
        store, studies = recorded(options.results)
    owed = [_copy_study(uri, store, study) for study in studies]
    return OWED if any(owed) else COMPLETE


def _copy_study(uri: str, store: Store, study: str) -> Owed:
    """Copy one study, print how it went, and return what is owed. Raises BadInput when MLflow does not answer."""
    # Importing SciPy takes a while, which a mistake should not wait for.
    from platform.results.rounds.rounds import has_all

    try:
        header, _ = on_record(store, study)
    except ValueError as error:
        print(f"{study}: not copied, because {error}")
        return Owed(0, 0, study=True)
    ledger = Ledger(store, study, [arm.name for arm in header.arms])
    # What was asked for and never begun has no run.
    begun = [ask for ask in ledger.asks if ledger.records[ask.trial.id].provenance]
    with bad_input():
        tracker = Tracker(uri, header, store)
    for ask in begun:
        tracker.hear("begin", ask, ledger.record(ask))
    whole = tracker.owed()
    _wait(tracker, without_secrets(uri, uri), study)
    state: Ending = "complete" if has_all(header, ledger.asks, ledger.by_arm()) else "interrupted"
    owed = tracker.close(result_files(store.published(study, RESULT_FILES)), state, COMMAND_PATIENCE)
    what = _copied(whole, tracker.was_there())
    if owed.trials or owed.study:
        what = f"{replace(owed, files=0)} could not be copied: {tracker.trouble or 'MLflow is slow'}"
    if owed.files:
        what += f", but not {many(owed.files, 'file')}: {tracker.unstored or tracker.trouble or 'MLflow is slow'}"
    damages = f"; {many(len(store.damages), 'damaged line')} left out" if store.damages else ""
    print(f"{CLEAR if sys.stdout.isatty() else ''}{study}: {what}{damages}", flush=True)
    return owed


def _copied(whole: Owed, there: Owed) -> str:
    """What was copied now, and what MLflow held before."""
    now = Owed(whole.trials - there.trials, whole.reports - there.reports)
    before = f"{there} {'was' if there.trials == 1 else 'were'} there already"
    if not now and whole:
        return before
    return f"{now if whole else whole} copied" + (f"; {before}" if there.reports else "")


def _wait(tracker: Tracker, uri: str, study: str) -> None:
    """Show what is owed until files only are, or nothing changes any more; raises BadInput without an answer."""
    changed, before, said = time.monotonic(), tracker.owed(), False
    while not tracker.connected or (tracker.owed().trials and time.monotonic() < changed + COMMAND_PATIENCE):
        owed = tracker.owed()
        if not tracker.connected and tracker.trouble:
            trouble = tracker.trouble
            tracker.close(patience=0.0)
            raise BadInput(f"{study} cannot be copied to {uri}: {trouble}; mend that, or correct --to")
        if owed != before:
            changed, before, said = time.monotonic(), owed, False
        if not said and (tracker.trouble or time.monotonic() > changed + SILENT_SECONDS):
            say(f"{study}: waiting for {uri}{f', because {tracker.trouble}' if tracker.trouble else ''}")
            said = True
        if sys.stdout.isatty():
            print(f"{CLEAR}{study}: {owed} to go", end="", flush=True)
        time.sleep(0.05)
