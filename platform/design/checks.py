"""Checks of a study's numbers: the rule, the value, the remedy."""

import math
from collections.abc import Callable
from typing import Any

from platform.design.ranges import Range


def check_whole(owner: Any, name: str, *, least: int) -> None:
    value = getattr(owner, name)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise _refused(owner, name, f"a whole number of at least {least}", value)


def check_number(owner: Any, name: str, rule: str, admits: Callable[[float], bool]) -> None:
    value = getattr(owner, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not admits(value):
        raise _refused(owner, name, rule, value)


def _refused(owner: Any, name: str, rule: str, value: Any) -> ValueError:
    remedy = "; only the fields of an Arm take ranges" if isinstance(value, Range) else ""
    return ValueError(f"{type(owner).__name__}.{name} must be {rule}, got {value!r}{remedy}")
