"""Studies with a shift that their file defines, and with modules beside it, by the command: what workers are sent."""

import pandas as pd
import pytest

from platform.records.store import Store
from tests.support import own_shift
from tests.support.checkout import Checkout, ends, events

pytestmark = pytest.mark.slow

MISSING = """
import sys

if "default_worker.py" in sys.argv[0]:
    raise ImportError("libodd.so.1: cannot open shared object file")
"""
"""At the end of a helper that Ray's workers cannot import, as one whose compiled library their machine lacks."""


@pytest.fixture
def made(fresh_checkout: Checkout) -> Checkout:
    """A checkout with the study and its helper."""
    fresh_checkout.write("helper.py", own_shift.HELPER)
    fresh_checkout.write("own.py", own_shift.STUDY)
    return fresh_checkout


def test_a_study_runs_with_a_shift_of_its_own_and_a_module_beside_it(made: Checkout) -> None:
    """Four trials, of which each worker takes more than one where there are fewer cores."""
    code, output = made.study("studies/own.py")
    assert code == 0, output
    table = pd.read_csv(made.root / "results/own/table.csv").set_index("arm")
    assert table["scores/seeds"].to_dict() == {"source only": 2, "mine": 2}
    assert "lost its worker" not in output
    lines = [line for lines in events(made.root).values() for line in lines if line["event"] == "report"]
    assert len(lines) == 4 * 2


def test_a_module_that_workers_cannot_import_is_its_trials_reason_at_once(made: Checkout) -> None:
    made.write("helper.py", own_shift.HELPER + MISSING)
    code, output = made.study("studies/own.py")
    assert code == 1, output
    line = len((own_shift.HELPER + MISSING).splitlines())
    reason = f"ImportError: libodd.so.1: cannot open shared object file at helper.py:{line}"
    found = ends(made.root, "own")
    assert [(end["cause"], end["reason"]) for end in found] == [("error", reason)] * 4
    journal = Store(made.root / "results").journal("own")
    assert journal.losses.total() == 0
    log = (made.root / "results/own/log.txt").read_text()
    assert f'File "{made.root}/studies/helper.py", line {line}, in <module>' in log
    assert output.count("begins") == 4, "its worker takes the next trial"
    assert reason in (made.root / "results/own/table.md").read_text()


@pytest.mark.parametrize(
    ("function", "statement", "said"),
    [
        ("def check(self) -> None:\n", "{}['stripes']", "KeyError: 'stripes'"),
        ("def identity(self) -> dict[str, Any]:\n", "{}['stripes']", "KeyError: 'stripes'"),
        ("def open(self) -> Splits:\n", "raise SystemExit('stripes')", "SystemExit: stripes"),
    ],
    ids=["check", "identity", "open"],
)
def test_what_a_shift_raises_is_one_line_with_its_place(
    made: Checkout, function: str, statement: str, said: str
) -> None:
    text = own_shift.STUDY.replace(function, f"{function}        {statement}\n")
    line = text[: text.index(statement)].count("\n") + 1
    made.write("own.py", text)
    code, output = made.study("studies/own.py")
    assert code == 2, output
    assert f"error: the shift Stripes raises {said} at own.py:{line}; mend it" in output
    assert "Traceback" not in output


def test_what_cannot_be_sent_is_refused_before_anything_trains(made: Checkout) -> None:
    text = own_shift.STUDY.replace("COUNT = ", "import threading\nDOOR = threading.Lock()\nCOUNT = ")
    made.write("own.py", text.replace("for seed in (2, 3, 4))", "for seed in (2, 3, 4) if DOOR)"))
    code, output = made.study("studies/own.py")
    assert code == 2, output
    assert output.count("\n") == 1
    assert "DOOR must be made of values and code that a trial's id can name, got <unlocked _thread.lock" in output
    assert not (made.root / "results/trials").exists()


def test_an_identity_that_tables_cannot_be_made_of_is_refused(made: Checkout) -> None:
    made.write("own.py", own_shift.STUDY.replace('"groups": self.groups, ', ""))
    code, output = made.study("studies/own.py")
    assert (code, output) == (
        2,
        "error: a shift's identity must hold its name, size and groups, got the shift Stripes without 'groups'; "
        "add 'groups': self.groups\n",
    )
