"""The plan of a study file: printed before anything runs, with why a run would be refused."""

import os
from collections.abc import Callable
from contextlib import suppress

from platform.commands.before.refusals import (
    check_answers,
    check_files,
    check_selector,
    own_mistakes,
    refuse_another_search,
    refuse_changed_trials,
    refuse_fewer_looks,
    refuse_newer,
)
from platform.commands.exits import COMPLETE, LONGEST, BadInput, MachineFailed, say
from platform.commands.terminal.plan import describe
from platform.design.loading import StudyFile
from platform.design.study import Study
from platform.records.ledger import Ledger
from platform.records.one_line import one_line
from platform.records.store import Store
from platform.running.placement import Offer
from platform.shifts.shift import DATA_VARIABLE, DataError


def plan(file: StudyFile, address: str | None, results: Callable[[], Store], difference: float | None) -> int:
    """Print the plan, what is wrong with data that were named, and why a run would be refused: a plan needs neither."""
    offer, wished = _offer(file.study, address), () if difference is None else (difference,)
    print(describe(file.study, file.name, offer, _earlier(results), wished=wished))
    try:
        check_files(file.study)
        check_selector(file.study)
        if os.environ.get(DATA_VARIABLE):
            with own_mistakes(file.study.shift):
                file.study.shift.check()
        _compare(file, results())
    except DataError as error:
        say(f"note: {one_line(error, LONGEST)}")
    except BadInput as refused:
        say(f"note: a run would be refused: {refused}")
    return COMPLETE


def check_difference(difference: float | None, planned: bool) -> None:
    """Raise BadInput for a wished difference that is none, or that nothing is planned for."""
    if difference is None:
        return
    if not planned:
        raise BadInput("--difference is for --plan, which says how many seeds it takes; add --plan")
    if not 0 < difference < 1:
        raise BadInput(f"--difference must lie between 0 and 1, as mIoU does, got {difference:g}; 1.5 points are 0.015")


def _offer(study: Study, address: str | None) -> Offer | None:
    """What a cluster offers to a study, for its plan; None for this machine."""
    if address is None:
        return None
    check_answers(address)
    # Importing Ray takes seconds, which neither a plan nor a mistake should wait for.
    from platform.running import cluster, tuner

    try:
        return tuner.offer(study, address)
    except cluster.RayFault as fault:
        raise MachineFailed(fault) from fault


def _earlier(results: Callable[[], Store]) -> Store | None:
    """The results whose trials tell how fast this machine is; None where that takes a network, or none can be named."""
    with suppress(BadInput):  # which is said after the plan
        store = results()
        return None if store.shared else store
    return None


def _compare(file: StudyFile, store: Store) -> None:
    """Raise BadInput where the study on record is another one, as far as that is known without data or a network."""
    if store.shared or store.journal(file.name).header is None:
        return
    try:
        with own_mistakes(file.study.shift):
            identity = file.study.shift.identity()
    except DataError:
        return
    ledger = Ledger(store, file.name, list(file.study.arms))
    refuse_newer(store)
    refuse_changed_trials(file, ledger, identity)
    refuse_another_search(file.study, ledger)
    refuse_fewer_looks(file.study, ledger)
