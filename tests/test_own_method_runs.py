"""Studies with a method that their file defines: one that fails, a new start, two at once."""

from collections import Counter
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from tests.support import checkout
from tests.support.checkout import Checkout, ends, events
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.slow

SMALL = """
from dataclasses import dataclass
from platform.methods import SEGMENTATION, SourceOnly, hyperparameter
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import Arm, Budget, Recipe, Study

@dataclass(frozen=True, kw_only=True)
class Scaled(SourceOnly):
    factor: float = hyperparameter(2.0, above=0.0)

    def losses(self, step):
        return {SEGMENTATION: (self.factor - 1) * step.cross_entropy(step.prediction, step.source.labels)}

study = Study(
    shift=town(size=(64, 64), source_images=(8, 2), target_images=(8, 2, 2)),
    arms={"mine": Arm(Scaled), "sick": Arm(Scaled, factor=FACTOR)},
    reference="mine",
    budget=Budget(steps=4, evaluations=2),
    seeds=2,
    recipe=Recipe(network=BiSeNet18(width=0.125), batch=2),
)
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Checkout, str]:
    """A checkout in which the study ran to its end with one arm that fails, and what the command printed."""
    made = checkout.make(tmp_path_factory.mktemp("ran") / "checkout", cache)
    code, output = made.study(made.write("own.py", SMALL.replace("FACTOR", "1e39")))
    assert code == 1, output
    return made, output


def test_an_arm_whose_trials_all_fail_is_marked_and_the_others_have_results(ran: tuple[Checkout, str]) -> None:
    made, output = ran
    table = pd.read_csv(made.root / "results/own/table.csv").set_index("arm")
    assert table.loc["mine", "scores/seeds"] == 2
    assert (table.loc["sick", "scores/seeds"], table.loc["sick", "troubles/failed"]) == (0, 2)
    assert "diverged" in (made.root / "results/own/table.md").read_text()
    assert output.count("FAILED") == 2
    assert "diverged" in output


@pytest.mark.thorough
def test_a_study_starts_over_and_nothing_is_lost(ran: tuple[Checkout, str]) -> None:
    made, _ = ran
    first = events(made.root)
    code, output = made.study("studies/own.py", "--fresh")
    assert code == 1, output
    aside = next((made.root / "results/set-aside").iterdir())
    assert f"results/set-aside/{aside.name}" in " ".join(output.split())
    again = events(made.root)
    assert first.keys() == again.keys()
    complete = {trial for trial, lines in first.items() if lines[-1]["state"] == "complete"}
    assert {path.parent.name for path in aside.glob("trials/*/checkpoint.pt")} == complete
    assert len(ends(made.root, "own")) == 4, "all of them were trained again"
    client = mlflow.MlflowClient(f"sqlite:///{made.root}/mlflow.db")
    experiment = client.get_experiment_by_name("own")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert Counter(run.info.status for run in runs) == {"FINISHED": 2 * (1 + 2), "FAILED": 2 * 2}


@pytest.mark.thorough
def test_a_trial_that_two_studies_ask_for_at_the_same_time_runs_once(fresh_checkout: Checkout) -> None:
    text = SMALL.replace("FACTOR", "3.0")
    processes = [fresh_checkout.start(fresh_checkout.write(f"{name}.py", text)) for name in ("one", "other")]
    for process in processes:
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
    for lines in events(fresh_checkout.root).values():
        assert [line["event"] for line in lines] == ["trial", "report", "report", "end"]
    tables = [(fresh_checkout.root / f"results/{name}/table.csv").read_bytes() for name in ("one", "other")]
    assert tables[0] == tables[1]
