"""What differs between trials, and what such a difference can do to their numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from platform.records.record import CPU, Record
from platform.records.trial import Trial
from platform.results.lines import short
from platform.shifts.labels import NUM_CLASSES, group_names

Weight = Literal["numbers", "choice", "last bits", "nothing"]
"""What a difference can do: change the numbers of a trial; change no trial, but which is chosen or which evaluation
counts; change the last bits, of which training makes about as much as of another seed; or nothing."""
ABSENT = "-"
"""In the place of a value that one side does not have."""
_NOTHING = object()


@dataclass(frozen=True)
class Mismatch:
    """A setting or a circumstance that is not the same on both sides, as text."""

    name: str
    this: str
    other: str
    weight: Weight
    note: str = ""
    """What there is to say of it besides."""


def mismatches(this: Trial, other: Trial) -> list[Mismatch]:
    """What differs between two trials' settings; what they begin from is compared for one seed alone."""
    found = [
        _compared("method", this.method, other.method, "numbers"),
        *(_hyperparameter(name, this, other) for name in this.hyperparameters | other.hyperparameters),
        *_each("", this.recipe, other.recipe),
        _compared("steps", this.steps, other.steps, "numbers"),
        _compared("evaluations", this.evaluations, other.evaluations, "choice"),
        _compared("seed", this.seed, other.seed, "numbers"),
        *_each("shift.", leaves(this.shift), leaves(other.shift)),
        *_each("files of ", this.data, other.data),
        _compared("code", this.code, other.code, "numbers"),
        _compared("threads", this.threads, other.threads, "last bits"),
    ]
    if this.seed == other.seed:
        found.append(_compared("begins from", ", ".join(this.after), ", ".join(other.after), "numbers"))
    return [each for each in found if each is not None]


def circumstances(this: Sequence[Record], other: Sequence[Record], same_code: bool) -> list[Mismatch]:
    """What differs in where, with what and how trials ran, which their ids do not know."""
    code: Weight = "nothing" if same_code else "numbers"
    on_cpu = {CPU, ""} & (devices(this) | devices(other))
    asked: list[tuple[str, Callable[[Sequence[Record]], set[str]], Weight]] = [
        ("precision", precisions, "numbers"),
        ("batches", _parts, "numbers"),
        ("git commit", _noted("git_commit"), code),
        ("torch", _noted("torch"), code),
        ("device", devices, "last bits"),
        ("processor", _noted("processor"), "last bits" if on_cpu or not (this and other) else "nothing"),
        ("optuna", _noted("optuna"), "choice"),
        ("version", _noted("platform_version"), "nothing"),
        ("python", _noted("python"), "nothing"),
        ("ray", _noted("ray"), "nothing"),
        ("host", _noted("host"), "nothing"),
        ("hours", lambda records: {f"{sum(record.hours for record in records):.2f}"}, "nothing"),
    ]
    sides = ((name, of(this), of(other), weight) for name, of, weight in asked)
    return [
        Mismatch(name, _listed(one), _listed(two), weight)
        for name, one, two, weight in sides
        # What only one side has noted may well be the same.
        if one != two and one and two
    ]


def devices(records: Sequence[Record]) -> set[str]:
    """The devices that trials were trained on; empty where no record says."""
    noted = (report.device or record.provenance.get("device", "") for record in records for report in record.reports)
    return {device for device in noted if device}


def precisions(records: Sequence[Record]) -> set[str]:
    """What networks were computed in; empty where no record says."""
    return {report.precision for record in records for report in record.reports if report.precision}


def leaves(values: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    """The values of nested mappings, by their names with dots: `source.identity.files`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= leaves(value, f"{within}{name}.") if isinstance(value, dict) else {f"{within}{name}": value}
    return found


def texts(this: Any, other: Any) -> tuple[str, str]:
    """Two values that differ, in so many characters that it is seen."""
    few = _text(this), _text(other)
    return few if few[0] != few[1] else (short(repr(this)), short(repr(other)))


def _compared(name: str, this: Any, other: Any, weight: Weight) -> Mismatch | None:
    # 1 and True are equal in Python, and two settings.
    if (type(this), this) == (type(other), other):
        return None
    return Mismatch(short(name), *texts(this, other), weight)


def _each(within: str, this: Mapping[str, Any], other: Mapping[str, Any]) -> list[Mismatch | None]:
    return [
        _compared(f"{within}{name}", this.get(name, _NOTHING), other.get(name, _NOTHING), "numbers")
        for name in dict.fromkeys((*this, *other))
    ]


def _hyperparameter(name: str, this: Trial, other: Trial) -> Mismatch | None:
    """One that acts through an integer differs where that does."""
    found = _compared(
        name, this.hyperparameters.get(name, _NOTHING), other.hyperparameters.get(name, _NOTHING), "numbers"
    )
    meant = this.resolved.get(name), other.resolved.get(name)
    if found is None or None in meant:
        return found
    means = [", ".join(f"{key} {short(value)}" for key, value in (each or {}).items()) for each in meant]
    one, two = (f"{text} ({mean})" for text, mean in zip((found.this, found.other), means, strict=True))
    if meant[0] == meant[1]:
        return Mismatch(found.name, one, two, "nothing", "acts through the same integer")
    return Mismatch(found.name, one, two, "numbers")


def _text(value: Any) -> str:
    if value is _NOTHING:
        return ABSENT
    if isinstance(value, list) and value and all(isinstance(part, list) for part in value):
        return _groups(value)
    if isinstance(value, list | tuple):
        return " x ".join(map(short, value)) if len(value) == 2 else ", ".join(map(short, value)) or ABSENT
    return short(value) or ABSENT


def _groups(value: list[list[Any]]) -> str:
    """The classes that are scored, by name; records may be somebody else's, and name none."""
    if all(type(member) is int and 0 <= member < NUM_CLASSES for group in value for member in group):
        return f"{len(value)} classes: {', '.join(group_names(tuple(map(tuple, value))))}"
    return short(value)


def _noted(key: str) -> Callable[[Sequence[Record]], set[str]]:
    return lambda records: {said for record in records if (said := record.provenance.get(key, ""))}


def _parts(records: Sequence[Record]) -> set[str]:
    halved = sum(any(report.parts > 1 for report in record.reports) for record in records)
    return {f"{halved} of {len(records)} trials in accumulated halves" if halved else "whole"} if records else set()


def _listed(values: set[str]) -> str:
    return "; ".join(sorted(map(short, values)))
