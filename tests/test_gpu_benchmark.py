"""The benchmark of GPUs, on the CPU: everything but what asks CUDA."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.neighbours import MPS, Setting
from platform.methods import FDA, Adversarial, SourceOnly

SMALL = Setting(device="cpu", size=(64, 64), width=0.0625)
ROWS = {
    "source only": SourceOnly(),
    "FDA": FDA(),
    "adversarial": Adversarial(width=4),
    "adversarial, light": Adversarial(width=4, separable=True),
}
CONTROL = """#!{python}
import os, sys
said = sys.argv[1:] or sys.stdin.read().split()
with open({log!r}, "a") as log:
    print(*said, os.environ["CUDA_MPS_PIPE_DIRECTORY"], file=log)
sys.exit({code})
"""


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(gpu, "keep_memory", lambda: None)
    assert gpu.ROWS.keys() == ROWS.keys()
    monkeypatch.setattr(gpu, "ROWS", ROWS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def table(printed: str) -> dict[str, list[str]]:
    """The cells of every line by its label."""
    lines = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("| ")]
    return {label: cells for label, *cells in lines}


@pytest.mark.slow
def test_everything_is_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(gpu, "EVERY", 6)
    some = {name: ROWS[name] for name in ("source only", "adversarial, light")}
    monkeypatch.setattr(gpu, "ROWS", some)
    gpu.measure(SMALL, steps=2, repeats=1, seconds=0.1)
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == f"CPU, torch {torch.__version__}, float32, 64 x 64, batch 4"
    found = table(printed)
    assert len(set(found["weights after 2 steps"])) == len(some)
    for way in gpu.WAYS:
        assert found[way] == ["same"] * len(some)
    assert found["reads from the device in 10 steps"] == ["none"] * len(some)
    assert found["repeated by one launch"] == ["no: nothing is recorded on such a device"] * len(some)
    assert found["reckoned for an L4"] == ["60", "93", "119", "113"]
    assert all(float(each) > 0 for each in found["ms a step"] + found["images a second"])
    assert all(int(each.removesuffix("%")) > 0 for each in found["device busy"])
    assert all(float(found[number][0]) > 0 for number in ("one", "two"))
    assert found["two, by MPS"] == [f"{MPS} is not on PATH"]


def test_where_there_is_no_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu"])
    gpu.main()
    assert capsys.readouterr().out.splitlines() == [
        f"benchmarks.gpu needs a GPU that torch {torch.__version__} can use, and there is none: nothing measured"
    ]


def test_other_weights_have_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "ROWS", {"source only": SourceOnly()})
    monkeypatch.setattr(gpu, "WAYS", {"one step more": lambda new, steps: gpu.straight(new, steps + 1)})
    (first,), (other,) = gpu.digests(SMALL, 1).values()
    assert "same" not in (first, other)
    assert first != other


def test_a_read_is_told_with_its_place_and_is_forbidden_in_ten_steps_only(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[str] = []
    run = SMALL.run(SourceOnly())
    steps: dict[int, str] = {}
    at = run.batches.at

    def noting(step: int) -> object:
        steps[step] = modes[-1] if modes else "default"
        if step == 53:
            raise RuntimeError("called a synchronizing CUDA operation\nand more")
        return at(step)

    monkeypatch.setattr(run.batches, "at", noting)
    told = gpu.host_reads(run, modes.append)
    assert told.startswith("called a synchronizing CUDA operation (tests/test_gpu_benchmark.py:")
    assert [step for step, mode in steps.items() if mode == "error"] == [*range(45, 54)]
    assert modes == ["error", "default"]


def test_time_that_two_kernels_share_counts_once() -> None:
    assert gpu.covered([]) == 0
    assert gpu.covered([(5, 7), (0, 2), (1, 3), (1, 2)]) == 5


def test_a_process_that_cannot_train_is_told() -> None:
    impossible = Setting(device="nowhere", size=SMALL.size, width=SMALL.width)
    assert gpu.rate(impossible, 1, 0.1, {}) == "a process that trained ended with 1"


@pytest.mark.parametrize("code", [0, 1])
def test_the_service_is_started_and_ended_in_a_folder_of_its_own(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, control = tmp_path / "log", tmp_path / MPS
    control.write_text(CONTROL.format(python=sys.executable, log=str(log), code=code), encoding="utf-8")
    control.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpu, "together", lambda setting, number, seconds, environment: 10 * number + len(environment))
    cells = dict(gpu.side_by_side(SMALL, 0.1))
    said = [line.split() for line in log.read_text(encoding="utf-8").splitlines()]
    if code:
        assert cells == {"one": "10.0", "two": "20.0", "two, by MPS": f"{MPS} -d ended with 1"}
        assert [words[0] for words in said] == ["-d"]
    else:
        assert cells == {"one": "10.0", "two": "20.0", "two, by MPS": "22.0"}
        assert [words[0] for words in said] == ["-d", "quit"]
    assert not [folder for _, folder in said if Path(folder).exists()]
