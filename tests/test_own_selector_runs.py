"""A study whose file brings a selector of its own, by the command: its table, its MLflow, its plan, and a kill."""

import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support import checkout
from tests.support.checkout import Checkout, ends, events
from tests.support.faults.processes import Machine
from tests.support.mlflow_contents import contents

pytestmark = pytest.mark.slow

HELPER = '''"""What the selector needs."""

import numpy as np


def spread(shares):
    return float(-(shares * np.log(np.maximum(shares, 1e-12))).sum())
'''
STUDY = '''"""Does a selector of one's own pick?"""

from dataclasses import dataclass

import helper

from platform.methods import SourceOnly, TargetSupervised
from platform.networks import BiSeNet18
from platform.scores.selectors import Selector
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, OneOf, Recipe, Study


@dataclass(frozen=True, kw_only=True)
class Spread(Selector):
    """Entropy of the mean prediction of the target."""

    weight: float = 1.0

    def score(self, evidence):
        return self.weight * helper.spread(evidence.target.mean)


study = Study(
    shift=town(size=(64, 64), source_images=(8, 2), target_images=(8, 3, 2)),
    arms={
        "source only": Arm(SourceOnly, learning_rate=OneOf(0.01, 0.025)),
        "target supervised": Arm(TargetSupervised, learning_rate=OneOf(0.01, 0.025)),
    },
    reference="source only",
    select=Spread(weight=2.0),
    checkpoint="selected",
    search=ASHA(trials=2, grace=1.0),
    budget=Budget(steps=4, evaluations=2),
    seeds=1,
    recipe=Recipe(network=BiSeNet18(width=0.125), batch=2),
)
'''
"""No trial is stopped, which would depend on who comes first."""


def made(root: Path, cache: Path, text: str = STUDY) -> Checkout:
    """A checkout with the study and its helper."""
    found = checkout.make(root, cache)
    found.write("helper.py", HELPER)
    found.write("own.py", text)
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Checkout, str]:
    """A checkout in which the study ran to its end, and what the command printed."""
    found = made(tmp_path_factory.mktemp("ran") / "checkout", cache)
    code, output = found.study("studies/own.py")
    assert code == 0, output
    return found, output


def journal(root: Path, event: str) -> list[dict[str, Any]]:
    """The lines of the study's journal of one event."""
    lines = (root / "results" / "own" / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["event"] == event]


def numbers(root: Path) -> pd.DataFrame:
    """The study's table without what differs from run to run: how long it took."""
    table = pd.read_csv(root / "results/own/table.csv").set_index("arm")
    measured = ("hours", "seconds", "speed/", "time/", "latency/")
    return table[[name for name in table.columns if not any(word in name for word in measured)]]


def test_the_table_says_what_selected(ran: tuple[Checkout, str]) -> None:
    found, output = ran
    text = (found.root / "results/own/table.md").read_text(encoding="utf-8")
    assert "own/Spread" in text
    assert "own/Spread" in output
    assert numbers(found.root)["scores/seeds"].to_dict() == {"source only": 1, "target supervised": 1}


def test_scores_are_of_the_arm_that_it_selects_and_of_no_other(ran: tuple[Checkout, str]) -> None:
    found, _ = ran
    scores = journal(found.root, "score")
    assert {line["select"] for line in scores} == {"own/Spread"}
    keys = [(line["trial"], line["step"]) for line in scores]
    assert len(keys) == len(set(keys))
    assert len({trial for trial, _ in keys}) == 3, "two search trials and a confirm trial"


def test_an_upper_bound_is_picked_by_target_labels(ran: tuple[Checkout, str]) -> None:
    found, _ = ran
    (header,) = journal(found.root, "study")[-1:]
    assert {arm["name"]: arm["select"] for arm in header["arms"]} == {
        "source only": "own/Spread",
        "target supervised": "oracle/miou",
    }
    searched = {
        line["trial"]["recipe"]["learning_rate"]: line["trial"]
        for line in journal(found.root, "ask")
        if (line["arm"], line["phase"]) == ("target supervised", "search")
    }
    (confirmed,) = (
        line["trial"]["recipe"]["learning_rate"]
        for line in journal(found.root, "ask")
        if (line["arm"], line["phase"]) == ("target supervised", "confirm")
    )
    reached = {}
    for lines in events(found.root).values():
        begun = lines[0]["trial"]
        if begun["seed"] == 0 and begun["method"] == "TargetSupervised":
            last = [line for line in lines if line["event"] == "report"][-1]
            reached[begun["recipe"]["learning_rate"]] = (last["step"], last["metrics"]["oracle/miou"])
    assert reached.keys() == searched.keys()
    assert reached[confirmed] == max(reached.values())


def test_mlflow_has_the_scores_as_metrics(ran: tuple[Checkout, str]) -> None:
    found, _ = ran
    held = contents(f"sqlite:///{found.root}/mlflow.db", "own")
    scores = {(line["trial"], line["step"]): line["value"] for line in journal(found.root, "score")}
    runs = {name: run for name, run in held.items() if name.startswith("source only")}
    assert len(runs) == 3
    assert sorted(point for run in runs.values() for point in run.metrics["own/Spread"]) == sorted(
        (step, value) for (_, step), value in scores.items()
    )
    assert held["own"].tags["select"] == "own/Spread"
    assert all("own/Spread" not in run.metrics for name, run in held.items() if name.startswith("target supervised"))


def test_to_run_it_again_does_nothing(ran: tuple[Checkout, str]) -> None:
    found, _ = ran
    before, table, mlflow = (
        events(found.root),
        numbers(found.root),
        contents(f"sqlite:///{found.root}/mlflow.db", "own"),
    )
    decided = {event: journal(found.root, event) for event in ("ask", "rung", "score", "end")}
    code, output = found.study("studies/own.py")
    assert code == 0, output
    assert "begins" not in output
    assert events(found.root) == before
    assert {event: journal(found.root, event) for event in decided} == decided
    pd.testing.assert_frame_equal(numbers(found.root), table)
    assert contents(f"sqlite:///{found.root}/mlflow.db", "own") == mlflow


def test_another_code_of_the_helper_is_refused_and_comments_are_not(ran: tuple[Checkout, str]) -> None:
    found, _ = ran
    try:
        found.write("helper.py", HELPER.replace("return float(", "# entropy\n    return float("))
        assert "refused" not in found.study("studies/own.py", "--plan")[1]
        found.write("helper.py", HELPER.replace("1e-12", "1e-9"))
        code, output = found.study("studies/own.py")
    finally:
        found.write("helper.py", HELPER)
    assert code == 2, output
    assert output.startswith("error: this study has searched with Spread(weight=2.0) of other code than it has now; ")
    assert output.count("\n") == 1
    assert len(ends(found.root, "own")) == 6


def test_a_plan_names_it_and_starts_nothing(tmp_path: Path, cache: Path) -> None:
    found = made(tmp_path / "checkout", cache)
    code, output = found.study("studies/own.py", "--plan")
    assert code == 0, output
    assert "select    own/Spread, which picks checkpoints too" in output
    assert "refused" not in output
    assert not (found.root / "results").exists()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "evidence.target.mean)",
            "evidence.target.means)",
            "AttributeError: 'Sampled' object has no attribute 'means'",
        ),
        ("return self.weight *", "open('labels.npy'); return", "reaches for something else (open 'labels.npy')"),
    ],
)
def test_a_plan_and_a_run_find_its_mistakes_before_anything_trains(
    before: str, after: str, said: str, tmp_path: Path, cache: Path
) -> None:
    found = made(tmp_path / "checkout", cache, STUDY.replace(before, after))
    code, output = found.study("studies/own.py", "--plan")
    assert code == 0, output
    notes = [line for line in output.splitlines() if line.startswith("note: a run would be refused: ")]
    assert len(notes) == 1
    assert said in notes[0]
    code, output = found.study("studies/own.py")
    assert (code, output.count("\n")) == (2, 1), output
    assert output.startswith("error: ")
    assert said in output
    assert not (found.root / "results" / "trials").exists()


@pytest.mark.thorough
def test_a_study_whose_driver_was_killed_ends_with_the_same_table(
    ran: tuple[Checkout, str], tmp_path: Path, cache: Path
) -> None:
    """It is killed, with all that it started, when the first scores have been written down."""
    machine = Machine(made(tmp_path / "checkout", cache), "studies/own.py")
    try:
        command, written = machine.start(), machine.results / "own" / "journal.jsonl"
        while command.running and not (written.exists() and b'"event": "score"' in written.read_bytes()):
            time.sleep(0.01)
        command.kill()
        machine.lose_power()
        again = machine.start()
        assert again.wait() == 0, again.output
    finally:
        machine.lose_power()
    pd.testing.assert_frame_equal(numbers(machine.checkout.root), numbers(ran[0].root))
    values = [
        {(each["trial"], each["step"], each["value"]) for each in journal(root, "score")}
        for root in (machine.checkout.root, ran[0].root)
    ]
    assert values[0] == values[1]
