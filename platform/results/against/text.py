"""Two sides as text of a terminal's width: scores, then what differs by what it can do, then what to do."""

import math
from collections.abc import Iterable, Mapping, Sequence

from rich.cells import cell_len, set_cell_size

from platform.records.plain import legible
from platform.results.against.mismatches import Mismatch, Weight
from platform.results.against.score import Gap
from platform.results.against.side_by_side import RowPair, SideBySide
from platform.results.lines import arms_listed, hanging, padded

COLUMNS = 80
ROW, NAME, VALUE = 20, 22, 24
"""Columns of a row's name, of a setting's, and of a value beside another one."""
INDENT = "  "
HEADS: dict[Weight, str] = {
    "numbers": "Differs, and decides the numbers",
    "choice": "Differs, and changes no trial: only which is chosen or counts",
    "last bits": "Differs, and changes last bits, of which training makes as much as of another seed",
}
HARMLESS = "Differs, and changes no number"
EVERYWHERE = "all rows"
BROKEN = "!!! BROKEN PROMISE !!!"


def render(both: SideBySide) -> str:
    """Both sides, without what is proposed."""
    parts = [
        _sides(both),
        _broken(both),
        _scores(both),
        *(_differing(both, weight) for weight in HEADS),
        _harmless(both),
        _alike(both),
        _notes(both),
        _promise(both),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sides(both: SideBySide) -> str:
    labels = (("this", both.this), ("other", both.other))
    # A place stays whole, so that it can be copied.
    return "\n".join(
        f"{name if not number else '':<7}{legible(line)}"
        for name, label in labels
        for number, line in enumerate(label.split("\n"))
    )


def _scores(both: SideBySide) -> str:
    lines = [f"{'row':<{ROW}}{'this':>13}{'other':>13}{'this - other':>14}    seeds"]
    for row in both.rows:
        this, other = (_score(side.miou.values()) for side in (row.this, row.other))
        name = padded(_cut(row.name, ROW - 1), ROW)
        lines.append(f"{name}{this:>13}{other:>13}{_gap(row):>16}  {_seeds(row)}".rstrip())
    lines += ["", *_hung(f"{_sentence(both.scored)} {_reading(both)}")]
    for who, names in zip(("this", "other"), both.alone, strict=True):
        if names:
            lines += _hung(f"Only {who} has {arms_listed([legible(name) for name in names])}.")
    return "\n".join(lines)


def _score(values: Iterable[float]) -> str:
    # scipy takes a moment to import.
    from platform.results.statistics.intervals import interval

    return _plus_minus(*interval([*values]))


def _plus_minus(mean: float, half_width: float, sign: str = "") -> str:
    spread = "" if math.isnan(half_width) else f"±{half_width:.3f}"
    return "-" if math.isnan(mean) else f"{mean:{sign}.3f}{spread}"


def _gap(row: RowPair) -> str:
    if math.isnan(row.gap.miou):
        return "-  "
    if row.gap.way == "same trials" and not row.gap.miou:
        return "equal  "
    star = " *" if row.gap.told else "  "
    return _plus_minus(row.gap.miou, row.gap.half_width, "+") + star


def _seeds(row: RowPair) -> str:
    this, other = row.gap.seeds
    number = str(this) if this == other else f"{this} and {other}"
    return {"one run each": "", "no score": number, "same trials": f"{number}, same trials"}.get(
        row.gap.way, f"{number}, {row.gap.way}"
    )


def _reading(both: SideBySide) -> str:
    ways = {row.gap.way for row in both.rows}
    said = ["One run has no interval: the difference may be chance."] if ways == {"one run each"} else []
    if any(max(row.gap.seeds) > 1 for row in both.rows):
        said.append("± is the half-width of a 95 % interval: Student's t over seeds for a row.")
    shared = [row for row in both.rows if row.gap.way == "same trials" and not row.gap.miou]
    if any(row.this.miou.keys() != row.other.miou.keys() for row in shared):
        said.append(
            "Equal: the seeds that both sides have are the same trials, and the means differ by other seeds alone."
        )
    if "paired" in ways:
        said.append(
            "Paired: of the differences seed by seed, on the seeds that both sides have, since a seed means the same "
            "initial weights and the same order of the same images."
        )
    if "Welch" in ways:
        whys = dict.fromkeys(row.gap.why for row in both.rows if row.gap.way == "Welch")
        said.append(f"Welch: of two samples of unequal variance, not paired because of {'; '.join(whys)}.")
    if both.looks > 1:
        said.append(f"Rows raced for seeds: p and ± are adjusted for {both.looks} pairs of looks at them.")
    return " ".join([*said, *_marks([row.gap for row in both.rows if not math.isnan(row.gap.p)])])


def _marks(tested: Sequence[Gap]) -> list[str]:
    """When a row is marked, and what was adjusted for."""
    if not tested:
        return []
    ways, number = {gap.way for gap in tested}, len(tested)
    test = "Welch's t-test" if ways == {"Welch"} else "the paired t-test"
    test += ", of Welch's for rows that are not paired" if len(ways) > 1 else ""
    adjusted = f", adjusted by Holm's method for the {number} rows that are tested," if number > 1 else ""
    alone = " (one row is tested: nothing is to be adjusted for)" if number == 1 else ""
    sizes = sorted(gap.detectable for gap in tested)
    least = " to ".join(dict.fromkeys(f"{size:.3f}" for size in (sizes[0], sizes[-1])))
    return [
        f"* where two things hold: p of {test}{adjusted} is at most 0.05{alone}; and the difference is at least what "
        f"so many seeds find four times out of five by the spread that rows have, here {least}. A row without it is "
        "not told apart by so many seeds."
    ]


def _differing(both: SideBySide, weight: Weight) -> str:
    """What differs with this weight, row by row."""
    blocks = [(EVERYWHERE, both.everywhere), *((row.name, row.mismatches) for row in both.rows)]
    lines = []
    for name, mismatches in blocks:
        found = [each for each in mismatches if each.weight == weight]
        if found and len(both.rows) > 1:
            lines.append(f"{INDENT}{_cut(name, COLUMNS - len(INDENT))}")
        for each in found:
            lines += _mismatch(each, INDENT * (2 if len(both.rows) > 1 else 1))
    if not lines:
        return ""
    return "\n".join([*_hung(f"{HEADS[weight]}:"), *lines])


def _harmless(both: SideBySide) -> str:
    """What differs and changes nothing, in few words."""
    found: dict[str, set[tuple[str, str, str]]] = {}
    for each in (*both.everywhere, *(each for row in both.rows for each in row.mismatches)):
        if each.weight == "nothing":
            found.setdefault(each.name, set()).add((each.this, each.other, each.note))
    if not found:
        return ""
    said = []
    for name, values in found.items():
        this, other, note = next(iter(values))
        several = "row by row" if len(values) > 1 else note if name == "source" else f"{this}; {other}"
        said.append(legible(f"{name} ({several})"))
    return "\n".join(_hung(f"{HARMLESS}: {', '.join(said)}.", rest=INDENT))


def _mismatch(mismatch: Mismatch, indent: str) -> list[str]:
    name = legible(mismatch.name)
    note = f"  {legible(mismatch.note)}" if mismatch.note else ""
    narrow = max(cell_len(mismatch.this), cell_len(mismatch.other)) < VALUE and cell_len(name) < NAME
    if narrow:
        line = f"{indent}{padded(name, NAME)}{padded(mismatch.this, VALUE)}{mismatch.other}"
        if cell_len(line + note) <= COLUMNS:
            return [line + note]
        return [line, *([f"{indent}{INDENT}({note.strip()})"] if note else [])]
    begun = f"{indent}{INDENT}"
    return [
        *_hung(name + (f" ({note.strip()})" if note else ""), indent),
        *_hung(mismatch.this, f"{begun}this   ", f"{begun}       "),
        *_hung(mismatch.other, f"{begun}other  ", f"{begun}       "),
    ]


def _alike(both: SideBySide) -> str:
    """That nothing that is on record accounts for a difference, where that is so."""
    bare = [
        row.name
        for row in both.rows
        if row.this.trial is not None
        and row.other.trial is not None
        and not any(each.weight == "numbers" for each in (*both.everywhere, *row.mismatches))
    ]
    if not bare:
        return ""
    if len(both.rows) == 1:
        return "Nothing differs that decides the numbers."
    return "\n".join(_hung(f"Nothing differs that decides the numbers of {arms_listed([*map(legible, bare)])}."))


def _notes(both: SideBySide) -> str:
    lines = _hung(f"{_sentence(legible(both.parting))}") if both.parting else []
    lines += [
        line
        for who, notes in zip(("this", "other"), both.notes, strict=True)
        for note in notes
        for line in _hung(legible(note), f"! {who}: ", INDENT)
    ]
    return "\n".join(lines)


def _promise(both: SideBySide) -> str:
    promise = both.promise
    if not promise.trials:
        return ""
    equal = promise.trials - len(promise.unequal)
    lines = []
    if equal:
        said = ("s are", "their") if equal > 1 else (" is", "its")
        lines += _hung(f"{equal} trial{said[0]} on both sides, by the same id, and all of {said[1]} numbers are equal.")
    for excuse in dict.fromkeys(each.excuse for each in promise.unequal if each.excuse):
        found = [each for each in promise.unequal if each.excuse == excuse]
        lines += _hung(
            f"{len(found)} of {promise.trials} trials of the same ids were trained {excuse}, and their numbers differ: "
            f"{found[0].trial} from step {found[0].step:,} on. An id promises its numbers on one kind of device."
        )
    return "\n".join(lines)


def _broken(both: SideBySide) -> str:
    broken = both.promise.broken
    if not broken:
        return ""
    lines = [
        BROKEN,
        *_hung(
            f"{len(broken)} of {both.promise.trials} trials that both sides have, by the same id, do not have "
            "the same numbers, on the same kind of device. A record was changed, a machine computes wrongly, or "
            "this is a mistake of ours: please report it, with both records."
        ),
    ]
    for each in broken[:5]:
        lines += _hung(
            f"{each.trial} at step {each.step:,}: {legible(each.name)} is {each.this}, and {each.other}",
            INDENT,
            INDENT * 2,
        )
    if len(broken) > 5:
        lines.append(f"{INDENT}and {len(broken) - 5} more")
    return "\n".join(lines)


def _hung(text: str, first: str = "", rest: str | None = None) -> list[str]:
    return hanging(text, COLUMNS, first, first if rest is None else rest)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if not text.startswith("mIoU") else f"{text}."


def _cut(name: str, columns: int) -> str:
    """A name that fits, without its end."""
    name = legible(name)
    return name if cell_len(name) <= columns else f"{set_cell_size(name, columns - 2).rstrip()}.."


def proposals(lines: Sequence[str], refusals: Mapping[str, Sequence[str]], remedies: Sequence[str]) -> str:
    """What is proposed: `lines` name files, `refusals` say for which rows there are none, and why.

    `remedies` tell how to find out what no study file can say.
    """
    said = []
    if lines:
        said = ["The ablation that would tell, as study files:", *(f"{INDENT}{line}" for line in lines)]
        said.append("Read it, then run it as any other: python -m platform.study FILE --plan")
    for why, names in refusals.items():
        rows = f" for {arms_listed([*map(legible, names)])}" if names != ["trial"] else ""
        said += _hung(f"No study is proposed{rows}: {legible(why)}.")
    if remedies:
        said.append("To find out what else makes a difference:" if lines else "To find out what makes the difference:")
        said += [line for remedy in remedies for line in _hung(legible(remedy), f"{INDENT}- ", INDENT * 2)]
    return "\n".join(said)
