"""What is refused before anything runs, as methods and networks are tried to count what they cost: one line each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from platform.design.loading import load
from platform.design.plan import plan
from platform.methods import SEGMENTATION, Method, Player, SourceOnly, Step
from platform.networks import Architecture, Network, Prediction, hyperparameter
from platform.training.cost import Uncounted, cost_of, estimate_of
from platform.training.recipe import Recipe
from tests.support.tiny_splits import composition, recipe

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
