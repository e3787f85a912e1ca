"""The metrics that may stop and pick trials: higher is better; those that use target labels begin with `oracle/`."""

import difflib

from platform.records.record import ORACLE_ACCURACY, ORACLE_MIOU, SOURCE_ACCURACY, SOURCE_MIOU

LABEL_FREE = (SOURCE_MIOU, SOURCE_ACCURACY)
"""Computed without target labels, on the source's val split."""
ORACLE = (ORACLE_MIOU, ORACLE_ACCURACY)
"""Computed with the labels of the target's val split: an upper bound, never a fair choice."""


def check_selector(name: str) -> None:
    """Raise ValueError for a name that is not a selector's."""
    known = (*LABEL_FREE, *ORACLE)
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"Study.select must be one of {', '.join(known)}, got {name!r}.{hint}")
