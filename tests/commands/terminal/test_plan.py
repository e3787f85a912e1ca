"""What a plan says that rows cost, and in which order their trials begin."""

import re
from dataclasses import replace

import pytest

from platform.commands.terminal.plan import describe
from platform.methods import DACS, FDA, AdaBN, Adversarial, MajorityVote, MultiLevelAdversarial, SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import Arm, Budget, Recipe, Study
from tests.support.taught import Beside

ARMS = {
    "source only": Arm(SourceOnly),
    "one discriminator": Arm(Adversarial),
    "two discriminators": Arm(MultiLevelAdversarial),
    "a teacher": Arm(DACS),
    "a frozen network": Arm(Beside),
    "statistics": Arm(AdaBN).after("source only", "a teacher"),
}
STUDY = Study(
    shift=town(),
    arms=ARMS,
    reference="source only",
    budget=Budget(steps=4, evaluations=2),
    recipe=Recipe(network=BiSeNet18(width=0.125)),
)


@pytest.fixture(scope="module")
def rows() -> dict[str, str]:
    """What the plan says of each row, on one line."""
    blocks = describe(STUDY, "question").split("\n\n")
    said = {name: [block for block in blocks if block.lstrip().startswith(name)] for name in ARMS}
    return {name: " ".join(block[0].split()) for name, block in said.items()}


def test_what_is_only_trained_and_a_steps_operations_are_said(rows: dict[str, str]) -> None:
    network = STUDY.row("source only").cost
    for name in ARMS:
        cost = STUDY.row(name).cost
        trained = re.search(r" \+ ([\d.]+)([kM]) only trained", rows[name])
        size = float(trained[1]) * {"k": 1e3, "M": 1e6}[trained[2]] if trained else 0
        assert size == pytest.approx(cost.discriminator_parameters, rel=0.01)
        times = re.search(r", ([\d.]+) x the reference's operations a step", rows[name])
        assert (times is None) == (name == STUDY.reference)
        if times is not None:
            assert float(times[1]) == pytest.approx(cost.step_gflops / network.step_gflops, rel=0.01, abs=0.06)
    trained_only = {name: STUDY.row(name).cost.discriminator_parameters for name in ARMS}
    assert trained_only["two discriminators"] == 2 * trained_only["one discriminator"]
    assert trained_only["a teacher"] > network.deployed_parameters
    assert trained_only["source only"] == trained_only["statistics"] == 0


def test_a_row_says_whose_trials_its_own_begin_from(rows: dict[str, str]) -> None:
    assert "after source only and a teacher: each trial begins from theirs of its seed" in rows["statistics"]
    assert all(": each trial begins" not in said for name, said in rows.items() if name != "statistics")


def test_a_row_that_trains_nothing_says_so() -> None:
    arms = {"source only": Arm(SourceOnly), "FDA": Arm(FDA), "vote": Arm(MajorityVote).after("source only", "FDA")}
    said = " ".join(describe(replace(STUDY, arms=arms), "question").split())
    assert re.search(r" vote .* parameters deployed, nothing to train", said)
    assert said.count("nothing to train") == 1
