"""Methods that no arm is made of, since their fields are not what they seem."""

import re
from dataclasses import dataclass

import pytest

from platform.methods import Method, SourceOnly, hyperparameter
from platform.study import Arm


@dataclass(frozen=True, kw_only=True)
class Hijacker(SourceOnly):
    """Has a field of the recipe's."""

    learning_rate: float = hyperparameter(0.1, above=0.0)


class Undecorated(SourceOnly):
    """Lacks its `@dataclass`."""

    lambda_ent: float = hyperparameter(0.1, above=0.0)


@dataclass(frozen=True, kw_only=True)
class Heir(Undecorated):
    """Has its own, but its base lacks it."""


@dataclass(frozen=True, kw_only=True)
class Ruleless(SourceOnly):
    """Has a field without `hyperparameter`."""

    lambda_ent: float = 0.1


UNDECORATED = (
    "Undecorated declares hyperparameters but is not a dataclass; write @dataclass(frozen=True, kw_only=True) above it"
)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (Hijacker, "Hijacker's fields must not be called like the recipe's, got 'learning_rate'; rename it"),
        (Undecorated, UNDECORATED),
        (Heir, UNDECORATED),
        (Ruleless, "Ruleless.lambda_ent has no rule; declare it with hyperparameter(default, at_least=...)"),
    ],
)
def test_an_arm_refuses(method: type[Method], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Arm(method, **{name: 0.1 for name in ("lambda_ent", "learning_rate") if name in method.__annotations__})
