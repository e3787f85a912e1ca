"""Errors as one line, of which either end can be kept."""

from platform.records.one_line import one_line

TRACEBACK = "ray::step()\n" + "  a frame\n" * 100 + "OSError: disk"


def test_a_message_of_many_lines_is_one() -> None:
    assert one_line(ValueError("must be YAML:\n\n  a\n")) == "must be YAML: a"
    assert one_line(ValueError()) == "no message"


def test_a_long_message_keeps_its_beginning() -> None:
    line = one_line(ValueError("batch must be whole, got " + "9" * 400))
    assert line.startswith("batch must be whole, got 9")
    assert line.endswith("9...")
    assert len(line) == 300


def test_a_long_traceback_can_keep_its_end() -> None:
    line = one_line(TRACEBACK, 50, keep="end")
    assert line.startswith("...")
    assert line.endswith("a frame OSError: disk")
    assert len(line) == 50
