"""A study's mirror in MLflow, and the copies that a tracker would send it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from platform.records.record import Ask, Record
from platform.results.mirror.messages import Answer, Copy, Files
from platform.results.mirror.mirror import Mirror
from tests.support.invented_study import EVALUATED_STEPS, begun, report
from tests.support.synthetic_study import study_header

STUDY = "quickstart"
AT = 1_790_000_000_000
"""When trials ended."""


def mirror(uri: str, **changes: Any) -> Mirror:
    """A mirror of the study, whose header may have other values, that is connected."""
    connected = Mirror(uri, replace(study_header(STUDY), **changes))
    connected.connect()
    return connected


def copy(asked: Ask, record: Record, predictions: Path | None = None) -> Copy:
    """The copy that a tracker makes of a trial that ended before it was made."""
    return Copy(asked, record, {}, AT, predictions)


def running(asked: Ask, reports: int) -> Record:
    """The record of a trial that goes on after so many reports."""
    return begun(asked, [report(asked, step) for step in EVALUATED_STEPS[:reports]])


def deliver(to: Mirror, *copies: Copy) -> None:
    """Deliver all, in as many turns as it takes, and then the pictures that are lacking."""
    left, pictures = list(copies), list[Files]()
    while left:
        answer = to.deliver(left)
        assert not answer.refused
        pictures += [
            Files(copy.record.trial.id, (copy.predictions,))
            for copy in left
            if copy.record.trial.id in answer.pictures and copy.predictions is not None
        ]
        left = left[len(answer.held) :]
    for picture in pictures:
        assert to.store(picture) == Answer()


class Crash(Exception):
    """The process that writes ends here."""


class CrashingClient:
    """A client that fails from its `calls`-th call on, before it has done its work."""

    def __init__(self, client: MlflowClient, calls: int) -> None:
        self.client, self.calls = client, calls

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.calls -= 1
            if self.calls <= 0:
                raise Crash
            return getattr(self.client, name)(*arguments, **options)

        return call
