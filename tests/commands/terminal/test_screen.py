"""The terminal: what stands on it in the end."""

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.text import Text

from platform.commands.terminal.screen import Screen
from platform.records.provenance import ROOT
from tests.support.patience import PATIENCE


class Terminal:
    """So much of a terminal as the view uses: lines that wrap and scroll, the cursor upwards, clearing to the end."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns = columns
        self.lines = lines
        self.history: list[str] = []
        self.screen = [[" "] * columns for _ in range(lines)]
        self.line = self.column = 0

    def feed(self, text: str) -> None:
        """Take what a program wrote."""
        for code, character in re.findall(r"(\x1b\[[0-9;]*[A-Za-z])|(.)", text, re.DOTALL):
            if code:
                self._control(code[-1], code[2:-1])
            elif character == "\r":
                self.column = 0
            elif character == "\n":
                self._down()
            else:
                self._write(character)

    def shown(self) -> list[str]:
        """The lines of the screen, without those below the last."""
        return "\n".join("".join(line).rstrip() for line in self.screen).rstrip().split("\n")

    def _control(self, command: str, argument: str) -> None:
        assert command in "AJKm", f"a terminal without {command!r} would show rubbish"
        if command == "A":
            self.line = max(0, self.line - int(argument))
        elif command in "JK":
            self.screen[self.line][self.column :] = [" "] * (self.columns - self.column)
            if command == "J":
                for line in range(self.line + 1, self.lines):
                    self.screen[line] = [" "] * self.columns

    def _write(self, character: str) -> None:
        width = cell_len(character)
        if self.column + width > self.columns:
            self.column = 0
            self._down()
        self.screen[self.line][self.column : self.column + width] = [character] + [""] * (width - 1)
        self.column += width

    def _down(self) -> None:
        if self.line + 1 == self.lines:
            self.history.append("".join(self.screen.pop(0)).rstrip())
            self.screen.append([" "] * self.columns)
        else:
            self.line += 1


def run(code: str, columns: int = 80, lines: int = 24, **environment: str) -> tuple[str, int]:
    """What a program writes to a terminal, and its exit code."""
    leader, follower = pty.openpty()
    resize(follower, columns, lines)
    variables = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**variables, "TERM": "xterm-256color", **environment},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    written = drained(leader)
    os.close(leader)
    return written.decode(), process.wait(timeout=PATIENCE)


def drained(descriptor: int) -> bytes:
    """Everything that can be read, to the end."""
    parts = []
    with contextlib.suppress(OSError):  # the end of a terminal
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
    return b"".join(parts)


def resize(descriptor: int, columns: int, lines: int) -> None:
    """Set the size of a terminal."""
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


STUDY = """
import sys
from platform.commands.terminal.log import quiet
from platform.commands.terminal.progress import Progress
from platform.records.record import Ask, End, Record, Report
from platform.records.trial import Trial
from pathlib import Path

arms = ["source only", "adversarial lambda_adv=0.0003", "領域適応" * 9, *(f"FDA beta={n}" for n in range(9))]
planned = {arm: (3, 2) for arm in arms}
with quiet(Path(sys.argv[1] if len(sys.argv) > 1 else "/dev/null")) as out:
    with Progress("study", "source/miou", lambda arm: "source/miou", planned, 100, [], lambda: 7, out) as told:
        print("noise")
        for phase in ("search", "confirm"):
            for arm in arms:
                for number in range(planned[arm][phase == "confirm"]):
                    seed = number + 1 if phase == "confirm" else 0
                    ask = Ask(arm, phase, number, Trial("FDA", {}, {}, {}, {}, seed, 100, 10, 1, "code"))
                    report = Report(50, 1.0, {"source/miou": 0.25}, {})
                    told.hear("begin", ask, Record(ask.trial, {}, {}))
                    told.hear("report", ask, Record(ask.trial, {}, {}, (report,)))
                    end = End("complete", None, "", 100)
                    if number == 2:
                        end = End("failed", "diverged", "the loss is nan", 50)
                    told.hear("end", ask, Record(ask.trial, {}, {}, (report,), end))
        told.say("stopping")
print("after")
"""


def test_what_a_person_sees_on_80_columns_and_24_lines() -> None:
    written, code = run(STUDY)
    terminal = Terminal(80, 24)
    terminal.feed(written)
    assert code == 0
    shown = terminal.shown()
    assert shown[-1] == "after"
    assert shown[-2] == "0 running   - steps/s   owed to MLflow: 7"
    assert shown[-4] == "all rows                 ━━━━━━━━━ 60/60       0       0     12"
    title = next(number for number, line in enumerate(shown) if line.startswith("study  source/miou"))
    assert shown[title].endswith("all trials ended")
    assert shown[title - 2] == "stopping"
    rows = [line for line in shown if " 5/5 " in line]
    assert len(rows) == 12
    assert all(line.endswith("0.250   0.250") for line in rows)


def test_what_ended_stays_in_the_history_once() -> None:
    written, _ = run(STUDY)
    terminal = Terminal(80, 24)
    terminal.feed(written)
    text = "\n".join([*terminal.history, *terminal.shown()])
    assert [int(number) for number in re.findall(r"^\S+ +(\d+)/60  ", text, re.MULTILINE)] == list(range(1, 61))
    assert text.count("all rows") == 1, "a frame is drawn over, not left behind"
    assert "noise" not in text


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (132, 50), (60, 20), (30, 8)])
def test_no_line_is_wider_than_the_terminal(columns: int, lines: int) -> None:
    written, code = run(STUDY, columns, lines)
    assert code == 0
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]|\r", "", written)
    longest_word = 20 if columns < 60 else 0
    assert max(map(cell_len, plain.splitlines())) <= max(min(columns, 80), 54 + longest_word)


def test_no_colour_and_no_cursor_where_they_are_not_wanted() -> None:
    without, _ = run(STUDY, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*(?:3|9)\dm", without)
    dumb, _ = run(STUDY, TERM="dumb")
    assert "\x1b" not in dumb
    assert "all rows" not in dumb


def test_a_terminal_that_goes_away_ends_nothing(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    done = tmp_path / "done"
    code = STUDY.replace('print("after")', f"Path({str(done)!r}).touch()")
    code = code.replace('print("noise")', 'sys.stdin.readline(); print("noise")')
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm"},
        stdin=subprocess.PIPE,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    os.close(leader)
    process.communicate(b"\n", timeout=PATIENCE)
    assert done.exists()
    assert process.returncode == 0


def screen_on_a_terminal(columns: int, lines: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Screen, int, int]:
    """A screen, and both ends of its terminal."""
    monkeypatch.setenv("TERM", "xterm")
    leader, follower = pty.openpty()
    resize(follower, columns, lines)
    return Screen(os.fdopen(follower, "w")), leader, follower


def test_a_narrower_terminal_broke_the_lines_of_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, leader, follower = screen_on_a_terminal(80, 24, monkeypatch)
    screen.draw([], [Text("x" * 80), Text("y" * 30), Text("")])
    os.read(leader, 4096)
    resize(follower, 40, 24)
    screen.draw([], [Text("z")])
    assert os.read(leader, 4096).startswith(b"\r\x1b[4A\x1b[K")
    resize(follower, 40, 3)
    screen.draw([Text("stays")], [Text("z")] * 5)
    os.read(leader, 4096)
    screen.draw([], [Text("z")])
    assert os.read(leader, 4096).startswith(b"\r\x1b[2A"), "no further up than the screen reaches"
    screen.out.close()
    os.close(leader)


def test_a_frame_replaces_the_one_before_and_lines_stay_above(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, leader, _ = screen_on_a_terminal(20, 6, monkeypatch)
    terminal = Terminal(20, 6)
    for number in range(9):
        screen.draw([Text(f"event {number}")], [Text("frame"), Text(f"{number}" * 20)])
        terminal.feed(os.read(leader, 4096).decode())
    screen.draw([], [Text("end")])
    terminal.feed(os.read(leader, 4096).decode())
    assert terminal.history + terminal.shown() == [*(f"event {number}" for number in range(9)), "end"]
    screen.out.close()
    os.close(leader)


def test_bars_are_drawn_of_what_the_encoding_has() -> None:
    assert Screen(io.TextIOWrapper(io.BytesIO(), "utf-8")).shows("━")
    assert not Screen(io.TextIOWrapper(io.BytesIO(), "latin-1")).shows("━")
