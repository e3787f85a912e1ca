"""Values of other libraries become Python's own; texts become ones that can be shown."""

import decimal
import enum
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from platform.methods import FDA, Adversarial, SourceOnly
from platform.records.plain import check_name, legible, plain
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, Integers, LogUniform, OneOf, Recipe, Study, Uniform
from tests.support.nasty_names import NASTY, REFUSED


class Mode(enum.IntEnum):
    WIDE = 64


class Row(str, enum.Enum):  # noqa: UP042 - as studies have them
    SOURCE = "source only"


ALIKE: list[tuple[Any, float | int | bool | str]] = [
    (np.float64(0.01), 0.01),
    (np.float32(0.01), 0.01),
    (torch.tensor(0.01), 0.01),
    (torch.tensor(0.01, dtype=torch.float64), 0.01),
    (torch.nn.Parameter(torch.tensor(0.25)), 0.25),
    (np.array(0.01), 0.01),
    (pd.Series([0.001, 0.01]).max(), 0.01),
    (pd.Series([1, 64]).max(), 64),
    (np.int64(64), 64),
    (np.uint8(64), 64),
    (torch.tensor(64), 64),
    (Mode.WIDE, 64),
    (Row.SOURCE, "source only"),
    (np.float16(0.1), 0.1),
    (np.float32(math.inf), math.inf),
    (np.bool_(True), True),
    (torch.tensor(True), True),
    (np.str_("flip"), "flip"),
]


@pytest.mark.parametrize(("value", "wanted"), ALIKE, ids=lambda value: f"{type(value).__module__}.{value!r}")
def test_a_value_is_pythons_own(value: Any, wanted: object) -> None:
    assert type(plain(value)) is type(wanted)
    assert plain(value) == wanted


def test_what_is_no_number_stays_none_whatever_its_sign() -> None:
    assert math.isnan(plain(-np.float32("nan")))
    assert math.isnan(plain(torch.tensor(math.nan)))


def test_single_precision_is_the_decimal_that_it_is_shown_as() -> None:
    """The oracle is NumPy, which shows the shortest decimal that is the same number."""
    for value in np.random.default_rng(0).lognormal(0, 20, 2000).astype(np.float32):
        assert plain(value) == float(str(value))
        assert np.float32(plain(value)) == value
    assert math.isnan(plain(np.float32("nan")))
    assert plain(torch.tensor(-math.inf)) == -math.inf


@pytest.mark.parametrize(
    "value", [None, (1, 2), [1], np.array([1, 2]), np.ma.masked, decimal.Decimal("0.1"), torch.zeros(2)]
)
def test_what_is_no_single_value_stays(value: object) -> None:
    assert plain(value) is value


def made(number: Any, whole: Any, truth: Any, text: Any) -> Study:
    """A study with the same values everywhere."""
    return Study(
        shift=town(size=(64, 64)),
        arms={
            text: Arm(FDA, beta=number, learning_rate=LogUniform(number, 1), batch=Integers(2, whole)),
            "b": Arm(Adversarial, width=whole, separable=truth, momentum=Uniform(number, 0.5)),
            "c": Arm(SourceOnly, learning_rate=OneOf(number, 0.5), augmentation=text).on(memory=number, cpus=whole),
        },
        reference=text,
        search=ASHA(trials=whole, grace=number, reduction=whole, smoothing=whole),
        budget=Budget(steps=whole, evaluations=whole, gpus=number, cpus=whole, memory=number),
        seeds=whole,
        recipe=Recipe(weight_decay=number, batch=whole),
    )


OWN = made(0.01, 64, True, "flip")


@pytest.mark.parametrize(
    "other",
    [
        made(np.float64(0.01), np.int64(64), np.bool_(True), np.str_("flip")),
        made(np.float32(0.01), np.uint8(64), np.bool_(True), "flip"),
        made(torch.tensor(0.01), torch.tensor(64), torch.tensor(True), "flip"),
        made(np.array(0.01), np.array(64), np.array(True), np.array("flip")[()]),
    ],
    ids=["numpy", "single", "torch", "arrays"],
)
def test_a_study_is_the_same_whichever_library_gave_its_values(other: Study) -> None:
    assert repr(other) == repr(OWN)
    for row, own in zip(other.rows, OWN.rows, strict=True):
        trial = row.trial(row.defaults, 1, {})
        assert trial.id == own.trial(own.defaults, 1, {}).id
        assert "np." not in json.dumps(trial.hyperparameters | trial.recipe)


@pytest.mark.parametrize(
    "value", [decimal.Decimal("0.1"), np.array([0.1]), torch.zeros(2), "0.1", np.datetime64("2020")]
)
def test_what_is_no_number_is_refused_in_one_line(value: Any) -> None:
    for make in (
        lambda: Arm(FDA, beta=value),
        lambda: LogUniform(value, 1.0),
        lambda: Budget(steps=value, evaluations=1),
        lambda: ASHA(trials=2, grace=value),
    ):
        with pytest.raises(ValueError, match="must") as caught:
            make()
        assert "\n" not in str(caught.value)


def test_what_cannot_be_shown_stands_as_python_writes_it() -> None:
    assert legible("\x1b[31m\u200b\udcff\n\u3164 é 中 🙂 '\\") == r"\x1b[31m\u200b\udcff\n\u3164 é 中 🙂 '" + "\\"


@pytest.mark.parametrize("name", NASTY)
def test_a_name_may_hold_whatever_can_be_shown(name: str) -> None:
    check_name("a name", name, 200)


@pytest.mark.parametrize("name", [*REFUSED, None, 3, b"FDA"])
def test_a_name_holds_nothing_that_cannot_be_shown(name: object) -> None:
    with pytest.raises(ValueError, match="a name must ") as caught:
        check_name("a name", name, 200)
    assert str(caught.value).isprintable()
