"""What players cost: discriminators, teachers and networks beside the one that is trained, of a study file's own."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn

from platform.methods import FDA, SEGMENTATION, Adversarial, Method, Player, SourceOnly, Step, hyperparameter
from platform.methods.composition import Composition
from platform.networks import BiSeNet18, Network
from platform.networks.cost import Cost, multiply_add_operations, parameters
from platform.networks.discriminator import Discriminator
from platform.networks.operations.upsampling import upsample
from platform.study import Recipe
from platform.training.cost import Estimate, Uncounted, cost_of, estimate_of
from tests.support.taught import Beside, Deploying, Mean
from tests.support.tiny_splits import composition

RECIPE = Recipe(network=BiSeNet18(width=0.125))
ALONE = cost_of(composition(SourceOnly()), RECIPE)
FORWARD = ALONE.deployed_gflops
TRAINED = ALONE.step_gflops
"""A pass and its gradients."""


class Decoder(nn.Module):
    """Judges each pixel: a transposed convolution, then linear layers over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(19, 32, 4, stride=2, padding=1)
        self.layers = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 1))

    def forward(self, x: Tensor) -> Tensor:
        judgement: Tensor = self.layers(self.up(x).movedim(1, -1))
        return judgement


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decoded(Method):
    """Judges the target's logits by a decoder."""

    def players(self, network: Network, given: Sequence[Network]) -> dict[str, Player]:
        return {"decoder": Player(Decoder(), torch.optim.SGD)}

    def losses(self, step: Step) -> dict[str, Tensor]:
        loss = step.modules["decoder"](step.target_prediction.logits).mean()
        return {SEGMENTATION: loss, "decoder": loss}


def test_the_estimate_knows_layers_that_torchscan_does_not() -> None:
    exact = cost_of(composition(Decoded()), RECIPE)
    eighth = 64 * 128
    assert exact.discriminator_gflops * 1e9 == 2 * eighth * (19 * 32 * 16 + 4 * (32 * 64 + 64))
    estimated = estimate_of(composition(Decoded()), RECIPE)
    assert estimated == near(exact, 0.03)


class Pooled(nn.Module):
    """Judges the mean of a map over its pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels, 8), nn.GELU(), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        judgement: Tensor = self.layers(x.mean((2, 3)))
        return judgement


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeveralLevels(Method):
    """Judges logits at 1/8 of the image by the published discriminator, two more levels, and a pooled vector."""

    width: int = hyperparameter(16, at_least=1)

    def players(self, network: Network, given: Sequence[Network]) -> dict[str, Player]:
        modules: dict[str, nn.Module] = {
            "deep": Discriminator(width=self.width),
            "levels": nn.Conv2d(19, 2, 3, padding=1, bias=False),
            "pooled": nn.Linear(19, 3),
            "of features": Pooled(19),
            "never called": nn.Linear(5, 5),
        }
        return {name: Player(module, torch.optim.SGD) for name, module in modules.items()}

    def losses(self, step: Step) -> dict[str, Tensor | None]:
        prediction = step.prediction
        both = torch.cat([prediction.logits, step.target_prediction.logits])
        for level in prediction.auxiliary:
            step.modules["levels"](level)
        step.modules["levels"](upsample(prediction.logits, step.source.images.shape[-2:]))
        step.modules["pooled"](input=both.mean((2, 3)))
        loss = step.modules["deep"](both).mean() + step.modules["of features"](both).mean()
        return {**dict.fromkeys(step.modules), SEGMENTATION: loss, "deep": loss}


def test_players_are_counted_on_what_their_method_gives_them() -> None:
    counted = cost_of(composition(SeveralLevels()), RECIPE)
    deep, eighth, whole = Discriminator(width=16), torch.zeros(1, 19, 64, 128), torch.zeros(1, 19, 512, 1024)
    levels = nn.Conv2d(19, 2, 3, padding=1, bias=False)
    expected = (
        multiply_add_operations(deep, eighth)
        # Two auxiliary heads at 1/8 are one judgement, and the image's size is another.
        + multiply_add_operations(levels, eighth)
        + multiply_add_operations(levels, whole)
        + 2 * 19 * 3
        + 2 * (19 * 8 + 8)
    )
    assert counted.discriminator_gflops * 1e9 == expected
    own = parameters(deep) + parameters(levels) + 20 * 3 + (20 * 8 + 9) + 30
    assert counted.discriminator_parameters == own
    assert counted.original_discriminator_gflops > counted.discriminator_gflops / 2
    assert counted.gflops == cost_of(composition(SourceOnly()), RECIPE).gflops
    estimated = estimate_of(composition(SeveralLevels()), RECIPE)
    assert estimated == near(counted)


def test_what_a_method_does_late_is_counted() -> None:
    assert cost_of(composition(Adversarial(ramp=0.9, width=8)), Recipe()) == cost_of(
        composition(Adversarial(width=8)), Recipe()
    )


def test_counting_says_a_methods_own_mistake_and_its_place() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Broken(SeveralLevels):
        def losses(self, step: Step) -> dict[str, Tensor | None]:
            raise ValueError("my own mistake")

    with pytest.raises(Uncounted, match=r"Broken.*my own mistake at test_player_costs.py:\d+"):
        cost_of(composition(Broken()), RECIPE)


# Players of every kind


def near(counted: Cost, share: float = 0.05) -> object:
    """What an estimate must be."""
    return pytest.approx(tuple(getattr(counted, name) for name in Estimate._fields), rel=share)


def both(*methods: Method) -> tuple[Cost, Estimate]:
    """The cost of methods and its estimate."""
    made = Composition(methods)
    return cost_of(made, RECIPE), estimate_of(made, RECIPE)


def test_two_discriminators_cost_what_each_costs() -> None:
    one, _ = both(Adversarial(width=16))
    other, _ = both(Decoded())
    counted, estimated = both(Adversarial(width=16), Decoded())
    assert counted.discriminator_parameters == one.discriminator_parameters + other.discriminator_parameters
    assert counted.discriminator_gflops == pytest.approx(one.discriminator_gflops + other.discriminator_gflops)
    # They share the passes of the network; the decoder judges the target, the other both domains.
    convolution = multiply_add_operations(Discriminator(width=16).convolutions[0], torch.zeros(1, 19, 512, 1024)) / 1e9
    transposed = 2 * 19 * 32 * 16 * 64 * 128 / 1e9
    # What is detached is gone back through once, the target's judgements twice, each time but one to their inputs.
    judged = 7 * one.discriminator_gflops - 2 * convolution + 4 * other.discriminator_gflops - transposed
    assert counted.step_gflops == pytest.approx(2 * TRAINED + judged)
    assert (counted.gflops, counted.deployed_gflops) == (ALONE.gflops, FORWARD)
    assert estimated == near(counted)


def test_a_method_beside_another_adds_only_the_passes_that_are_not_shared() -> None:
    adversarial, _ = both(Adversarial(width=16))
    counted, estimated = both(FDA(), Adversarial(width=16))
    assert counted == adversarial
    assert estimated == near(counted)


def test_a_frozen_teacher_counts_its_passes_once_and_its_weights_as_only_trained() -> None:
    counted, estimated = both(Mean())
    network = BiSeNet18(width=0.125).build()
    assert counted.discriminator_parameters == parameters(network)
    assert counted.discriminator_gflops == pytest.approx(FORWARD)
    # The source and the target with gradients, and the teacher on the target without.
    assert counted.step_gflops == pytest.approx(2 * TRAINED + FORWARD)
    assert counted.deployed_gflops == FORWARD
    assert counted.original_discriminator_gflops > 0
    assert estimated == near(counted)


def test_a_deployed_teacher_leaves_the_network_only_trained() -> None:
    counted, estimated = both(Deploying())
    mean, _ = both(Mean())
    assert (counted.parameters, counted.deployed_parameters) == (ALONE.parameters, ALONE.deployed_parameters)
    assert (counted.gflops, counted.deployed_gflops) == (ALONE.gflops, FORWARD)
    assert counted.original_gflops == ALONE.original_gflops
    assert counted.discriminator_parameters == parameters(BiSeNet18(width=0.125).build())
    assert counted.discriminator_gflops == pytest.approx(FORWARD)
    assert counted.step_gflops == pytest.approx(mean.step_gflops)
    assert estimated == near(counted)


def test_a_frozen_network_beside_counts_at_its_own_size() -> None:
    counted, estimated = both(Beside())
    beside = cost_of(composition(SourceOnly()), Recipe(network=BiSeNet18(width=0.25)))
    assert counted.discriminator_parameters == parameters(BiSeNet18(width=0.25).build())
    assert counted.discriminator_gflops == pytest.approx(beside.deployed_gflops)
    assert counted.step_gflops == pytest.approx(2 * TRAINED + beside.deployed_gflops)
    assert counted.deployed_gflops == FORWARD
    assert estimated == near(counted)


def test_what_is_never_called_costs_its_weights_alone() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Silent(SourceOnly):
        def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
            return {"kept": Player(copy.deepcopy(network))}

    counted, estimated = both(Silent())
    assert counted.discriminator_parameters == parameters(BiSeNet18(width=0.125).build())
    assert dataclasses.replace(counted, discriminator_parameters=0) == ALONE
    assert estimated == near(counted)


def test_counting_leaves_the_players_and_the_network_as_they_were() -> None:
    made = composition(Mean())
    before = [estimate_of(made, RECIPE), cost_of(made, RECIPE)]
    state = torch.get_rng_state()
    assert [estimate_of(made, RECIPE), cost_of(made, RECIPE)] == before
    assert torch.equal(state, torch.get_rng_state())


def test_a_part_of_the_images_costs_its_share() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Cropped(Method):
        def losses(self, step: Step) -> Mapping[str, Tensor]:
            height = step.target.images.shape[-2] // 2
            return {SEGMENTATION: step.segment(step.target.images[:, :, :height], "target").logits.mean()}

    counted, estimated = both(Cropped())
    assert counted.step_gflops == pytest.approx(1.5 * TRAINED)
    assert estimated == near(counted)


def test_counting_names_the_line_of_a_method_that_asks_for_what_it_does_not_read() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Greedy(SourceOnly):
        def losses(self, step: Step) -> Mapping[str, Tensor]:
            return {SEGMENTATION: step.few.images.mean()}

    with pytest.raises(Uncounted, match=r"asked for few; add it to `reads` at test_player_costs\.py:\d+; mend"):
        cost_of(composition(Greedy()), RECIPE)
