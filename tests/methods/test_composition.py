"""Several methods as one, and what is asked of each."""

import copy
import re
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from platform.methods import FDA, SEGMENTATION, Adversarial, Labelled, Method, Player, SourceOnly, Step, Unlabelled
from platform.methods.composition import Composition, check_together, reads_of
from platform.networks.hyperparameters import hyperparameter
from platform.networks.network import Network
from platform.shifts.shift import LabelledImages
from tests.support.tiny_splits import assert_same, state, step_of, training_run

SGD = partial(torch.optim.SGD, lr=0.1)


@dataclass(frozen=True, kw_only=True)
class Brighter(Method):
    """Adds to the images, and remembers what it added by target image."""

    by: float = hyperparameter(8.0, at_least=0.0)

    def translate(self, source: Labelled, target: Unlabelled | None, memory: MutableMapping[int, Tensor]) -> Tensor:
        assert target is not None
        for index in target.indices.tolist():
            memory[index] = torch.tensor(self.by)
        return source.images + self.by


@dataclass(frozen=True, kw_only=True)
class Doubled(Method):
    """Doubles the images, and is shown no target."""

    reads: ClassVar[frozenset[str]] = frozenset({"source"})

    def translate(self, source: Labelled, target: Unlabelled | None, memory: MutableMapping[int, Tensor]) -> Tensor:
        assert target is None
        memory[-1] = torch.tensor(2.0)
        return source.images * 2


@dataclass(frozen=True, kw_only=True)
class Adding(SourceOnly):
    """Gives whatever losses it is told to."""

    of: Any = None
    named: ClassVar[str] = "judge"

    def __post_init__(self) -> None:
        """Nothing is checked: the field is the test's."""

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return {self.named: Player(nn.Linear(1, 1), SGD)}

    def losses(self, step: Step) -> Mapping[str, Tensor | None]:
        losses: Mapping[str, Tensor | None] = self.of(step)
        return losses


@dataclass(frozen=True, kw_only=True)
class Other(Adding):
    named: ClassVar[str] = "other"


@dataclass(frozen=True, kw_only=True)
class Teaching(SourceOnly):
    """Deploys a player of its own."""

    deployed: ClassVar[str] = "teacher"
    teacher: Any = None

    def __post_init__(self) -> None:
        """Nothing is checked: the field is the test's."""

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return {"teacher": Player(self.teacher(network))}


def weight_of(step: Step, name: str) -> Tensor:
    judge = step.modules[name]
    assert isinstance(judge, nn.Linear)
    return judge.weight


# Translations, losses, players


def test_translations_are_applied_in_turn_and_each_method_remembers_for_itself() -> None:
    seen = {}
    for methods in ((Brighter(), Doubled()), (Doubled(), Brighter())):
        run = training_run(Composition(methods), augmentation="none")
        source = step_of(run).source
        seen[methods] = source.images
        plain = step_of(training_run(SourceOnly(), augmentation="none")).source
        expected = (plain.images + 8) * 2 if isinstance(methods[0], Brighter) else plain.images * 2 + 8
        torch.testing.assert_close(source.images, expected)
        assert torch.equal(source.labels, plain.labels)
        brighter, doubled = (methods.index(kind) for kind in (Brighter(), Doubled()))
        assert run.batches.memory[brighter].keys() == {*step_of(run).target.indices.tolist()}
        assert run.batches.memory[doubled] == {-1: torch.tensor(2.0)}
    assert not torch.equal(*seen.values())


def test_two_translations_that_remember_by_the_same_index_do_not_mix() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Narrow(FDA):
        pass

    both = training_run(Composition((FDA(beta=0.1), Narrow(beta=0.05))))
    step_of(both)
    wide, narrow = both.batches.memory[0], both.batches.memory[1]
    assert wide.keys() == narrow.keys()
    assert {tuple(kept.shape) for kept in wide.values()} == {(3, 7, 4)}
    assert {tuple(kept.shape) for kept in narrow.values()} == {(3, 3, 2)}


def seen_losses(*methods: Method) -> dict[str, float]:
    run = training_run(Composition(methods))
    return {name: loss.item() for name, loss in run.methods.losses(step_of(run), run._players).items()}


def test_losses_are_added_to_the_cross_entropy_and_to_each_other() -> None:
    alone = seen_losses(SourceOnly())

    def one(step: Step) -> dict[str, Tensor]:
        return {SEGMENTATION: 3 * step.prediction.logits.square().mean(), "judge": weight_of(step, "judge").sum()}

    def two(step: Step) -> dict[str, Tensor]:
        return {SEGMENTATION: step.prediction.logits.square().mean(), "other": weight_of(step, "other").sum()}

    first, second = seen_losses(Adding(of=one)), seen_losses(Other(of=two))
    both = seen_losses(Adding(of=one), Other(of=two))
    assert both.keys() == {SEGMENTATION, "judge", "other"}
    added = [losses[SEGMENTATION] - alone[SEGMENTATION] for losses in (first, second)]
    assert min(added) > 0
    assert both[SEGMENTATION] == pytest.approx(alone[SEGMENTATION] + sum(added))
    assert (both["judge"], both["other"]) == (first["judge"], second["other"])


def test_a_player_draws_its_weights_whichever_methods_are_beside_it() -> None:
    alone, beside = training_run(Adversarial(width=4)), training_run(Composition((FDA(), Adversarial(width=4))))
    before = Composition((Adversarial(width=4), Adding(of=lambda step: {"judge": None})))
    assert_same(state(alone)["modules"]["discriminator"], state(beside)["modules"]["discriminator"])
    assert_same(state(alone)["modules"]["discriminator"], state(training_run(before))["modules"]["discriminator"])


def test_a_method_sees_its_own_players_alone() -> None:
    seen: list[set[str]] = []

    def look(step: Step) -> dict[str, None]:
        seen.append({*step.modules})
        return dict.fromkeys(step.modules)

    seen_losses(Adding(of=look), Other(of=look), Adversarial(width=4))
    assert seen == [{"judge"}, {"other"}]


def test_what_a_composition_says_of_itself() -> None:
    together = Composition((FDA(beta=0.1), Adversarial(ramp=0.25)))
    assert together.name == "FDA + Adversarial"
    assert together.reads == {"source", "target"}
    assert Composition((SourceOnly(),)).reads == {"source"}
    assert together.warm_up == 0.25
    assert together.deployed == SEGMENTATION
    assert Composition((SourceOnly(), Teaching(teacher=lambda network: network))).deployed == "teacher"
    assert together.values == {**vars(FDA(beta=0.1)), **vars(Adversarial(ramp=0.25))}
    assert not together.updates


# Players that are refused


def refused(*methods: Method) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the test looks at the message
        training_run(Composition(methods)).advance(1)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_players_of_one_name_are_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Usurper(Adding):
        named: ClassVar[str] = SEGMENTATION

    @dataclass(frozen=True, kw_only=True)
    class Twin(Adding):
        pass

    words = "each player must have a name of its own, got 'judge' twice; rename it"
    assert words in refused(Adding(of=dict), Twin(of=dict))
    assert "got 'segmentation' twice" in refused(Usurper(of=dict))


def test_what_is_deployed_is_a_player_that_is_a_network() -> None:
    message = refused(Teaching(teacher=lambda network: nn.Linear(1, 1)))
    assert message == (
        "Teaching.deployed must name a player that is a Network, of segmentation, teacher, got teacher, a Linear"
    )

    @dataclass(frozen=True, kw_only=True)
    class Misspelt(Teaching):
        deployed: ClassVar[str] = "taecher"

    assert "of segmentation, teacher, got 'taecher'" in refused(Misspelt(teacher=copy.deepcopy))


# Weights of source images


@dataclass(frozen=True, kw_only=True)
class Weighing(SourceOnly):
    """Says how often images are drawn."""

    share: Any = (1.0,) * 7

    def __post_init__(self) -> None:
        """Nothing is checked: the field is the test's."""

    def weights(self, labelled: LabelledImages) -> np.ndarray:
        return np.asarray(self.share)


@dataclass(frozen=True, kw_only=True)
class AlsoWeighing(Weighing):
    pass


@pytest.mark.parametrize(
    ("share", "got"),
    [
        ([1.0] * 6, "got shape (6,)"),
        ([1.0] * 8, "got shape (8,)"),
        ([[1.0] * 7], "got shape (1, 7)"),
        (1.0, "got shape ()"),
        ([-1.0, *[1.0] * 6], "got shape (7,)"),
        ([np.nan, *[1.0] * 6], "got shape (7,)"),
        ([np.inf, *[1.0] * 6], "got shape (7,)"),
        ([0.0] * 7, "got shape (7,)"),
    ],
    ids=str,
)
def test_weights_that_say_nothing_of_the_images_are_refused(share: Any, got: str) -> None:
    rule = "Weighing.weights must be 7 finite numbers of at least 0, one for each source image and not all of them 0"
    assert refused(Weighing(share=share)).startswith(f"{rule}, {got}: ")


def test_one_method_of_an_arm_says_how_often_images_are_drawn() -> None:
    words = "one method of an arm may say how often images are drawn, got Weighing and AlsoWeighing; leave one out"
    assert refused(Weighing(), FDA(), AlsoWeighing()) == words
    training_run(Composition((FDA(), Weighing()))).advance(1)


# What losses return


WHOLE = "Adding.losses must give judge one real number, as a tensor, or None, got "


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        (lambda step: None, "Adding.losses must return a loss for each player, by its name, got None"),
        (lambda step: torch.ones(()), "Adding.losses must return a loss for each player, by its name, got tensor(1.)"),
        (lambda step: {"judge": 1.0}, f"{WHOLE}1.0"),
        (lambda step: {"judge": weight_of(step, "judge")[0]}, f"{WHOLE}a tensor of shape (1,), torch.float32"),
        (lambda step: {"judge": torch.ones(2, 3)}, f"{WHOLE}a tensor of shape (2, 3), torch.float32"),
        (lambda step: {"judge": torch.ones((), dtype=torch.int64)}, f"{WHOLE}a tensor of shape (), torch.int64"),
        (
            lambda step: {"judge": None, "jugde": weight_of(step, "judge").sum()},
            "Adding.losses must name players, segmentation, judge, got 'jugde'; rename it",
        ),
        (
            lambda step: {SEGMENTATION: step.prediction.logits.mean()},
            "Adding.losses must give each player that has an optimiser a loss, or None, got none for judge",
        ),
        (
            lambda step: {},
            "Adding.losses must give each player that has an optimiser a loss, or None, got none for judge",
        ),
        (
            lambda step: {"judge": torch.ones(())},
            "Adding.losses must give judge a loss that depends on what it learns, got a constant; see what is "
            "detached, or give None to leave it as it is in this step",
        ),
    ],
    ids=["nothing", "a tensor", "a number", "a vector", "a table", "an integer", "unknown", "missing", "none", "fixed"],
)
def test_losses_that_mean_nothing_are_refused(losses: Any, words: str) -> None:
    assert refused(Adding(of=losses)) == words


def test_a_loss_of_the_network_that_is_a_constant_is_refused() -> None:
    """Beside the cross-entropy it would change nothing, and the row would stand in the table as a method's."""
    message = refused(Adding(of=lambda step: {"judge": None, SEGMENTATION: step.prediction.logits.detach().mean()}))
    assert message.startswith("Adding.losses must give segmentation a loss that depends on what it learns, got a const")


def test_a_player_of_another_method_takes_no_loss() -> None:
    def both(step: Step) -> dict[str, Tensor | None]:
        return {"judge": None, "other": step.prediction.logits.mean()}

    assert "must name players, segmentation, judge, got 'other'" in refused(
        Adding(of=both), Other(of=lambda step: {"other": None})
    )


# What methods read


@dataclass(frozen=True, kw_only=True)
class Computed(Method):
    """Would read what its field says."""

    few: bool = hyperparameter(False, choices=(False, True))

    @property
    def reads(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"source", "few"} if self.few else {"source"})


@dataclass(frozen=True, kw_only=True)
class PerInstance(SourceOnly):
    """Reads more than its class says."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", frozenset({"source", "target", "oracle"}))


@pytest.mark.parametrize("reads", [{"source"}, frozenset({"labels"}), ("source",), None], ids=str)
def test_what_is_read_is_a_constant_set_of_known_names(reads: Any) -> None:
    kind = type("Wrong", (Method,), {"reads": reads})
    with pytest.raises(ValueError, match=r"^Wrong\.reads must be a frozenset of some of few, oracle, source, target, "):
        reads_of(kind)


def test_what_is_read_is_not_computed() -> None:
    for ask in (
        lambda: reads_of(Computed),
        lambda: check_together([Computed]),
        lambda: Composition((Computed(),)).reads,
        lambda: training_run(Computed()),
    ):
        with pytest.raises(ValueError, match=r"^Computed\.reads must be a frozenset .*got <property"):
            ask()


def test_an_instance_cannot_read_more_than_its_class_says() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Field(Method):
        reads: frozenset[str] = hyperparameter(frozenset({"source"}), kind=frozenset)  # type: ignore[misc]

    assert Composition((Field(reads=frozenset({"oracle"})),)).reads == {"source"}
    greedy = PerInstance()
    assert greedy.reads == {"source", "target", "oracle"}
    assert Composition((greedy,)).reads == {"source"}
    assert training_run(greedy).batches.at(0).keys() == {"source"}

    @dataclass(frozen=True, kw_only=True)
    class Peeking(PerInstance):
        def losses(self, step: Step) -> Mapping[str, Tensor | None]:
            return {SEGMENTATION: step.target_prediction.logits.mean()}

    assert "a method sees what its `reads` names, source, and asked for target" in refused(Peeking())


# Which classes go together


def test_classes_that_cannot_be_one_arm_are_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Sharper(Method):
        eta: float = hyperparameter(1.0, at_least=0.0)

    @dataclass(frozen=True, kw_only=True)
    class Professor(Teaching):
        deployed: ClassVar[str] = "professor"
        teacher: ClassVar[None] = None  # type: ignore[misc]

    check_together([FDA, Adversarial, SourceOnly])
    check_together([FDA, Teaching])
    for methods, words in (
        ([FDA, Adversarial, FDA], "the methods of an arm must differ, got FDA twice; leave one out"),
        ([FDA, Sharper], "must have different fields, got 'eta' of both FDA and Sharper; derive a class"),
        ([Teaching, Professor], "one player of an arm is deployed, got professor and teacher; leave one out"),
    ):
        with pytest.raises(ValueError, match=re.escape(words)) as caught:
            check_together(methods)
        assert "\n" not in str(caught.value)
