"""Studies with invented records, for the tests of tables and figures."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from platform.labels import NUM_CLASSES, SINGLE_CLASSES, Groups
from platform.records import ArmHeader, Ask, Confusion, End, Phase, Record, Report, State, StudyHeader
from platform.trials import Trial

SHARES = (33, 5, 21, 1, 1, 1.5, 0.5, 1, 14, 1, 8, 1.5, 0.5, 7, 0.6, 0.5, 0.4, 0.3, 0.7)
COST = {
    "parameters": 12_581_672.0,
    "deployed_parameters": 11_900_000.0,
    "discriminator_parameters": 0.0,
    "gflops": 51.26,
    "deployed_gflops": 50.5,
    "discriminator_gflops": 0.0,
    "original_gflops": 51.42,
    "original_discriminator_gflops": 0.0,
}


def confusion(quality: float, seed: int = 0, absent: Sequence[int] = ()) -> Confusion:
    """A matrix over 100,000 pixels in which each class is right in about `quality` of its pixels; 10 % are void."""
    random = np.random.default_rng(seed)
    counts = np.zeros((20, 20), np.int64)
    for label, share in enumerate(SHARES):
        if label not in absent:
            pixels = int(share * 900)
            right = int(pixels * min(1, max(0, quality + random.normal(0, 0.05))))
            counts[label, :NUM_CLASSES] = random.multinomial(pixels - right, np.full(NUM_CLASSES, 1 / NUM_CLASSES))
            counts[label, label] += right
    counts[19, :NUM_CLASSES] = random.multinomial(10_000, np.full(NUM_CLASSES, 1 / NUM_CLASSES))
    table: Confusion = counts.tolist()
    return table


def arm(name: str, *, searched: Mapping[str, str] | None = None, **cost: float) -> ArmHeader:
    """An arm that searches the learning rate unless told otherwise."""
    ranges = {"learning_rate": "LogUniform(0.001, 0.05)"} if searched is None else dict(searched)
    return ArmHeader(name, name.title().replace(" ", ""), "supervised" in name, "source/miou", ranges, {**COST, **cost})


def study(
    *arms: ArmHeader, seeds: int = 3, search_trials: int = 4, groups: Groups = SINGLE_CLASSES, **changes: Any
) -> StudyHeader:
    """A header over these arms; the first one is the reference."""
    header = StudyHeader(
        name="invented",
        question="Does the table say what the records say?",
        arms=arms,
        reference=arms[0].name,
        select="source/miou",
        seeds=seeds,
        search_trials=search_trials,
        steps=1000,
        rungs=(200, 500),
        reduction=2,
        shift={"name": "town", "size": [64, 128], "groups": [list(group) for group in groups], "seed": 0},
        source="study = Study(...)",
    )
    return dataclasses.replace(header, **changes)


def ask(header: StudyHeader, arm_name: str, phase: Phase, number: int, **changes: Any) -> Ask:
    """The `number`-th ask of an arm: learning rates differ in the search, seeds do in the confirm phase."""
    method = next(arm.method for arm in header.arms if arm.name == arm_name)
    trial = Trial(
        method=method,
        hyperparameters={"beta": 0.0117},
        recipe={"learning_rate": 0.031 if phase == "confirm" else 0.01 * (number + 1), "batch": 4},
        shift=header.shift,
        resolved={"beta": {"band": 6}},
        seed=number + 1 if phase == "confirm" else 0,
        steps=header.steps,
        evaluations=10,
        threads=1,
        code="0123456789ab",
    )
    return Ask(arm_name, phase, number, dataclasses.replace(trial, **changes))


def record(
    asked: Ask,
    quality: float = 0.5,
    *,
    state: State | None = "complete",
    reason: str = "",
    reports: int = 10,
    seed: int = 0,
    absent: Sequence[int] = (),
    cost: dict[str, float] | None = None,
) -> Record:
    """A record whose curves rise towards `quality`; a complete confirm run ends with its test confusion."""
    trial, random, made = asked.trial, np.random.default_rng(seed), []
    for number in range(1, reports + 1):
        value = quality * (1 - 0.9 * np.exp(-4 * number / 10)) + random.normal(0, 0.01)
        confusions = {"source/val": confusion(value, seed), "target/val": confusion(value * 0.7, seed, absent)}
        if number == reports and trial.confirms and state == "complete":
            confusions["target/test"] = confusion(quality, seed, absent)
        values = {
            "source/miou": float(value),
            "oracle/miou": float(value * 0.7 + random.normal(0, 0.01)),
            "loss/segmentation": float(2 - value),
            "learning_rate": 0.01 * (1 - number / 10) ** 0.9,
        }
        made.append(Report(trial.steps * number // 10, 1.5, values, confusions))
    end = End(state, reason, made[-1].step if made else 0) if state else None
    return Record(trial, {"host": "here"}, COST if cost is None else cost, tuple(made), end)


def full(
    header: StudyHeader, qualities: Mapping[str, float], spread: float = 0.02
) -> tuple[list[Ask], dict[str, Record]]:
    """All asks and records of a study that ran to its end; of the search, every second trial is stopped at the rung."""
    asks: list[Ask] = []
    records: dict[str, Record] = {}
    random = np.random.default_rng(0)
    for position, entry in enumerate(header.arms):
        for number in range(header.search_trials if entry.searched else 0):
            asks.append(ask(header, entry.name, "search", number))
            quality = qualities[entry.name] * (0.7 + 0.1 * number)
            ending: dict[str, Any] = {"state": "stopped", "reports": 2} if number % 2 else {}
            records[asks[-1].trial.id] = record(asks[-1], quality, seed=number, **ending)
        for number in range(header.seeds):
            asks.append(ask(header, entry.name, "confirm", number))
            quality = qualities[entry.name] + random.normal(0, spread)
            records[asks[-1].trial.id] = record(asks[-1], quality, seed=100 * position + number, cost=entry.cost)
    return asks, records
