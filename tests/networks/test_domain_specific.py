"""Domain-specific batch norm: which norms act, which learn, and what is deployed."""

import copy
import pickle
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from platform.design.plan import plan
from platform.methods import DACS, FDA, Adversarial, HistogramMatching, LabTransfer, MinEnt
from platform.networks import LRASPP, BiSeNet18, PIDNetSmall, Prediction
from platform.networks.cost import network_cost
from platform.networks.domain_specific import DomainNorm, DomainSpecific
from platform.networks.network import Architecture, Domain, Network
from platform.shifts import town
from platform.study import Arm, Budget, Recipe, Study
from platform.training.cost import Uncounted
from tests.support.tiny_splits import assert_same, running_statistics, state, training_run
from tests.support.weights import randomise

ARCHITECTURES: list[Architecture] = [BiSeNet18(width=0.125), LRASPP(), PIDNetSmall(width=0.125)]
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)


def images(seed: int = 0) -> Tensor:
    return 255 * torch.rand(4, 3, 64, 96, generator=torch.Generator().manual_seed(seed))


def both(architecture: Architecture) -> tuple[Network, DomainSpecific]:
    """A network, and the same with norms of each domain's own."""
    torch.manual_seed(0)
    network = architecture.build()
    return network, DomainSpecific(copy.deepcopy(network))


def as_if_alone(network: DomainSpecific, domain: str, plain: Network) -> Network:
    """A plain network with the shared weights and one domain's norms: another way to the same prediction."""
    values = network.network.state_dict()
    names = {name.replace(f"norms.{domain}.", ""): value for name, value in values.items()}
    plain.load_state_dict({name: value for name, value in names.items() if ".norms." not in name})
    return plain


@every_architecture
def test_it_begins_as_the_network_itself(architecture: Architecture) -> None:
    plain, network = both(architecture)
    plain.eval(), network.eval()
    with torch.no_grad():
        for domain in ("source", "target"):
            assert torch.equal(network(images(), domain=domain).logits, plain(images()).logits)
        assert torch.equal(network(images()).logits, plain(images()).logits)


@every_architecture
def test_a_domain_passes_its_own_norms_and_everybodys_weights(architecture: Architecture) -> None:
    plain, network = both(architecture)
    network.train()
    for seed in range(3):
        network(images(seed), domain="source")
        network(images(seed + 10) / 4, domain="target")
    network.eval()
    with torch.no_grad():
        found = {domain: network(images(), domain=domain).logits for domain in ("source", "target")}
        for domain, logits in found.items():
            assert torch.equal(as_if_alone(network, domain, plain).eval()(images()).logits, logits)
    assert not torch.allclose(found["source"], found["target"])


def test_a_pass_moves_the_statistics_of_its_domain_alone() -> None:
    _, network = both(BiSeNet18(width=0.125))
    before = {name: value.clone() for name, value in network.named_buffers() if name.endswith("running_mean")}
    network.train()(images(), domain="source")
    moved = {name for name, value in network.named_buffers() if name in before and not torch.equal(value, before[name])}
    assert moved == {name for name in before if ".source." in name}


def test_a_norm_learns_from_the_losses_on_its_domain_alone() -> None:
    _, network = both(BiSeNet18(width=0.125))
    loss = network.train()(images(), domain="target", auxiliary=True).logits.square().mean()
    names = [name for name, _ in network.named_parameters()]
    gradients = torch.autograd.grad(loss, [*network.parameters()], allow_unused=True)
    touched = {name for name, gradient in zip(names, gradients, strict=True) if gradient is not None}
    assert any(".norms.target." in name for name in touched)
    assert not any(".norms.source." in name for name in touched)


def test_a_copy_chooses_norms_of_its_own() -> None:
    _, network = both(BiSeNet18(width=0.125))
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        network.eval()(images(), domain="source")
        twin.eval()(images(), domain="target")
        norms = [module for module in network.modules() if isinstance(module, DomainNorm)]
        others = [module for module in twin.modules() if isinstance(module, DomainNorm)]
        assert {norm.domain for norm in norms} == {"source"}
        assert {norm.domain for norm in others} == {"target"}


@every_architecture
def test_what_it_publishes_and_costs_is_the_network_by_itself(architecture: Architecture) -> None:
    with torch.device("meta"):
        plain, network = both(architecture)
        assert network_cost(network.eval()) == network_cost(plain.eval())


def test_its_backbone_is_a_part_of_it() -> None:
    _, network = both(BiSeNet18(width=0.125))
    part = network.backbone()
    assert part is not None
    assert {id(each) for each in part.parameters()} < {id(each) for each in network.parameters()}


@every_architecture
def test_it_takes_over_a_state_of_its_own_or_of_the_network_by_itself(architecture: Architecture) -> None:
    plain, network = both(architecture)
    network.train()(images(), domain="source")
    twin = DomainSpecific(architecture.build())
    twin.load_state_dict(network.state_dict())
    assert_same(dict(twin.state_dict()), dict(network.state_dict()))
    randomise(plain)
    twin.load_state_dict(plain.state_dict())
    plain.eval(), twin.eval()
    with torch.no_grad():
        for domain in ("source", "target"):
            assert torch.equal(twin(images(), domain=domain).logits, plain(images()).logits)
    with pytest.raises(RuntimeError, match="Missing key"):
        twin.load_state_dict({"layer.weight": torch.zeros(1)})


class Normless(Network):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 19, 1)

    def forward(self, images: Tensor, domain: str = "target", auxiliary: bool = False) -> Prediction:
        return Prediction(self.layer(images), (), images)


def test_a_network_without_norms_is_refused() -> None:
    with pytest.raises(ValueError, match="need a network with batch norm, got Normless without; take batch_norm="):
        DomainSpecific(Normless())


@pytest.mark.parametrize("domain", get_args(Domain))
def test_a_pass_in_training_moves_the_statistics_of_its_domain_alone(domain: Domain) -> None:
    run = training_run(MinEnt(), batch_norm="domain-specific")
    before = running_statistics(run)
    run._passes(255 * torch.rand(2, 3, 32, 64, generator=torch.Generator().manual_seed(0)), domain)
    after = running_statistics(run)
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moved == {name for name in after if f".norms.{domain}.running_" in name}


@pytest.mark.parametrize("arm", [Arm(LabTransfer), Arm(HistogramMatching), Arm(FDA, entropy_weight=0.0)], ids=str)
def test_methods_that_only_look_at_the_target_and_never_pass_it_are_refused(arm: Arm) -> None:
    recipe = Recipe(network=BiSeNet18(width=0.0625), batch_norm="domain-specific")
    budget = Budget(steps=4, evaluations=1)
    study = Study(shift=town(), arms={"row": arm}, reference="row", budget=budget, recipe=recipe)
    with pytest.raises(Uncounted, match=r"arm 'row': batch_norm=.* passes none of the target; give the row batch_norm"):
        plan(study)


@pytest.mark.parametrize("method", [Adversarial(width=4), MinEnt(lambda_ent=0.1), DACS(threshold=0.05)], ids=str)
def test_methods_train_by_it_and_a_restored_run_goes_on(method: Adversarial | MinEnt | DACS) -> None:
    run, other = (training_run(method, batch_norm="domain-specific") for _ in range(2))
    run.advance(2)
    other.restore(run.save({}))
    assert run.advance(2) == other.advance(2)
    assert_same(state(run), state(other))
    source, target = (run.predict(run.batches.at(4)["source"].images, domain).logits for domain in ("source", "target"))
    assert not torch.allclose(source, target)
