"""Rows of an ablation: what they are, what they are called, and what is refused."""

import itertools
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from platform.design.ablation.designs import Design
from platform.design.header import header
from platform.design.loading import StudyFileError, load
from platform.methods import DACS, FDA, AdaBN, Adversarial, SourceOnly, hyperparameter
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import (
    ASHA,
    AddOneIn,
    Arm,
    Budget,
    FractionalFactorial,
    FullFactorial,
    LeaveOneOut,
    LogUniform,
    Recipe,
    Study,
    ablate,
)

RATE = LogUniform(1e-3, 1e-1)
PARTS = {"flips": {"augmentation": "none"}, "adversary": Adversarial, "entropy": {"entropy_weight": 0.0}}
WHOLE = Arm(FDA, Adversarial, beta=0.05, lambda_adv=0.01, batch=8)


@dataclass(frozen=True, kw_only=True)
class Inverted(FDA):
    """FDA of a study file's own."""

    inverted: bool = hyperparameter(True, choices=(False, True))


def study(arms: Mapping[str, Arm], **changes: Any) -> Study:
    given: dict[str, Any] = {
        "shift": town(size=(64, 64)),
        "reference": next(iter(arms)),
        "search": ASHA(trials=2),
        "budget": Budget(steps=4, evaluations=2),
        "recipe": Recipe(network=BiSeNet18(width=0.125)),
    }
    return Study(arms=arms, **given | changes)


def test_a_part_is_taken_away_by_values_of_fields_or_with_a_method_and_its_fields() -> None:
    rows = ablate(WHOLE, PARTS, name="ours")
    assert {name: (arm.methods, dict(arm.fields)) for name, arm in rows.items()} == {
        "ours": ((FDA, Adversarial), {"beta": 0.05, "lambda_adv": 0.01, "batch": 8}),
        "ours without flips": (
            (FDA, Adversarial),
            {"beta": 0.05, "lambda_adv": 0.01, "batch": 8, "augmentation": "none"},
        ),
        "ours without adversary": ((FDA,), {"beta": 0.05, "batch": 8}),
        "ours without entropy": (
            (FDA, Adversarial),
            {"beta": 0.05, "lambda_adv": 0.01, "batch": 8, "entropy_weight": 0.0},
        ),
    }


def test_a_method_may_stand_in_the_place_of_another_whose_fields_it_keeps() -> None:
    arm = Arm(Adversarial, FDA, beta=0.05, entropy_weight=0.01, width=16)
    rows = ablate(arm, {"order": {FDA: Inverted, "batch": 8}, "FDA": {Adversarial: SourceOnly}})
    assert rows["Adversarial + FDA without order"].methods == (Adversarial, Inverted)
    assert dict(rows["Adversarial + FDA without order"].fields) == {**arm.fields, "batch": 8}
    assert rows["Adversarial + FDA without FDA"].methods == (SourceOnly, FDA)
    assert "width" not in rows["Adversarial + FDA without FDA"].fields


@pytest.mark.parametrize("design", [LeaveOneOut(), AddOneIn(), FullFactorial(), FractionalFactorial(most=4)])
def test_rows_have_the_parts_that_their_names_say(design: Design) -> None:
    rows = ablate(WHOLE, PARTS, design, name="ours")
    assert len(rows) == len(design.rows(3))
    for name, arm in rows.items():
        assert arm.cell is not None
        has = dict(arm.cell.parts)
        assert list(has) == list(PARTS)
        assert has["adversary"] == (Adversarial in arm.methods)
        assert has["flips"] == ("augmentation" not in arm.fields)
        assert has["entropy"] == ("entropy_weight" not in arm.fields)
        present = [part for part in has if has[part]]
        absent = [part for part in has if not has[part]]
        if not absent:
            assert name == "ours"
        elif not present:
            assert name == "ours bare"
        elif len(absent) == 1:
            assert name == f"ours without {absent[0]}"
        else:
            assert name == f"ours with {present[0]} alone"


def test_several_parts_are_listed_in_a_name() -> None:
    changes = {"batch": 2, "power": 0.5, "momentum": 0.5, "weight_decay": 0.1, "warm_up": 0.1}
    parts = {part: {field: value} for part, (field, value) in zip("abcde", changes.items(), strict=True)}
    names = [*ablate(Arm(SourceOnly), parts, FullFactorial(), name="x")]
    assert "x without a and b" in names
    assert "x with c, d and e alone" not in names
    assert "x with d and e alone" in names
    assert [*ablate(Arm(SourceOnly), {"a": {"batch": 2}}, FullFactorial(), name="x")] == ["x", "x without a"]


def test_rows_keep_what_the_arm_carries_and_survive_a_process() -> None:
    arm = WHOLE.on(cpus=2).after("source only")
    for row in ablate(arm, PARTS).values():
        assert (row.share, row.follows) == (arm.share, ("source only",))
        assert pickle.loads(pickle.dumps(row)) == row
        assert row.smoke().cell == row.cell
    assert WHOLE.cell is None


def test_headers_tell_the_parts_of_a_row_and_what_it_is_held_against() -> None:
    made = study({"source only": Arm(SourceOnly), **ablate(WHOLE, PARTS, AddOneIn(), name="ours")})
    arms = {arm.name: arm for arm in header(made, "s", "", {}, "", "").arms}
    assert arms["source only"].ablation == ""
    bare, alone = arms["ours bare"], arms["ours with flips alone"]
    assert (bare.ablation, bare.design, bare.centre) == ("ours", "add one in", "")
    assert alone.parts == {"flips": True, "adversary": False, "entropy": False}
    assert alone.centre == "ours bare"


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, "must map at least one name to what the arm is without it, got {}"),
        ({"": {"batch": 2}}, "the name of a part must be one line of text"),
        ({"x" * 61: {"batch": 2}}, "the name of a part must have at most 60 bytes"),
        ({"flips": {}}, "part 'flips' must say what the arm is without it, got {}"),
        ({"flips": "none"}, "part 'flips' must say what the arm is without it, got 'none'"),
        ({"flips": {"augmentatoin": "none"}}, "part 'flips': FDA + Adversarial has no field 'augmentatoin'"),
        ({"flips": {"augmentation": "no"}}, "part 'flips': Recipe.augmentation must be one of"),
        ({"paste": DACS}, "part 'paste' must change fields, by their names, or methods of the arm, which has FDA +"),
        ({"paste": {3: 4}}, "part 'paste' must change fields, by their names, or methods of the arm"),
        ({"batch": {"batch": 8}}, "part 'batch' changes nothing: FDA + Adversarial is the same without it"),
        ({"eta": {"eta": 2.0}}, "part 'eta' changes nothing"),
        ({"all": {FDA: None, Adversarial: None}}, "part 'all': an arm must have a method, and none is left"),
        ({"all": {FDA: Adversarial}}, "part 'all': the methods of an arm must differ"),
        ({"a": {"batch": 2}, "b": {"batch": 4, "power": 0.5}}, "parts 'a' and 'b' both change batch; join them"),
        ({"a": FDA, "b": {FDA: Inverted}}, "parts 'a' and 'b' both change FDA; join them"),
    ],
)
def test_parts_that_cannot_be_taken_away_are_refused(parts: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        ablate(WHOLE, parts)


def test_a_part_of_a_part_is_refused_where_a_row_lacks_both() -> None:
    parts = {"entropy": {"entropy_weight": 0.0}, "FDA": FDA}
    assert len(ablate(WHOLE, parts)) == 3
    said = "rows 'FDA + Adversarial without FDA' and 'FDA + Adversarial bare' are the same"
    with pytest.raises(ValueError, match=re.escape(said)):
        ablate(WHOLE, parts, FullFactorial())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((FDA, PARTS), "an ablation must be of an Arm, got"),
        (
            (WHOLE, PARTS, FullFactorial),
            "must be LeaveOneOut(), AddOneIn(), FullFactorial(), FractionalFactorial(most=16) or AblationPath(), got",
        ),
        ((WHOLE, PARTS, FullFactorial), "; call it: FullFactorial()"),
    ],
)
def test_what_is_no_ablation_is_refused(arguments: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        ablate(*arguments)


def test_a_name_that_is_too_long_with_its_parts_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the name of a row of the ablation .* must have at most 200 bytes"):
        ablate(WHOLE, PARTS, name="x" * 190)


def test_an_arm_with_ranges_must_say_whether_its_rows_search() -> None:
    arm = Arm(FDA, learning_rate=RATE)
    with pytest.raises(ValueError, match="must say where its rows get their values; write retuned=True"):
        ablate(arm, {"flips": {"augmentation": "none"}})
    again = ablate(arm, {"flips": {"augmentation": "none"}}, retuned=True)
    assert [row.tuner for row in again.values()] == ["", ""]
    lent = ablate(arm, {"flips": {"augmentation": "none"}, "rate": {"learning_rate": 0.01}}, retuned=False)
    assert {name: row.tuner for name, row in lent.items()} == {
        "FDA": "",
        "FDA without flips": "FDA",
        "FDA without rate": "",
    }
    with pytest.raises(ValueError, match="part 'beta' must give beta one value where nothing is searched again"):
        ablate(arm, {"beta": {"beta": LogUniform(0.01, 0.1)}}, retuned=False)


def test_a_study_refuses_an_ablation_whose_row_another_arm_has_displaced() -> None:
    rows = ablate(WHOLE, PARTS, FullFactorial(), name="ours")
    study(rows)
    for design, lost in itertools.product((LeaveOneOut(), FullFactorial()), ("ours", "ours without flips")):
        rows = ablate(WHOLE, PARTS, design, name="ours")
        displaced = rows | {lost: Arm(SourceOnly)}
        if design == LeaveOneOut() and lost != "ours":
            study(displaced)  # one row fewer, of which nothing else depends
        else:
            with pytest.raises(ValueError, match="the ablation 'ours' must have all rows of its design"):
                study(displaced)


def test_two_ablations_of_one_name_are_refused() -> None:
    arms = ablate(WHOLE, PARTS, name="ours") | ablate(WHOLE, {"size": {"batch": 2}}, name="ours")
    with pytest.raises(ValueError, match=r"or the ablation, another \(ablate\(..., name=...\)\)"):
        study(arms)


def test_a_file_is_refused_in_which_the_recipe_has_what_a_part_is_to_change(tmp_path: Path) -> None:
    code = '''"""Do flips help?"""
from platform.methods import SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import Arm, Budget, Recipe, Study, ablate

study = Study(
    shift=town(size=(64, 64)),
    arms=ablate(Arm(SourceOnly), {"flips": {"augmentation": "none"}}, name="ours"),
    reference="ours",
    budget=Budget(steps=4, evaluations=2),
    recipe=Recipe(augmentation="none"),
)
'''
    file = tmp_path / "flips.py"
    file.write_text(code)
    with pytest.raises(StudyFileError, match="rows 'ours' and 'ours without flips' are the same: the study's recipe"):
        load(file)
    file.write_text(code.replace('augmentation="none")', "batch=2)"))
    assert list(load(file).study.arms) == ["ours", "ours without flips"]


def test_an_arm_that_trains_nothing_has_no_learning_rate_as_a_part() -> None:
    with pytest.raises(ValueError, match="part 'rate': AdaBN trains nothing"):
        ablate(Arm(AdaBN).after("source only"), {"rate": {"learning_rate": 0.1}})
