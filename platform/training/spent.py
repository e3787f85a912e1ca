"""Where the time of a trial goes, from one report to the next, and what to say of a trial that only waits."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from platform.records.record import Report
from platform.training.run import TrainingRun

MOST_WAITING = 0.2
"""The fraction of its training time that a trial may wait for images without a word."""
LEAST_SECONDS = 2.0
"""Seconds of waiting that are not worth a word: the first batch is always waited for."""


@dataclass
class Spent:
    """Seconds since the last report, by the names of a report's fields."""

    seconds: float = 0.0
    starting: float = 0.0
    saving: float = 0.0
    awaiting_images: float = 0.0
    awaiting_device: float = 0.0

    @contextmanager
    def training(self, run: TrainingRun) -> Iterator[None]:
        """Training and evaluating a run, whether that comes to its end or not."""
        began, (images, device) = time.perf_counter(), run.awaited
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - began
            self.awaiting_images += run.awaited[0] - images
            self.awaiting_device += run.awaited[1] - device


def starving(report: Report) -> str:
    """What a trial says that waits for its images too long; empty where it does not."""
    training = report.seconds - report.evaluating
    if report.awaiting_images < max(LEAST_SECONDS, MOST_WAITING * training):
        return ""
    return (
        f"it waits for its images in {report.awaiting_images / training:.0%} of the time that it trains; have "
        "XDG_CACHE_HOME name a folder on a faster disk, give the machine memory for all images, or train fewer trials "
        "at a time"
    )
