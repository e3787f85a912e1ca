"""The numbers that may stop and pick trials: higher is better; those that use target labels are named so."""

import difflib

LABEL_FREE = ("source/miou", "source/accuracy")
"""Computed without target labels, on the source's val split."""
ORACLE = ("oracle/miou", "oracle/accuracy")
"""Computed with the labels of the target's val split: for reference only."""


def check_selector(name: str) -> None:
    """Raise ValueError for a name that is no selector."""
    known = (*LABEL_FREE, *ORACLE)
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"Study.select must be one of {', '.join(known)}, got {name!r}.{hint}")
