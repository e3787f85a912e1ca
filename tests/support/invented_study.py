"""Studies with invented records, for the tests of what reads them: nothing was trained."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from platform.records.record import ArmHeader, Ask, Cause, Confusion, End, Phase, Record, Report, State, StudyHeader
from platform.records.trial import SEARCH_SEED, Trial
from platform.results.table import Table
from platform.shifts.labels import NUM_CLASSES, SINGLE_CLASSES, Groups
from tests.support.seen_alike import tabulate

ARMS: dict[str, tuple[str, dict[str, float | bool | int]]] = {
    "source only": ("SourceOnly", {}),
    "adversarial": ("Adversarial", {"lambda_adv": 0.001, "width": 64, "separable": False}),
    "lightweight adversarial": ("Adversarial", {"lambda_adv": 0.001, "width": 64, "separable": True}),
    "FDA": ("FDA", {"beta": 0.0117, "entropy_weight": 0.005}),
    "target supervised": ("TargetSupervised", {}),
}
"""Each arm's method and its hyperparameters, by the arm's name. An arm of another name is of a method of that name."""
STEPS, EVALUATIONS = 400, 4
EVALUATED_STEPS = (100, 200, 300, 400)
SHARES = (33, 5, 21, 1, 1, 1.5, 0.5, 1, 14, 1, 8, 1.5, 0.5, 7, 0.6, 0.5, 0.4, 0.3, 0.7)
"""Per cent of the pixels that each class has."""
COST: dict[str, float] = {
    "parameters": 12_581_672,
    "deployed_parameters": 11_900_000,
    "discriminator_parameters": 0,
    "gflops": 51.26,
    "deployed_gflops": 50.5,
    "discriminator_gflops": 0.0,
    "original_gflops": 51.42,
    "original_discriminator_gflops": 0.0,
}

AWKWARD = (
    r"\textbf{100 %} & $x_1^2$ #1 ~ <b>|</b>",
    "[first] *second* `third`",
    'FDA β=0.01 "wide", é, 中文',
    "a name that is so very long that no terminal of eighty columns could ever hold it in a single line",
    "two\nlines",
)
"""Names that a format could take for its own signs."""


def confusion(quality: float, seed: Sequence[int] = (0,), absent: Sequence[int] = ()) -> Confusion:
    """A matrix over 100,000 pixels in which each class is right in about `quality` of its pixels; 10 % are void."""
    random = np.random.default_rng(list(seed))
    counts = np.zeros((20, 20), np.int64)
    for label, share in enumerate(SHARES):
        if label not in absent:
            pixels = int(share * 900)
            right = int(pixels * min(1, max(0, quality + random.normal(0, 0.05))))
            counts[label, :NUM_CLASSES] = random.multinomial(pixels - right, np.full(NUM_CLASSES, 1 / NUM_CLASSES))
            counts[label, label] += right
    counts[19, :NUM_CLASSES] = random.multinomial(10_000, np.full(NUM_CLASSES, 1 / NUM_CLASSES))
    matrix: Confusion = counts.tolist()
    return matrix


def arm(name: str, *, searched: Mapping[str, str] | None = None, **cost: float) -> ArmHeader:
    """An arm that searches the learning rate unless told otherwise; a supervised one is picked by the oracle."""
    supervised = "supervised" in name
    ranges = {"learning_rate": "LogUniform(0.001, 0.05)"} if searched is None else dict(searched)
    select = "oracle/miou" if supervised else "source/miou"
    trials, adapts = 4 if ranges else 0, not name.startswith("source only")
    return ArmHeader(name, _method(name), supervised, select, ranges, trials, 0.0, COST | cost, adapts=adapts)


def study(*arms: ArmHeader, groups: Groups = SINGLE_CLASSES, **changes: Any) -> StudyHeader:
    """A header over these arms, or over all of `ARMS`; the first one is the reference."""
    arms = arms or tuple(map(arm, ARMS))
    header = StudyHeader(
        name="invented",
        question="Does the table say what the records say?",
        arms=arms,
        reference=arms[0].name,
        select="source/miou",
        seeds=3,
        search_trials=4,
        steps=STEPS,
        rungs=(100, 200),
        reduction=2,
        smoothing=3,
        shift={"name": "town", "size": [64, 128], "groups": [list(group) for group in groups], "seed": 0},
        source='"""Does the table say what the records say?"""\n',
        began="2026-01-01T00:00:00+00:00",
    )
    header = dataclasses.replace(header, **changes)
    searched = [dataclasses.replace(arm, search_trials=header.search_trials if arm.searched else 0) for arm in arms]
    return dataclasses.replace(header, arms=tuple(searched))


def ask(header: StudyHeader, arm_name: str, phase: Phase, number: int, **changes: Any) -> Ask:
    """The `number`-th ask of an arm: learning rates differ in the search, seeds do in the confirm phase."""
    trial = Trial(
        method=_method(arm_name),
        hyperparameters=dict(ARMS[arm_name][1]) if arm_name in ARMS else {},
        recipe={"learning_rate": 0.01 * (number + 1) if phase == "search" else 0.02, "momentum": 0.9, "batch": 4},
        shift=header.shift,
        resolved={"beta": {"band": 6}} if _method(arm_name) == "FDA" else {},
        seed=SEARCH_SEED if phase == "search" else number + 1,
        steps=STEPS,
        evaluations=EVALUATIONS,
        threads=1,
        code="0123456789ab",
    )
    return Ask(arm_name, phase, number, dataclasses.replace(trial, **changes))


def report(asked: Ask, step: int, quality: float = 0.5, *, parts: int = 1, absent: Sequence[int] = ()) -> Report:
    """A report whose numbers are a function of the trial, the step and the quality towards which its curve rises."""
    seed = (*asked.trial.id.encode(), step)
    random = np.random.default_rng(seed)
    value = quality * (1 - 0.9 * np.exp(-4 * step / STEPS))
    metrics = {
        "source/miou": float(value + random.normal(0, 0.01)),
        "source/accuracy": float((1 + value) / 2),
        "oracle/miou": float(0.7 * value + random.normal(0, 0.01)),
        "oracle/accuracy": float((1 + 0.7 * value) / 2),
        "loss/cross_entropy": float(2 - value),
        "learning_rate": asked.trial.recipe["learning_rate"] * (1 - step / (STEPS + 1)) ** 0.9,
    }
    if asked.trial.method == "Adversarial":
        metrics |= {"loss/adversarial": 0.7, "loss/discriminator": 0.6}
    confusions = {"source/val": confusion(value, seed), "target/val": confusion(0.7 * value, seed, absent)}
    if asked.trial.confirms and step == STEPS:
        confusions["target/test"] = confusion(quality, seed, absent)
    return Report(step, 1.5, metrics, confusions, parts)


def begun(asked: Ask, reports: Sequence[Report] = (), cost: dict[str, float] | None = None) -> Record:
    """The record of a trial that runs."""
    provenance = {"host": "node", "device": "cpu", "git_commit": "0123abc"}
    return Record(asked.trial, provenance, COST if cost is None else cost, tuple(reports))


def record(
    asked: Ask,
    quality: float = 0.5,
    *,
    state: State = "complete",
    cause: Cause | None = None,
    reason: str = "",
    reports: int = EVALUATIONS,
    retry: bool = False,
    **changes: Any,
) -> Record:
    """The record of a trial that ended."""
    made = [report(asked, step, quality, **changes) for step in EVALUATED_STEPS[:reports]]
    end = End(state, cause, reason, made[-1].step if made else 0, retry)
    return dataclasses.replace(begun(asked, made), end=end)


def full(
    header: StudyHeader, qualities: Mapping[str, float], spread: float = 0.02
) -> tuple[list[Ask], dict[str, Record]]:
    """All asks and records of a study that ran to its end; of the search, every second trial is stopped at a rung."""
    asks: list[Ask] = []
    records: dict[str, Record] = {}
    random = np.random.default_rng(0)
    for entry in header.arms:
        for number in range(header.search_trials if entry.searched else 0):
            asks.append(ask(header, entry.name, "search", number))
            quality = qualities[entry.name] * (0.7 + 0.1 * number)
            ran = stopped(asks[-1], quality) if number % 2 else record(asks[-1], quality)
            records[asks[-1].trial.id] = ran
        for number in range(header.seeds):
            asks.append(ask(header, entry.name, "confirm", number))
            ran = record(asks[-1], qualities[entry.name] + random.normal(0, spread))
            records[asks[-1].trial.id] = dataclasses.replace(ran, cost=entry.cost)
    return asks, records


def stopped(asked: Ask, quality: float = 0.3) -> Record:
    """The record of a trial that its search stopped at the second rung."""
    reason = "below the cut at 200 steps: 0.2000, cut 0.3000"
    return record(asked, quality, state="stopped", cause="below the cut", reason=reason, reports=2)


def failed(asked: Ask, cause: Cause = "diverged", reason: str = "", reports: int = 1, *, retry: bool = False) -> Record:
    """The record of a trial that failed."""
    return record(asked, state="failed", cause=cause, reason=reason or cause, reports=reports, retry=retry)


def _method(arm_name: str) -> str:
    return ARMS[arm_name][0] if arm_name in ARMS else arm_name.title().replace(" ", "")


def made(
    *names: str, qualities: Sequence[float] = (0.3, 0.6, 0.5, 0.4, 0.7), **changes: Any
) -> tuple[StudyHeader, list[Ask], dict[str, Record], Table]:
    """A study that ran to its end, with its table."""
    header = study(*map(arm, names or ("source only", "FDA")), **changes)
    asks, records = full(
        header, dict(zip((entry.name for entry in header.arms), itertools.cycle(qualities), strict=False))
    )
    return header, asks, records, tabulate(header, asks, records)


def mishaps() -> tuple[StudyHeader, list[Ask], dict[str, Record], Table]:
    """A study in which much went wrong: every trial of one arm failed, some of another, and a seed collapsed."""
    header, asks, records, _ = made("source only", "FDA", "adversarial", "target supervised")
    for each in asks:
        if each.arm == "FDA" and each.phase == "search":
            records[each.trial.id] = failed(each, "diverged", f"the loss is nan at step {100 + each.number // 3}")
        elif each.arm == "FDA":
            records[each.trial.id] = failed(each, "data", "images/0007.png ends early", reports=0)
        elif (each.arm, each.phase, each.number) == ("adversarial", "search", 0):
            records[each.trial.id] = failed(each, "worker lost", "its worker died 3 times", reports=2, retry=True)
        elif (each.arm, each.phase, each.number) == ("adversarial", "confirm", 2):
            records[each.trial.id] = failed(each, "discriminator saturated", "its loss was 1e-6", reports=3)
        elif (each.arm, each.phase, each.number) == ("adversarial", "confirm", 1):
            reason = "1.3 of 19 classes are predicted"
            records[each.trial.id] = record(each, 0.1, cause="predictions collapsed", reason=reason, parts=2)
    return header, asks, records, tabulate(header, asks, records)


HEADER = study()
"""Header of a study of all `ARMS`."""
