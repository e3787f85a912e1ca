"""The majority vote against ballots counted pixel by pixel, and what a committee costs and says."""

from collections import Counter

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch.nn import functional

from platform.methods import DACS, FDA, MajorityVote, SourceOnly
from platform.methods.committee.majority_vote import COMMITTEE, Committee, elected
from platform.networks import LRASPP, BiSeNet18, Network
from platform.networks.network import Domain, Prediction
from platform.shifts.labels import SINGLE_CLASSES
from platform.training.cost import Uncounted, cost_of, estimate_of
from platform.training.evaluation import evaluation
from platform.training.given import Given
from platform.training.recipe import Recipe
from platform.training.run import TrainingRun
from tests.support.tiny_splits import CPU, SIZE, composition, recipe, splits, state, training_run

RANDOM = np.random.default_rng(0)


class Scripted(Network):
    """Says the same of every image."""

    def __init__(self, logits: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("logits", torch.from_numpy(logits))

    def forward(self, images: torch.Tensor, domain: Domain = "target", auxiliary: bool = False) -> Prediction:
        """The logits, as often as there are images."""
        logits = self.get_buffer("logits")[None].expand(len(images), -1, -1, -1)
        return Prediction(logits, (), logits)


def vote(*members: np.ndarray) -> Prediction:
    """Of members that each say logits (classes, rows, columns), at their own size."""
    committee = Committee([Scripted(logits) for logits in members]).eval()
    prediction: Prediction = committee(torch.zeros(1, 3, *members[0].shape[1:]))
    return prediction


def by_ballots(*members: np.ndarray) -> np.ndarray:
    """The class of most ballots at each pixel; among those with as many, of the highest mean probability."""
    _, rows, columns = members[0].shape
    elected = np.empty((rows, columns), int)
    for row, column in np.ndindex(rows, columns):
        ballots = Counter(int(logits[:, row, column].argmax()) for logits in members)
        mean = np.mean([softmax(logits[:, row, column]) for logits in members], axis=0)
        elected[row, column] = max(ballots, key=lambda c: (ballots[c], mean[c]))
    return elected


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("number", [2, 3, 4, 7])
@pytest.mark.parametrize("classes", [2, 19])
def test_the_class_is_that_of_most_ballots(classes: int, number: int, scale: float) -> None:
    members = [RANDOM.normal(0, scale, (classes, 16, 24)) for _ in range(number)]
    found = vote(*members).logits
    assert found.shape == (1, classes, 16, 24)
    np.testing.assert_array_equal(found[0].argmax(0).numpy(), by_ballots(*members))


def test_probabilities_are_votes_and_means_worked_out() -> None:
    """Two of three say class 1, each surely; the third says class 0 with 3/4."""
    sure = np.array([-100.0, 100.0, -100.0])
    third = np.log([0.75, 0.125, 0.125])
    members = [each.reshape(3, 1, 1) for each in (sure, sure, third)]
    p = np.array([0.75 / 3, (2 + 0.125) / 3, 0.125 / 3])
    expected = (np.array([1, 2, 0]) + p) / 4
    prediction = vote(*members)
    np.testing.assert_allclose(prediction.logits.exp().flatten().numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(prediction.logits.softmax(dim=1).flatten().numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(prediction.features.flatten().numpy(), p, rtol=1e-6)


@pytest.mark.parametrize("number", [2, 3, 5])
def test_selectors_see_a_distribution(number: int) -> None:
    prediction = vote(*(RANDOM.normal(0, 3, (19, 5, 6)) for _ in range(number)))
    np.testing.assert_allclose(prediction.logits.exp().sum(dim=1).numpy(), 1, rtol=1e-6)
    assert prediction.features.shape == prediction.logits.shape
    assert prediction.auxiliary == ()


def test_of_classes_with_as_many_votes_and_equal_means_the_first_is_taken() -> None:
    """Two that are both sure, of which float32 knows no more."""
    members = [np.array(logits, np.float32).reshape(3, 1, 1) for logits in ([0, 0, 300], [0, 200, 0])]
    assert vote(*members).logits.argmax(dim=1).item() == 1


def test_two_members_that_disagree_are_parted_by_their_sureness() -> None:
    unsure, sure = np.log([0.6, 0.4]).reshape(2, 1, 1), np.log([0.1, 0.9]).reshape(2, 1, 1)
    assert vote(unsure, sure).logits.argmax(dim=1).item() == 1


def test_the_sure_do_not_outvote_the_many() -> None:
    """By the mean of probabilities alone the one would win."""
    many, one = np.log([0.51, 0.49]).reshape(2, 1, 1), np.array([-50.0, 50.0]).reshape(2, 1, 1)
    assert vote(many, many, one).logits.argmax(dim=1).item() == 0


def test_logits_are_finite_where_nobody_believes_in_a_class() -> None:
    sure = np.array([0.0, -1e4, -1e4], np.float32).reshape(3, 1, 1)
    logits = vote(sure, sure).logits
    assert logits.isfinite().all()
    assert logits.exp().flatten().tolist() == pytest.approx([1, 0, 0])
    assert all(each.isfinite().all() for each in elected([torch.from_numpy(sure)[None]] * 2, (4, 4)))


def test_members_of_different_strides_vote_at_the_image_s_size() -> None:
    fine, coarse = RANDOM.normal(0, 2, (5, 8, 16)), RANDOM.normal(0, 2, (5, 2, 4))
    enlarged = functional.interpolate(torch.from_numpy(coarse)[None], size=(8, 16), mode="bilinear")[0].numpy()
    found = vote(fine, coarse, coarse).logits[0].argmax(0).numpy()
    np.testing.assert_array_equal(found, by_ballots(fine, enlarged, enlarged))


def test_half_precision_ends_before_the_vote() -> None:
    members = [RANDOM.normal(0, 5, (19, 8, 8)).astype(np.float16) for _ in range(3)]
    with torch.autocast("cpu", torch.bfloat16):
        prediction = vote(*members)
    assert prediction.logits.dtype == prediction.features.dtype == torch.float32
    expected = by_ballots(*(each.astype(np.float32) for each in members))
    np.testing.assert_array_equal(prediction.logits[0].argmax(0).numpy(), expected)


def test_a_committee_may_be_a_member() -> None:
    first, second, third = (RANDOM.normal(0, 2, (4, 3, 3)) for _ in range(3))
    inner = Committee([Scripted(first), Scripted(second)])
    outer = Committee([inner, Scripted(third)])(torch.zeros(1, 3, 3, 3)).logits[0].argmax(0).numpy()
    said = inner(torch.zeros(1, 3, 3, 3)).logits[0].numpy()
    np.testing.assert_array_equal(outer, by_ballots(said, third))


def test_members_are_told_the_domain_of_the_images() -> None:
    seen = []

    class Listening(Scripted):
        """Keeps the domain that it is told."""

        def forward(self, images: torch.Tensor, domain: Domain = "target", auxiliary: bool = False) -> Prediction:
            """As scripted."""
            seen.append(domain)
            return super().forward(images)

    Committee([Listening(np.zeros((2, 1, 1))) for _ in range(2)])(torch.zeros(1, 3, 1, 1), domain="source")
    assert seen == ["source", "source"]


# As a row


def test_nothing_is_read_trained_or_noted_and_steps_take_no_time() -> None:
    run = training_run(MajorityVote(), steps=100_000)
    before = {name: value.clone() for name, value in run._modules[COMMITTEE].state_dict().items()}
    assert run.advance(50_000) == {}
    assert run.step == 50_000
    assert run.images_per_step == 0
    for name, value in run._modules[COMMITTEE].state_dict().items():
        assert torch.equal(value, before[name])
    assert not run.methods.acts
    assert composition(SourceOnly()).acts


def test_members_come_back_from_a_checkpoint() -> None:
    run = training_run(MajorityVote())
    images = torch.rand(2, 3, *SIZE) * 255
    expected = run.predict(images, "target").logits
    torch.manual_seed(99)
    other = TrainingRun(
        composition(MajorityVote()), recipe(), splits(), 1, 20, CPU, [recipe().network.build() for _ in range(3)]
    )
    assert not torch.equal(other.predict(images, "target").logits, expected)
    other.restore(run.save({}))
    assert torch.equal(other.predict(images, "target").logits, expected)
    assert state(other)["modules"].keys() == {"segmentation", COMMITTEE}


def test_evidence_of_an_evaluation_lies_on_the_grid_of_other_networks() -> None:
    """A vote at the images' size has 64 times as many places as their logits."""
    found, other = (
        evaluation(training_run(method), SINGLE_CLASSES, False).evidence for method in (MajorityVote(), SourceOnly())
    )
    assert found.target.places == other.target.places
    assert found.target.features.shape[1] == 19
    assert found.maps.shape == other.maps.shape


RECIPES = (Recipe(network=BiSeNet18(width=0.25)), Recipe(network=LRASPP()), Recipe(network=BiSeNet18(width=0.5)))


def given(*methods: SourceOnly | FDA | DACS) -> tuple[Given, ...]:
    return tuple(Given(composition(method), by) for method, by in zip(methods, RECIPES, strict=False))


def test_it_costs_the_sum_of_its_members() -> None:
    found = cost_of(composition(MajorityVote()), recipe(), given(SourceOnly(), FDA(), DACS()))
    members = [cost_of(composition(SourceOnly()), by) for by in RECIPES]
    for field in ("parameters", "deployed_parameters"):
        assert getattr(found, field) == sum(getattr(member, field) for member in members)
    for field in ("gflops", "deployed_gflops", "original_gflops"):
        assert getattr(found, field) == pytest.approx(sum(getattr(member, field) for member in members), rel=1e-12)
    assert (found.discriminator_parameters, found.discriminator_gflops, found.step_gflops) == (0, 0, 0)


def test_a_plan_shows_what_is_counted() -> None:
    members = given(SourceOnly(), FDA(), DACS())
    found, counted = (each(composition(MajorityVote()), recipe(), members) for each in (estimate_of, cost_of))
    assert found == (counted.deployed_parameters, 0, 0.0)


@pytest.mark.parametrize("number", [0, 1])
def test_fewer_than_two_members_are_refused_with_the_remedy(number: int) -> None:
    with pytest.raises(Uncounted, match=rf"^MajorityVote needs.*got {number}; write Arm\(MajorityVote\)\.after\("):
        cost_of(composition(MajorityVote()), recipe(), given(SourceOnly())[:number])


def test_two_members_are_enough() -> None:
    assert cost_of(composition(MajorityVote()), recipe(), given(SourceOnly(), FDA())).step_gflops == 0
