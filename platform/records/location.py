"""Where a study's results lie: a folder of this machine, or a bucket that every node of a cluster sees."""

import hashlib
import os
import re
from pathlib import Path

from platform.records.provenance import ROOT
from platform.records.store import JOURNAL, Store

RESULTS = ROOT / "results"
RESULTS_VARIABLE = "PLATFORM_RESULTS"
"""The environment variable that names other results, as --results does."""
SCHEME = "s3://"
"""Beginning of a bucket's name."""


def results_store(results: str) -> Store:
    """The results in a folder or a bucket; for a bucket, what only this machine needs lies in the user's state folder.

    Raises ValueError for a URI that is not a bucket's.
    """
    if not re.match(r"[A-Za-z0-9+.-]+:/", results):
        return Store(Path(results).expanduser().resolve())
    # Importing pyarrow takes a moment that a plan should not wait for.
    from platform.records.storage.bucket import Bucket

    bucket = Bucket(results)
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    # Options in another order name the same place; only the hash tells a/b from a-b.
    address = f"{bucket}?{'&'.join(sorted(results.partition('?')[2].split('&')))}"
    place = re.sub(r"[^A-Za-z0-9.]+", "-", str(bucket).removeprefix(SCHEME))
    unique = hashlib.sha256(address.encode()).hexdigest()[:8]
    return Store(Path(base) / "domain-adaptation-platform" / f"{place}-{unique}", bucket)


def recorded(results: Path) -> tuple[Store, list[str]]:
    """A store and the names of its studies, from a folder of results or of one study in it; raises ValueError."""
    results = results.resolve()
    if (results / JOURNAL).is_file():
        return Store(results.parent), [results.name]
    if results.is_dir() and (studies := Store(results).studies()):
        return Store(results), studies
    raise ValueError(
        f"RESULTS must be a folder of results, or of one study in it, got {results}, which holds no {JOURNAL}; "
        "studies leave theirs in results/ at the root of the checkout"
    )
