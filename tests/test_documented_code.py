"""The studies of the documents on methods and networks of one's own, through the real command, as they are shown."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from platform.design.loading import load
from platform.design.plan import plan
from platform.records.provenance import ROOT
from platform.records.store import CHECKPOINT, Store, trial_file
from tests.support.checkout import Checkout
from tests.support.mlflow_contents import runs
from tests.support.patience import PATIENCE

SHOWN = {
    "ablation": [
        "source only",
        "ours",
        *(f"ours without {part}" for part in ("window", "adversary", "flips")),
        *(f"ours with {part} alone" for part in ("flips", "adversary", "window")),
        "ours bare",
    ],
    "own_method": ["source only", "certain"],
    "own_network": ["BiSeNet", "three", "three, wider"],
    "selectors": ["source only", "FDA"],
}
"""Documents, and the rows of the study that each shows."""
TEACHER_AND_SOUP = """
import copy
import torch
from platform.methods import FDA, Player

{teacher}
{soup}

arms = {{"source only": Arm(SourceOnly), "teacher": Arm(MeanTeacher)}}
arms |= {{f"FDA {{beta}}": Arm(FDA, beta=beta) for beta in (0.01, 0.05, 0.09)}}
{row}

study = Study(
    shift=town(size=(64, 64), source_images=(8, 4), target_images=(8, 4, 4)),
    arms=arms,
    reference="source only",
    budget=Budget(steps=4, evaluations=2),
    seeds=1,
    recipe=Recipe(network=BiSeNet18(width=0.125), batch=2),
)
"""


def pieces(document: str) -> list[str]:
    """The pieces of code that a document shows; the first is a study."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / f"{document}.md").read_text(), re.DOTALL)


def test_a_method_of_ones_own_takes_ten_lines() -> None:
    text = pieces("own_method")[0]
    method = text[text.index("@dataclass") : text.index("study = ")].strip().splitlines()
    assert len([line for line in method if line]) <= 10


@pytest.mark.parametrize("document", SHOWN)
def test_the_study_that_is_shown_can_be_planned(document: str, tmp_path: Path) -> None:
    path = tmp_path / f"{document}.py"
    path.write_text(pieces(document)[0])
    assert plan(load(path).study).warnings == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    "document",
    [pytest.param(shown, marks=[] if shown == "own_method" else [pytest.mark.thorough]) for shown in SHOWN],
)
def test_the_study_that_is_shown_runs_as_it_is(fresh_checkout: Checkout, document: str) -> None:
    path = fresh_checkout.write(f"{document}.py", pieces(document)[0])
    code, output = fresh_checkout.study(path, "--smoke")
    assert code == 0, output
    table = pd.read_csv(fresh_checkout.root / "results" / f"{document}-smoke" / "table.csv").set_index("arm")
    assert list(table.index) == SHOWN[document]
    assert table["scores/miou"].between(0, 1).all()
    replayed = fresh_checkout.start(f"results/{document}-smoke", module="platform.replay")
    said, _ = replayed.communicate(timeout=PATIENCE)
    assert replayed.returncode == 0, said


@pytest.mark.slow
@pytest.mark.thorough
def test_the_teacher_and_the_average_that_are_shown_run(fresh_checkout: Checkout) -> None:
    study, teacher, soup = pieces("own_method")
    method, row = soup.split("arms[")
    more = TEACHER_AND_SOUP.format(teacher=teacher, soup=method, row=f"arms[{row}")
    path = fresh_checkout.write("shown.py", study.split("@dataclass")[0] + more)
    code, output = fresh_checkout.study(path)
    assert code == 0, output
    read = pd.read_csv(fresh_checkout.root / "results" / "shown" / "table.csv").set_index("arm")
    rows = read.to_dict("index")
    assert rows["teacher"]["cost/discriminator_parameters"] > 0
    assert rows["soup"]["cost/discriminator_parameters"] == 0
    assert rows["soup"]["cost/deployed_parameters"] == rows["FDA 0.01"]["cost/deployed_parameters"]
    assert rows["soup"]["effort/hours"] > rows["FDA 0.01"]["effort/hours"]
    assert_mlflow_knows_the_costs(fresh_checkout.root, rows)
    store = Store(fresh_checkout.root / "results")
    (taught,) = (ask.trial.id for ask in store.journal("shown").asks if ask.arm == "teacher")
    state = torch.load(store.folder / trial_file(taught, CHECKPOINT), weights_only=True)["modules"]["teacher"]
    assert all((value != 1).any() for name, value in state.items() if name.endswith("running_var"))


def assert_mlflow_knows_the_costs(root: Path, rows: Mapping[Any, Mapping[Any, Any]]) -> None:
    """Each trial's run has the costs that the table has of its row."""
    params = [run.data.params for run in runs(f"sqlite:///{root}/mlflow.db", "shown").values()]
    trials = [each for each in params if "arm" in each]
    assert {each["arm"] for each in trials} == set(rows)
    for each in trials:
        for name in (name for name in rows[each["arm"]] if name.startswith("cost/")):
            assert float(each[name]) == pytest.approx(rows[each["arm"]][name]), (each["arm"], name)
