"""Arms: of which methods and values one is made, and which it refuses."""

import dataclasses
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from platform import methods
from platform.methods import FDA, Adversarial, MajorityVote, Method, SourceOnly, hyperparameter
from platform.shifts import town
from platform.study import Arm, Budget, Integers, LogUniform, OneOf, Recipe, Study, Uniform
from tests.support.refusing import refused
from tests.support.tiny_splits import composition


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


@dataclass(frozen=True, kw_only=True)
class Defaultless(SourceOnly):
    """Has a field that nothing starts a search from."""

    lambda_ent: float = dataclasses.field(metadata={"rule": None})


@dataclass(frozen=True, kw_only=True)
class Contradicted(SourceOnly):
    """Has a default that its own rule refuses."""

    lambda_ent: float = hyperparameter(0.0, above=0.0)


METHODS = [
    entry
    for entry in vars(methods).values()
    if isinstance(entry, type) and issubclass(entry, Method) and entry != Method
]
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
        (
            Defaultless,
            "Defaultless.lambda_ent must have a default, which is the first trial of a search; "
            "declare it with hyperparameter(default, at_least=...)",
        ),
        (Contradicted, "Contradicted.lambda_ent must be above 0.0, got 0.0; its default is 0.0"),
    ],
)
def test_an_arm_refuses(method: type[Method], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Arm(method, **{name: 0.1 for name in ("lambda_ent", "learning_rate") if name in method.__annotations__})


@pytest.mark.parametrize("method", METHODS)
def test_no_method_has_a_field_of_the_recipe(method: type[Method]) -> None:
    own = {field.name for field in dataclasses.fields(method)}
    assert not own & {field.name for field in dataclasses.fields(Recipe)}


# An arm


def test_an_arm_fills_ranges_with_defaults_or_with_what_is_chosen() -> None:
    arm = Arm(FDA, beta=LogUniform(0.02, 0.1), eta=1.5, learning_rate=LogUniform(1e-3, 0.1), batch=8)
    base = Recipe(momentum=0.8, learning_rate=0.02)
    assert set(arm.ranges) == {"beta", "learning_rate"}
    assert arm.filled({}, base) == (composition(FDA(eta=1.5)), Recipe(momentum=0.8, learning_rate=0.02, batch=8))
    chosen = {"beta": 0.05, "learning_rate": 0.004}
    assert arm.filled(chosen, base) == (
        composition(FDA(eta=1.5, beta=0.05)),
        Recipe(momentum=0.8, learning_rate=0.004, batch=8),
    )


def test_an_arm_survives_pickling_and_cannot_be_changed() -> None:
    arm = Arm(FDA, beta=LogUniform(0.02, 0.1), batch=8)
    again = pickle.loads(pickle.dumps(arm))
    assert (again.methods, dict(again.fields)) == (arm.methods, dict(arm.fields))
    with pytest.raises(dataclasses.FrozenInstanceError):
        arm.methods = (SourceOnly,)  # type: ignore[misc]
    with pytest.raises(TypeError):
        arm.fields["batch"] = 4  # type: ignore[index]


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: Arm(FDA, betta=0.1), ["FDA has no field 'betta'", "It has: beta, ", "Did you mean 'beta'?"]),
        (lambda: Arm(FDA, lerning_rate=0.1), ["Did you mean 'learning_rate'?"]),
        (lambda: Arm(SourceOnly, beta=0.1), ["SourceOnly has no field 'beta'"]),
        (lambda: Arm(FDA()), ["must begin with a method's class", "write Arm(FDA, beta=0.01)"]),  # type: ignore[arg-type]
        (lambda: Arm(dict), ["must begin with a method's class"]),  # type: ignore[arg-type]
        (lambda: Arm(FDA, beta=0.5), ["FDA.beta must be at least 0.0 and below 0.5, got 0.5", "default is 0.01"]),
        (lambda: Arm(FDA, beta="0.1"), ["FDA.beta must be", "got '0.1'"]),
        (lambda: Arm(FDA, beta=[0.01, 0.05]), ["FDA.beta must be", "to search these, write OneOf(0.01, 0.05)"]),
        (lambda: Arm(FDA, beta=True), ["FDA.beta must be", "got True"]),
        (lambda: Arm(FDA, beta=float("nan")), ["FDA.beta must be", "got nan"]),
        (lambda: Arm(FDA, learning_rate=0), ["Recipe.learning_rate must be above 0.0, got 0"]),
        (lambda: Arm(FDA, batch=1), ["Recipe.batch must be at least 2, got 1"]),
        (lambda: Arm(FDA, batch=4.0), ["Recipe.batch must be of type int, got 4.0"]),
        (lambda: Arm(FDA, batch=True), ["Recipe.batch must be of type int, got True"]),
        (lambda: Arm(FDA, augmentation="flop"), ["Recipe.augmentation must be one of 'none', 'flip'", "'flop'"]),
        (lambda: Arm(Adversarial, separable=1), ["Adversarial.separable must be", "got 1"]),
        (lambda: Arm(Adversarial, width=LogUniform(1, 64)), ["of type int", "gives float", "use Integers or OneOf"]),
        (lambda: Arm(FDA, beta=Integers(0, 1)), ["of type float", "gives int", "use LogUniform, Uniform or OneOf"]),
        (lambda: Arm(Adversarial, separable=Integers(0, 1)), ["of type bool", "use OneOf"]),
        (lambda: Arm(FDA, beta=Uniform(0.1, 0.5)), ["FDA.beta must be", "below 0.5, got 0.5"]),
        (lambda: Arm(Adversarial, lambda_adv=Uniform(-1, 0.5)), ["lambda_adv must be at least 0.0, got -1"]),
        (lambda: Arm(FDA, batch=OneOf(1, 2)), ["Recipe.batch must be at least 2, got 1"]),
        (lambda: Arm(FDA, batch_norm=OneOf("mixed", "own")), ["Recipe.batch_norm must be one of", "'own'"]),
    ],
)
def test_an_arm_refuses_what_its_method_and_the_recipe_do_not_take(make: Callable[[], Arm], parts: list[str]) -> None:
    refused(make, *parts)


def test_the_warm_up_of_an_arm_is_the_longest_that_its_trials_may_have() -> None:
    recipe = Recipe(warm_up=0.05)
    assert Arm(SourceOnly).warm_up(recipe) == 0.05
    assert Arm(Adversarial, ramp=0.2).warm_up(recipe) == 0.2
    assert Arm(Adversarial, ramp=0.0).warm_up(recipe) == 0.05
    assert Arm(Adversarial, ramp=Uniform(0.0, 0.3)).warm_up(recipe) == 0.3
    assert Arm(Adversarial, ramp=OneOf(0.4, 0.1), warm_up=OneOf(0.0, 0.2)).warm_up(recipe) == 0.4
    assert Arm(SourceOnly, warm_up=Uniform(0.1, 0.25)).warm_up(recipe) == 0.25


@pytest.mark.parametrize("share", ["5", None, -0.1, 1.0, float("nan")])
def test_a_warm_up_that_is_no_fraction_is_refused(share: object) -> None:
    late = type("Late", (SourceOnly,), {"warm_up": property(lambda self: share)})
    budget = Budget(steps=4, evaluations=2)
    with pytest.raises(ValueError, match=r"^arm 'a': Late\.warm_up must be a fraction of the steps, .* got "):
        Study(shift=town(), arms={"a": Arm(late)}, reference="a", budget=budget)


def test_only_what_acts_through_an_integer_is_resolved() -> None:
    """By whichever method of the arm has the field."""
    values = {"beta": 0.1, "lambda_adv": 0.1}
    for arm in (Arm(FDA), Arm(FDA, Adversarial), Arm(Adversarial, FDA)):
        assert arm.resolved(values, (96, 128)) == {"beta": {"band": 9}}
        assert arm.resolved(values, (128, 96)) == {"beta": {"band": 9}}
    assert Arm(SourceOnly).resolved({}, (96, 128)) == {}


# Several methods


@dataclass(frozen=True, kw_only=True)
class Sharpened(Method):
    """Has a field that FDA has as well."""

    beta: float = hyperparameter(0.25, at_least=0.0)


@dataclass(frozen=True, kw_only=True)
class FewShot(Method):
    """Reads what no other reads."""

    reads = frozenset({"few"})


@dataclass(frozen=True, kw_only=True)
class Taught(SourceOnly):
    """Deploys a teacher."""

    deployed = "teacher"


@dataclass(frozen=True, kw_only=True)
class Averaged(SourceOnly):
    """Deploys another one."""

    deployed = "mean"


def test_the_methods_of_an_arm_have_their_fields_side_by_side() -> None:
    arm = Arm(FDA, Adversarial, beta=LogUniform(0.02, 0.1), lambda_adv=0.01, width=OneOf(16, 32), batch=8)
    assert (arm.methods, arm.name) == ((FDA, Adversarial), "FDA + Adversarial")
    assert set(arm.ranges) == {"beta", "width"}
    made, recipe = arm.filled({"width": 16, "beta": 0.05}, Recipe(momentum=0.8))
    assert made.methods == (FDA(beta=0.05), Adversarial(lambda_adv=0.01, width=16))
    assert (made.name, recipe) == (arm.name, Recipe(momentum=0.8, batch=8))
    assert made.values == dataclasses.asdict(made.methods[0]) | dataclasses.asdict(made.methods[1])
    again = pickle.loads(pickle.dumps(arm.on(cpus=2)))
    assert (again.methods, dict(again.fields), again.share.cpus) == (arm.methods, dict(arm.fields), 2)


def test_the_order_of_methods_is_kept_since_translations_take_their_turns() -> None:
    assert Arm(Adversarial, FDA).name == "Adversarial + FDA"
    made, _ = Arm(Adversarial, FDA).filled({}, Recipe())
    assert made.methods == (Adversarial(), FDA())


def test_an_arm_reads_what_any_of_its_methods_reads() -> None:
    assert Arm(SourceOnly).reads == {"source"}
    assert Arm(SourceOnly, FDA).reads == {"source", "target"}
    assert Arm(FewShot, Adversarial).reads == {"few", "source", "target"}
    assert [Arm(*several).supervised for several in ((FDA, SourceOnly), (FewShot, FDA))] == [False, False]
    assert Arm(FDA, methods.TargetSupervised).supervised, "one that trains on target labels makes it an upper bound"


def test_the_warm_up_of_an_arm_is_its_slowest_methods() -> None:
    assert Arm(FDA, Adversarial, ramp=0.2).warm_up(Recipe(warm_up=0.1)) == 0.2
    assert Arm(Adversarial, FDA, ramp=Uniform(0.0, 0.3)).warm_up(Recipe()) == 0.3


@dataclass(kw_only=True)
class Plain:
    """Is no method."""


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (Arm, ["an arm must begin with a method's class, got None; write Arm(FDA, beta=0.01)"]),
        (lambda: Arm(FDA, Plain), ["a method's class", "Plain"]),  # type: ignore[arg-type]
        (lambda: Arm(FDA, Adversarial()), ["a method's class, got Adversarial("]),  # type: ignore[arg-type]
        (
            lambda: Arm(MajorityVote, learning_rate=LogUniform(0.01, 0.1)),
            ["MajorityVote trains nothing, so that learning_rate would change nothing, got LogUniform(0.01, 0.1)"],
        ),
        (
            lambda: Arm(FDA, MajorityVote, beta=0.05),
            ["nothing that is trained beside it, got FDA; write Arm(MajorityVote) alone"],
        ),
        (lambda: Arm(FDA, FDA), ["the methods of an arm must differ, got FDA twice; leave one out"]),
        (lambda: Arm(FDA, Adversarial, FDA), ["got FDA twice"]),
        (
            lambda: Arm(FDA, Sharpened),
            [
                "must have different fields, got 'beta' of both FDA and Sharpened; derive a class that "
                "names it otherwise"
            ],
        ),
        (lambda: Arm(FDA, Hijacker), ["Hijacker's fields must not be called like the recipe's, got 'learning_rate'"]),
        (lambda: Arm(FDA, Ruleless), ["Ruleless.lambda_ent has no rule"]),
        (lambda: Arm(Taught, Averaged), ["one player of an arm is deployed, got mean and teacher; leave one out"]),
        (
            lambda: Arm(FDA, Adversarial, lamda_adv=0.1),
            ["FDA + Adversarial has no field 'lamda_adv'", "It has: beta, ", "width, ", "Did you mean 'lambda_adv'?"],
        ),
        (lambda: Arm(FDA, Adversarial, width=0), ["Adversarial.width must be at least 1, got 0"]),
    ],
)
def test_an_arm_refuses_methods_that_do_not_go_together(make: Callable[[], Arm], parts: list[str]) -> None:
    refused(make, *parts)


@pytest.mark.parametrize("reads", [{"source"}, frozenset({"source", "labels"}), "source", None])
def test_an_arm_refuses_a_method_that_reads_what_there_is_not(reads: object) -> None:
    reading: type[Method] = type("Reading", (SourceOnly,), {"reads": reads})
    refused(lambda: Arm(FDA, reading), "Reading.reads must be a frozenset of some of few, oracle, source, target")


def test_what_a_method_reads_is_no_property_that_an_instance_computes() -> None:
    reading: type[Method] = type("Reading", (SourceOnly,), {"reads": property(lambda self: frozenset({"source"}))})
    refused(lambda: Arm(reading), "Reading.reads must be a frozenset")


def test_methods_may_have_one_deployed_player_among_them() -> None:
    made, _ = Arm(FDA, Taught).filled({}, Recipe())
    assert made.deployed == "teacher"
    assert Arm(FDA, Adversarial).filled({}, Recipe())[0].deployed == "segmentation"
