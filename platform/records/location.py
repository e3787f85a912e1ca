"""Where a study's results lie: a folder of this machine, or a bucket that every node of a cluster sees."""

import hashlib
import os
import re
from pathlib import Path

from platform.records.provenance import ROOT
from platform.records.store import Store

RESULTS = ROOT / "results"
RESULTS_VARIABLE = "PLATFORM_RESULTS"
"""The environment variable that names other results, as --results does."""
SCHEME = "s3://"
"""How the names of buckets begin."""


def results_store(results: str) -> Store:
    """The results in a folder, or in a bucket; then all checkouts have one folder for what only this machine needs.

    Raises ValueError for what is no bucket though it looks like one.
    """
    if not re.match(r"[A-Za-z0-9+.-]+:/", results):
        return Store(Path(results).expanduser().resolve())
    # Importing pyarrow takes a moment that a plan should not wait for.
    from platform.records.storage.bucket import Bucket

    bucket = Bucket(results)
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    # However its options are ordered, it is one place; and only a hash keeps a/b from a-b.
    address = f"{bucket}?{'&'.join(sorted(results.partition('?')[2].split('&')))}"
    place = re.sub(r"[^A-Za-z0-9.]+", "-", str(bucket).removeprefix(SCHEME))
    unique = hashlib.sha256(address.encode()).hexdigest()[:8]
    return Store(Path(base) / "domain-adaptation-platform" / f"{place}-{unique}", bucket)
