"""What a line of a record may say: records of others are read as well, and with a checksum they may say anything.

Texts come out as everything can show them, so that no terminal obeys them; numbers that no study has, by which a table
would take all of the memory, or fail, make the line unreadable.
"""

import dataclasses
import functools
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from platform.records.plain import legible
from platform.records.record import Report, StudyHeader
from platform.records.storage.lines import Unreadable
from platform.records.trial import Trial

CLASSES = 20
"""Most lines and columns of a confusion matrix; all but the last are train ids."""
MOST_STEPS, MOST_EVALUATIONS, MOST_SEEDS, MOST_TRIALS = 10**12, 100_000, 10_000, 1_000_000
MOST_SECONDS, MOST_PIXELS = 10**9, 2**53
MOST_JOULES, LATEST = 10**15, 10**12
"""What a meter counts, and a moment in seconds since 1970."""
MOST_WHOLE = 2**63 - 1
"""What a column of a table can hold."""
MOST_FLOAT = 10**300
MOST_SIDE = 100_000
"""Pixels of an image's side."""


def plausible(values: Any) -> Any:
    """The values of a line, with texts that can be shown. Raises Unreadable where no study can have written them."""
    if isinstance(values, Trial):
        return _trial(values)  # as it is: its id is the hash of every text in it
    if isinstance(values, Report):
        return _report(values)
    if isinstance(values, str):
        return _shown(values)
    if isinstance(values, int):
        _require("a whole number", values, -MOST_WHOLE, MOST_WHOLE)
    if isinstance(values, dict):
        return {plausible(name): plausible(value) for name, value in values.items()}
    if isinstance(values, tuple | list):
        return type(values)(map(plausible, values))
    if not dataclasses.is_dataclass(values) or isinstance(values, type):
        return values
    shown = {field.name: plausible(getattr(values, field.name)) for field in dataclasses.fields(values)}
    if isinstance(values, StudyHeader):
        return _header(dataclasses.replace(values, **shown | {"source": values.source}))  # a file's text, as it is
    return dataclasses.replace(values, **shown)


@functools.lru_cache(4096)
def _shown(text: str) -> str:
    # Lines stay apart: a docstring may have several, and every format breaks them as it pleases.
    return "\n".join(map(legible, text.split("\n")))


def _trial(trial: Trial) -> Trial:
    for values in (trial.hyperparameters, trial.recipe, trial.resolved, trial.shift):
        _require_floats(values)
    _require("steps", trial.steps, 1, MOST_STEPS)
    _require("evaluations", trial.evaluations, 1, min(trial.steps, MOST_EVALUATIONS))
    _require("seed", trial.seed, 0, 2**63 - 1)
    _require_names("a trial's names", (trial.method, *trial.hyperparameters, *trial.recipe, *trial.resolved))
    return trial


def _report(report: Report) -> Report:
    _require("step", report.step, 0, MOST_STEPS)
    for name in ("seconds", "evaluating", "starting", "saving", "awaiting_images", "awaiting_device", "latency"):
        _require(name, getattr(report, name), 0, MOST_SECONDS)
    _require("parts", report.parts, 1, MOST_STEPS)
    _require("images", report.images, 0, MOST_WHOLE)
    _require_names("a report's names", (*report.metrics, *report.confusions, *report.energy))
    for joules in report.energy.values():
        _require("energy", joules, 0, MOST_JOULES)
    _require("metered", report.metered[0], 0, LATEST)
    _require("metered", report.metered[1], report.metered[0], LATEST)
    for name, counts in report.confusions.items():
        if not 1 <= len(counts) <= CLASSES or any(len(line) != len(counts) for line in counts):
            raise Unreadable(f"one whose confusion of {name} is no square of {CLASSES} lines at most")
        _require(name, min(map(min, counts)), 0, MOST_PIXELS)
        _require(name, sum(map(sum, counts)), 0, MOST_PIXELS)
    node, device, precision = map(_shown, (report.node, report.device, report.precision))
    return dataclasses.replace(report, node=node, device=device, precision=precision)


def _header(header: StudyHeader) -> StudyHeader:
    _require("seeds", header.seeds, 0, MOST_SEEDS)
    _require("search_trials", header.search_trials, 0, MOST_TRIALS)
    _require("steps", header.steps, 1, MOST_STEPS)
    if header.looks and ([*header.looks] != sorted({*header.looks}) or header.looks[-1] != header.seeds):
        raise Unreadable("one that no study has (looks must grow, up to seeds)")
    for look in header.looks[:1]:
        _require("looks", look, 0, header.seeds)
    for name in ("reduction", "smoothing"):
        _require(name, getattr(header, name), 0, MOST_TRIALS)
    for arm in header.arms:
        _require("search_trials", arm.search_trials, 0, MOST_TRIALS)
        _require("warm_up", arm.warm_up, 0, 1)
    arms = [arm.name for arm in header.arms]
    if len(arms) != len(set(arms)) or header.reference not in arms:
        raise Unreadable("one whose arms are not those of a study: each once, and the reference among them")
    _require_moment(header.began)
    _require_shift(header.shift)
    return header


def _require_moment(text: str) -> None:
    try:
        moment = datetime.fromisoformat(text)
        _require("began", moment.astimezone(UTC).year, 1970, 9000)
    except (ValueError, OverflowError) as error:
        raise Unreadable("one that began at no moment") from error


def _require_shift(shift: dict[str, Any]) -> None:
    """Of a shift the table must know its name, its images' size, and its classes as groups of train ids."""
    size: Any = shift.get("size")
    groups: Any = shift.get("groups")
    known = isinstance(shift.get("name"), str) and isinstance(size, list) and isinstance(groups, list)
    if not known or [*map(type, size)] != [int, int] or not all(isinstance(group, list) for group in groups):
        raise Unreadable("one without its shift's name, size and groups")
    for side in size:
        _require("size", side, 1, MOST_SIDE)
    members = [member for group in groups for member in group]
    if (
        not groups
        or not all(groups)
        or any(type(member) is not int or not 0 <= member < CLASSES - 1 for member in members)
    ):
        raise Unreadable("one whose groups are not of train ids")


def _require(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise Unreadable(f"one that no study has ({name} must be {least} to {most})")


def _require_floats(values: Any) -> None:
    """Of a trial's own numbers: they may be greater than those of a column, and are shown as floats."""
    if isinstance(values, dict | list | tuple):
        for value in values.values() if isinstance(values, dict) else values:
            _require_floats(value)
    elif isinstance(values, int):
        _require("a whole number", values, -MOST_FLOAT, MOST_FLOAT)


def _require_names(what: str, names: Iterable[str]) -> None:
    if any(_shown(name) != name for name in names):
        raise Unreadable(f"one in which {what} cannot be shown")
