"""Progress as lines of a terminal."""

import io
import os
import re
from pathlib import Path

import pytest

from platform.progress import Progress
from platform.records import Ask, End, Phase, Record, Report, State
from platform.trials import Trial


def ask(arm: str = "FDA", phase: Phase = "search", number: int = 0) -> Ask:
    """The ask of a trial."""
    return Ask(
        arm, phase, number, Trial("FDA", {}, {}, {}, {}, 0 if phase == "search" else number + 1, 20_000, 20, 1, "code")
    )


def report(step: int, value: float = 0.41234) -> Report:
    """A report of the selector and of something else."""
    return Report(step, 1.0, {"source/miou": value, "source/accuracy": value, "oracle/miou": 0.9}, {})


def record(asked: Ask, *reports: Report, end: End | None = None) -> Record:
    """A record with reports."""
    return Record(asked.trial, {}, {}, reports, end)


def lines(out: io.StringIO) -> list[str]:
    """What was written, without the clock, which differs each time."""
    written = out.getvalue().splitlines()
    # A path must stay in one piece to be copied, however long.
    assert all(len(line) <= 80 or " " not in line.strip() for line in written)
    assert all(line == line.rstrip() for line in written)
    return [re.sub(r"^\d\d:\d\d:\d\d", "hh:mm:ss", line) for line in written]


def test_a_line_when_a_trial_begins_and_one_when_it_ends() -> None:
    out = io.StringIO()
    progress = Progress("source/miou", 35, 2, lambda arm: "source/miou", out)
    first, second = ask("source only"), ask("lightweight adversarial", "confirm", 2)
    progress.begin(first, record(first))
    progress.report(first, report(1_000, 0.1))
    progress.report(first, report(20_000))
    progress.end(first, End("complete", "", 20_000), [])
    progress.begin(second, record(second, report(4_000)))
    progress.end(second, End("stopped", "rung", 4_000), [])
    progress.begin(ask(number=3), record(ask(number=3)))
    progress.end(ask(number=3), End("failed", "diverged: the segmentation loss is nan at step 12", 0), [])
    assert lines(out) == [
        "time      ended  row                       trial      source/miou",
        "hh:mm:ss   2/35  source only               search 0   begins",
        "hh:mm:ss   3/35  source only               search 0   0.412",
        "hh:mm:ss   3/35  lightweight adversarial   seed 3     goes on from 4,000",
        "hh:mm:ss   4/35  lightweight adversarial   seed 3     0.412, stopped at 4,000",
        "hh:mm:ss   4/35  FDA                       search 3   begins",
        "hh:mm:ss   5/35  FDA                       search 3   FAILED at step 0:",
        "            diverged: the segmentation loss is nan at step 12",
    ]


def test_the_selector_is_what_is_shown() -> None:
    out = io.StringIO()
    progress = Progress("oracle/miou", 3, 0, lambda arm: "oracle/miou", out)
    progress.report(ask(), report(20_000))
    progress.end(ask(), End("complete", "", 20_000), [])
    assert lines(out)[0].endswith("oracle/miou")
    assert lines(out)[1].endswith("0.900")


def test_a_trial_that_another_study_ended_does_not_begin() -> None:
    out = io.StringIO()
    progress = Progress("source/miou", 3, 0, lambda arm: "source/miou", out)
    end = End("complete", "", 20_000)
    progress.begin(ask(), record(ask(), report(20_000), end=end))
    progress.end(ask(), end, [])
    assert lines(out)[1:] == ["hh:mm:ss    1/3  FDA                       search 0   0.412"]


@pytest.mark.parametrize("state", ["complete", "stopped", "failed"])
@pytest.mark.parametrize("planned", [1, 12_345])
def test_lines_fit_whatever_they_say(state: State, planned: int) -> None:
    out = io.StringIO()
    progress = Progress("source/accuracy", planned, 0, lambda arm: "source/accuracy", out)
    asked = ask("adversarial adaptation in the output space, lambda_adv=0.0001", "search", 123)
    progress.begin(asked, record(asked))
    progress.report(asked, report(1_000_000))
    progress.end(asked, End(state, f"{'out of memory ' * 20} {'x' * 200}", 1_000_000), [])
    text = " ".join(" ".join(lines(out)).split())
    assert "search 123" in text
    if state == "failed":
        assert text.count("out of memory") == 20, "the whole reason is shown"
    else:
        assert "0.412" in text


def test_long_names_that_end_differently_stay_apart() -> None:
    out = io.StringIO()
    progress = Progress("source/miou", 35, 0, lambda arm: "source/miou", out)
    for weight in ("0.0001", "0.0003"):
        asked = ask(f"adversarial lambda_adv={weight}")
        progress.begin(asked, record(asked))
    assert [line[17:41] for line in lines(out)[1:]] == ["adversaria..a_adv=0.0001", "adversaria..a_adv=0.0003"]


def test_a_terminal_that_is_gone_ends_nothing(tmp_path: Path) -> None:
    closed = (tmp_path / "closed").open("w")
    closed.close()
    reading, writing = os.pipe()
    os.close(reading)
    broken = io.TextIOWrapper(io.FileIO(writing, "w"), write_through=True)
    for out in (closed, broken):
        progress = Progress("source/miou", 35, 0, lambda arm: "source/miou", out)
        progress.begin(ask(), record(ask()))
        progress.end(ask(), End("complete", "", 20_000), [])
        assert progress.done == 1
