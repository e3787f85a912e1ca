"""What every trial may use: steps, evaluations, and a share of a node."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from platform.design.ranges import check_number, check_whole
from platform.records.trial import evaluated_steps

GIB = 2**30
Resources = Mapping[str, float]
"""Amounts by Ray's names: CPU and GPU in devices, memory in bytes."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """What a trial takes of one node while it trains."""

    cpus: int
    gpus: float
    """Of a fraction a trial keeps to its share of the GPU's memory; the GPU's time nobody divides."""
    memory: float
    """In GiB; 0 is not counted."""

    def resources(self, on_gpu: bool) -> dict[str, float]:
        """The slot as Ray counts it, without its GPU where trials train on CPUs."""
        wanted = {"CPU": float(self.cpus), "GPU": self.gpus if on_gpu else 0.0, "memory": self.memory * GIB}
        return {name: amount for name, amount in wanted.items() if amount}

    def __str__(self) -> str:
        gpus = f"{self.gpus:g} GPU, " if self.gpus else ""
        memory = f", {self.memory:g} GiB of memory" if self.memory else ""
        return f"{gpus}{self.cpus} CPU{memory}"


@dataclass(frozen=True, kw_only=True)
class Share:
    """What an arm's trials take of a node, where that differs from the budget; None is the budget's."""

    gpus: float | None = None
    cpus: int | None = None
    memory: float | None = None
    """In GiB."""

    def __post_init__(self) -> None:
        _check_share(self, self.given)

    def __bool__(self) -> bool:
        return bool(self.given)

    @property
    def given(self) -> dict[str, Any]:
        """What differs from the budget."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What every trial may use."""

    steps: int
    """Optimiser steps of a full-length trial."""
    evaluations: int
    """How often a trial is evaluated, evenly spaced, the last time at its last step."""
    gpus: float = 0.0
    """GPUs per trial, fractions allowed; a cluster without GPUs runs on CPUs."""
    cpus: int = 1
    """CPU threads per trial; the numbers of a trial may differ between thread counts."""
    memory: float = 0.0
    """Memory per trial in GiB, so that a node gets no more trials than it has memory for; 0 is not counted."""
    silence: float | None = 6.0
    """Hours without a report after which a worker counts as lost, if that is also ten times as long as the slowest
    report so far took; None waits for ever. No number of a trial depends on it."""

    @property
    def slot(self) -> Slot:
        """What a trial takes of a node."""
        return Slot(cpus=self.cpus, gpus=self.gpus, memory=self.memory)

    def __post_init__(self) -> None:
        for name in ("steps", "evaluations"):
            check_whole(self, name, least=1)
        _check_share(self, ("cpus", "gpus", "memory"))
        if self.silence is not None:
            check_number(self, "silence", "a number of hours above 0, or None", lambda hours: hours > 0)
        if self.evaluations > self.steps:
            raise ValueError(f"Budget.evaluations must be at most Budget.steps, {self.steps}, got {self.evaluations}")

    @property
    def evaluated_steps(self) -> tuple[int, ...]:
        """The steps at which a trial is evaluated."""
        return evaluated_steps(self.steps, self.evaluations)


def _check_share(owner: "Budget | Share", names: Iterable[str]) -> None:
    """Raise ValueError for what no trial can take of a node."""
    for name in names:
        match name:
            case "cpus":
                check_whole(owner, name, least=1)
            case "gpus":
                rule = "at least 0, and a whole number from 1 on"
                check_number(owner, name, rule, lambda gpus: gpus >= 0 and (gpus < 1 or gpus % 1 == 0))
            case "memory":
                check_number(owner, name, "a number of at least 0, in GiB", lambda memory: memory >= 0)
