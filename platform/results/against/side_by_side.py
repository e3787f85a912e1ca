"""Two studies, or two trials, side by side: their rows, what differs in each, and what differs in all."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from platform.records.record import ArmHeader, Ask, Record, StudyHeader
from platform.results.against import score
from platform.results.against.chance import judged
from platform.results.against.mismatches import ABSENT, Mismatch, Weight, circumstances, mismatches, texts
from platform.results.against.promise import Promise, parting, promise
from platform.results.against.score import Gap, Half
from platform.results.aggregation import tabulate
from platform.results.runs import ArmRuns, mious
from platform.results.table import Table

SEARCHING: dict[str, Weight] = {
    "checkpoint": "choice",
    "seeds": "numbers",
    "looks": "numbers",
    "select": "choice",
    "selector": "choice",
    "search_trials": "choice",
    "rungs": "choice",
    "reduction": "choice",
    "smoothing": "choice",
    "parallel": "choice",
    "promote": "choice",
    "reference": "nothing",
    "source": "nothing",
}
"""Fields of a study's header beside those that its trials say, and what they can do."""
NOTES = {
    "checkpoint": "which evaluation of a run is scored",
    "seeds": "the mean is over more of them",
    "looks": "the seeds at which a race looks at the rows",
    "selector": "digest of its class, settings and code",
    "reference": "what differences in its own table are to",
    "source": "the study file's text",
}


@dataclass(frozen=True)
class Side:
    """A study on record."""

    label: str
    """What it is, and in a second line where."""
    header: StudyHeader
    asks: Sequence[Ask]
    by_arm: Mapping[str, Mapping[str, Record]]
    """The records as each arm has them, by trial."""
    records: Mapping[str, Record]
    """All that is on record of every trial."""


@dataclass(frozen=True)
class RowPair:
    """Two rows of one name, or two trials."""

    name: str
    this: Half
    other: Half
    gap: Gap
    mismatches: tuple[Mismatch, ...]
    """But for those that are the same in every row."""


@dataclass(frozen=True)
class SideBySide:
    """What differs between two sides."""

    this: str
    other: str
    scored: str
    """What the scores are."""
    rows: tuple[RowPair, ...]
    everywhere: tuple[Mismatch, ...]
    """What differs in every row, and between the studies as a whole."""
    alone: tuple[tuple[str, ...], tuple[str, ...]]
    """The rows that only one side has."""
    promise: Promise
    notes: tuple[tuple[str, ...], tuple[str, ...]]
    """What is missing or went wrong, on either side."""
    missing: bool
    """Whether a row of both sides lacks seeds, or a trial its score."""
    looks: int = 1
    """How many pairs of looks there are at which two rows that race may have stopped."""
    parting: str = ""
    """From where on the reports of two trials differ."""


def studies(this: Side, other: Side) -> SideBySide:
    """Compare the rows that two studies have in common, by name."""
    tables = tuple(tabulate(side.header, side.asks, side.by_arm) for side in (this, other))
    # Without rows of ablation paths that were never trained.
    arms = tuple({arm.name: arm for arm in table.header.arms} for table in tables)
    common = [name for name in arms[0] if name in arms[1]]
    looks = this.header.times_looked * other.header.times_looked
    found = [_rows(name, (arms[0][name], arms[1][name]), (this, other), tables, looks) for name in common]
    rows, everywhere = _apart(_judged(found, looks))
    lacking = [row for table in tables for row in table.rows if row.arm in common and row.troubles.seeds_missing]
    return SideBySide(
        this=this.label,
        other=other.label,
        scored="mIoU on the test split, mean over seeds",
        rows=tuple(rows),
        everywhere=(*everywhere, *_of_the_studies(this.header, other.header)),
        alone=(_beside(arms[0], arms[1]), _beside(arms[1], arms[0])),
        promise=promise(this.records, other.records),
        notes=(_notes(tables[0], common), _notes(tables[1], common)),
        missing=bool(lacking),
        looks=looks,
    )


def trials(this: Record, other: Record, labels: tuple[str, str]) -> SideBySide:
    """Compare two trials."""
    sides = tuple(Half("trial", record.trial, (record,), score.of_trial(record)) for record in (this, other))
    confirms = {record.trial.confirms for record in (this, other)}
    notes = tuple(_of_a_trial(record) for record in (this, other))
    parted = ""
    if this.trial.id != other.trial.id and (found := parting(this, other)) is not None:
        step, name, one, two = found
        parted = f"their reports differ from step {step:,} on: {name} is {one}, and {two}"
    split = {True: "the test split", False: "the labelled val split"}
    return SideBySide(
        this=labels[0],
        other=labels[1],
        scored=f"mIoU on {' and on '.join(split[each] for each in sorted(confirms, reverse=True))}, of one run each",
        rows=(_pair("trial", sides[0], sides[1], ()),),
        everywhere=(),
        alone=((), ()),
        promise=promise({this.trial.id: this}, {other.trial.id: other}),
        notes=(notes[0], notes[1]),
        missing=not (sides[0].miou and sides[1].miou),
        parting=parted,
    )


def _rows(
    name: str, arms: tuple[ArmHeader, ArmHeader], sides: tuple[Side, Side], tables: tuple[Table, ...], looks: int
) -> RowPair:
    runs = [table.runs[name] for table in tables]
    seeds = [{run.ask.trial.seed for run in each.confirm} for each in runs]
    common = seeds[0] & seeds[1]
    halves = [_half(name, each, common or own, side.header) for each, own, side in zip(runs, seeds, sides, strict=True)]
    return _pair(name, halves[0], halves[1], _of_the_arms(*arms), arms, looks)


def _half(name: str, runs: ArmRuns, seeds: set[int], header: StudyHeader) -> Half:
    asked = [run.ask.trial for run in runs.confirm if run.ask.trial.seed in seeds]
    records = tuple(run.record for run in runs.confirm if run.record is not None)
    return Half(name, next(iter(asked), None), records, mious(runs.confirm, header.groups))


def _pair(
    name: str,
    this: Half,
    other: Half,
    besides: Sequence[Mismatch],
    arms: tuple[ArmHeader, ArmHeader] | None = None,
    looks: int = 1,
) -> RowPair:
    found: list[Mismatch] = []
    if this.trial is not None and other.trial is not None:
        found += mismatches(this.trial, other.trial)
    if arms is not None:
        found = [_with_origins(each, *arms) for each in found]
    same_code = this.trial is None or other.trial is None or this.trial.code == other.trial.code
    found += [*besides, *circumstances(this.records, other.records, same_code)]
    gap = score.gap(this, other, score.draw_alike(this, other), looks)
    return RowPair(name, this, other, gap, tuple(found))


def _judged(rows: Sequence[RowPair], looks: int) -> list[RowPair]:
    """The rows, their differences in mIoU tested together."""
    gaps = judged([(row.this, row.other, row.gap) for row in rows], looks)
    return [dataclasses.replace(row, gap=gap) for row, gap in zip(rows, gaps, strict=True)]


def _with_origins(mismatch: Mismatch, this: ArmHeader, other: ArmHeader) -> Mismatch:
    """A setting that differs, with where its values come from where that is not the same."""
    origins = [_origin(mismatch.name, arm) for arm in (this, other)]
    if not any(origins) or mismatch.note:
        return mismatch
    said = [origin or "default" for origin in origins]
    if said == ["given", "given"]:
        return mismatch
    note = f"both {said[0]}" if said[0] == said[1] else f"{said[0]}, {said[1]}"
    return dataclasses.replace(mismatch, note=note)


def _origin(name: str, arm: ArmHeader) -> str:
    return "searched" if name in arm.searched else "given" if name in arm.given else ""


def _of_the_arms(this: ArmHeader, other: ArmHeader) -> list[Mismatch]:
    """What differs of two rows besides their trials."""
    found: list[tuple[str, object, object, Weight]] = [
        (f"range of {name}", this.searched.get(name, ABSENT), other.searched.get(name, ABSENT), "choice")
        for name in dict.fromkeys((*this.searched, *other.searched))
    ]
    found += [
        ("comes after", ", ".join(this.after) or ABSENT, ", ".join(other.after) or ABSENT, "numbers"),
        ("labels of the target", this.few, other.few, "numbers"),
    ]
    return [Mismatch(name, *texts(one, two), weight) for name, one, two, weight in found if one != two]


def _of_the_studies(this: StudyHeader, other: StudyHeader) -> list[Mismatch]:
    found = []
    for name, weight in SEARCHING.items():
        one, two = getattr(this, name), getattr(other, name)
        # Another name is another selector; and without a race there is one look, at all seeds.
        implied = {"selector": this.select != other.select, "looks": this.times_looked == other.times_looked == 1}
        if one != two and not implied.get(name, False):
            said = _digests(one, two) if name in ("source", "selector") else texts(one, two)
            found.append(Mismatch(name.replace("_", " "), *said, weight, NOTES.get(name, "")))
    return found


def _digests(this: str, other: str) -> tuple[str, str]:
    """Two long texts, by what tells them apart."""
    one, two = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12] for text in (this, other))
    return one, two


def _apart(rows: Sequence[RowPair]) -> tuple[list[RowPair], list[Mismatch]]:
    """The rows, without what is the same in all of them."""
    known = [row for row in rows if row.this.trial is not None and row.other.trial is not None]
    if len(known) < 2:
        return [*rows], []
    alike = [each for each in known[0].mismatches if all(each in row.mismatches for row in known)]
    return [
        dataclasses.replace(row, mismatches=tuple(each for each in row.mismatches if each not in alike)) for row in rows
    ], alike


def _beside(these: Mapping[str, ArmHeader], others: Mapping[str, ArmHeader]) -> tuple[str, ...]:
    return tuple(name for name in these if name not in others)


def _notes(table: Table, common: Sequence[str]) -> tuple[str, ...]:
    """What a table says of the rows that both sides have."""
    beginnings = tuple(f"{name}: " for name in common)
    return tuple(note for note in table.notes if note.startswith(beginnings))


def _of_a_trial(record: Record) -> tuple[str, ...]:
    """How a trial ended, where that is not whole."""
    if record.end is None:
        return (f"it has not ended: step {record.step:,} of {record.trial.steps:,}",)
    return (f"{record.end.state}: {record.end.reason}",) if record.end.cause else ()


def deciding(row: RowPair, both: SideBySide) -> list[Mismatch]:
    """What differs of a row and may account for its score, but for what only follows from what other rows differ in."""
    every = (*row.mismatches, *both.everywhere)
    return [
        each
        for each in every
        if (each.weight in ("numbers", "last bits") and each.name not in ("begins from", "seeds"))
        or each.name == "checkpoint"
    ]


def nearest(record: Record, side: Side) -> Record | None:
    """The trial of a study that differs in the fewest settings, of those on the same seed that have reports."""
    alike = [own for own in side.records.values() if own.trial.seed == record.trial.seed and own.reports]
    return min(alike, key=lambda own: len(mismatches(own.trial, record.trial)), default=None)
