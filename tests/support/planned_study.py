"""A study of five rows, as tests of its plan and its header know it."""

from typing import Any

from platform.methods import FDA, Adversarial, SourceOnly, TargetSupervised
from platform.shifts import gta5_to_cityscapes
from platform.study import ASHA, Arm, Budget, LogUniform, Study

LEARNING_RATE = LogUniform(1e-3, 5e-2)


ARMS = {
    "source only": Arm(SourceOnly, learning_rate=LEARNING_RATE),
    "adversarial": Arm(Adversarial, lambda_adv=LogUniform(1e-4, 1e-2), learning_rate=LEARNING_RATE, batch=8),
    "FDA": Arm(FDA, beta=LogUniform(0.01, 0.1)),
    "FDA 0.05": Arm(FDA, beta=0.05, learning_rate=LEARNING_RATE),
    "target supervised": Arm(TargetSupervised, learning_rate=LEARNING_RATE),
}


def study(**changes: Any) -> Study:
    """Five rows at half the size that costs are counted for."""
    fine: dict[str, Any] = {
        "shift": gta5_to_cityscapes(size=(256, 512)),
        "arms": ARMS,
        "reference": "source only",
        "search": ASHA(trials=12, grace=0.2),
        "budget": Budget(steps=20_000, evaluations=20, gpus=0.5),
        "seeds": 5,
    }
    return Study(**{**fine, **changes})
