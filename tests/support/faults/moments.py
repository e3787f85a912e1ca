"""Workers killed at chosen moments of a study: after each report of each trial, as the record shows it."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from platform.records.record import Record
from platform.records.store import Store
from tests.support.faults.processes import Command, Machine, kill

NAME = "moments"
TRIALS, REPORTS = ("First", "Second", "Third"), 3
PLACE = "MOMENTS"
"""The environment variable that names the folder where workers say how far they are."""
# After each report the next step begins with a look for a file that asks the worker to wait for its end there.
TEXT = f'''"""Does it matter when a worker is lost?"""

import os
import time
from pathlib import Path

from platform.methods import SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import Arm, Budget, Recipe, Study

REPORTS = {REPORTS}

class Telling(SourceOnly):
    """Source only, which tells where it is."""

    def losses(self, step):
        place = os.environ.get("{PLACE}")
        if place is not None and step.number < REPORTS:  # in training, not where the driver tries a step
            reports = round(float(step.progress) * REPORTS)
            here, part = Path(place, f"{{type(self).__name__}} {{reports}}"), Path(place, f"{{os.getpid()}}.part")
            part.write_text(str(os.getpid()))
            part.replace(here.with_suffix(".worker"))
            while here.with_suffix(".wanted").exists():
                time.sleep(0.01)
        return super().losses(step)

class First(Telling):
    """The first."""

class Second(Telling):
    """The second."""

class Third(Telling):
    """The third."""

study = Study(
    shift=town(size=(64, 64), source_images=(4, 2), target_images=(4, 2, 2)),
    arms={{"First": Arm(First), "Second": Arm(Second), "Third": Arm(Third)}},
    reference="First",
    budget=Budget(steps=REPORTS, evaluations=REPORTS),
    seeds=1,
    recipe=Recipe(network=BiSeNet18(width=0.0625), batch=2),
)
'''


class Moment(NamedTuple):
    """When a trial's worker is killed: when so many reports have been recorded, the last time after its end."""

    trial: str
    reports: int


EVERY = tuple(Moment(trial, reports) for trial in TRIALS for reports in range(REPORTS + 1))


def strike(machine: Machine, place: Path, moments: Iterable[Moment], slots: int) -> tuple[Command, set[Moment]]:
    """Run the study on a machine of so many slots, killing workers at moments of it; the moments that were met."""
    place.mkdir()
    wanted, struck = set(moments), set[Moment]()
    for moment in wanted:
        _file(place, moment, "wanted").touch()
    command = machine.start(**{PLACE: str(place)}, **of(slots))
    while command.running:
        for moment in wanted - struck:
            last = moment.reports == REPORTS
            told = _file(place, moment._replace(reports=REPORTS - 1) if last else moment, "worker")
            if told.exists() and (record := recorded(machine).get(moment.trial)) is not None:
                if last and record.end is None:
                    continue
                assert len(record.reports) == moment.reports, "a worker goes on once its report was recorded"
                _file(place, moment, "wanted").unlink()
                kill(int(told.read_text()))
                struck.add(moment)
        time.sleep(0.02)
    return command, struck


def of(slots: int) -> dict[str, str]:
    """The environment in which Ray takes this machine for one of so many CPUs."""
    return {"RAY_OVERRIDE_RESOURCES": json.dumps({"CPU": slots})}


def recorded(machine: Machine) -> dict[str, Record]:
    """What is on record of each trial, by its arm."""
    store = Store(machine.results)
    records = {ask.arm: store.read(ask.trial.id) for ask in store.journal(NAME).asks}
    return {arm: record for arm, record in records.items() if record is not None}


def numbers(machine: Machine) -> dict[str, Any]:
    """How each trial ended for the study, and what its id decides of its reports, by its arm."""
    journal = Store(machine.results).journal(NAME)
    ends = {ask.arm: journal.ends.get(ask.key) for ask in journal.asks}
    return {
        arm: (ends[arm], [(report.step, report.metrics, report.confusions) for report in record.reports])
        for arm, record in recorded(machine).items()
    }


def _file(place: Path, moment: Moment, kind: str) -> Path:
    return place / f"{moment.trial} {moment.reports}.{kind}"
