"""What a trial begins from: the network that another row's trial of its seed deploys."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from platform.methods import CORAL, DACS, AdaBN, Method, Player, SourceOnly
from platform.methods.composition import Composition
from platform.networks import LRASPP, BiSeNet18, Network
from platform.training.attempt import take_step
from platform.training.cost import Uncounted, cost_of
from platform.training.given import Given, StartLost, trained, untrained
from platform.training.recipe import Recipe
from platform.training.run import TrainingRun
from tests.support.attempts import EVALUATIONS, assignment, attempt, checkpoint_of, failure_of, report_of
from tests.support.tiny_splits import CPU, NETWORK_WIDTH, assert_same, composition, recipe, splits, training_run

RECIPE = Recipe(network=BiSeNet18(width=NETWORK_WIDTH))


@dataclass(frozen=True, kw_only=True)
class Deployed(SourceOnly):
    """Deploys an average of the networks that it is given, and leaves its own as it is."""

    deployed: ClassVar[str] = "average"

    def start(self, network: Network, given: Sequence[Network]) -> None:
        """Nothing."""

    def players(self, network: Network, given: Sequence[Network]) -> dict[str, Player]:
        average = RECIPE.network.build()
        with torch.no_grad():
            for parameter, *others in zip(average.parameters(), *(each.parameters() for each in given), strict=True):
                parameter.copy_(torch.stack([other.detach() for other in others]).mean(0))
        return {"average": Player(average)}


def saved(method: Method, trial: str) -> tuple[Given, bytes]:
    run = training_run(method)
    run.advance(2)
    return Given(composition(method), RECIPE, (), trial), run.save({"trial": trial})


@pytest.mark.parametrize("method", [SourceOnly(), CORAL()])
def test_it_is_the_network_of_the_checkpoint(method: Method) -> None:
    given, checkpoint = saved(method, "abc")
    network = trained(given, {"abc": checkpoint}.__getitem__, CPU)
    run = training_run(method)
    run.restore(checkpoint)
    assert_same(network.state_dict(), run.network.state_dict())
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_it_is_the_player_that_is_deployed() -> None:
    first, second = (untrained(Given(composition(SourceOnly()), RECIPE)) for _ in range(2))
    methods = Composition((Deployed(),))
    players = methods.players(RECIPE.network.build(), [first, second], seed=1)
    run_state = {"modules": {"average": players[0]["average"].module.state_dict()}, "extra": {"trial": "mean"}}
    path = {}
    buffer = io.BytesIO()
    torch.save(run_state, buffer)
    path["mean"] = buffer.getvalue()
    parent = Given(composition(SourceOnly()), RECIPE, (), "one")
    network = trained(Given(methods, RECIPE, (parent, replace(parent, trial="two")), "mean"), path.__getitem__, CPU)
    assert_same(network.state_dict(), players[0]["average"].module.state_dict())


@pytest.mark.parametrize("damage", ["gone", "cut off", "of another trial", "of another network"])
def test_a_checkpoint_that_is_not_there_as_written_is_said(damage: str) -> None:
    given, checkpoint = saved(SourceOnly(), "abc")

    def read(trial: str) -> bytes:
        if damage == "gone":
            raise FileNotFoundError(trial)
        return checkpoint[:-50] if damage == "cut off" else checkpoint

    if damage == "of another trial":
        given = replace(given, trial="another")
    if damage == "of another network":
        given = replace(given, recipe=Recipe(network=BiSeNet18(width=0.125)))
    with pytest.raises(StartLost, match="needs its checkpoint, which is gone or damaged") as error:
        trained(given, read, CPU)
    assert "\n" not in str(error.value)


def test_an_attempt_begins_from_what_another_left(tmp_path: Path) -> None:
    first = assignment(tmp_path, SourceOnly())
    busy = attempt(first)
    for _ in range(EVALUATIONS):
        report_of(take_step(busy))
    given = Given(first.methods, first.recipe, (), first.ask.trial.id)
    trial = replace(assignment(tmp_path, AdaBN()).ask.trial, after=(given.trial,))
    second = assignment(tmp_path, AdaBN(), given=(given,))
    second = replace(second, ask=replace(second.ask, trial=trial))
    folder = checkpoint_of(second).parent
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "claim").write_text(second.claim)
    adapted = attempt(second)
    report_of(take_step(adapted))
    assert adapted.training is not None
    weights = torch.load(checkpoint_of(first), weights_only=True)["modules"]["segmentation"]
    assert_same(
        dict(adapted.training.run.network.named_parameters()),
        {name: weights[name] for name, _ in adapted.training.run.network.named_parameters()},
    )

    checkpoint_of(first).unlink()
    checkpoint_of(second).unlink()
    failure = failure_of(take_step(attempt(second)))
    assert (failure.cause, failure.retry) == ("data", True)
    assert given.trial in failure.reason


def test_another_network_is_refused_before_anything_runs() -> None:
    given = (Given(composition(SourceOnly()), Recipe(network=LRASPP())),)
    with pytest.raises(Uncounted, match="must begin from weights of its own network"):
        cost_of(composition(AdaBN()), RECIPE, given)


def test_a_teacher_begins_as_the_network_does() -> None:
    given, checkpoint = saved(SourceOnly(), "abc")
    network = trained(given, {"abc": checkpoint}.__getitem__, CPU)
    run = TrainingRun(composition(DACS()), recipe(), splits(), 1, 4, CPU, [network])
    assert_same(run._modules["teacher"].state_dict(), network.state_dict())
