"""A clock that is set back, while a study runs or between two runs of it: no run in MLflow ends before it begins."""

import time
from dataclasses import replace

import pytest

from platform.results.mirror.messages import Clock, Closing
from tests.support.invented_study import record
from tests.support.mirrored import AT, STUDY, copy, deliver, mirror, running
from tests.support.mlflow_contents import runs
from tests.support.synthetic_study import ask

HOUR = 3_600_000


def check(uri: str) -> None:
    held = runs(uri, STUDY)
    assert held
    for name, run in held.items():
        assert run.info.end_time is not None
        assert run.info.end_time >= run.info.start_time, name


@pytest.mark.parametrize("back", [HOUR, 24 * HOUR, AT])
def test_a_trial_that_goes_on_after_the_clock_was_set_back(uri: str, back: int) -> None:
    first = mirror(uri)
    asked = ask("FDA", "confirm", 0)
    deliver(first, replace(copy(asked, running(asked, 1)), times={0: AT, 10: AT + 1}))
    first.close(Closing("KILLED", AT - back + 1))
    check(uri)
    second = mirror(uri)
    deliver(second, replace(copy(asked, record(asked)), at=AT - back + 2))
    second.close(Closing("FINISHED", AT - back + 3))
    check(uri)


def test_a_process_never_sees_the_clock_go_back(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, elapsed = [10**18], [0]
    monkeypatch.setattr(time, "time_ns", lambda: wall[0])
    monkeypatch.setattr(time, "monotonic_ns", lambda: elapsed[0])
    clock = Clock()
    assert clock.read() == 10**18
    wall[0] -= 3600 * 10**9
    elapsed[0] += 5 * 10**9
    assert clock.read() == 10**18 + 5 * 10**9, "it goes on"
    wall[0] += 2 * 3600 * 10**9
    assert clock.read() == wall[0], "and follows a clock that was late"
