"""What matters of an error that Ray gives whole, in one line."""

import pytest

from platform.running.workers.words import gist

FRAMES = 'Traceback (most recent call last):\n  File "worker.py", line 8, in main\n    run()\n'


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"{FRAMES}ModuleNotFoundError: No module named 'helper'", "ModuleNotFoundError: No module named 'helper'"),
        (
            f"Fatal Python error: no site\nPython runtime state\n\n{FRAMES}SystemExit: no licence",
            "SystemExit: no licence",
        ),
        (f"{FRAMES}ValueError: two\nlines", "ValueError: two lines"),
        (f"{FRAMES}ValueError: two\n  lines\n", "ValueError: two lines"),
        (
            "The actor died.\n\tclass_name: Trial\n\tactor_id: 0a\nIts node is gone.",
            "The actor died. Its node is gone.",
        ),
    ],
)
def test_the_gist_of_an_error_is_what_stands_behind_its_frames(text: str, wanted: str) -> None:
    assert gist(text) == wanted
