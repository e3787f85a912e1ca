"""CUDA graphs, by a CUDA that notes what is asked of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from platform.training.device.arithmetic import Arithmetic
from platform.training.device.recorder import recorder

BFLOAT16 = Arithmetic(torch.bfloat16, torch.channels_last, torch.channels_last)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What CUDA was asked."""
    asked: list[str] = []

    class Graph:
        def replay(self) -> None:
            asked.append("launched")

    @contextmanager
    def recording(graph: Graph, capture_error_mode: str) -> Iterator[None]:
        asked.append(f"recording, errors of {capture_error_mode}")
        yield
        asked.append("recorded")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: asked.append("waited"))
    return asked


def on_a_gpu() -> Any:
    return recorder(torch.device("cuda"), BFLOAT16)


def acted(done: list[str]) -> int:
    done.append("acted")
    return 7


def test_an_action_is_recorded_and_launched(done: list[str]) -> None:
    given, launch = on_a_gpu().record(lambda: acted(done))
    assert given == 7
    launch()
    launch()
    # Only errors of the thread that records: another reads images, and pins memory for them.
    assert done == ["recording, errors of thread_local", "acted", "recorded", "launched", "launched"]


def test_what_cannot_be_recorded_is_told(done: list[str]) -> None:
    def wait() -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="not permitted"):
        on_a_gpu().record(wait)


def test_launching_is_timed_apart_from_the_device(done: list[str]) -> None:
    given, launching, whole = on_a_gpu().timed(lambda: acted(done))
    assert given == 7
    assert 0 <= launching <= whole
    assert done == ["waited", "acted", "waited"]
