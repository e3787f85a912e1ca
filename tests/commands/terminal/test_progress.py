"""Progress: lines of what happened, whatever it is and whoever reads them."""

import dataclasses
import io
import os
import re
import signal
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from rich.cells import cell_len

from platform.commands.terminal.progress import Progress
from platform.records.record import Ask, End, Record, State
from tests.support.told import STEPS, ask, ended, record, report


def progress(
    out: io.TextIOBase,
    planned: Mapping[str, tuple[int, int]] | None = None,
    before: Iterable[tuple[Ask, Record]] = (),
    select: str = "source/miou",
    selector: str | None = None,
) -> Progress:
    """The progress of a study with two arms."""
    planned = {"source only": (0, 5), "FDA": (25, 5)} if planned is None else planned
    return Progress("study", select, lambda arm: selector or select, planned, STEPS, before, lambda: 0, out)  # type: ignore[arg-type]


def lines(out: io.StringIO) -> list[str]:
    """What was written, without the clock, which differs each time."""
    written = out.getvalue().splitlines()
    # A path must stay in one piece to be copied, however long.
    assert all(cell_len(line) <= 80 or " " not in line.strip() for line in written)
    assert all(line == line.rstrip() for line in written)
    return [re.sub(r"^\d\d:\d\d:\d\d", "hh:mm:ss", line) for line in written]


def test_the_next_round_is_said_with_its_rows_and_counted() -> None:
    out = io.StringIO()
    with progress(out, planned={"source only": (2, 12), "FDA": (2, 12), "other": (0, 12)}) as told:
        told.expect({"source only": (2, 3), "FDA": (2, 3), "other": (0, 0)})
        told.expect({"source only": (2, 3), "FDA": (2, 3), "other": (0, 3)})
        told.expect({"source only": (2, 6), "FDA": (2, 3), "other": (0, 6)})
    assert lines(out) == [
        "next on the path: other",
        "the race goes on, with more seeds for: source only and other",
    ]
    assert told.standing.planned == 2 + 6 + 2 + 3 + 6
    assert [*told.standing.shown] == ["source only", "FDA", "other"]


def test_a_line_when_a_trial_begins_when_it_ends_and_when_its_worker_is_lost() -> None:
    out = io.StringIO()
    first, second, third = ask("source only", "confirm", 0), ask("FDA", "confirm", 2), ask(number=3)
    before = [(ask(number=number), ended(ask(number=number), "complete")) for number in (0, 1)]
    with progress(out, before=before) as told:
        told.hear("begin", first, record(first))
        told.hear("report", first, record(first, report(1_000, 0.1)))
        told.hear("end", first, ended(first, "complete"))
        told.hear("begin", second, record(second, report(4_000)))
        told.hear("lose", second, record(second, report(4_000)))
        told.hear("end", second, ended(second, "complete", "predictions collapsed to 2 classes"))
        told.hear("begin", third, record(third))
        told.hear(
            "end", third, record(third, end=End("failed", "diverged", "the segmentation loss is nan at step 12", 0))
        )
        told.hear(
            "end", ask(number=4), ended(ask(number=4), "stopped", "rung 4000: source/miou 0.4123 is below the cut 0.5")
        )
        told.say("stopping after the current step")
    assert lines(out) == [
        "time      ended  row                       trial      source/miou",
        "hh:mm:ss   2/35  source only               seed 1     begins",
        "hh:mm:ss   3/35  source only               seed 1     0.412",
        "hh:mm:ss   3/35  FDA                       seed 3     goes on from 4,000",
        "hh:mm:ss   3/35  FDA                       seed 3     lost its worker; it goes",
        "            on from step 4,000",
        "hh:mm:ss   4/35  FDA                       seed 3     0.412, predictions",
        "            collapsed to 2 classes",
        "hh:mm:ss   4/35  FDA                       search 3   begins",
        "hh:mm:ss   5/35  FDA                       search 3   FAILED at step 0: the",
        "            segmentation loss is nan at step 12",
        "hh:mm:ss   6/35  FDA                       search 4   0.412, stopped at rung",
        "            4000: source/miou 0.4123 is below the cut 0.5",
        "stopping after the current step",
    ]


def test_a_trial_that_lost_its_first_worker_does_not_begin_again() -> None:
    out = io.StringIO()
    with progress(out) as told:
        told.hear("begin", ask(), dataclasses.replace(record(ask()), losses=1))
    assert lines(out)[1].endswith("goes on from 0")


def test_a_trial_that_pauses_says_its_value_and_where_it_waits() -> None:
    out = io.StringIO()
    with progress(out, selector="oracle/miou") as told:
        told.hear("pause", ask(), record(ask(), report(4_000)))
    assert " ".join(out.getvalue().split()).endswith("search 0 0.900 oracle/miou, waits at 4,000")


def test_a_trial_that_pauses_before_its_first_report_has_no_value_to_say() -> None:
    """As one that failed, ahead of what its row's search has come to."""
    out = io.StringIO()
    with progress(out) as told:
        told.hear("pause", ask(), record(ask()))
    assert lines(out)[-1].endswith("search 0   waits at 0")


def test_a_failure_that_is_not_the_trials_own_is_tried_again() -> None:
    out = io.StringIO()
    with progress(out) as told:
        told.hear("end", ask(), record(ask(), end=End("failed", "data", "cannot read frame.png", 0, retry=True)))
    assert " ".join(out.getvalue().split()).endswith("cannot read frame.png; the next run tries it again")


def test_an_error_in_the_code_is_not_promised_to_go_away() -> None:
    out = io.StringIO()
    with progress(out) as told:
        told.hear("end", ask(), record(ask(), end=End("failed", "error", "KeyError: 'x' at own.py:7", 0, retry=True)))
    assert " ".join(out.getvalue().split()).endswith("FAILED at step 0: KeyError: 'x' at own.py:7")


def test_the_selector_is_what_is_shown() -> None:
    out = io.StringIO()
    with progress(out, select="oracle/miou") as told:
        told.hear("end", ask(), ended(ask(), "complete"))
    assert lines(out)[0].endswith("oracle/miou")
    assert lines(out)[1].endswith("0.900")


def test_the_selector_of_an_upper_bound_is_named() -> None:
    out = io.StringIO()
    with progress(out, selector="oracle/miou") as told:
        told.hear("end", ask(), ended(ask(), "complete"))
    assert lines(out)[1].endswith("0.900 oracle/miou")


def test_a_trial_that_another_study_ended_does_not_begin() -> None:
    out = io.StringIO()
    with progress(out, {"FDA": (2, 1)}) as told:
        told.hear("begin", ask(), ended(ask(), "complete"))
        told.hear("end", ask(), ended(ask(), "complete"))
    assert lines(out)[1:] == ["hh:mm:ss    1/3  FDA                       search 0   0.412"]


@pytest.mark.parametrize("state", ["complete", "stopped", "failed"])
@pytest.mark.parametrize("planned", [1, 12_345])
@pytest.mark.parametrize("arm", ["adversarial adaptation in the output space, lambda_adv=0.0001", "対" * 40])
def test_lines_fit_whatever_they_say(state: State, planned: int, arm: str) -> None:
    out = io.StringIO()
    asked = ask(arm, "search", 123)
    with progress(out, {arm: (planned, 0)}) as told:
        told.hear("begin", asked, record(asked))
        told.hear("end", asked, ended(asked, state, f"{'out of memory ' * 20} {'x' * 200}"))
    text = " ".join(" ".join(lines(out)).split())
    assert "search 123" in text
    assert text.count("out of memory") == 20, "the whole reason is shown"
    assert "x" * 200 in text
    assert state == "failed" or "0.412" in text


def test_a_reason_moves_no_cursor() -> None:
    out = io.StringIO()
    with progress(out) as told:
        told.hear("end", ask(), record(ask(), end=End("failed", "error", "\x1b[2J\x07boom\ragain", 0)))
    assert "\x1b" not in out.getvalue()
    assert "\r" not in out.getvalue()
    assert "boom again" in " ".join(out.getvalue().split())


def test_a_terminal_that_is_gone_ends_nothing(tmp_path: Path) -> None:
    closed = (tmp_path / "closed").open("w")
    closed.close()
    reading, writing = os.pipe()
    os.close(reading)
    broken = io.TextIOWrapper(io.FileIO(writing, "w"), write_through=True)
    for out in (closed, broken):
        with progress(out) as told:
            told.hear("begin", ask(), record(ask()))
            told.hear("end", ask(), ended(ask(), "complete"))
        assert told.standing.ended == 1


def test_an_output_that_nobody_reads_holds_up_nobody() -> None:
    reading, writing = os.pipe()
    told = progress(os.fdopen(writing, "w"), {"FDA": (5_000, 0)})
    told.__enter__()
    for number in range(5_000):  # more than a pipe holds
        told.hear("end", ask(number=number), ended(ask(number=number), "complete"))
    text = b""
    while b"5000/5000" not in text:
        text += os.read(reading, 1 << 16)
    told.__exit__()
    assert text.count(b"\n") >= 5_000
    os.close(reading)


def test_a_signal_handler_may_speak_at_any_moment() -> None:
    def interrupt() -> None:
        for _ in range(500):
            os.kill(os.getpid(), signal.SIGUSR1)

    out = io.StringIO()
    before = signal.getsignal(signal.SIGUSR1)
    with progress(out, {"FDA": (500, 0)}) as told:
        signal.signal(signal.SIGUSR1, lambda *_: told.say("signal"))
        try:
            sender = threading.Thread(target=interrupt)
            sender.start()
            for number in range(500):
                told.hear("end", ask(number=number), ended(ask(number=number), "complete"))
            sender.join()
        finally:
            signal.signal(signal.SIGUSR1, before)
    assert "signal" in lines(out)
    assert sum("search" in line for line in lines(out)) == 500


def test_a_trial_that_another_study_trains_is_waited_for_and_does_not_count_as_running() -> None:
    out = io.StringIO()
    with progress(out) as told:
        told.hear("wait", ask(), record(ask()))
    assert "is trained by another study; waits for it" in " ".join(" ".join(lines(out)).split())
    assert told.standing.running == 0
