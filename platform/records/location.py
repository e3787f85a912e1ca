"""Where a study's results lie: a folder of this machine, or a bucket that every node of a cluster sees."""

import hashlib
import os
import re
from pathlib import Path

from platform.records.provenance import ROOT
from platform.records.record import Journal, StudyHeader
from platform.records.store import JOURNAL, Store, check_study_name

RESULTS = ROOT / "results"
RESULTS_VARIABLE = "PLATFORM_RESULTS"
"""The environment variable that names other results, as --results does."""
SCHEME = "s3://"
"""Beginning of a bucket's name."""
ADDRESS = re.compile(r"[A-Za-z0-9+.-]+:/|s3:|s3//")
"""Beginning of any address, also where a sign is missing: a folder would be named after the keys that stand in it."""


def results_store(results: str) -> Store:
    """The results in a folder or a bucket; for a bucket, what only this machine needs lies in the user's state folder.

    Raises ValueError for a URI that is not a bucket's, for a home that is not there, for the folder of one study, and
    for a place in a file.
    """
    if not ADDRESS.match(results):
        folder = _folder(results)
        if (folder / JOURNAL).is_file():
            raise ValueError(
                f"results must be a folder of studies, got {folder}, which is one study's; name the one above"
            )
        check_folder("results must lie in a folder", folder)
        return Store(folder)
    # Importing pyarrow takes a moment that a plan should not wait for.
    from platform.records.storage.bucket import Bucket

    bucket = Bucket(results)
    # Options in another order name the same place; only the hash tells a/b from a-b.
    address = f"{bucket}?{'&'.join(sorted(results.partition('?')[2].split('&')))}"
    place = re.sub(r"[^A-Za-z0-9.]+", "-", str(bucket).removeprefix(SCHEME))
    unique = hashlib.sha256(address.encode()).hexdigest()[:8]
    return Store(_state_folder() / "domain-adaptation-platform" / f"{place}-{unique}", bucket)


def check_folder(rule: str, folder: Path) -> None:
    """Raise ValueError, beginning with the rule, for a place where no folder can be: a file stands there or above."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise ValueError(f"{rule}, got {folder}, and {there} is a file; name another place")


def _folder(results: str) -> Path:
    try:
        return Path(results).expanduser().resolve()
    except RuntimeError as error:
        raise ValueError(f"results must lie in a folder, got {results!r}, and no such home; name it in full") from error


def _state_folder() -> Path:
    """Where this user's programs keep their state; a relative XDG_STATE_HOME does not count."""
    named = Path(os.environ.get("XDG_STATE_HOME", ""))
    try:
        return named if named.is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise ValueError(
            "logs and tables of results in a bucket must have a folder here, got a user without a home; "
            "set XDG_STATE_HOME to the full path of a folder that can be written"
        ) from error


def recorded(results: str) -> tuple[Store, list[str]]:
    """A store and the names of its studies, from a folder or a bucket of results, or that of one study in it.

    Raises ValueError.
    """
    if ADDRESS.match(results):
        place, question, options = results.partition("?")
        store, (above, _, name) = results_store(results), place.rstrip("/").rpartition("/")
        if JOURNAL in store.storage.names(""):
            check_study_name(name)
            return results_store(above + question + options), [name]
    else:
        folder = _folder(results)
        if (folder / JOURNAL).is_file():
            check_study_name(folder.name)
            return Store(folder.parent), [folder.name]
        store = Store(folder)
    if studies := store.studies():
        return store, studies
    raise ValueError(
        f"RESULTS must be a folder of results, or of one study in it, got {store.storage}, which holds no {JOURNAL}; "
        "studies leave theirs in results/ at the root of the checkout"
    )


def on_record(store: Store, study: str) -> tuple[StudyHeader, Journal]:
    """What a study decided so far.

    Raises ValueError where its header cannot be read, its folder has another name than the study, or the records of its
    trials are elsewhere.
    """
    journal = store.journal(study)
    if journal.header is None:
        if (owner := store.owner(study)) not in (None, study):
            raise ValueError(
                f"a study's folder must keep its name, got {study}, which holds the journal of {owner!r}; "
                "rename it back"
            )
        raise ValueError(f"the journal of {study} has lost its header; run the study again, which writes it")
    trained = bool(journal.asks) and bool(journal.ends or journal.scores)
    if trained and all(store.read(ask.trial.id) is None for ask in journal.asks):
        raise ValueError(
            f"the records of trials must lie beside their study, got none of {study} in {store.storage}/trials; "
            "bring that folder too"
        )
    return journal.header, journal
