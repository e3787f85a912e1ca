"""CUDA graphs, by a CUDA that notes what is asked of it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from platform.training.device.arithmetic import Arithmetic
from platform.training.device.recorder import SYNCHRONISES, recorder

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
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: "this stream")
    monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: asked.append(f"back in {stream}"))
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", lambda mode: asked.append(f"mode {mode}"))
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
    recording = ["recording, errors of thread_local", "acted", "recorded", "back in this stream"]
    assert done == [*recording, "launched", "launched"]


def test_what_cannot_be_recorded_is_told_and_leaves_the_stream_as_it_was(done: list[str]) -> None:
    def wait() -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="not permitted"):
        on_a_gpu().record(wait)
    assert done == ["recording, errors of thread_local", "back in this stream"]


def test_launching_is_timed_apart_from_the_device(done: list[str]) -> None:
    observed = on_a_gpu().observe(lambda: acted(done))
    assert observed.given == 7
    assert 0 <= observed.launching <= observed.whole
    assert not observed.waits
    assert done == ["waited", "mode warn", "acted", "mode 0", "waited"]


def test_whoever_waits_for_the_device_is_seen_and_others_are_warned_as_before(done: list[str]) -> None:
    def act() -> None:
        warnings.warn("called a synchronizing CUDA operation (Triggered internally at ...)", stacklevel=1)
        warnings.warn("of something else", stacklevel=1)

    with pytest.warns(UserWarning, match="of something else") as warned:
        assert on_a_gpu().observe(act).waits
    assert len(warned) == 1


def test_what_is_watched_for_is_what_pytorch_says() -> None:
    """Of its library, in which the warning of a debugging mode is written."""
    library = Path(torch.__file__).parent / "lib" / "libc10_cuda.so"
    if not library.exists():
        pytest.skip("this PyTorch is built without CUDA")
    assert SYNCHRONISES.encode() in library.read_bytes()
