"""Copy studies from their records into MLflow: `python -m platform.tracking RESULTS --to URI`.

The records on disk are the truth, and MLflow holds a copy. What is still owed when a study ends, the study command
delivers at its next run, and this command at any time, to any MLflow: everything is compared with the records anew.
"""

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from platform.commands.exits import COMPLETE, EPILOG, OWED, BadInput, bad_input, ending
from platform.records.ledger import Ledger
from platform.records.location import recorded
from platform.records.store import Store
from platform.results.mirror.messages import Ending, Owed, many
from platform.results.mirror.tracker import Tracker, result_files
from platform.results.mirror.uri import checked, refusal
from platform.search.due import is_complete, wanted

COMMAND_PATIENCE = 60.0
"""How long the command waits, in seconds, for an MLflow that answered at first."""
CLEAR = "\r\x1b[2K"
"""What a terminal clears its line by."""


@ending()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m platform.tracking",
        description="Copy studies from their records into MLflow: what it holds already stays, what it lacks is added.",
        epilog=f"exit codes: 0 everything is there, {EPILOG}; 3 also when something is still owed",
    )
    parser.add_argument("results", type=Path, metavar="RESULTS", help="a folder of results, or of one study in it")
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
    header = store.journal(study).header
    if header is None:
        print(f"{study}: not copied, because its journal has no readable header")
        return Owed(0, 0, study=True)
    ledger = Ledger(store, study, [arm.name for arm in header.arms])
    # What was asked for and never begun has no run.
    begun = [ask for ask in ledger.asks if ledger.records[ask.trial.id].provenance]
    with bad_input():
        tracker = Tracker(uri, header, store)
    for ask in begun:
        tracker.hear("begin", ask, ledger.records[ask.trial.id])
    whole = tracker.owed()
    _wait(tracker, uri, study)
    state: Ending = "complete" if is_complete(wanted(header), ledger.asks, ledger.records) else "interrupted"
    owed = tracker.close(result_files(store.study_folder(study)), state, COMMAND_PATIENCE)
    what = f"{owed} could not be copied: {tracker.trouble or 'MLflow is slow'}" if owed else f"{whole} copied"
    damages = f"; {many(len(store.damages), 'damaged line')} left out" if store.damages else ""
    print(f"{CLEAR if sys.stdout.isatty() else ''}{study}: {what}{damages}", flush=True)
    return owed


def _wait(tracker: Tracker, uri: str, study: str) -> None:
    """Show what is owed until nothing is, or nothing changes any more; raises BadInput when MLflow does not answer."""
    changed, before = time.monotonic(), tracker.owed()
    while not tracker.connected:
        if tracker.trouble:
            trouble = tracker.trouble
            tracker.close(patience=0.0)
            raise BadInput(str(refusal(uri, f"must be that of an MLflow that answers, and here {trouble}")))
        time.sleep(0.05)
    while (owed := tracker.owed()) and time.monotonic() < changed + COMMAND_PATIENCE:
        if owed != before:
            changed, before = time.monotonic(), owed
        if sys.stdout.isatty():
            print(f"{CLEAR}{study}: {owed} to go", end="", flush=True)
        time.sleep(0.1)
