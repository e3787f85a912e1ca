"""Names in a method's class that the platform would pass over without a word."""

import functools
from dataclasses import dataclass

import pytest

from platform.design.arm import Arm
from platform.methods import Method, SourceOnly, Step, hyperparameter


@dataclass(frozen=True, kw_only=True)
class Helped(Method):
    """Functions of its own, called like the platform's, which its own code calls."""

    start_at: float = hyperparameter(0.5, at_least=0.0, below=1.0)

    @property
    def warm_up(self) -> float:
        """As it is declared."""
        return max([self.start_at, self.date])

    @functools.cached_property
    def date(self) -> float:
        """Taken by a property."""
        return self.weight()

    def weight(self) -> float:
        """Taken by a property that is kept, in a function within it."""
        return (lambda: self.losses_of())()

    @staticmethod
    def losses_of() -> float:
        """Taken by a lambda."""
        return 0.25


def misspelt(**attributes: object) -> type[Method]:
    """A class of a method with these attributes."""
    return dataclass(frozen=True, kw_only=True)(type("Mine", (SourceOnly,), attributes))


def nothing(self: Method, step: Step) -> dict[str, None]:
    """Any function."""
    return {}


@pytest.mark.parametrize(
    ("attributes", "meant"),
    [
        ({"loses": nothing}, "losses"),
        ({"loss": nothing}, "losses"),
        ({"updates": nothing}, "update"),
        ({"player": nothing}, "players"),
        ({"weigths": nothing}, "weights"),
        ({"translation": staticmethod(nothing)}, "translate"),
        ({"read": frozenset({"source"})}, "reads"),
        ({"deploy": "teacher"}, "deployed"),
        ({"warmup": property(lambda self: 0.5)}, "warm_up"),
        ({"losses": nothing, "updates": nothing}, "update"),
    ],
)
def test_a_misspelt_name_is_refused(attributes: dict[str, object], meant: str) -> None:
    name = list(attributes)[-1]
    with pytest.raises(ValueError, match=rf"^Mine\.{name} must be used by the method.* Did you mean '{meant}'\?$"):
        Arm(misspelt(**attributes))


def test_an_heir_of_a_misspelt_class_is_refused() -> None:
    heir: type[Method] = dataclass(frozen=True, kw_only=True)(type("Heir", (misspelt(loses=nothing),), {}))
    with pytest.raises(ValueError, match=r"^Mine\.loses "):
        Arm(heir)


@pytest.mark.parametrize("method", [Helped, misspelt(losses=nothing, loss=nothing, lose=nothing, _updates=nothing)])
def test_what_the_methods_own_code_takes_may_be_called_as_it_likes(method: type[Method]) -> None:
    """And what is like a function that the class itself gives."""
    Arm(method)
