"""What is refused before anything runs, as methods and networks are tried to count what they cost: one line each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from platform.design.loading import load
from platform.design.plan import plan
from platform.methods import SEGMENTATION, Method, Player, SourceOnly, Step
from platform.networks import Architecture, Network, Prediction, hyperparameter
from platform.shifts import town
from platform.study import Arm, Budget, Study
from platform.training.cost import Uncounted, cost_of, estimate_of
from platform.training.recipe import Recipe
from platform.training.steps.passes import check_domain
from tests.support.tiny_splits import assert_same, composition, recipe, state, training_run

STUDY = '''"""Does it remember?"""

from dataclasses import dataclass
import torch
from platform.methods import SEGMENTATION, Method, SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import Arm, Budget, Recipe, Study

SEEN = {{}}
COUNT = 0

@dataclass(frozen=True, kw_only=True)
class Mine(Method):
    """Remembers."""

    def losses(self, step):
        {remembers}
        return {{}}

study = Study(
    shift=town(),
    arms={{"mine": Arm(Mine), "source only": Arm(SourceOnly)}},
    reference="source only",
    budget=Budget(steps=4, evaluations=2),
    recipe=Recipe(network=BiSeNet18(width=0.125)),
)
'''


@dataclass(frozen=True, kw_only=True)
class Described(Architecture):
    """A network that gives whatever a test says."""

    given: ClassVar[Any] = None
    number: str = hyperparameter("")

    def build(self) -> Network:
        return Giving()


class Giving(Network):
    def forward(self, images: Tensor, domain: str = "target", auxiliary: bool = False) -> Any:
        return Described.given


def logits(classes: int) -> Prediction:
    return Prediction(torch.zeros(1, classes, 4, 8), (), torch.zeros(1, 3, 4, 8))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (logits(18), "Described must give logits of 19 classes, (batch, 19, rows, columns), got shape (1, 18, 4, 8)"),
        (
            torch.zeros(1, 19, 4, 8),
            "Described must give a Prediction, got Tensor; write Prediction(logits, (), feature",
        ),
    ],
    ids=["18 classes", "a tensor"],
)
def test_a_network_that_cannot_be_scored_is_refused(given: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Described, "given", given)
    with pytest.raises(Uncounted) as error:
        estimate_of(composition(SourceOnly()), Recipe(network=Described(number=given.__class__.__name__)))
    assert words in str(error.value)


@pytest.mark.parametrize(
    "remembers",
    ["SEEN[step.number] = torch.ones(3)", "type(self).seen = step.number", "global COUNT; COUNT += 1"],
)
def test_what_a_method_remembers_outside_its_players_is_refused(tmp_path: Path, remembers: str) -> None:
    (tmp_path / "mine.py").write_text(STUDY.format(remembers=remembers))
    study = load(tmp_path / "mine.py").study
    with pytest.raises(Uncounted, match=r"Mine must remember in its players alone.* make it a buffer of a player"):
        plan(study)


class Counter(nn.Module):
    """Counts how often it was changed, where a checkpoint has it or has it not."""

    def __init__(self) -> None:
        super().__init__()
        self.attribute = 0.0
        self.register_buffer("kept", torch.zeros(()))
        self.register_buffer("lost", torch.zeros(()), persistent=False)
        self.register_buffer("filled", None)


def counting(where: str) -> type[Method]:
    """A method whose losses depend on how often it was updated, which it remembers there."""

    def players(self: Method, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return {"counter": Player(Counter())}

    def losses(self: Method, step: Step) -> Mapping[str, Tensor]:
        count = getattr(_owner(self, step), where, None)
        return {SEGMENTATION: (0.0 if count is None else count) * step.prediction.logits.sum()}

    def update(self: Method, step: Step) -> None:
        owner = _owner(self, step)
        before = getattr(owner, where, None)
        after = torch.ones(()) if before is None else before + 1.0
        object.__setattr__(owner, where, after) if owner is self else setattr(owner, where, after)

    def _owner(self: Method, step: Step) -> Any:
        return {"own": self, "network": step.network}.get(where, step.modules["counter"])

    functions = {"__module__": "of_the_users", "players": players, "losses": losses, "update": update}
    return dataclass(frozen=True, kw_only=True)(type("Counting", (Method,), functions))


@pytest.mark.parametrize("where", ["attribute", "lost", "own", "network"])
def test_what_a_restored_method_would_not_know_is_refused(where: str) -> None:
    with pytest.raises(Uncounted, match=r"^Counting must go on from a checkpoint as if .* keep what it remembers in"):
        estimate_of(composition(counting(where)()), recipe())


@pytest.mark.parametrize("where", ["kept", "filled"])
def test_what_a_checkpoint_has_may_be_remembered(where: str) -> None:
    estimate_of(composition(counting(where)()), recipe())
    uninterrupted, restored = training_run(counting(where)()), training_run(counting(where)())
    uninterrupted.advance(2)
    restored.restore(uninterrupted.save({}))
    uninterrupted.advance(2)
    restored.advance(2)
    assert_same(state(uninterrupted), state(restored))


@pytest.mark.parametrize(
    ("optimiser", "words"),
    [
        (torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1), "TypeError: 'SGD' object is not callable"),
        ("adam", "got 'adam', which raises TypeError: 'str' object is not callable"),
        (partial(torch.optim.Adam, lrr=1e-4), "unexpected keyword argument 'lrr'"),  # type: ignore[call-arg]
        (lambda parameters: None, "AttributeError: 'NoneType' object has no attribute 'step'"),
    ],
)
def test_an_optimiser_that_is_none_is_refused(optimiser: Any, words: str) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Judged(Method):
        def players(self, network: Network, given: Sequence[Network]) -> Any:
            return {"judge": Player(nn.Conv2d(3, 1, 1), optimiser)}

        def losses(self, step: Step) -> Mapping[str, Tensor | None]:
            return {"judge": step.modules["judge"](step.target.images).mean()}

    study = Study(
        shift=town(size=(64, 64)),
        arms={"a": Arm(Judged)},
        reference="a",
        budget=Budget(steps=2, evaluations=1),
        seeds=1,
    )
    with pytest.raises(Uncounted) as error:
        plan(study)
    assert "Judged: the player judge must have an optimiser that takes parameters, as partial(" in str(error.value)
    assert words in str(error.value)


def test_a_domain_that_there_is_not_is_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Elsewhere(Method):
        def losses(self, step: Step) -> Mapping[str, Tensor]:
            return {SEGMENTATION: step.segment(step.target.images, "traget").logits.mean()}  # type: ignore[arg-type]

    with pytest.raises(Uncounted, match=r"^Elsewhere cannot be tried.*traget"):
        estimate_of(composition(Elsewhere()), recipe())
    # Which the types of tests refuse before.
    with pytest.raises(
        ValueError, match=r"^segment\(images, domain\) must be told 'source' or 'target', got 'traget'; n"
    ):
        check_domain("traget")


@pytest.mark.parametrize("count", [cost_of, estimate_of])
def test_what_a_network_raises_is_one_line_with_its_place(count: Any) -> None:
    class Misspelt(Network):
        def forward(self, images: Tensor, domain: str = "target", auxiliary: bool = False) -> Prediction:
            return self.clasifier(images)  # type: ignore[operator,no-any-return]

    @dataclass(frozen=True, kw_only=True)
    class Late(Architecture):
        def build(self) -> Network:
            return Misspelt()

    @dataclass(frozen=True, kw_only=True)
    class Barely(Late):
        def bare(self) -> Any:
            return None

    @dataclass(frozen=True, kw_only=True)
    class Never(Late):
        def bare(self) -> Any:
            raise KeyError("weights")

    with pytest.raises(Uncounted, match=r"^the network Late cannot be tried, .* AttributeError: .* at test_"):
        count(composition(SourceOnly()), Recipe(network=Late()))
    with pytest.raises(Uncounted, match=r"^Barely\.bare must return an Architecture, got NoneType; leave it out"):
        count(composition(SourceOnly()), Recipe(network=Barely()))
    with pytest.raises(Uncounted, match=r"^the network Never cannot be tried, since it raises KeyError: 'weights' at "):
        count(composition(SourceOnly()), Recipe(network=Never()))


def test_what_is_deployed_must_predict_all_classes() -> None:
    class Fewer(Network):
        def forward(self, images: Tensor, domain: str = "target", auxiliary: bool = False) -> Prediction:
            return logits(13)

    @dataclass(frozen=True, kw_only=True)
    class Deploying(SourceOnly):
        deployed: ClassVar[str] = "fewer"

        def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
            return {"fewer": Player(Fewer())}

    with pytest.raises(Uncounted, match=r"what Deploying deploys, fewer, must give logits of 19 classes"):
        cost_of(composition(Deploying()), recipe())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([Player(nn.Linear(1, 1))], "players must return players by their names, got list; write {'teacher': Player("),
        (None, "players must return players by their names, got NoneType"),
        ({"queue": Player(torch.zeros(3))}, "players must give queue as a Player of a module, got a Player of Tensor"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_player_is_named(given: Any, words: str) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Odd(Method):
        def players(self, network: Network, given_networks: Sequence[Network]) -> Any:
            return given

    with pytest.raises(Uncounted) as error:
        cost_of(composition(Odd()), recipe())
    assert f"Odd.{words}" in str(error.value)


def test_a_start_that_returns_another_network_is_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Another(SourceOnly):
        def start(self, network: Network, given: Sequence[Network]) -> Any:
            return recipe().network.build()

    with pytest.raises(Uncounted, match=r"Another\.start must change the network that it is given, and return None"):
        cost_of(composition(Another()), recipe())


def test_a_module_in_the_place_of_a_player_is_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Bare(SourceOnly):
        def players(self, network: Network, given: Sequence[Network]) -> Any:
            return {"judge": nn.Conv2d(3, 1, 1)}

    with pytest.raises(Uncounted, match=r"Bare\.players must give judge as a Player of a module, got Conv2d"):
        cost_of(composition(Bare()), recipe())


def test_who_forgets_what_an_arm_comes_after_is_told() -> None:
    class Average(Network):
        def __init__(self, networks: Sequence[Network]) -> None:
            super().__init__()
            self.networks = nn.ModuleList(networks)

        def forward(self, images: Tensor, domain: Any = "target", auxiliary: bool = False) -> Prediction:
            every = [network(images, domain) for network in self.networks]
            return Prediction(torch.stack([each.logits for each in every]).mean(0), (), every[0].features)

    @dataclass(frozen=True, kw_only=True)
    class Ensemble(Method):
        reads: ClassVar[frozenset[str]] = frozenset()
        deployed: ClassVar[str] = "average"

        def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
            return {"average": Player(Average(given))}

    for count in (estimate_of, cost_of):
        with pytest.raises(Uncounted, match=r"Ensemble cannot be tried.*or write \.after\(\.\.\.\), if it begins from"):
            count(composition(Ensemble()), recipe())


def test_what_begins_with_a_round_is_counted() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Rounds(Method):
        def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
            module = nn.Module()
            module.register_buffer("begun", torch.tensor(False))
            return {"round": Player(module)}

        def losses(self, step: Step) -> Mapping[str, Tensor | None]:
            return {SEGMENTATION: step.target_prediction.logits.mean()} if step.modules["round"].begun else {}

        def update(self, step: Step) -> None:
            if (step.number + 1) % 50 == 0:
                step.modules["round"].begun = torch.tensor(True)

    source_only = cost_of(composition(SourceOnly()), recipe()).step_gflops
    assert cost_of(composition(Rounds()), recipe()).step_gflops == pytest.approx(2 * source_only)


@dataclass(frozen=True, kw_only=True)
class Unbuilt(Architecture):
    """An architecture whose `build` forgets to return its network."""

    def build(self) -> Network:
        return None  # type: ignore[return-value]


@dataclass(frozen=True, kw_only=True)
class Raising(Architecture):
    """An architecture that cannot be built."""

    def build(self) -> Network:
        raise RuntimeError("no such layer")


@dataclass(frozen=True, kw_only=True)
class Cheating(Method):
    """Asks the target batch for labels."""

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        return {SEGMENTATION: step.cross_entropy(step.target_prediction, step.target.labels)}  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [cost_of, estimate_of])
def test_what_cannot_be_built_is_refused(count: Any) -> None:
    with pytest.raises(Uncounted, match=r"^Unbuilt.build must return a Network, got NoneType; derive its class from"):
        count(composition(SourceOnly()), Recipe(network=Unbuilt()))
    said = (
        r"^Raising cannot be built, since it raises RuntimeError: no such layer at test_cost_mistakes.py:\d+; mend it"
    )
    with pytest.raises(Uncounted, match=said):
        count(composition(SourceOnly()), Recipe(network=Raising()))


def test_asking_for_target_labels_names_the_rule() -> None:
    with pytest.raises(Uncounted, match="AttributeError: a target batch has no labels; `few` in `reads` gives"):
        estimate_of(composition(Cheating()), recipe())
