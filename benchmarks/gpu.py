"""What training does on this machine's GPU: `python -m benchmarks.gpu`.

Prints a table to be pasted where it is asked for: whether the weights of the same steps are the same bits in whichever
way they are taken, whether a step reads anything back from the device, how fast steps are beside what was reckoned for
GPUs without one at hand, how much of the time the device is busy, and what two processes on it train together.
Images are those of a rendered town, at the published size. Without a GPU it says so, and that is no failure.
"""

import argparse
import hashlib
import shutil
import statistics
import subprocess
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.neighbours import MPS, Setting, service, together
from platform.methods import FDA, Adversarial, Method, SourceOnly
from platform.records.provenance import ROOT
from platform.training.data import batches
from platform.training.device.arithmetic import Arithmetic
from platform.training.device.process import keep_memory, make_deterministic
from platform.training.run import TrainingRun
from platform.training.steps.finite import EVERY
from platform.training.steps.saved import loaded

ROWS: dict[str, Method] = {
    "source only": SourceOnly(),
    "FDA": FDA(),
    "adversarial": Adversarial(),
    "adversarial, light": Adversarial(separable=True),
}
RECKONED = {
    "L4": (60.0, 93.0, 119.0, 113.0),
    "A100": (13.6, 22.0, 29.7, 25.9),
    "H100": (5.7, 9.0, 11.7, 10.8),
}
"""Milliseconds of a step of each row at the published size and batch, from bytes and operations counted on the CPU.

What kernels take by themselves, where each reaches 0.8 of the memory's bandwidth or 0.45 of the peak in half precision.
"""
New = Callable[..., TrainingRun]
Way = Callable[[New, int], TrainingRun]


def main() -> None:
    """Measure and print, if there is a GPU."""
    argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="What training does on a GPU.").parse_args()
    if not torch.cuda.is_available():
        print(f"benchmarks.gpu needs a GPU that torch {torch.__version__} can use, and there is none: nothing measured")
        return
    measure(Setting(device="cuda"), steps=20, repeats=5, seconds=20.0)


def measure(setting: Setting, steps: int, repeats: int, seconds: float) -> None:
    """Print everything; `steps` are those of a digest and of each timing, `seconds` those of processes side by side."""
    make_deterministic(torch.get_num_threads())
    keep_memory()
    print(described(setting) + "\n")
    show(("", *ROWS))
    print("|" + "---|" * (1 + len(ROWS)))
    for label, cells in digests(setting, steps).items():
        show((label, *cells))
    mode = torch.cuda.set_sync_debug_mode if setting.device == "cuda" else nothing
    show(("reads from the device in 10 steps", *(host_reads(setting.run(method), mode) for method in ROWS.values())))
    for label, cells in speeds(setting, steps, repeats).items():
        show((label, *cells))
    if setting.device == "cuda":
        # Whoever comes beside it needs what this process no longer uses.
        torch.cuda.empty_cache()
    print("\n| adversarial, processes on the device | images a second together |\n|---|---|")
    for label, cell in side_by_side(setting, seconds):
        show((label, cell))


def show(cells: Iterable[str]) -> None:
    """Print a line of a table."""
    print(f"| {' | '.join(cells)} |", flush=True)


def described(setting: Setting) -> str:
    """What it is measured on."""
    arithmetic = Arithmetic.of(torch.device(setting.device))
    height, width = setting.size
    trained = f"{arithmetic.name}, {height} x {width}, batch {setting.run(SourceOnly()).recipe.batch}"
    if setting.device != "cuda":
        return f"CPU, torch {torch.__version__}, {trained}"
    gpu = torch.cuda.get_device_properties(0)
    return (
        f"{gpu.name}, {gpu.multi_processor_count} multiprocessors, {gpu.total_memory / 2**30:.1f} GiB, "
        f"driver {driver()}, torch {torch.__version__}, CUDA {torch.version.cuda}, {trained}"
    )


def driver() -> str:
    """The driver's version, as its own tool says it."""
    if shutil.which("nvidia-smi") is None:
        return "unknown"
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    return subprocess.run(asked, capture_output=True, encoding="utf-8").stdout.strip() or "unknown"


def straight(new: New, steps: int) -> TrainingRun:
    """All steps in one go."""
    run = new()
    run.advance(steps)
    return run


def restored(new: New, steps: int) -> TrainingRun:
    """Saved half-way, and restored to another run, which goes on."""
    first, second = new(), new()
    first.advance(steps // 2)
    second.restore(first.save({}))
    second.advance(steps - steps // 2)
    return second


def filled(new: New, steps: int) -> TrainingRun:
    """With memory filled that was never written, of which nothing must be read."""
    deterministic = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    try:
        return straight(new, steps)
    finally:
        deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def by_themselves(new: New, steps: int) -> TrainingRun:
    """Without repeating a step that was recorded."""
    run = new()
    run.graph.stop("for comparison")
    run.advance(steps)
    return run


def resident(new: New, steps: int) -> TrainingRun:
    """With the splits in the device's memory as a whole."""
    run = new(resident=True)
    run.advance(steps)
    return run


class WhenAsked:
    """Reads what a thread reads ahead otherwise, when it is asked for."""

    waited = 0.0

    def __init__(self, read: Callable[[int], object], end: int) -> None:
        self.at = read


def unread(new: New, steps: int) -> TrainingRun:
    """Without a thread that reads ahead."""
    with patch.object(batches, "Ahead", WhenAsked):
        return straight(new, steps)


WAYS: dict[str, Way] = {
    "again": straight,
    "saved and restored": restored,
    "memory filled": filled,
    "no step repeated by one launch": by_themselves,
    "splits in its memory": resident,
    "nothing read ahead": unread,
}
"""Ways to take the same steps, which must all come to the same weights."""


def digests(setting: Setting, steps: int) -> dict[str, list[str]]:
    """The beginning of the SHA-256 of every row's weights after some steps, and whether other ways come to the same."""
    rows = [partial(setting.run, method) for method in ROWS.values()]
    first = [digest(straight(new, steps)) for new in rows]
    found = {f"weights after {steps} steps": first}
    for label, way in WAYS.items():
        others = [digest(way(new, steps)) for new in rows]
        found[label] = ["same" if other == one else other for one, other in zip(first, others, strict=True)]
    return found


def digest(run: TrainingRun) -> str:
    """Of all weights and running statistics, of the network and of whatever else is trained."""
    total = hashlib.sha256()
    for name, module in sorted(loaded(run.save({}))["modules"].items()):
        for key, tensor in sorted(module.items()):
            total.update(f"{name} {key} {tensor.dtype} {[*tensor.shape]}".encode())
            total.update(tensor.contiguous().numpy().tobytes())
    return total.hexdigest()[:16]


def host_reads(run: TrainingRun, mode: Callable[[str], object]) -> str:
    """Whether ten steps, long after the first one, read anything from the device: `none`, or where they did.

    Among them is one at which the losses' note is copied. At the end of `advance` reading is right.
    """
    first, last = EVERY - 5, EVERY + 5

    def forbid() -> bool:
        if run.step in (first, last):
            mode("error" if run.step == first else "default")
        return False

    try:
        run.advance(last, forbid)
    except RuntimeError as error:
        return f"{str(error).splitlines()[0]} ({place(error)})"
    finally:
        mode("default")
    return "none"


def place(error: Exception) -> str:
    """The innermost line of this code at which it, or the first error of those that led to it, was raised."""
    while isinstance(error.__context__, Exception):
        error = error.__context__
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(ROOT)]
    return f"{Path(own[-1].filename).relative_to(ROOT)}:{own[-1].lineno}"


def nothing(_: str) -> None:
    """Do nothing: on the CPU there is nobody to wait for."""


def speeds(setting: Setting, steps: int, repeats: int) -> dict[str, list[str]]:
    """How long a step of each row takes, beside what was reckoned, and how busy the device is meanwhile.

    With it what is done once for all these steps: means are read, and weights are looked at for what is not finite.
    """
    found: dict[str, list[str]] = {"repeated by one launch": [], "ms a step": [], "ms a step, not repeated": []}
    found |= {f"reckoned for an {gpu}": [f"{each:g}" for each in times] for gpu, times in RECKONED.items()}
    found |= {"device busy": [], "images a second": []}
    for method in ROWS.values():
        run = setting.run(method)
        run.advance(steps)
        step = statistics.median(seconds_of(run, steps) for _ in range(repeats)) / steps
        found["repeated by one launch"].append("yes" if run.graph.repeats else f"no: {run.graph.why_not or 'not yet'}")
        found["ms a step"].append(f"{1000 * step:.1f}")
        found["device busy"].append(f"{computing(run, setting.device, steps) / steps / step:.0%}")
        found["images a second"].append(f"{run.images_per_step / step:.1f}")
        run.graph.stop("for comparison")
        alone = statistics.median(seconds_of(run, steps) for _ in range(repeats)) / steps
        found["ms a step, not repeated"].append(f"{1000 * alone:.1f}")
    return found


def seconds_of(run: TrainingRun, steps: int) -> float:
    """The time of some steps, until the device has done them: means of what is noted are read at their end."""
    began = time.perf_counter()
    run.advance(steps)
    return time.perf_counter() - began


def computing(run: TrainingRun, device: str, steps: int) -> float:
    """The seconds for which the device has a kernel or a copy under way in some steps.

    Kernels take as long under the profiler; the CPU does not, so that the whole time is measured without it.
    """
    on_gpu = device == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as profiled:
        run.advance(steps)
    kind = DeviceType.CUDA if on_gpu else DeviceType.CPU
    # What the optimisers' steps are named by counts from their first kernel to their last.
    events = [event for event in profiled.events() or () if event.device_type == kind and not event.is_user_annotation]
    return covered([(event.time_range.start, event.time_range.end) for event in events]) / 1e6


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """How much of the time lies within any of these spans."""
    total, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def side_by_side(setting: Setting, seconds: float) -> Iterable[tuple[str, str]]:
    """What one process trains, and two at a time, without MPS and with it."""
    yield "one", rate(setting, 1, seconds, {})
    yield "two", rate(setting, 2, seconds, {})
    label = "two, by MPS"
    if shutil.which(MPS) is None:
        yield label, f"{MPS} is not on PATH"
        return
    try:
        with service() as environment:
            yield label, rate(setting, 2, seconds, environment)
    except RuntimeError as error:
        yield label, str(error)


def rate(setting: Setting, number: int, seconds: float, environment: Mapping[str, str]) -> str:
    """Images a second, or why there are none."""
    try:
        return f"{together(setting, number, seconds, environment):.1f}"
    except RuntimeError as error:
        return str(error)


if __name__ == "__main__":
    main()
