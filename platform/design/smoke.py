"""The smoke run of a study: its rows and its code paths on a tiny shift, in a minute or two."""

from dataclasses import replace
from typing import Any

from platform.design.arm import Arm
from platform.design.asha import ASHA
from platform.design.budget import Budget
from platform.design.study import Study

SMALL: dict[str, Any] = {"network_width": 0.125, "batch": 2, "pretrained": False}
"""What the recipe of every row becomes."""


def smoke(study: Study) -> Study:
    """The same rows, reference and selector with a budget that a laptop spends in seconds."""
    return replace(
        study,
        shift=study.shift.smoke(),
        arms={name: _small(arm) for name, arm in study.arms.items()},
        budget=Budget(steps=4, evaluations=4, cpus=study.budget.cpus),
        search=None if study.search is None else ASHA(trials=2, grace=0.25, reduction=2, smoothing=2),
        seeds=1,
        recipe=replace(study.recipe, **SMALL),
    )


def _small(arm: Arm) -> Arm:
    return Arm(arm.method, **{name: value for name, value in arm.fields.items() if name not in SMALL})
