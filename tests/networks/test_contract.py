"""What every network must keep to. A new architecture joins by one line in ARCHITECTURES."""

import copy
import dataclasses
import math
import pickle
from functools import lru_cache

import pytest
import torch
from torch import Tensor, nn

import platform.networks
from platform.methods import SourceOnly
from platform.networks import (
    LRASPP,
    Architecture,
    BiSeNet18,
    BiSeNet101,
    DeepLabV3,
    Network,
    PIDNetSmall,
    Prediction,
)
from platform.networks.cost import Cost, estimated_network_gflops, network_cost
from platform.networks.hyperparameters import check_declared, rule_of
from platform.networks.modes import statistics_kept
from platform.networks.network import feature_channels
from platform.shifts.labels import NUM_CLASSES
from tests.support.tiny_splits import assert_same, splits, training_run
from tests.support.weights import randomise

ARCHITECTURES: list[Architecture] = [
    BiSeNet18(width=0.125),
    BiSeNet101(width=0.125),
    DeepLabV3(backbone="ResNet-50", width=0.125),
    LRASPP(),
    PIDNetSmall(width=0.125),
]
NARROWEST: list[Architecture] = [
    BiSeNet18(width=1 / 16),
    BiSeNet18(width=1 / 64),
    BiSeNet101(width=1 / 64),
    PIDNetSmall(width=1 / 32),
]

SIZES = [(33, 65), (64, 128), (97, 130)]
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)


def built(architecture: Architecture, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    return architecture.build()


def images(number: int = 2, size: tuple[int, int] = (32, 64), seed: int = 0) -> Tensor:
    return 255 * torch.rand(number, 3, *size, generator=torch.Generator().manual_seed(seed))


@lru_cache
def cost_of(architecture: Architecture) -> Cost:
    with torch.device("meta"):
        return network_cost(architecture.build().eval())


@every_architecture
def test_the_estimate_of_a_plan_is_near_the_cost(architecture: Architecture) -> None:
    exact, estimated = cost_of(architecture), estimated_network_gflops(built(architecture).eval())
    assert estimated == pytest.approx(exact.deployed_gflops, rel=0.11 if architecture == LRASPP() else 0.03)


def settled(network: Network, batch: Tensor) -> Network:
    """A network in evaluation whose numbers neither grow nor vanish from block to block, of which there are many."""
    for layer in network.train().modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        network(batch, auxiliary=True)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_var is not None:
            # What hardly varies is not magnified.
            layer.running_var += 1
    return network.eval()


def tensors(prediction: Prediction) -> list[Tensor]:
    return [prediction.logits, *prediction.auxiliary, prediction.features]


def test_no_architecture_is_left_out() -> None:
    exported = {
        entry
        for entry in vars(platform.networks).values()
        if isinstance(entry, type) and issubclass(entry, Architecture)
    }
    missing = exported - {Architecture} - {type(architecture) for architecture in ARCHITECTURES}
    assert not missing, f"add {', '.join(sorted(kind.__name__ for kind in missing))}() to ARCHITECTURES"


@every_architecture
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_predictions_of_any_size_have_one_stride(architecture: Architecture, size: tuple[int, int]) -> None:
    network = built(architecture).eval()
    with torch.no_grad():
        prediction = network(images(1, size), auxiliary=True)
    rows, columns = prediction.logits.shape[-2:]
    assert rows in (-(-size[0] // stride) for stride in (1, 2, 4, 8, 16, 32))
    assert size[1] / columns == pytest.approx(size[0] / rows, rel=0.25)
    for logits in (prediction.logits, *prediction.auxiliary):
        assert logits.shape == (1, NUM_CLASSES, rows, columns)
    assert prediction.features.shape == (1, feature_channels(network), rows, columns)


@every_architecture
def test_auxiliary_heads_are_for_training_alone(architecture: Architecture) -> None:
    network = built(architecture).eval()
    with torch.no_grad():
        alone, beside = network(images()), network(images(), auxiliary=True)
    assert alone.auxiliary == ()
    assert torch.equal(alone.logits, beside.logits)
    assert torch.equal(alone.features, beside.features)


@every_architecture
@pytest.mark.parametrize("domain", ["source", "target"])
def test_a_batch_is_predicted_as_its_images_alone(architecture: Architecture, domain: str) -> None:
    network = randomise(built(architecture)).eval().double()
    batch = images(3, (33, 65)).double()
    with torch.no_grad():
        together = tensors(network(batch, domain=domain, auxiliary=True))
        for position in range(3):
            alone = tensors(network(batch[position : position + 1], domain=domain, auxiliary=True))
            for whole, one in zip(together, alone, strict=True):
                torch.testing.assert_close(whole[position : position + 1], one, atol=1e-9, rtol=1e-9)


@every_architecture
def test_every_parameter_gets_a_finite_gradient_in_training(architecture: Architecture) -> None:
    network = built(architecture).train()
    prediction = network(images(), auxiliary=True)
    every = torch.stack([logits.square().mean() for logits in (prediction.logits, *prediction.auxiliary)])
    torch.autograd.backward(every.sum())
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *NARROWEST], ids=str)
def test_gradients_are_those_of_double_precision(architecture: Architecture) -> None:
    """Which other kernels compute: some of oneDNN's, in single precision alone, are wrong for few channels."""
    network = settled(randomise(built(architecture)), images(4, (64, 96)))
    exact = copy.deepcopy(network).double()
    # Not in training mode: batch norms of a few pixels make much of the last digit.
    for each, batch in ((network, images(4, (64, 96))), (exact, images(4, (64, 96)).double())):
        prediction = each.to(memory_format=torch.channels_last)(batch, auxiliary=True)
        torch.autograd.backward([logits.square().mean() for logits in (prediction.logits, *prediction.auxiliary)])
    for (name, single), double in zip(network.named_parameters(), exact.parameters(), strict=True):
        assert single.grad is not None, name
        assert double.grad is not None, name
        assert (single.grad - double.grad).norm() <= 1e-3 * double.grad.norm(), name


@every_architecture
def test_images_are_rgb_in_0_to_255_and_the_network_normalises_them(architecture: Architecture) -> None:
    """What its first convolution sees of uniform colours is about as wide as a normal distribution."""
    network, seen = built(architecture).eval(), list[Tensor]()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.in_channels == 3:
            layer.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    given = images(4)
    kept = given.clone()
    with torch.no_grad():
        network(given)
    assert torch.equal(given, kept), "the images were changed in place"
    assert seen
    for x in seen:
        assert x.abs().max() < 4
        assert 0.5 < x.std() < 2
    assert not any("factor" in name or "offset" in name for name in network.state_dict()), "its normalisation is fixed"


@every_architecture
@pytest.mark.parametrize("training", [False, True])
def test_a_pass_draws_nothing_in_evaluation_and_the_same_again_in_training(
    architecture: Architecture, training: bool
) -> None:
    network = built(architecture).train(training)
    before = torch.get_rng_state()
    with statistics_kept(network), torch.no_grad():
        first = tensors(network(images(), auxiliary=True))
        after = torch.get_rng_state()
        torch.set_rng_state(before)
        again = tensors(network(images(), auxiliary=True))
    assert all(map(torch.equal, first, again))
    if not training:
        assert torch.equal(before, after)


@every_architecture
def test_building_depends_on_torchs_seed_alone(architecture: Architecture) -> None:
    first, same, other = (dict(built(architecture, seed).state_dict()) for seed in (3, 3, 4))
    assert_same(first, same)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@every_architecture
def test_a_state_is_all_that_another_network_needs(architecture: Architecture) -> None:
    trained, other = randomise(built(architecture, 0)).eval(), built(architecture, 1).eval()
    other.load_state_dict(pickle.loads(pickle.dumps(trained.state_dict())))
    with torch.no_grad():
        for left, right in zip(*(tensors(net(images(), auxiliary=True)) for net in (trained, other)), strict=True):
            assert torch.equal(left, right)


@every_architecture
def test_a_copy_predicts_alike_and_is_another(architecture: Architecture) -> None:
    network = built(architecture).train()
    network(images(), auxiliary=True)
    twin = copy.deepcopy(network).eval()
    network.eval()
    with torch.no_grad():
        assert torch.equal(network(images()).logits, twin(images()).logits)
        for parameter in twin.parameters():
            parameter.zero_()
        assert not torch.equal(network(images()).logits, twin(images()).logits)


@every_architecture
def test_without_fetched_weights_it_costs_the_same_and_a_small_one_no_more(architecture: Architecture) -> None:
    whole, bare, smoke = map(cost_of, (architecture, architecture.bare(), architecture.smoke()))
    assert bare == whole
    assert smoke.deployed_parameters <= whole.deployed_parameters
    assert smoke.deployed_gflops <= whole.deployed_gflops
    assert type(architecture.bare()) is type(architecture)
    assert type(architecture.smoke()) is type(architecture)
    for kept in (architecture.bare(), architecture.smoke()):
        assert kept.bare() == kept


@every_architecture
def test_the_cost_counts_every_parameter_and_an_operation_for_each(architecture: Architecture) -> None:
    network, cost = built(architecture), cost_of(architecture)
    own = sum(parameter.numel() for parameter in network.parameters())
    assert cost.parameters == sum(parameter.numel() for parameter in network.published().parameters()) >= own
    assert 0 < cost.deployed_parameters <= own
    assert cost.discriminator_parameters == 0
    assert cost.deployed_gflops <= cost.gflops
    assert cost.deployed_gflops * 1e9 > 2 * cost.deployed_parameters


@every_architecture
def test_the_backbone_is_a_part_of_the_network(architecture: Architecture) -> None:
    network = built(architecture)
    backbone = network.backbone()
    assert isinstance(backbone, nn.Module)
    assert any(part is backbone for part in network.modules())
    own = set(network.parameters())
    assert set() < set(backbone.parameters()) < own


@every_architecture
def test_a_description_reads_as_the_call_that_makes_it_and_travels(architecture: Architecture) -> None:
    names = {type(architecture).__name__: type(architecture)}
    assert eval(repr(architecture), names) == architecture
    assert pickle.loads(pickle.dumps(architecture)) == architecture
    assert hash(dataclasses.replace(architecture)) == hash(architecture)


@every_architecture
def test_fields_are_frozen_and_checked(architecture: Architecture) -> None:
    kind = type(architecture)
    check_declared(kind)
    assert kind.__doc__
    for field in dataclasses.fields(architecture):
        assert str(rule_of(kind, field.name)), f"{kind.__name__}.{field.name} needs bounds or choices"
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(architecture, field.name, field.default)
        with pytest.raises(ValueError, match=rf"{kind.__name__}\.{field.name} must be"):
            kind(**{field.name: object()})


@every_architecture
def test_it_trains_on_batches_of_two(architecture: Architecture) -> None:
    run = training_run(SourceOnly(), splits(2, 2), network=architecture, augmentation="none")
    first = run.advance(3)
    assert all(math.isfinite(value) for value in first.values())
    run.advance(6)
    assert run.advance(3)["loss/cross_entropy"] < first["loss/cross_entropy"]
