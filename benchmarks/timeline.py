"""What Ray's workers did, and when, by Ray's own account: nothing is measured inside of them."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import ray

STEP, RESET, SETUP = "train", "reset", "__init__"
"""The methods of a Ray Trainable that take time: up to the next report; take another trial; take the first one."""

TOLD_SOON = {"task_events_report_interval_ms": 100}
"""Ray's setting by which workers report often: one that ends takes with it what it has not reported."""


class Call(NamedTuple):
    """A method that ran in a worker; times are in seconds since 1970."""

    method: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


Worker = Sequence[Call]
"""What one worker did, in order."""
Stay = Sequence[Call]
"""The steps of one trial on one worker, in order."""


def workers(address: str) -> list[Worker]:
    """What every worker did that ever trained on a cluster, also those that are gone. RuntimeError without any."""
    ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        events = ray.timeline()
    finally:
        ray.shutdown()
    calls: dict[str, list[Call]] = defaultdict(list)
    for event in sorted(events or (), key=lambda event: event["ts"]):
        method = event["args"].get("name")
        if event["cat"].startswith("task::") and method in (STEP, RESET, SETUP):
            calls[event["tid"]].append(Call(method, event["ts"] / 1e6, (event["ts"] + event["dur"]) / 1e6))
    found: list[Worker] = [worker for worker in calls.values() if any(call.method == STEP for call in worker)]
    if not found:
        raise RuntimeError("Ray's account of its workers holds none that trained; measure again")
    return found


def stays(worker: Worker) -> list[Stay]:
    """A worker's trials, one after another."""
    found: list[list[Call]] = []
    for call in worker:
        # Ray may have lost how the worker began.
        if call.method != STEP or not found:
            found.append([])
        if call.method == STEP:
            found[-1].append(call)
    return [stay for stay in found if stay]


def warm(found: Sequence[Worker], slots: int) -> tuple[float, float]:
    """The time in which every slot had its worker and there was work for all, of length 0 if there was none.

    From when the last slot's first trial reported for the first time, the imports of its worker behind it, until the
    first slot was left without another trial for good.
    """
    trials = [stays(worker) for worker in found if stays(worker)]
    slots = min(slots, len(trials))
    begin = sorted(each[0][0].ended for each in trials)[slots - 1]
    return begin, max(begin, sorted(each[-1][-1].ended for each in trials)[-slots])


def overlap(began: float, ended: float, window: tuple[float, float]) -> float:
    """How many seconds of a time lie in a window."""
    return max(0.0, min(ended, window[1]) - max(began, window[0]))
