"""Fields that check themselves: every message states the rule, the value and the remedy."""

import math
import re
import sys
from dataclasses import FrozenInstanceError, dataclass, fields
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from platform.networks.hyperparameters import (
    check,
    check_declared,
    check_value,
    hyperparameter,
    rule_of,
    unknown_field,
)


@dataclass(frozen=True, kw_only=True)
class Example:
    """One field of each kind."""

    rate: float = hyperparameter(0.5, above=0.0, at_most=1.0)
    share: float = hyperparameter(0.25, at_least=0.0, below=1.0)
    free: float = hyperparameter(0.0)
    count: int = hyperparameter(4, at_least=2)
    switch: bool = hyperparameter(False, choices=(False, True))
    mode: str = hyperparameter("slow", choices=("slow", "fast"))
    level: int = hyperparameter(1, choices=(1, 2, 4))

    def __post_init__(self) -> None:
        check(self)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"rate": 1.0},
        {"rate": 5e-324},
        {"rate": 1},
        {"share": 0.0},
        {"share": math.nextafter(1, 0)},
        {"free": -1e300},
        {"count": 2},
        {"count": 10**30},
        {"switch": True},
        {"mode": "fast"},
        {"level": 4},
        {"rate": np.float64(0.5)},
    ],
)
def test_what_the_rules_admit(values: dict[str, Any]) -> None:
    example = Example(**values)
    for name, value in values.items():
        assert getattr(example, name) == value


REFUSED = [
    ("rate", 0.0, "above 0.0 and at most 1.0", "0.5"),
    ("rate", -0.0, "above 0.0 and at most 1.0", "0.5"),
    ("rate", 1.5, "above 0.0 and at most 1.0", "0.5"),
    ("rate", 2, "above 0.0 and at most 1.0", "0.5"),
    ("share", -1e-9, "at least 0.0 and below 1.0", "0.25"),
    ("share", 1.0, "at least 0.0 and below 1.0", "0.25"),
    ("count", 1, "at least 2", "4"),
    ("mode", "fats", "one of 'slow', 'fast'", "'slow'"),
    ("level", 3, "one of 1, 2, 4", "1"),
    *((name, value, "finite", "0.") for name in ("rate", "share", "free") for value in (math.nan, math.inf, -math.inf)),
    ("rate", True, "of type int or float", "0.5"),
    ("rate", "0.5", "of type int or float", "0.5"),
    ("rate", None, "of type int or float", "0.5"),
    ("rate", 1j, "of type int or float", "0.5"),
    ("count", 4.0, "of type int", "4"),
    ("count", True, "of type int", "4"),
    ("count", "4", "of type int", "4"),
    ("switch", 0, "of type bool", "False"),
    ("switch", 1.0, "of type bool", "False"),
    ("switch", None, "of type bool", "False"),
    ("mode", 1, "of type str", "'slow'"),
    ("mode", None, "of type str", "'slow'"),
    ("level", True, "of type int", "1"),
    ("level", 1.0, "of type int", "1"),
]


@pytest.mark.parametrize(("name", "value", "rule", "default"), REFUSED)
def test_what_they_refuse_with_rule_value_and_default(name: str, value: Any, rule: str, default: str) -> None:
    message = f"Example.{name} must be {rule}, got {value!r}; its default is {default}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}") as raised:
        Example(**{name: value})
    assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match=re.escape(message)):
        check_value(Example, name, value)


def test_a_whole_number_in_a_real_field_becomes_a_float() -> None:
    """1 and 1.0 must not be two trials."""
    assert type(Example(rate=1).rate) is float
    assert repr(Example(rate=1)) == repr(Example(rate=1.0))
    assert type(Example(count=4).count) is int
    assert type(Example(rate=np.float64(0.5)).rate) is float


def test_instances_stay_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Example().rate = 0.1  # type: ignore[misc]


def test_rules_say_what_they_demand() -> None:
    assert [str(rule_of(Example, field.name)) for field in fields(Example)] == [
        "above 0.0 and at most 1.0",
        "at least 0.0 and below 1.0",
        "",
        "at least 2",
        "one of False, True",
        "one of 'slow', 'fast'",
        "one of 1, 2, 4",
    ]


TEXTS = """
from __future__ import annotations
import typing as t
from dataclasses import dataclass
from typing import Literal
from platform.networks.hyperparameters import check, hyperparameter

Kind = Literal["plain", "fancy"]


@dataclass(frozen=True)
class Base:
    kind: Literal["plain", "fancy"] = hyperparameter("plain")
    named: Kind = hyperparameter("plain")
    dotted: t.Literal["plain", "fancy"] = hyperparameter("plain")
    rate: float = hyperparameter(0.5, above=0.0)

    def __post_init__(self):
        check(self)


class Heir(Base):
    pass


@dataclass(frozen=True)
class Unreadable(Base):
    misspelt: Litral["plain"] = hyperparameter("plain")
"""
"""A study file whose annotations are texts."""


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("study_of_texts")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(TEXTS, vars(module))
    return module


@pytest.mark.parametrize("name", ["kind", "named", "dotted"])
@pytest.mark.parametrize("cls", ["Base", "Heir"])
def test_a_literal_that_is_a_text_lists_the_choices(texts: ModuleType, cls: str, name: str) -> None:
    assert getattr(vars(texts)[cls](**{name: "fancy", "rate": 1}), name) == "fancy"
    with pytest.raises(ValueError, match=f"^{cls}.{name} must be one of 'plain', 'fancy', got 'nonsense'"):
        vars(texts)[cls](**{name: "nonsense"})


def test_a_literal_that_is_a_text_is_read_without_its_module(
    texts: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, texts.__name__)
    assert rule_of(texts.Base, "kind").choices == ("plain", "fancy")
    assert rule_of(texts.Base, "rate").choices is None


def test_a_text_that_means_nothing_is_refused_in_one_line(texts: ModuleType) -> None:
    with pytest.raises(
        ValueError, match=r"^Unreadable.misspelt must have a type that can be read, got .*at the top of"
    ):
        texts.Unreadable()


def test_a_field_without_a_rule_is_refused_in_one_line() -> None:
    @dataclass(frozen=True)
    class Plain:
        lambda_ent: float = 0.001

        def __post_init__(self) -> None:
            check(self)

    with pytest.raises(ValueError, match=r"^Plain\.lambda_ent has no rule; declare it with hyperparameter\(default, "):
        Plain()


def test_a_class_whose_instances_may_change_is_refused_in_one_line() -> None:
    @dataclass(kw_only=True)
    class Changing:
        rate: float = hyperparameter(0.5)

    check_declared(Example)
    with pytest.raises(ValueError, match=r"^Changing must be a frozen dataclass, .*; write @dataclass\(frozen=True, "):
        check_declared(Changing)


@pytest.mark.parametrize(("kind", "refused"), [(None, True), (object, False)])
def test_a_kind_widens_what_a_field_takes_beyond_its_defaults_type(kind: type | None, refused: bool) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Wide:
        part: Any = hyperparameter("slow", kind=kind)

    if refused:
        with pytest.raises(ValueError, match=r"^Wide.part must be of type str, got 1; its default is 'slow'$"):
            check_value(Wide, "part", 1)
    else:
        check_value(Wide, "part", 1)


def test_a_choice_has_a_type() -> None:
    rule = rule_of(Example, "level")
    assert rule.admits(1)
    assert not rule.admits(True)
    assert not rule.admits(1.0)


def test_a_misspelt_field_gets_the_nearest_name() -> None:
    error = unknown_field("Example", "cuont", ["rate", "count"])
    assert isinstance(error, ValueError)
    assert str(error) == "Example has no field 'cuont'. It has: rate, count. Did you mean 'count'?"
    assert str(unknown_field("Example", "zzz", ["rate", "count"])) == "Example has no field 'zzz'. It has: rate, count."
