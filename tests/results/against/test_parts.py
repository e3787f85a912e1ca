"""What differs as parts of one arm: the ablation that a proposal writes has the rows that it had as single arms."""

from pathlib import Path
from typing import Any

import pytest

from platform.commands.study import main
from platform.design.budget import Budget
from platform.design.loading import load
from platform.design.study import Study
from platform.methods import CORAL, DACS, DANN, FDA, AdaBN, Adversarial, SourceOnly
from platform.networks import BiSeNet18
from platform.records.trial import Trial
from platform.results.against.proposal import Around, propose, sources
from platform.results.against.proposal.design import Before, Proposal
from platform.results.against.proposal.parts import Ablated
from platform.shifts import town
from platform.study import Arm, Recipe

SMALL = town(size=(32, 64), source_images=(12, 4), target_images=(12, 4, 4))


def trial(arm: Arm, **changes: Any) -> Trial:
    """The trial of a row on the first seed."""
    values: dict[str, Any] = {
        "shift": SMALL,
        "budget": Budget(steps=8, evaluations=2),
        "recipe": Recipe(network=BiSeNet18(width=0.125), batch=2),
    }
    return Study(arms={"row": arm}, reference="row", **values | changes).rows[0].trial({}, 1, SMALL.identity())


def proposed(this: Trial, other: Trial, **given: Any) -> Proposal:
    usual: dict[str, Any] = {"before": [], "after": (), "budget": Budget(steps=1, evaluations=1), "seeds": 2, "own": ()}
    made = propose(this, other, Around(**usual | given))
    assert made is not None
    return made


def designs(made: Proposal) -> list[dict[str, str]]:
    """The ablations of each file, by their names, and in words what design they have."""
    blocks = [[block for block in file.blocks if isinstance(block, Ablated)] for file in made.files]
    return [{block.name: block.design.name for block in some} for some in blocks]


LESS, MORE = Arm(FDA, beta=0.1), Arm(FDA, Adversarial, beta=0.05, width=16)
MANY = {"momentum": 0.5, "power": 0.5, "warm_up": 0.25}
FULL, ONE_OUT = "full factorial", "leave one out"


@pytest.mark.parametrize(
    ("this", "other", "expected"),
    [
        pytest.param(LESS, Arm(FDA, beta=0.2), {"this": FULL}, id="a field"),
        pytest.param(Arm(CORAL), Arm(DANN, batch=4), {"this": FULL}, id="another method in its place"),
        pytest.param(MORE, LESS, {"this": FULL}, id="a method less"),
        pytest.param(LESS, MORE, {"other": FULL}, id="a method more"),
        pytest.param(
            Arm(FDA, CORAL), Arm(CORAL, FDA, beta=0.1), {"this": FULL, "method=CORAL + FDA": FULL}, id="order"
        ),
        pytest.param(Arm(AdaBN, batch=4), Arm(FDA, learning_rate=0.01), {}, id="trains nothing"),
        pytest.param(
            Arm(DACS, threshold=0.9),
            Arm(DACS, threshold=0.8, **MANY),
            {"this": ONE_OUT, "other": ONE_OUT},
            id="many settings",
        ),
        pytest.param(
            LESS,
            Arm(FDA, Adversarial, beta=0.2, width=16, **MANY),
            {"this": ONE_OUT, "other": ONE_OUT},
            id="many settings and a method more",
        ),
        pytest.param(LESS, Arm(FDA, beta=0.2).on(cpus=2), {"this": FULL, "threads=2": FULL}, id="threads"),
        pytest.param(LESS, LESS.on(cpus=2), {}, id="threads alone"),
    ],
)
def test_rows_are_ablations_wherever_parts_of_one_arm_say_them(
    this: Arm, other: Arm, expected: dict[str, str], tmp_path: Path
) -> None:
    """With the same trials, whatever their rows are called, and both ends among them."""
    made = proposed(trial(this), trial(other))
    assert designs(made) == [expected]
    ((source, file),) = sources(made, "Which?", ("a", "b"), [])
    path = tmp_path / "proposed.py"
    path.write_text(source, encoding="utf-8")
    rows = {row.name: row.trial({}, 1, SMALL.identity()) for row in load(path).study.rows}
    assert {name: each.id for name, each in rows.items()} == {
        row.name: row.trial({}, 1, SMALL.identity()).id for row in file.study.rows
    }
    whole = frozenset(factor.name for factor in made.factors)
    ends = {row.changed: rows[row.name].id for row in file.rows}
    assert (ends[frozenset()], ends[whole]) == (trial(this).id, trial(other).id)
    assert len(ends) == len({each.id for each in rows.values()}) == len(rows)
    assert load(path).study.smoke().arms.keys() == rows.keys()


def test_a_row_without_a_part_has_what_the_other_end_has() -> None:
    made = proposed(trial(MORE), trial(LESS))
    (file,) = made.files
    (block,) = file.blocks
    assert isinstance(block, Ablated)
    assert {part.name: dict(part.change) for part in block.parts} == {
        "method=FDA + Adversarial": {Adversarial: None},
        "beta=0.05": {"beta": 0.1},
    }
    assert file.study.reference == "this"
    assert file.study.arms["this bare"].methods == (FDA,)
    assert file.study.arms["this without beta=0.05"].fields["beta"] == 0.1


def test_what_belongs_to_the_study_has_files_of_its_own_each_with_the_ablation_of_the_rest() -> None:
    longer = trial(Arm(FDA, beta=0.2), budget=Budget(steps=12, evaluations=3))
    assert designs(proposed(trial(LESS), longer)) == [{"this": FULL}, {"steps=12": FULL}]
    alone = trial(LESS, budget=Budget(steps=12, evaluations=3))
    assert designs(proposed(trial(LESS), alone)) == [{}, {}]


def test_a_row_before_that_is_called_like_one_of_an_ablation_leaves_rows_as_they_are() -> None:
    for name, ablated in (("this without beta=0.1", False), ("another", True)):
        before = [Before(name, trial(Arm(SourceOnly)), ())]
        made = proposed(trial(LESS), trial(Arm(FDA, beta=0.2)), before=before, after=(name,))
        (file,) = made.files
        assert bool(designs(made)[0]) is ablated
        assert len(file.study.arms) == 3


def test_a_proposal_of_two_ablations_can_be_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = proposed(trial(Arm(DACS, threshold=0.9)), trial(Arm(DACS, threshold=0.8, **MANY)))
    path = tmp_path / "proposed.py"
    path.write_text(sources(made, "Which?", ("a", "b"), [])[0][0], encoding="utf-8")
    assert main([str(path), "--plan", "--results", str(tmp_path / "none")]) == 0
    said = capsys.readouterr()
    assert "other without threshold=0.8" in said.out
    assert "would be refused" not in said.err
