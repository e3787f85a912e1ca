"""Players beside the network: those that descend a loss, those that rest, and those that only an update changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from platform.methods import SEGMENTATION, Method, Player, SourceOnly, Step
from platform.networks.network import Network, Prediction
from platform.shifts.few import granted
from platform.training.run import TrainingRun
from platform.training.steps.finite import Diverged
from tests.support.own_methods import TEACHER, Few, MeanTeacher, OfTheTarget, Scripted, judged
from tests.support.tiny_splits import assert_same, composition, parameters, splits, state, step_of, training_run

# Players without an optimiser


def weights(run: TrainingRun, name: str) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in run._modules[name].state_dict().items()}


def test_a_player_without_an_optimiser_is_in_every_checkpoint_and_goes_on_from_there() -> None:
    run, restored = training_run(MeanTeacher()), training_run(MeanTeacher())
    run.advance(2)
    saved = state(run)
    assert saved["modules"].keys() == {SEGMENTATION, TEACHER}
    assert saved["optimisers"].keys() == {SEGMENTATION}
    restored.restore(run.save({}))
    assert_same(weights(restored, TEACHER), weights(run, TEACHER))
    assert not torch.equal(weights(run, TEACHER)["classifier.weight"], parameters(run)["classifier.weight"])
    assert restored.advance(2) == run.advance(2)
    assert_same(state(restored), state(run))


def test_a_player_without_an_optimiser_takes_no_gradient() -> None:
    """Not even where a loss leads through it; what stands before it does."""
    run = training_run(Scripted(loss=lambda step: {"judge": judged(step) * judged(step, "frozen")}))
    before = weights(run, "frozen")
    run.advance(3)
    frozen = list(run._modules["frozen"].parameters())
    assert not any(parameter.requires_grad for parameter in frozen)
    assert all(parameter.grad is None for parameter in frozen)
    assert_same(weights(run, "frozen"), before)
    assert all(parameter.grad is not None for parameter in run._modules["judge"].parameters())

    through = training_run(
        Scripted(
            loss=lambda step: {
                "judge": None,
                SEGMENTATION: step.modules["frozen"](step.target_prediction.logits[:, :3]).mean(),
            }
        )
    )
    alone = training_run(SourceOnly())
    through.advance(1)
    alone.advance(1)
    assert not torch.equal(parameters(through)["classifier.weight"], parameters(alone)["classifier.weight"])


@pytest.mark.parametrize("loss", [None, 1.0], ids=["none", "a loss"])
def test_a_loss_for_a_player_without_an_optimiser_is_refused(loss: float | None) -> None:
    given = {"judge": None, "frozen": None if loss is None else torch.ones((), requires_grad=True) * loss}
    with pytest.raises(ValueError, match="must give no loss to frozen, which has no optimiser; give it one") as caught:
        training_run(Scripted(loss=lambda step: given)).advance(1)
    assert "\n" not in str(caught.value)


def test_a_player_without_an_optimiser_that_is_not_finite_ends_the_run() -> None:
    def spoil(step: Step) -> None:
        if step.number == 1:
            step.modules["frozen"].bias.fill_(torch.nan)  # type: ignore[operator]

    run = training_run(Scripted(after=spoil))
    run.advance(1)
    with pytest.raises(Diverged, match=r"^bias of the frozen is not finite at step 2$"):
        run.advance(1)


def test_a_teacher_follows_the_network_after_every_step_of_the_optimisers() -> None:
    run = training_run(MeanTeacher(keep=0.75))
    expected = parameters(run)
    for _ in range(3):
        run.advance(1)
        after = parameters(run)
        expected = {name: value.lerp(after[name], 0.25) for name, value in expected.items()}
        teacher = dict(run._modules[TEACHER].named_parameters())
        assert {name: parameter.detach() for name, parameter in teacher.items()}.keys() == expected.keys()
        torch.testing.assert_close({name: teacher[name].detach() for name in expected}, expected)


# Players that rest


def test_a_player_without_a_loss_in_a_step_is_left_as_it_is() -> None:
    """Its momentum, too, would have moved it."""
    run = training_run(Scripted(loss=lambda step: {"judge": None if step.number % 2 else judged(step)}))
    before = weights(run, "judge")
    for number in range(4):
        run.advance(1)
        after = weights(run, "judge")
        moved = not torch.equal(after["weight"], before["weight"])
        assert moved == (number % 2 == 0)
        before = after


def test_a_loss_that_depends_on_others_alone_is_refused() -> None:
    """A player that never learns would stand in the table as one that does."""
    run = training_run(Scripted(loss=lambda step: {"judge": step.target_prediction.logits.mean()}))
    with pytest.raises(ValueError, match=r"the loss of judge must depend on its parameters, got one of others' alone"):
        run.advance(1)


def test_the_network_itself_is_no_player_of_a_methods_own() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Freezing(Method):
        def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
            return {"teacher": Player(network)}

    with pytest.raises(
        ValueError, match=r"must be a module of the method's own, got weights of the network.*; copy it"
    ):
        training_run(Freezing())


def test_a_player_that_holds_the_network_is_none_of_a_methods_own() -> None:
    """Its weights would be frozen, and counted twice."""

    @dataclass(frozen=True, kw_only=True)
    class Holding(Method):
        def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
            return {"both": Player(nn.ModuleList([network, nn.Conv2d(3, 1, 1)]))}

    with pytest.raises(ValueError, match=r"^Holding: .*, got weights of the network, .*, in both; copy it, by copy"):
        training_run(Holding())


def test_a_player_without_an_optimiser_predicts_in_evaluation() -> None:
    """In training, the statistics of a teacher would move whenever it is asked, twice where batches are halved."""
    run = training_run(MeanTeacher())
    assert not run._modules[TEACHER].training
    before = {name: buffer.clone() for name, buffer in run._modules[TEACHER].named_buffers()}
    run.advance(2)
    assert_same(dict(run._modules[TEACHER].named_buffers()), before)


def test_players_cannot_be_replaced_in_a_step() -> None:
    def replace(step: Step) -> None:
        step.modules["frozen"] = nn.Conv2d(3, 1, 1)  # type: ignore[index]

    with pytest.raises(TypeError, match="does not support item assignment"):
        training_run(Scripted(after=replace)).advance(1)


def test_losses_that_differentiate_are_refused() -> None:
    """Their gradients would be added to those of the losses."""

    def differentiated(step: Step) -> dict[str, Tensor]:
        loss = judged(step)
        loss.backward(retain_graph=True)
        return {"judge": loss}

    with pytest.raises(ValueError, match=r"^Scripted\.losses must return losses and differentiate none, got gradients"):
        training_run(Scripted(loss=differentiated)).advance(1)


def test_a_network_without_a_loss_in_a_step_is_left_as_it_is() -> None:
    def every_other(step: Step) -> dict[str, Tensor | None]:
        return {"judge": None, SEGMENTATION: None if step.number % 2 else step.target_prediction.logits.square().mean()}

    run = training_run(OfTheTarget(loss=every_other))
    before = parameters(run)
    for number in range(4):
        assert run.advance(1) == {}
        after = parameters(run)
        moved = not torch.equal(after["classifier.weight"], before["classifier.weight"])
        assert moved == (number % 2 == 0)
        before = after


# The update


def test_an_update_sees_the_whole_batch_and_the_predictions_that_the_losses_were_taken_on() -> None:
    """In halves the losses are asked for twice, and the predictions of the parts are joined."""
    parts: list[tuple[list[int], Prediction, Prediction]] = []
    updates: list[Step] = []

    def look(step: Step) -> dict[str, None]:
        parts.append((step.source.indices.tolist(), step.prediction, step.target_prediction))
        return {"judge": None}

    run = training_run(Scripted(loss=look, after=updates.append), batch=4)
    for halves in (1, 2):
        run.parts = halves
        parts.clear()
        updates.clear()
        whole = step_of(run)
        run.advance(1)
        assert (len(parts), len(updates)) == (halves, 1)
        (update,) = updates
        assert update.number == whole.number
        assert torch.equal(update.source.images, whole.source.images)
        assert torch.equal(update.source.labels, whole.source.labels)
        assert torch.equal(update.target.images, whole.target.images)
        assert [index for indices, _, _ in parts for index in indices] == update.source.indices.tolist()
        for found, given in (
            (update.prediction, [prediction for _, prediction, _ in parts]),
            (update.target_prediction, [prediction for _, _, prediction in parts]),
        ):
            assert torch.equal(found.logits, torch.cat([one.logits for one in given]))
            assert torch.equal(found.features, torch.cat([one.features for one in given]))
            for head in range(2):
                assert torch.equal(found.auxiliary[head], torch.cat([one.auxiliary[head] for one in given]))
            assert not found.logits.requires_grad


def test_an_update_sees_the_predictions_of_the_few_as_well() -> None:
    class Asking(Few):
        def update(self, step: Step) -> None:
            seen.append(step.few_prediction)

    seen: list[Prediction] = []
    run = training_run(Asking(), granted(splits(), 2), batch=4)
    run.parts = 2
    run.advance(1)
    assert [prediction.logits.shape[0] for prediction in seen] == [4]


def test_an_update_is_made_after_the_optimisers_and_without_gradients() -> None:
    found: list[bool] = []
    before: dict[str, Tensor] = {}

    def look(step: Step) -> None:
        found.append(torch.is_grad_enabled())
        network = step.segment.network  # type: ignore[attr-defined]
        found.append(torch.equal(network.classifier.weight, before["classifier.weight"]))

    run = training_run(Scripted(after=look))
    before |= parameters(run)
    run.advance(1)
    assert found == [False, False]


def test_each_part_and_the_update_draw_their_own_numbers_which_are_the_same_again() -> None:
    drawn: list[float] = []

    def draw(step: Step) -> dict[str, None]:
        drawn.append(float(step.random.random()))
        return {"judge": None}

    run = training_run(Scripted(loss=draw, after=draw), batch=4)
    run.parts = 2
    run.advance(2)
    assert len(set(drawn)) == 6
    again = training_run(Scripted(loss=draw, after=draw), batch=4)
    again.parts, again.step = 2, 1
    again.advance(1)
    assert drawn[6:] == drawn[3:6]


def test_a_method_without_an_update_keeps_no_prediction_beyond_its_part() -> None:
    run = training_run(composition(SourceOnly()))
    step = step_of(run)
    run._differentiate_part(step)
    assert not step.passes


def test_a_buffer_that_an_update_has_enlarged_is_in_the_checkpoint_as_it_is() -> None:
    """A method does not know how many target images there are before its first step."""

    @dataclass(frozen=True, kw_only=True)
    class Remembering(Method):
        def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
            module = torch.nn.Module()
            module.register_buffer("seen", torch.zeros(0))
            return {"memory": Player(module)}

        def update(self, step: Step) -> None:
            memory = step.modules["memory"]
            memory.seen = torch.cat([memory.seen, step.target.images.mean().view(1)])  # type: ignore[list-item]

    run, restored = training_run(Remembering()), training_run(Remembering())
    run.advance(2)
    restored.restore(run.save({}))
    run.advance(1)
    restored.advance(1)
    assert_same(state(restored), state(run))
    assert state(run)["modules"]["memory"]["seen"].shape == (3,)
