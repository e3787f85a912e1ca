"""Progress: lines of what happened, where a study stands, and the view of it."""

import io
import os
import re
import signal
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from platform.commands.terminal.progress import Progress
from platform.commands.terminal.standing import Standing
from platform.commands.terminal.text import short
from platform.commands.terminal.view import about, view
from platform.records.ledger import Event
from platform.records.record import Ask, Cause, End, Phase, Record, Report, State
from platform.records.trial import Trial

STEPS = 20_000
CAUSES: dict[State, Cause | None] = {"complete": None, "stopped": "below the cut", "failed": "diverged"}


def ask(arm: str = "FDA", phase: Phase = "search", number: int = 0) -> Ask:
    """The ask of a trial."""
    seed = 0 if phase == "search" else number + 1
    return Ask(arm, phase, number, Trial("FDA", {}, {}, {}, {}, seed, STEPS, 20, 1, "code"))


def report(step: int, value: float = 0.41234) -> Report:
    """A report of the selector and of something else."""
    return Report(step, 1.0, {"source/miou": value, "source/accuracy": value, "oracle/miou": 0.9}, {})


def record(asked: Ask, *reports: Report, end: End | None = None) -> Record:
    """A record with reports."""
    return Record(asked.trial, {}, {}, reports, end)


def ended(asked: Ask, state: State, reason: str = "", *, step: int = STEPS, value: float = 0.41234) -> Record:
    """A record whose trial ended after one report."""
    return record(asked, report(step, value), end=End(state, CAUSES[state], reason, step))


def progress(
    out: io.TextIOBase,
    planned: Mapping[str, tuple[int, int]] | None = None,
    before: Iterable[tuple[Ask, Record]] = (),
    select: str = "source/miou",
    selector: str | None = None,
) -> Progress:
    """Of a study with two arms."""
    planned = {"source only": (0, 5), "FDA": (25, 5)} if planned is None else planned
    return Progress("study", select, lambda arm: selector or select, planned, STEPS, before, lambda: 0, out)  # type: ignore[arg-type]


def lines(out: io.StringIO) -> list[str]:
    """What was written, without the clock, which differs each time."""
    written = out.getvalue().splitlines()
    # A path must stay in one piece to be copied, however long.
    assert all(cell_len(line) <= 80 or " " not in line.strip() for line in written)
    assert all(line == line.rstrip() for line in written)
    return [re.sub(r"^\d\d:\d\d:\d\d", "hh:mm:ss", line) for line in written]


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


def test_a_failure_that_is_not_the_trials_own_is_tried_again() -> None:
    out = io.StringIO()
    with progress(out) as told:
        told.hear("end", ask(), record(ask(), end=End("failed", "data", "cannot read frame.png", 0, retry=True)))
    assert " ".join(out.getvalue().split()).endswith("cannot read frame.png; the next run tries it again")


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


def test_long_names_that_end_differently_stay_apart() -> None:
    names = [short(f"adversarial lambda_adv={weight}") for weight in ("0.0001", "0.0003")]
    assert names == ["adversaria..a_adv=0.0001", "adversaria..a_adv=0.0003"]


@pytest.mark.parametrize("columns", [8, 15, 24])
def test_names_fit_in_cells_and_move_no_cursor(columns: int) -> None:
    for name in ("対" * 30, "e\N{COMBINING ACUTE ACCENT}" * 40, "a\tb\x1b[2Jc" * 9, "x" * 8):
        assert 0 < cell_len(short(name, columns)) <= columns
        assert short(name, columns).isprintable()


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


def standing(planned: Mapping[str, tuple[int, int]], steps: int = 100) -> Standing:
    """Of a study that selects by source/miou."""
    return Standing(planned, steps, lambda arm: "source/miou")


def tell(study: Standing, moment: float, event: Event, asked: Ask, step: int = 0, state: State | None = None) -> None:
    """Enter an event at a moment in seconds."""
    reports = (report(step, step / 100),) if step else ()
    end = None if state is None else End(state, CAUSES[state], "", step)
    study.take(event, asked, record(asked, *reports, end=end), moment)


def test_counts_and_values_of_an_arm() -> None:
    study = standing({"FDA": (4, 3)})
    for number, state in enumerate((None, "stopped", "failed", "complete")):
        step = 20 * (number + 1) if state != "failed" else 90
        tell(study, 0.0, "begin", ask(number=number))
        tell(study, 1.0, "report", ask(number=number), step)
        if state is not None:
            tell(study, 2.0, "end", ask(number=number), step, state)  # type: ignore[arg-type]
    for number, step in enumerate((50, 70)):
        tell(study, 3.0, "end", ask("FDA", "confirm", number), step, "complete")
    tell(study, 3.0, "begin", ask("FDA", "confirm", 2), 99)
    arm = study.arms["FDA"]
    assert arm.states == {"complete": 3, "stopped": 1, "failed": 1}
    assert (study.planned, study.ended, study.running) == (7, 5, 2)
    assert arm.best == 0.8, "the failed trial's 0.9 does not count"
    assert arm.confirmed == pytest.approx(0.6), "of those that ended"


def test_an_event_that_is_told_twice_changes_nothing() -> None:
    study = standing({"FDA": (2, 1)})
    for moment in (0.0, 0.0):
        tell(study, moment, "begin", ask())
    for moment in (10.0, 15.0):
        tell(study, moment, "report", ask(), 10)
    assert study.seconds_per_step("FDA") == pytest.approx(1.0)
    for moment in (20.0, 20.0):
        tell(study, moment, "end", ask(), 20, "stopped")
    assert study.arms["FDA"].states == {"stopped": 1}
    assert (study.ended, study.running) == (1, 0)


def test_a_trial_that_is_tried_again_runs_again() -> None:
    study = standing({"FDA": (2, 1)})
    tell(study, 0.0, "end", ask(), 20, "failed")
    tell(study, 1.0, "begin", ask(), 20)
    assert (study.ended, study.running) == (0, 1)


def test_no_time_is_given_before_it_is_measured() -> None:
    study = standing({"FDA": (2, 1)})
    assert study.seconds_left() is None
    tell(study, 0.0, "begin", ask())
    study.watch(50.0)
    assert study.seconds_left() is None
    assert study.steps_per_second() is None


def test_time_left_is_the_steps_that_remain_over_those_that_run_at_once() -> None:
    study = standing({"FDA": (0, 4)})
    for number in (0, 1):
        tell(study, 1_000.0, "begin", ask("FDA", "confirm", number))
    for number in (0, 1):
        tell(study, 1_100.0, "report", ask("FDA", "confirm", number), 50)
    # 2 s a step; two trials have 50 steps left and two all 100: 600 s of work, for two at once.
    assert study.seconds_left() == pytest.approx(300.0)
    assert study.steps_per_second() == pytest.approx(1.0)


def test_how_many_run_at_once_is_a_mean_over_time() -> None:
    study = standing({"FDA": (0, 10)})
    tell(study, 0.0, "begin", ask("FDA", "confirm", 0))
    for number in (1, 2):
        tell(study, 10.0, "begin", ask("FDA", "confirm", number))
    tell(study, 20.0, "report", ask("FDA", "confirm", 0), 20)
    # 1 s a step; one ran for 10 s, three for 10 s: two at once. 80 + 2 x 100 + 7 x 100 steps are left.
    assert study.seconds_left() == pytest.approx(980 / 2)


def test_nothing_ends_before_its_longest_trial() -> None:
    study = standing({"FDA": (0, 3)})
    for number in range(3):
        tell(study, 0.0, "begin", ask("FDA", "confirm", number))
    tell(study, 10.0, "report", ask("FDA", "confirm", 0), 10)
    for number in (1, 2):
        tell(study, 100.0, "end", ask("FDA", "confirm", number), 100, "complete")
    assert study.seconds_left() == pytest.approx(90.0)


def test_search_trials_to_come_are_expected_to_stop_as_those_before() -> None:
    study = standing({"FDA": (4, 0)})
    tell(study, 0.0, "begin", ask(number=0))
    tell(study, 20.0, "end", ask(number=0), 20, "stopped")
    tell(study, 20.0, "begin", ask(number=1))
    tell(study, 30.0, "report", ask(number=1), 10)
    # 1 s a step, one at a time: 90 steps of the one that runs, and two of (20 + 100) / 2 steps.
    assert study.seconds_left() == pytest.approx(90 + 2 * 60)


def test_an_arm_that_was_not_measured_is_taken_to_be_as_fast_as_the_others() -> None:
    study = standing({"slow": (0, 1), "fast": (0, 1), "unknown": (0, 1)})
    for name, seconds in (("slow", 300.0), ("fast", 100.0)):
        tell(study, 0.0, "begin", ask(name, "confirm"))
        tell(study, seconds, "report", ask(name, "confirm"), 100)
    assert study.seconds_per_step("slow") == pytest.approx(3.0)
    assert study.seconds_per_step("unknown") == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "under a minute"),
        (61, "about 2 min"),
        (12 * 60, "about 15 min"),
        (89 * 60, "about 90 min"),
        (100 * 60, "about 2 h"),
        (2.2 * 3600, "about 2.5 h"),
        (7.2 * 3600, "about 8 h"),
        (37 * 3600, "about 2 days"),
    ],
)
def test_a_duration_says_no_more_than_is_known(seconds: float, text: str) -> None:
    assert about(seconds) == text


def busy(arms: int) -> Standing:
    """A study in the middle, with long and wide names."""
    names = ["source only", "adversarial lambda_adv=0.0003", "対" * 20, *(f"FDA beta={n}" for n in range(arms))][:arms]
    study = standing(dict.fromkeys(names, (12, 5)))
    for name in names[: arms - 2] or names:
        for number in range(12):
            tell(study, 0.0, "begin", ask(name, number=number))
            tell(study, 60.0, "report", ask(name, number=number), 40)
            tell(study, 60.0, "end", ask(name, number=number), 40, "stopped" if number else "failed")
    tell(study, 60.0, "begin", ask(names[-1]))
    return study


@pytest.mark.parametrize("arms", [1, 2, 6, 12, 40])
@pytest.mark.parametrize("size", [(80, 24), (200, 60), (79, 24), (60, 15), (40, 10), (12, 5), (1, 2)])
def test_the_view_fits(arms: int, size: tuple[int, int]) -> None:
    frame = view(busy(arms), "a study with a long name " * 5, "source/miou", 12_345, size)
    assert len(frame) < size[1], "the cursor takes a line too"
    assert all(line.cell_len <= min(size[0], 80) for line in frame)


def test_the_view_at_80_columns() -> None:
    study = standing({"source only": (0, 5), "FDA beta=0.01": (12, 5)})
    for number in range(3):
        asked = ask("source only", "confirm", number)
        tell(study, 0.0, "begin", asked)
        tell(study, 100.0, "end", asked, 50, "complete")
    tell(study, 100.0, "begin", ask("FDA beta=0.01"))
    tell(study, 100.0, "end", ask("FDA beta=0.01", number=1), 20, "stopped")
    tell(study, 200.0, "report", ask("FDA beta=0.01"), 25)
    # One at a time: 2 s for each of 200 steps of the source-only arm; 4 s for each of the other's, 75 of the trial that
    # runs, 10 x 60 to search and 5 x 100 to confirm: 5,100 s.
    assert [line.plain for line in view(study, "fda_beta", "source/miou", "1 trial with 3 reports", (80, 24))] == [
        "",
        "fda_beta  source/miou                                          about 85 min left",
        "",
        "row                                ended running stopped failed   best confirm",
        "source only              ━━━━━────   3/5       0       0      0      -   0.500",
        "FDA beta=0.01            ─────────  1/17       1       1      0  0.250       -",
        "all rows                 ━────────  4/22       1       1      0",
        "",
        "1 running   0.25 steps/s   owed to MLflow: 1 trial with 3 reports",
    ]


def test_twelve_arms_have_a_row_each_on_24_lines() -> None:
    frame = view(busy(12), "study", "source/miou", 0, (80, 24))
    assert sum("12/17" in line.plain or "0/17" in line.plain for line in frame) == 12
    assert not any("more rows" in line.plain for line in frame)


def test_rows_without_room_are_folded_but_not_those_that_run() -> None:
    text = "\n".join(line.plain for line in view(busy(40), "study", "source/miou", 0, (80, 24)))
    assert "FDA beta=36" in text, "the one that runs"
    folded = re.search(r"(\d+) more rows .* (\d+)/(\d+) ", text)
    assert folded is not None
    assert text.count("/17 ") + int(folded[1]) == 40
    assert int(folded[3]) == 17 * int(folded[1])


def test_an_upper_bound_is_marked_with_what_picks_it() -> None:
    study = Standing(
        {"FDA": (1, 1), "supervised": (1, 1)}, 100, lambda arm: f"{'oracle' if arm[0] == 's' else 'source'}/miou"
    )
    for arm in study.arms:
        tell(study, 0.0, "end", ask(arm), 50, "complete")
    text = [line.plain for line in view(study, "study", "source/miou", 0, (80, 24))]
    assert "study  source/miou, * oracle/miou" in text[1]
    assert "0.500 " in text[4]
    assert "0.900*" in text[5]


def test_the_end_is_said() -> None:
    study = standing({"FDA": (0, 1)})
    tell(study, 0.0, "end", ask("FDA", "confirm"), 100, "complete")
    assert "all trials ended" in view(study, "study", "source/miou", 0, (80, 24))[1].plain


@pytest.mark.parametrize("no_color", [True, False])
def test_the_view_is_read_without_colours(no_color: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard", record=True)
    frame = view(busy(6), "study", "source/miou", 0, (80, 24))
    for line in frame:
        console.print(line)
    colours = re.findall(r"\x1b\[(?:\d+;)*(?:3|9)\d", console.file.getvalue())  # type: ignore[attr-defined]
    assert bool(colours) is not no_color
    assert console.export_text() == "".join(f"{line.plain}\n" for line in frame)
    assert {line.plain.count("━") for line in frame if "/17" in line.plain} == {7 * 12 // 17, 0}


def test_a_trial_that_another_study_trains_is_waited_for_and_does_not_count_as_running() -> None:
    out = io.StringIO()
    with progress(out) as told:
        told.hear("wait", ask(), record(ask()))
    assert "is trained by another study; waits for it" in " ".join(" ".join(lines(out)).split())
    assert told.standing.running == 0
