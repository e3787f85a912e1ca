"""The scores of checkpoints by a selector, which sees their evidence, in an order of no meaning, and nothing else."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from platform.records.one_line import one_line
from platform.records.plain import plain
from platform.scores.evidence import Evidence, shuffled
from platform.scores.selectors.sealed import Leak, sealed
from platform.scores.selectors.selector import Selector
from platform.shifts.definition.mistakes import explained

ORDER = 0
"""Seeds the order in which evidence is seen, so that a score is always the same."""


class Misjudged(ValueError):
    """A selector that gives no score; the message says why, in one line."""


def judged(selector: Selector, candidates: Sequence[Evidence]) -> list[float]:
    """The scores of checkpoints of one step, each a finite number. Raises Misjudged."""
    return _judged(selector, shuffled(candidates, ORDER))


def judged_by_each(selectors: Mapping[str, Selector], candidates: Sequence[Evidence]) -> dict[str, list[float]]:
    """The same by several selectors, by their names."""
    seen = shuffled(candidates, ORDER)
    return {name: _judged(selector, seen) for name, selector in selectors.items()}


def _judged(selector: Selector, seen: Sequence[Evidence]) -> list[float]:
    name = type(selector).__name__
    try:
        scores = sealed(lambda: _plain(selector.scores(seen)))
    except Leak as leak:
        raise Misjudged(
            f"a selector must compute from its evidence alone, got {name}, which reaches for something else ({leak}); "
            "leave that out, and import what it needs where the file begins"
        ) from leak
    except (Exception, SystemExit) as error:
        raise Misjudged(f"the selector {name} raises {explained(error)}; mend it") from error
    if scores is None or len(scores) != len(seen):
        got = "none" if scores is None else len(scores)
        raise Misjudged(f"{name}.scores must give one number for each of {len(seen)} candidates, got {got}")
    return [_number(name, score) for score in scores]


def _plain(scores: Any) -> list[Any] | None:
    """Scores as Python's own numbers, made where the selector is computed: a value may bring code along."""
    return [plain(score) for score in scores] if isinstance(scores, Iterable) else None


def _number(name: str, score: Any) -> float:
    with suppress(TypeError, ValueError, OverflowError):
        if isinstance(score, int | float) and not isinstance(score, bool) and math.isfinite(number := float(score)):
            return number
    raise Misjudged(f"{name} must give a finite number for a checkpoint, got {one_line(repr(score), 100)}; mend it")
