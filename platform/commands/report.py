"""A study's table from its records: as it was selected, or as another selector would have had it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from platform.commands.exits import COMPLETE, INCOMPLETE, BadInput, bad_input, say
from platform.commands.terminal.text import damage_notes, shown
from platform.design.loading import StudyFile
from platform.records.ledger import Ledger, StoreFault
from platform.records.location import on_record
from platform.records.record import SELECTED, Ask, Record, StudyHeader
from platform.records.store import JOURNAL, PREDICTIONS, Store
from platform.scores.selectors.choice import chosen, identity_of
from platform.scores.selectors.selector import Selector
from platform.search.judge import REPORTED, EvidenceJudge

if TYPE_CHECKING:
    from platform.results.table import Table


def report(file: StudyFile, store: Store) -> int:
    """Write the table of a study from its records, whatever its file says by now; the exit code."""
    header, ledger = recorded(file, store, "--report")
    return tabulate(ledger, header)


def reselect(file: StudyFile, store: Store, select: str) -> int:
    """Write the table that another selector would have led to, in a folder of its own; the exit code."""
    selector = _selector(file, select)
    header, ledger = recorded(file, store, "--reselect")
    # scipy and matplotlib take seconds to import.
    from platform.results import aggregation
    from platform.results.reselection import reselected

    if header.checkpoint == SELECTED and selector is not None and selector.compares():
        raise BadInput(f"--reselect must name a selector that picks among steps, as {file.name} does, got {select}")
    judge = select if selector is None or select in REPORTED else EvidenceJudge(selector, select, store)
    identity = "" if selector is None else identity_of(selector)
    try:
        found = reselected(store, header, ledger.asks, ledger.by_arm(), judge, identity)
    except StoreFault as fault:
        raise BadInput(fault) from fault
    table = aggregation.tabulate(found.header, found.asks, found.records, found.seeds)
    table = replace(table, notes=(*found.notes, *table.notes))
    return _written(store, table, found.asks, found.records, select.replace("/", "-"))


def tabulate(ledger: Ledger, header: StudyHeader) -> int:
    """Write the table's files, print the table and their paths."""
    from platform.results import aggregation

    asks, records = in_order(header, ledger.asks), ledger.by_arm()
    return _written(ledger.store, aggregation.tabulate(header, asks, records), asks, records)


def name_damages(store: Store) -> None:
    """Say which lines of the records do not count."""
    for note in damage_notes(store.damages):
        say(note)


def in_order(header: StudyHeader, asks: Sequence[Ask]) -> list[Ask]:
    """Asks in the order of the study's arms, whatever machine was ready first."""
    arms = [arm.name for arm in header.arms]
    return sorted(asks, key=lambda ask: (arms.index(ask.arm), ask.phase == "confirm", ask.number))


def recorded(file: StudyFile, store: Store, option: str) -> tuple[StudyHeader, Ledger]:
    """What is on record of a study, whatever its file says by now. Raises BadInput without any."""
    name = file.name
    if JOURNAL not in store.storage.names(name):
        raise BadInput(f"there are no records of {name} in {store.storage}; run the study first, without {option}")
    with bad_input():
        header, _ = on_record(store, name)
    ledger = Ledger(store, name, [arm.name for arm in header.arms])
    name_damages(store)
    if header.source != file.source:
        say(f"note: {shown(file.path)} has changed since the study ran; this is the table of the study that ran")
    return header, ledger


def _selector(file: StudyFile, select: str) -> Selector | None:
    """The selector of this name, the study file's own among them; None for a metric of target labels."""
    own = file.study.selector
    if own is not None and file.study.selected_by == select:
        return own
    try:
        return chosen(select)
    except ValueError as error:
        mine = f", or {file.study.selected_by}, its file's own" if isinstance(file.study.select, Selector) else ""
        said = str(error).replace("Study.select", "--reselect").replace(", or a Selector of your own", mine)
        raise BadInput(said) from None


def _written(
    store: Store, table: "Table", asks: Sequence[Ask], records: Mapping[str, Mapping[str, Record]], within: str = ""
) -> int:
    """Write a table's files to the study's folder, or one within it, and print the table and their paths."""
    from platform.results import report as files_of

    name = table.header.name
    folder = store.study_folder(name) / within
    place = shown(f"{store.storage}/{name}" + (f"/{within}" if within else ""))
    files = files_of.write(table, asks, records, folder, lambda trial: store.fetched(trial, PREDICTIONS))
    if not within:
        store.publish(name, files)
    print(f"\n{files_of.terminal.render(table)}\n")
    for path in files:
        print(f"  {place}/{path.name}")
    short = [row.arm for row in table.rows if row.troubles.seeds_missing]
    if short:
        say(f"\nresults are missing: {', '.join(short)}; {place}/table.md says why")
    return INCOMPLETE if short else COMPLETE
