"""How much of its slots' time a study trains: `python -m benchmarks.slots`.

The study command runs as it is, on a Ray of its own with two slots: 50 short trials on `town`, searched and confirmed,
with records, MLflow and everything else that belongs to it. When workers did what is Ray's own account; how much of
that was training and evaluation is what the trials put on record.
"""

import itertools
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from ray.cluster_utils import Cluster
from scipy.optimize import linear_sum_assignment

from benchmarks.driver import machine
from benchmarks.timeline import RESET, TOLD_SOON, Stay, Worker, overlap, stays, warm, workers
from platform.records.provenance import ROOT
from platform.records.record import Report
from platform.records.store import Store

NAME = "slots"
Recorded = Sequence[Sequence[float]]
"""The seconds of a trial's reports, for each stay on a worker: it leaves one where it waits at a rung."""
SLOTS = 2
STUDY = Template('''"""How much of its slots' time does a study train?"""

from platform.methods import FDA, SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study

rate = LogUniform(5e-3, 1e-1)
study = Study(
    shift=$shift,
    arms={
        "source only": Arm(SourceOnly, learning_rate=rate),
        "FDA": Arm(FDA, beta=LogUniform(0.01, 0.1), learning_rate=rate),
    },
    reference="source only",
    search=ASHA(trials=$trials, grace=0.25, smoothing=2),
    budget=Budget(steps=$steps, evaluations=4),
    seeds=$seeds,
    recipe=Recipe(network=BiSeNet18(width=0.25)),
)
''')
"""Trials like those of the quickstart, with half of their steps."""
TRAINING, STARTING, CHECKPOINTING, REPORTING, WAITING = "training", "starting", "checkpointing", "reporting", "waiting"
PARTS = {
    TRAINING: "and evaluating",
    STARTING: "memory given back, data mapped, networks made",
    CHECKPOINTING: "weights and optimiser saved for good",
    REPORTING: "from a step's end to the same trial's next step",
    WAITING: "from a stay's end to the next one's start",
}


@dataclass(frozen=True)
class Figures:
    """What was measured."""

    trials: Sequence[float]
    """Seconds that each of them trained."""
    workers: int
    """Workers that were started: more than slots if any was thrown away."""
    window: tuple[float, float]
    """As `timeline.warm` has it."""
    seconds: Mapping[str, float]
    """Slot time in the window, by part."""
    processor: float
    """Seconds that the study command and its MLflow process computed, workers and the rest of Ray aside."""
    unaccounted: float
    """Seconds on record for which Ray's account has no time: they count as waiting."""
    taken_up: Sequence[float]
    """Seconds from the end of a warm worker's stay until it trains the next trial, begun or paused before."""

    @property
    def shares(self) -> dict[str, float]:
        """Shares of slot time in the window, by part."""
        whole = SLOTS * (self.window[1] - self.window[0])
        return {part: self.seconds[part] / whole if whole else 0.0 for part in PARTS}

    def __str__(self) -> str:
        lines = [
            f"{len(self.trials)} trials, {statistics.median(self.trials):.1f} s of training in the median, "
            f"on {self.workers} workers; {self.window[1] - self.window[0]:.0f} s with all slots warm",
            *(f"  {part:13}  {self.shares[part]:6.1%}  {meaning}" for part, meaning in PARTS.items()),
            *self._handover(),
            f"  the study command, with its MLflow process, computed {self.processor:.0f} s",
        ]
        if self.unaccounted >= 0.05:
            lines.append(f"  Ray's account of its workers lacks {self.unaccounted:.1f} s of training, shown as waiting")
        return "\n".join(lines)

    def _handover(self) -> list[str]:
        if len(self.taken_up) < 2:
            return []
        late = statistics.quantiles(self.taken_up, n=20)[-1]
        median = statistics.median(self.taken_up)
        return [f"  a warm worker trains its next trial after {median:.2f} s in the median, {late:.2f} s at 95 %"]


def measure(trials: int, steps: int, seeds: int, folder: Path, shift: str = "town()") -> Figures:
    """Run a study of two arms in a folder. Raises RuntimeError when it fails."""
    file = folder / f"{NAME}.py"
    file.write_text(STUDY.substitute(shift=shift, trials=trials, steps=steps, seeds=seeds), encoding="utf-8")
    head = {"num_cpus": SLOTS, "include_dashboard": False, "_system_config": TOLD_SOON}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        processor = _run(file, cluster.address, folder)
        found = workers(cluster.address)
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
    return figures(found, _recorded(folder), processor)


def figures(found: Sequence[Worker], recorded: Sequence[Recorded], processor: float) -> Figures:
    """The parts of slot time, from what workers did and what trials recorded, in the order asked."""
    window = warm(found, SLOTS)
    by_stay = [seconds for trial in recorded for seconds in trial]
    seconds = _matched([stay for worker in found for stay in stays(worker)], by_stay)
    parts: dict[str, float] = defaultdict(float)
    unaccounted = sum(map(sum, by_stay))
    for worker in found:
        for part, began, ended in _parts(worker, seconds):
            parts[part] += overlap(began, ended, window)
            unaccounted -= ended - began if part == TRAINING else 0.0
    parts[WAITING] = SLOTS * (window[1] - window[0]) - sum(parts.values())
    trained = [sum(map(sum, trial)) for trial in recorded]
    taken_up = [late for worker in found for late in _taken_up(worker, seconds)]
    return Figures(trained, len(found), window, parts, processor, unaccounted, taken_up)


def _run(file: Path, address: str, folder: Path) -> float:
    """Run the study command, and return its processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "platform.study", file, "--address", address, "--results", folder / "results"],
        cwd=ROOT,
        env=os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    if done.returncode != 0:
        raise RuntimeError(done.stdout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _recorded(folder: Path) -> list[Recorded]:
    """What trials recorded, in the order in which they were asked for."""
    store = Store(folder / "results")
    records = [store.read(ask.trial.id) for ask in store.journal(NAME).asks]
    return [_by_stay(record.reports) for record in records if record is not None]


def _by_stay(reports: Sequence[Report]) -> Recorded:
    """The seconds of a trial's reports, apart where a worker took it up again."""
    found: list[list[float]] = [[]]
    for report in reports:
        if report.starting > 0 and found[-1]:
            found.append([])
        found[-1].append(report.seconds)
    return found


def _matched(found: Sequence[Stay], recorded: Sequence[Sequence[float]]) -> dict[float, Sequence[float]]:
    """What each stay put on record, by the time at which it began.

    Ray does not say which trial a worker had. Trials begin mostly in the order in which they were asked for; a step
    takes longer than what it records.
    """
    begun = sorted(found, key=lambda stay: stay[0].began)
    # All places together cost less than a tenth of a second that does not fit.
    second = 10 * max(len(begun), len(recorded)) ** 2
    costs = [
        [second * _misfit(stay, seconds) + abs(place - asked) for asked, seconds in enumerate(recorded)]
        for place, stay in enumerate(begun)
    ]
    # Ray may have lost a whole trial: then one on record is left over.
    places, asked = linear_sum_assignment(costs)
    return {begun[place][0].began: recorded[int(number)] for place, number in zip(places, asked, strict=True)}


def _misfit(stay: Stay, seconds: Sequence[float]) -> float:
    """How many of the seconds on record have no time in a worker's steps, or of its steps are on no record.

    Usually 0. But Ray tells by the time of day, which may be set meanwhile, and a worker that is ended takes with it
    what it had not yet told.
    """
    short = sum(max(0.0, trained - step.seconds) for step, trained in zip(stay, seconds, strict=False))
    return short + sum(seconds[len(stay) :]) + sum(step.seconds for step in stay[len(seconds) :])


def _parts(worker: Worker, seconds: Mapping[float, Sequence[float]]) -> Iterator[tuple[str, float, float]]:
    """What a worker did from when to when; what it does not say was waiting."""
    yield from ((STARTING, call.began, call.ended) for call in worker if call.method == RESET)
    for stay in stays(worker):
        yield from _parts_of(stay, seconds)


def _parts_of(stay: Stay, seconds: Mapping[float, Sequence[float]]) -> Iterator[tuple[str, float, float]]:
    pairs = list(zip(stay, seconds.get(stay[0].began, ()), strict=False))
    if not pairs:
        return
    # A step trains, then saves. The first one also starts the trial: its saving is taken to be like the next one's.
    saved = [max(0.0, step.seconds - trained) for step, trained in pairs]
    saved[0] = min(saved[:2])
    for number, (step, trained) in enumerate(pairs):
        if number:
            yield REPORTING, stay[number - 1].ended, step.began
        end = step.ended - saved[number]
        begin = max(step.began, end - trained)
        yield STARTING, step.began, begin
        yield TRAINING, begin, end
        yield CHECKPOINTING, end, step.ended


def _taken_up(worker: Worker, seconds: Mapping[float, Sequence[float]]) -> Iterator[float]:
    """How long after the end of each stay a worker trained in the next one."""
    for before, stay in itertools.pairwise(stays(worker)):
        trained = (began for part, began, _ in _parts_of(stay, seconds) if part == TRAINING)
        if (first := next(trained, None)) is not None:
            yield first - before[-1].ended


def main() -> None:
    """Measure, and print."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        print(f"{machine(Path(name))}; {os.getloadavg()[0]:.1f} processes wanted to compute in the minute before")
        print(measure(trials=20, steps=150, seeds=5, folder=Path(name)))


if __name__ == "__main__":
    main()
