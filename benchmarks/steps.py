"""How long the quickstart takes beside an older checkout's: `python -m benchmarks.steps --before DIR`.

Two processes, one in each checkout, take turns: of a few training steps of each row of the quickstart study, at its
defaults, and of an evaluation. So what else the machine does slows both. Each computes on one thread; what reads ahead,
where something does, has another. What counts is the lower quartile, since others can only make a turn longer.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from platform.records.provenance import ROOT
from studies.quickstart import study

STEPS, TURNS = 5, 20
"""Training steps in a turn, and turns of each row."""
WORKER = Path(__file__).with_name("turns.py")
EVALUATION = "evaluation"


def main() -> None:
    """Print a line for each row, and one for the study."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description="The quickstart, before and after.")
    parser.add_argument("--before", type=Path, required=True, help="a checkout of an older commit of this repository")
    parser.add_argument("--turns", type=int, default=TURNS, help=f"turns of each row (default: {TURNS})")
    arguments = parser.parse_args()
    if not (arguments.before / "studies" / "quickstart.py").is_file():
        parser.error(f"--before must be a checkout of this repository, got {arguments.before}; it has no quickstart")
    if arguments.turns < 1:
        parser.error(f"--turns must be at least 1, got {arguments.turns}")
    compare(arguments.before, ROOT, arguments.turns)


def compare(before: Path, after: Path, turns: int) -> None:
    """Have both take turns, and print what each takes."""
    print(f"{'lower quartile':32}{'before':>13}{'after':>13}", flush=True)
    found = {name: tuple(map(quartile, times)) for name, times in timed(before, after, turns).items()}
    for name, times in found.items():
        show(name, "ms", [1000 * each for each in times])
    show("all rows' trials at full length", "s", [whole(found, side) for side in range(2)])


def show(name: str, unit: str, times: Sequence[float]) -> None:
    """Print a line."""
    old, new = times
    print(f"{name:32}{old:10.1f} {unit:2}{new:10.1f} {unit:2}{old / new:8.2f}x", flush=True)


def whole(found: Mapping[str, Sequence[float]], side: int) -> float:
    """The seconds that a trial of each row takes by one of the two: its steps, and its evaluations."""
    steps = sum(times[side] for name, times in found.items() if name != EVALUATION)
    rows = len(found) - 1
    return study.budget.steps * steps + rows * study.budget.evaluations * found[EVALUATION][side]


def quartile(times: Sequence[float]) -> float:
    """A quarter of the times is shorter."""
    return statistics.quantiles(times, n=4, method="inclusive")[0] if len(times) > 1 else times[0]


def timed(before: Path, after: Path, turns: int) -> dict[str, tuple[list[float], list[float]]]:
    """The seconds of every step, and of every evaluation, by the name of its row."""
    with worker(before) as old, worker(after) as new:
        known = answer(old)
        found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in answer(new) if name in known}
        for _ in range(turns):
            for name, both in found.items():
                for process, times in zip((old, new), both, strict=True):
                    times.append(taken(process, name) / (1 if name == EVALUATION else STEPS))
    return found


@contextmanager
def worker(checkout: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that takes its turns in a checkout."""
    command = [sys.executable, "-c", WORKER.read_text(encoding="utf-8"), str(STEPS)]
    process = subprocess.Popen(command, cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def taken(process: subprocess.Popen[str], name: str) -> float:
    """The seconds of its turn."""
    assert process.stdin is not None
    process.stdin.write(json.dumps(name) + "\n")
    process.stdin.flush()
    return float(answer(process))


def answer(process: subprocess.Popen[str]) -> Any:
    """What it says. Raises RuntimeError when it has ended."""
    assert process.stdout is not None
    if not (line := process.stdout.readline()):
        raise RuntimeError(f"a process that took turns ended with {process.wait()}")
    return json.loads(line)


if __name__ == "__main__":
    main()
