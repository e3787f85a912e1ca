"""Why does my number differ? A study beside another, or a trial beside another, and the ablation that would tell."""

import difflib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from platform.commands.exits import COMPLETE, INCOMPLETE, BadInput, MachineFailed, bad_input, say
from platform.commands.report import in_order
from platform.commands.terminal.text import damage_notes, shown
from platform.design.loading import StudyFile
from platform.design.study import Study
from platform.records.archive import ARCHIVE
from platform.records.ledger import Ledger
from platform.records.location import ADDRESS, on_record, recorded, results_store
from platform.records.one_line import one_line
from platform.records.record import Record
from platform.records.storage.files import write_whole
from platform.records.store import JOURNAL, Store, is_study_name
from platform.shifts.definition.owners import is_users

if TYPE_CHECKING:
    from platform.results.against.proposal import Around, Proposal, Unsaid
    from platform.results.against.side_by_side import RowPair, Side, SideBySide

TRIAL = re.compile(r"(?:(?P<results>.+)/trials/)?(?P<id>[0-9a-f]{12})/?")
"""A trial's id, or the path of its folder."""
FOLDER = "against"
"""Of a study's folder: the studies that are proposed."""
LONGEST = 60
"""Characters of a row's name in that of a file."""
TAKES = "--against must name a study among the results, its folder or its file, or trials by their ids, ID or ID:ID"


class _Trial(NamedTuple):
    """A trial on record, and where."""

    record: Record
    store: Store

    @property
    def label(self) -> str:
        trial = self.record.trial
        return f"trial {trial.id} ({trial.method}, seed {trial.seed})\nin {shown(str(self.store.storage))}"


def against(file: StudyFile, store: Store, other: str) -> int:
    """Print a study beside another one, or two trials, and write what is proposed; the exit code."""
    # scipy takes a moment to import.
    from platform.results.against import side_by_side, text

    this: Side | None = None
    if (named := _trials(store, other)) is not None:
        one, two = _two_trials(file, store, named)
        found = side_by_side.trials(one.record, two.record, (one.label, two.label))
        stores, called = {one.store, two.store}, two.record.trial.id
    else:
        elsewhere, called = _other(file, store, other)
        this, theirs = _side(store, file.name), _side(elsewhere, called)
        if not {arm.name for arm in this.header.arms} & {arm.name for arm in theirs.header.arms}:
            raise BadInput(_no_row(this, theirs))
        found, stores = side_by_side.studies(this, theirs), {store, elsewhere}
        if this.header.source != file.source:
            say(f"note: {shown(file.path)} has changed since the study ran; this is the study that ran")
    for note in damage_notes({damage for each in stores for damage in each.damages}):
        say(note)
    print(text.render(found))
    if said := _proposed(file, store, found, this, called):
        print(said)
    return INCOMPLETE if found.missing or found.promise.broken else COMPLETE


def _side(store: Store, study: str) -> "Side":
    from platform.results.against.side_by_side import Side

    if JOURNAL not in store.storage.names(study):
        raise BadInput(f"there are no records of {study} in {store.storage}; run the study first, without --against")
    with bad_input():
        header, _ = on_record(store, study)
    ledger = Ledger(store, study, [arm.name for arm in header.arms])
    label = f"{study}, begun {header.began}\nin {shown(str(store.storage))}"
    return Side(label, header, in_order(header, ledger.asks), ledger.by_arm(), ledger.records)


def _other(file: StudyFile, store: Store, named: str) -> tuple[Store, str]:
    """The study that is meant. Raises BadInput."""
    path, elsewhere = Path(named), store
    if is_study_name(named) and JOURNAL in store.storage.names(named):
        study = named
    elif path.suffix == ".py":
        # Not imported: only its records count, and it may be somebody else's.
        study = unicodedata.normalize("NFC", path.stem) + file.name[len(unicodedata.normalize("NFC", file.path.stem)) :]
        if not path.is_file():
            raise BadInput(f"{TAKES}, got {named}, which is no file")
        if not is_study_name(study) or JOURNAL not in store.storage.names(study):
            raise BadInput(f"there are no records of {study} in {store.storage}; run {named} first")
    elif ADDRESS.match(named) or path.is_dir():
        try:
            elsewhere, studies = recorded(named)
        except ValueError as error:
            raise BadInput(str(error).replace("RESULTS", "--against")) from error
        if file.name not in studies and len(studies) > 1:
            raise BadInput(f"{TAKES}, got {named}, which holds {', '.join(studies)}; name {named.rstrip('/')}/<study>")
        study = file.name if file.name in studies else studies[0]
    else:
        raise BadInput(f"{TAKES}, got {named}{_near(file, store, named)}")
    if (str(elsewhere.storage), study) == (str(store.storage), file.name):
        rule = f"--against must name another study than the file's own, got {study} in {store.storage}"
        raise BadInput(f"{rule}{_near(file, store, '')}")
    return elsewhere, study


def _near(file: StudyFile, store: Store, named: str) -> str:
    """What may have been meant."""
    studies = [study for study in store.studies() if study != file.name]
    aside = [name for name in store.storage.names(ARCHIVE) if name.startswith(f"{file.name}-")]
    near = difflib.get_close_matches(named, studies, n=1)
    if near:
        return f". Did you mean {near[0]!r}?"
    known = [*studies, *(f"{shown(str(store.storage))}/{ARCHIVE}/{name}" for name in aside)]
    return f"; there are {', '.join(known)}" if known else "; there is no other study"


def _no_row(this: "Side", other: "Side") -> str:
    names = [", ".join(arm.name for arm in side.header.arms) for side in (this, other)]
    ids = [next((ask.trial.id for ask in side.asks if ask.phase == "confirm"), "ID") for side in (this, other)]
    return (
        f"the two must have a row of the same name, got {names[0]}, and {names[1]}; compare two trials: "
        f"--against {':'.join(ids)}"
    )


def _trials(store: Store, named: str) -> list[re.Match[str]] | None:
    """The one or two trials that are named; None where it is a study."""
    if is_study_name(named) and JOURNAL in store.storage.names(named):
        return None
    # A place may have a colon of its own: s3://.
    parts = [*([named[:at], named[at + 1 :]] for at, sign in enumerate(named) if sign == ":"), [named]]
    matches = ([TRIAL.fullmatch(part) for part in each] for each in parts)
    return next(([each for each in some if each] for some in matches if all(some)), None)


def _two_trials(file: StudyFile, store: Store, named: list[re.Match[str]]) -> tuple[_Trial, _Trial]:
    """Two trials; beside a single one, that of the study which is most like it, on the same seed. Raises BadInput."""
    from platform.results.against.side_by_side import nearest

    found = [_trial(store, each) for each in named]
    if len(found) == 1:
        side = _side(store, file.name)
        own = nearest(found[0].record, side)
        if own is None:
            seed = found[0].record.trial.seed
            raise BadInput(f"{file.name} has no trial of seed {seed} to compare with; name two trials, ID:ID")
        found.insert(0, _Trial(own, store))
    one, two = found
    if (one.record.trial.id, str(one.store.storage)) == (two.record.trial.id, str(two.store.storage)):
        raise BadInput(
            f"--against must name another trial, got {two.record.trial.id}, one of {file.name}; name two, ID:ID"
        )
    return one, two


def _trial(store: Store, named: re.Match[str]) -> _Trial:
    elsewhere = store
    if named["results"]:
        with bad_input():
            elsewhere = results_store(named["results"])
    record = elsewhere.read(named["id"])
    if record is None:
        raise BadInput(f"there is no record of a trial {named['id']} in {elsewhere.storage}")
    return _Trial(record, elsewhere)


def _proposed(file: StudyFile, store: Store, found: "SideBySide", this: "Side | None", other: str) -> str:
    """Write the studies that would tell, and say which; empty where no row differs."""
    from platform.results.against.proposal import remedies
    from platform.results.against.text import proposals

    besides: list[Unsaid] = []
    lines, refusals = list[str](), dict[str, list[str]]()
    folder, taken = store.study_folder(file.name) / FOLDER, set[str]()
    for row in found.rows:
        if row.gap.way == "same trials" or row.this.trial is None or row.other.trial is None:
            continue
        try:
            lines += _files(file, row, found, this, (folder, _stem(file.name, row.name, other, taken)))
        except _NoProposal as why:
            besides += why.besides
            refusals.setdefault(str(why), []).append(row.name)
        except OSError as error:
            raise MachineFailed(
                f"the study that would tell cannot be written to {folder}: {one_line(error)}"
            ) from error
    return proposals(lines, refusals, remedies(besides))


class _NoProposal(Exception):
    """Why no study file would tell, and what differs besides."""

    def __init__(self, why: str, besides: "Sequence[Unsaid]" = ()) -> None:
        super().__init__(why)
        self.besides = besides


def _files(
    file: StudyFile, row: "RowPair", found: "SideBySide", this: "Side | None", place: tuple[Path, str]
) -> list[str]:
    """Write the files of one row, and say what they are. Raises _NoProposal, and OSError."""
    from platform.results.against import proposal as proposals

    try:
        made = _proposal(file, row, found, this)
    except proposals.Unsayable as why:
        raise _NoProposal(f"{why}") from why
    if made is None:
        return []
    proposal, besides = made
    question = f"Which setting makes {row.name} of other differ from that of this?"
    if this is None:
        question = "Which setting makes the other trial differ from this one?"
    folder, stem = place
    sources = proposals.sources(proposal, question, (found.this, found.other), [*map(str, besides)])
    lines = [f"{row.name}: {', '.join(factor.name for factor in proposal.factors)}"]
    for number, (source, each) in enumerate(sources, start=1):
        path = folder / (f"{stem}-{number}.py" if len(sources) > 1 else f"{stem}.py")
        write_whole(path, source.encode())
        rows = len(each.study.arms)
        lines.append(f"  {shown(path)}  ({rows} row{'s' * (rows > 1)}, {each.study.seeds} seeds)")
    return lines


def _proposal(
    file: StudyFile, row: "RowPair", found: "SideBySide", this: "Side | None"
) -> "tuple[Proposal, list[Unsaid]] | None":
    """The studies that would tell of a row, and what they cannot say; None where it does not differ.

    Raises _NoProposal, and Unsayable.
    """
    from platform.results.against import proposal as proposals
    from platform.results.against.side_by_side import deciding

    assert row.this.trial is not None
    assert row.other.trial is not None
    around = _around(file, row, this)
    alone = deciding(row, found)
    if not alone:
        return None
    if len(alone) == 1 and alone[0].name != "code":
        raise _NoProposal(f"{alone[0].name} alone differs, so that the difference above is what it does")
    factors = proposals.factors_between(row.this.trial, row.other.trial, around.own)
    if not _begin_alike(around, found):
        raise _NoProposal("what it begins from differs by itself, and is to be explained first")
    besides = proposals.unsaid(factors, (*row.mismatches, *found.everywhere))
    proposal = proposals.propose(row.this.trial, row.other.trial, around)
    if proposal is None:
        raise _NoProposal("nothing differs that a study file can say", besides)
    return proposal, besides


def _around(file: StudyFile, row: "RowPair", this: "Side | None") -> "Around":
    """What a proposal's rows have around them, as the compared row has it in its study. Raises Unsayable."""
    from platform.results.against import proposal as proposals

    assert row.this.trial is not None
    arm = None if this is None else next(arm for arm in this.header.arms if arm.name == row.name)
    if arm is None and row.this.trial.after:
        raise proposals.Unsayable("it begins from trials of other rows; compare the studies")
    return proposals.Around(
        before=[] if this is None or arm is None else proposals.rows_before(this.header, this.asks, arm),
        after=arm.after if arm else (),
        budget=file.study.budget,
        seeds=max(len(row.this.miou), len(row.other.miou), (file.study if this is None else this.header).seeds),
        own=_own(file.study),
    )


def _begin_alike(around: "Around", found: "SideBySide") -> bool:
    """Whether what a row comes after differs only in what all rows of a study share. Raises Unsayable."""
    from platform.results.against.proposal import factors_between

    pairs = {row.name: row for row in found.rows}
    others = [(each.trial, pairs[each.name].other.trial) for each in around.before if each.name in pairs]
    return len(others) == len(around.before) and all(
        other is not None and all(factor.is_the_studys for factor in factors_between(trial, other, around.own))
        for trial, other in others
    )


def _own(study: Study) -> set[str]:
    """Names of methods and networks that the study file defines: they are not those of the shelves."""
    kinds = {kind for row in study.rows for kind in row.code}
    return {kind.__name__ for kind in kinds if is_users(kind.__module__)}


def _stem(study: str, row: str, other: str, taken: set[str]) -> str:
    """A file's name without its ending, which any file system takes, and no other row has."""
    plain = (re.sub(r"[^A-Za-z0-9_.-]+", "_", part)[:LONGEST] for part in (study, row, other))
    ours, named, theirs = plain
    stem = f"{ours}_{named}_against_{theirs}".lstrip(".-~")
    while stem in taken:
        stem += "_"
    taken.add(stem)
    return stem
