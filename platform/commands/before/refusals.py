"""What a study command refuses before it trains, each in one line: the rule, the value, the remedy."""

import json
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from platform.commands.exits import BadInput, bad_input
from platform.design.asha import ASHA
from platform.design.loading import StudyFile
from platform.design.study import Study
from platform.records.ledger import Ledger
from platform.records.one_line import one_line, without_credentials
from platform.records.plain import listed
from platform.records.provenance import ROOT, provenance
from platform.records.record import Ask
from platform.records.storage.storage import Storage
from platform.records.store import Store
from platform.records.trial import Trial
from platform.running.machine.private import refuse_unsafe
from platform.running.workers.words import gist
from platform.scores.selectors.choice import identity_of, settings_of, tried
from platform.scores.selectors.selector import Selector
from platform.shifts.definition.mistakes import explained
from platform.shifts.definition.owners import is_users
from platform.shifts.shift import DataError, Shift, Splits
from platform.training.data.batches import trained_on

ANSWER_SECONDS, HEALTH_SECONDS = 5, 30
"""How long the machine of a Ray address may take to answer, and Ray itself."""
REMEDY = "copy the study file to a new name, or start over with --fresh, which deletes nothing"


def check_writable(results: Storage, folder: str = "") -> None:
    """Raise BadInput unless a file can be written to a folder of the results, overwritten and removed."""
    file = f"{folder}/.writable" if folder else ".writable"
    try:
        results.write(file, b"")
        results.write(file, b"")
        results.remove(file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise BadInput(
            f"results must be writable, got {results}: {reason}; mend that, or name another place with --results"
        ) from error


def check_interpreter() -> None:
    """Raise BadInput where Python was told what the libraries beneath cannot cope with; workers are told the same."""
    if sys.flags.optimize > 1:
        raise BadInput(
            "Python must keep its docstrings, which Ray reads, got -OO or PYTHONOPTIMIZE=2; leave it out, or take 1"
        )
    for action, message, category, module, _ in warnings.filters:
        if message is None and module is None and action == "error" and sys.warnoptions:
            raise BadInput(
                f"warnings must not be errors, of which Ray and MLflow give some as they are loaded, got "
                f"{','.join(sys.warnoptions)!r}; leave -W or PYTHONWARNINGS out, or name your own module: error:::mylab"
            )
        if message is None and module is None and category is Warning:
            break


def check_temporary() -> None:
    """Raise BadInput where another user may exchange the files that a study has outside of its results."""
    with bad_input():
        refuse_unsafe()


def check_files(study: Study) -> None:
    """Have the files that methods read, of which their trials' ids speak. Raises DataError."""
    for row in study.rows:
        row.filled({})[0].data()


def check_source_images(study: Study, splits: Splits) -> None:
    """Have what methods put in the place of the source's images, before any trial begins. Raises DataError."""
    for row in study.rows:
        trained_on(row.filled({})[0], splits)


def check_selector(study: Study) -> None:
    """Have a selector of the user's own judge made-up evidence. Raises BadInput for one that cannot."""
    if study.selector is not None and is_users(type(study.selector).__module__):
        with bad_input():
            tried(study.selector)


def check_weights(study: Study) -> None:
    """Have the weights on this machine that networks start from, before a cluster's are asked. Raises BadInput."""
    networks = dict.fromkeys(row.filled({})[1].network for row in study.rows)
    for network in networks:
        if network != network.bare():
            with bad_input():
                network.build()


def check_identity(shift: Shift, identity: Any) -> None:
    """Raise BadInput unless the identity of a shift of the user's own goes into records, and holds what tables read."""
    try:
        held = dict(identity)
        json.dumps(held, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadInput(f"a shift's identity must be JSON, got {_whose(shift)}: {one_line(error)}; mend that") from error
    lacking = [name for name in ("name", "size", "groups") if name not in held]
    if lacking:
        raise BadInput(
            f"a shift's identity must hold its name, size and groups, got {_whose(shift)} without {lacking[0]!r}; "
            f"add {lacking[0]!r}: self.{lacking[0]}"
        )


@contextmanager
def own_mistakes(shift: Shift) -> Iterator[None]:
    """Say what a shift of the user's raises, and where, in one line; what is wrong with data it says itself."""
    try:
        yield
    except (DataError, OSError):
        raise
    except (Exception, SystemExit) as error:
        if not is_users(type(shift).__module__):
            raise
        raise BadInput(f"{_whose(shift)} raises {explained(error)}; mend it") from error


def check_sendable(study: Study) -> None:
    """Raise BadInput where the shift, or an arm's methods or network, have something that cannot be sent to workers."""
    # Whatever trains needs Ray, and importing it takes seconds.
    from platform.running.workers.parcel import obstacle

    parts: dict[str, object] = {_whose(study.shift): study.shift}
    parts |= {f"{row.arm.name} of arm {row.name!r}": row.filled({}) for row in study.rows}
    for name, part in parts.items():
        if (said := obstacle(part)) is not None:
            raise BadInput(
                f"shifts, methods and networks must be such that workers can be sent them, got {name}: {said}; "
                "make that where it is used, as in open() or losses()"
            )


def _whose(shift: Shift) -> str:
    return f"the shift {type(shift).__name__}"


def check_answers(address: str) -> None:
    """Have Ray's own check tell whether Ray listens, which ray.init would ask for minutes. Raises BadInput."""
    host, _, port = address.rpartition(":")
    if address != "auto" and (not host or "/" in host or not port.isdigit()):
        raise BadInput(
            f"--address must be HOST:PORT of a Ray cluster's head, or auto, got {without_credentials(address)!r}; "
            "the port is mostly 6379"
        )
    where = f"at {without_credentials(address)}"
    if address == "auto":
        # Ray itself looks there first.
        named = os.environ.get("RAY_ADDRESS")
        where = f"at {without_credentials(named)}, which RAY_ADDRESS names" if named else "on this machine"
    check = [sys.executable, "-m", "ray.scripts.scripts", "health-check"]
    try:
        if address != "auto":
            socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
            check += ["--address", address]
        subprocess.run(check, cwd=ROOT, capture_output=True, timeout=HEALTH_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        if isinstance(error, subprocess.CalledProcessError) and b"token" in error.stderr:
            raise BadInput(
                f"the Ray cluster {where} asks for its token; set RAY_AUTH_MODE=token, and have the token of the "
                "machine that started it in ~/.ray/auth_token"
            ) from error
        raise BadInput(
            f"no Ray cluster answers {where} ({_silence(error, address)}); "
            "start one with ray start --head, or leave --address out"
        ) from error


def _silence(error: OSError | subprocess.SubprocessError, address: str) -> str:
    if not isinstance(error, subprocess.CalledProcessError | subprocess.TimeoutExpired):
        return str(error)
    if address == "auto" and error.stderr:
        # Ray alone knows which address it found.
        return gist(error.stderr.decode(errors="replace"))
    if isinstance(error, subprocess.CalledProcessError):
        return "what listens there is not a Ray head"
    return f"what listens there gives no answer in {HEALTH_SECONDS} seconds"


def refuse_another_search(study: Study, ledger: Ledger) -> None:
    """Trials that were stopped and picked by another rule would stand in the table as if this one had judged them."""
    before = ledger.header
    if before is None:
        return
    if ledger.has_judged and study.selector is not None and before.select == study.selected_by:
        _refuse_another_selector(before.selector, study.selector)
    if study.search is None or not any(ask.phase == "search" for ask in ledger.asks):
        return
    was = {arm.name: arm.searched for arm in before.arms}
    rules: dict[str, tuple[object, object]] = {
        f"the ranges of {name!r}": (was[name], {field: str(range_) for field, range_ in arm.ranges.items()})
        for name, arm in study.arms.items()
        if name in was
    }
    then, now = (min(parallel, study.search.trials) for parallel in (before.parallel, study.search.at_a_time))
    rules |= {
        "select": (before.select, study.selected_by),
        "reduction": (before.reduction, study.search.reduction),
        "smoothing": (before.smoothing, study.search.smoothing),
        "rungs, by grace and warm-up,": (before.rungs, study.rungs),
        "parallel": (then, now),
        "promote": (before.promote, study.search.promote),
    }
    if not before.parallel:
        raise BadInput(
            f"this study has searched in the order in which machines were ready, which this version does not; {REMEDY}"
        )
    _refuse_another(rules, study.search)


def _refuse_another_selector(then: str, selector: Selector) -> None:
    now = identity_of(selector)
    _refuse_another({"the selector": (settings_of(then), settings_of(now))})
    if then != now:
        raise BadInput(f"this study has searched with {settings_of(now)} of other code than it has now; {REMEDY}")


def _refuse_another(rules: Mapping[str, tuple[object, object]], search: ASHA | None = None) -> None:
    """Raise BadInput for all that is not as it was, by its name; settings of the search can be written as they were."""
    changed = {name: (then, now) for name, (then, now) in rules.items() if then != now}
    if not changed:
        return
    settings = {name: then for name, (then, _) in changed.items() if hasattr(search, name)}
    written = f"write ASHA({', '.join(f'{name}={then!r}' for name, then in settings.items())})"
    differences = ", and ".join(f"{name} = {then!r}, which is now {now!r}" for name, (then, now) in changed.items())
    raise BadInput(f"this study has searched with {differences}; {f'{written}, ' if settings else ''}{REMEDY}")


def refuse_fewer_looks(study: Study, ledger: Ledger) -> None:
    """What a race has looked at stays looked at: its p and intervals are corrected for it. Raises BadInput."""
    then, now = () if ledger.header is None else ledger.header.looks, study.looks
    # The last look is the bound, which may change.
    kept = len(now) >= len(then) and now[: len(then) - 1] == then[:-1]
    if len(then) > 1 and not kept and any(ask.phase == "confirm" for ask in ledger.asks):
        raise BadInput(
            f"this study has raced and was looked at with {listed([*map(str, then)])} seeds, for which its p and "
            f"intervals are corrected; {listed([*map(str, now)])} would lose that; write seeds={then[-1]}, "
            f"race_from={then[0]}, {REMEDY}"
        )


def refuse_newer(store: Store) -> None:
    """Raise BadInput where a newer version has written to the records: what this one adds could contradict it."""
    if any(damage.newer for damage in store.damages):
        raise BadInput(
            f"the records in {store.storage} must be of this version or an earlier one, got lines of a newer one; "
            "update this checkout, or name another place with --results"
        )


def refuse_changed_trials(file: StudyFile, ledger: Ledger, identity: dict[str, object]) -> None:
    """A study that goes on must mean the same trials by its records as its file means now."""
    study = file.study
    for ask in list(ledger.asks):
        values = ask.trial.hyperparameters | ask.trial.recipe
        row = study.row(ask.arm)
        chosen = {name: values[name] for name in row.dimensions if name in values}
        now = row.trial(chosen, ask.trial.seed, identity, ask.trial.after)
        end = ledger.ended(ask)
        if now.id != ask.trial.id and end is not None and end.retry:
            ledger.forget(ask)  # what stood in its way was mended, which made it another trial
        elif now.id != ask.trial.id:
            before = _read(ask.trial)
            difference = _difference(before, _read(now))
            if before | {"code": now.code} == _read(now):
                difference += f": {_changed_code(file, ledger, ask)}"
            raise BadInput(f"arm {ask.arm!r} already has trials with {difference}; {REMEDY}")


def _changed_code(file: StudyFile, ledger: Ledger, ask: Ask) -> str:
    """What of all that a trial's code is made of may have changed since it was asked for."""
    torch = ledger.records[ask.trial.id].provenance.get("torch")
    if torch not in (None, provenance()["torch"]):
        return f"torch was {torch}, and is {provenance()['torch']}"
    if ledger.header is not None and ledger.header.source != file.source:
        return f"{file.path.name} has changed since, or what it imports"
    return f"{file.path.name} is the same; what it imports has changed, a file beside it or this checkout"


def _read(trial: Trial) -> dict[str, Any]:
    """A trial's fields as records give them back, in which every tuple is a list."""
    read: dict[str, Any] = json.loads(json.dumps(asdict(trial)))
    return read


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """The first setting that differs: `recipe.batch = 4, which is now 8`."""
    name = next(name for name in before | now if before.get(name) != now.get(name))
    old, new = before.get(name), now.get(name)
    if isinstance(old, dict) and isinstance(new, dict):
        return f"{name}.{_difference(old, new)}"
    return f"{name} = {old!r}, which is now {new!r}"
