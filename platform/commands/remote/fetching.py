"""A study's table, figures and records from a cluster's head to this machine, where nothing is overwritten."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from platform.commands.exits import COMPLETE, BadInput, MachineFailed, bad_input, say
from platform.commands.remote.connection import NoAnswer, asked, prepare_for
from platform.commands.terminal.text import shown
from platform.records.location import RESULTS_VARIABLE, SCHEME, results_store
from platform.records.one_line import one_line
from platform.records.storage.files import NotPlain, is_plain, read_plain, write_whole
from platform.records.storage.locks import AlreadyRunning, study_lock
from platform.records.storage.storage import Storage, most_bytes
from platform.records.storage.tokens import TOKENS
from platform.records.store import CHECKPOINT, JOURNAL, PREDICTIONS, RECORD, Store, evidence_file, trial_file
from platform.records.trial import Trial

STUDY_FILES = (
    *(JOURNAL, "table.md", "table.csv", "table.tex", "records.parquet", "effects.csv"),
    *("curves.png", "effects.png", "responses.png", "comparison.png", "log.txt", "mlflow.log"),
)
"""What is taken over, and nothing else: the head, or who writes to the bucket, may have put anything there."""
PASSED_OVER = (*TOKENS, CHECKPOINT)
"""What is left there without a word."""
NAMED = 3
"""Other files there that a message names."""


def fetch_study(options: argparse.Namespace) -> int:
    """Copy a study's folder and its trials' records; what only this machine has stays."""
    prepare_for(options.cluster)
    name, mine = options.study, Store(options.to.resolve())
    there = _results_on_head(options.cluster)
    mine.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".fetch-", dir=mine.folder) as folder:
        theirs = Store(Path(folder))
        if there.startswith(SCHEME):
            with bad_input():
                bucket = results_store(there).storage
            _download(bucket, name, theirs)
        elif _copied(options.cluster, f"{there}/{name}/", theirs.study_folder(name)):
            _copied(options.cluster, f"{there}/trials/", theirs.trial_folder(""))
        if not is_plain(theirs.study_folder(name) / JOURNAL):
            raise BadInput(f"there is no study {name} in {there} on the head; run it first")
        try:
            with study_lock(mine.study_folder(name)):
                return take_over(theirs, mine, name)
        except AlreadyRunning as holder:
            raise BadInput(
                f"{name} is running here as well ({holder}); fetch it to another folder, --to DIR"
            ) from holder


def take_over(theirs: Store, mine: Store, study: str) -> int:
    """Take a fetched study and its trials to the results of this machine. Raises BadInput, and then nothing changes."""
    folder = mine.study_folder(study)
    if not _continues(theirs.study_folder(study) / JOURNAL, folder / JOURNAL):
        raise BadInput(f"{folder} holds another run of {study}; move it away, or fetch to another folder, --to DIR")
    trials = {ask.trial.id: ask.trial for ask in theirs.journal(study).asks}
    folders = {trial: theirs.trial_folder(trial) for trial in trials}
    fetched = {trial for trial, each in folders.items() if each.is_dir() and not each.is_symlink()}
    kept = {
        trial
        for trial in fetched
        if not _continues(theirs.trial_folder(trial) / RECORD, mine.trial_folder(trial) / RECORD)
    }
    odd: list[str] = []
    for trial in sorted(fetched - kept):
        odd += _copy(theirs.trial_folder(trial), mine.trial_folder(trial), _files_of(trials[trial]))
    odd += _copy(theirs.study_folder(study), folder, STUDY_FILES)
    if odd:
        more = f" and {len(odd) - NAMED:,} more" if len(odd) > NAMED else ""
        say(f"note: left there what no study leaves, or is no plain file: {', '.join(odd[:NAMED])}{more}")
    if kept:
        say(f"{_trials(kept)} trained here as well, with other records, which stay")
    print(f"fetched {shown(folder)} and the records of {_trials(fetched - kept)}")
    table = folder / "table.md"
    print(f"the table: {shown(table)}" if table.exists() else "there is no table yet: the study has not ended")
    return COMPLETE


def _files_of(trial: Trial) -> list[str]:
    """The files of a trial that are taken over: its record, predictions, and the evidence that selectors judge by."""
    return [RECORD, PREDICTIONS, *map(evidence_file, trial.evaluated_steps)]


def _trials(ids: set[str]) -> str:
    return "1 trial" if len(ids) == 1 else f"{len(ids)} trials"


def _copy(source: Path, target: Path, names: Sequence[str]) -> list[str]:
    """Copy the content of these files, and of nothing that only is called so; the names of what else is there."""
    odd = [path.name for path in sorted(source.iterdir()) if path.name not in (*names, *PASSED_OVER)]
    for name in names:
        try:
            write_whole(target / name, read_plain(source / name, most_bytes(name)))
        except FileNotFoundError:
            continue
        except NotPlain:
            odd.append(name)
    return odd


def _continues(theirs: Path, mine: Path) -> bool:
    """Whether a file that is only ever appended to is the same one, as far as it goes here."""
    if not mine.exists():
        return True
    at_most = most_bytes(theirs.name)
    return theirs.exists() and read_plain(theirs, at_most).startswith(read_plain(mine, at_most))


def _results_on_head(cluster: Path) -> str:
    """The folder of results, as the head's shells know it."""
    said = asked(cluster, "exec", str(cluster), f'echo "{RESULTS_VARIABLE}=<${RESULTS_VARIABLE}>"')
    found = re.search(rf"{RESULTS_VARIABLE}=<([^$<>]+)>", said)
    if found is None:
        raise BadInput(f"the head's shells know no {RESULTS_VARIABLE}; {cluster} must have them export it")
    return found[1]


def _download(bucket: Storage, study: str, theirs: Store) -> None:
    """Copy a study from a bucket to an empty store, without its trials' weights. Raises MachineFailed."""
    try:
        _download_files(bucket, study, theirs, STUDY_FILES)
        for trial in {ask.trial.id: ask.trial for ask in theirs.journal(study).asks}.values():
            _download_files(bucket, trial_file(trial.id, "").rstrip("/"), theirs, _files_of(trial))
    except OSError as error:
        raise MachineFailed(f"{bucket} cannot be read from here ({one_line(error)})") from error


def _download_files(bucket: Storage, folder: str, theirs: Store, names: Sequence[str]) -> None:
    for name in bucket.names(folder):
        if name in names:
            write_whole(theirs.folder / folder / name, bucket.read(f"{folder}/{name}"))


def _copied(cluster: Path, source: str, target: Path) -> bool:
    """Copy a folder from the head, but for what the cluster file's `rsync_exclude` names; False if there is none."""
    target.mkdir(parents=True)
    try:
        asked(cluster, "rsync-down", "-v", str(cluster), source, f"{target}/")
    except NoAnswer as answer:
        if re.search(r"change_dir .* No such file", str(answer)):
            return False
        raise
    return True
