"""What a trial is evaluated on, and the predictions that it keeps."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from platform.methods import Method, SourceOnly
from platform.scores.metrics import confusion
from platform.shifts.labels import CAMVID_11, VOID
from platform.shifts.shift import LabelledImages
from platform.training.evaluation import counted, evaluate, evaluation, predictions
from platform.training.run import Interrupted, TrainingRun
from tests.support.arrays import all_of
from tests.support.own_methods import TEACHER, MeanTeacher
from tests.support.tiny_splits import (
    SIZE,
    images,
    labelled,
    training_run,
)


def test_evaluation_is_interrupted_between_batches() -> None:
    run, asked = training_run(SourceOnly()), list[None]()
    split = labelled(20, 5)

    def after_two_batches() -> bool:
        asked.append(None)
        return len(asked) == 2

    with pytest.raises(Interrupted):
        evaluate(run, split, "target", after_two_batches)
    assert len(asked) == 2
    assert evaluate(run, split, "target", after_two_batches).sum() == all_of(split.labels).size


def test_a_device_counts_what_the_cpu_counts() -> None:
    random = np.random.default_rng(0)
    labels, prediction = (random.integers(0, most, (3, 20, 30), np.uint8) for most in (256, 19))
    found = counted(torch.from_numpy(prediction), torch.from_numpy(labels))
    np.testing.assert_array_equal(found.numpy(), confusion(prediction, labels))


def by_hand(run: TrainingRun, split: LabelledImages) -> np.ndarray:
    """The confusion matrix, counted pixel by pixel from single images."""
    run.network.eval()
    counts = np.zeros((20, 20), np.int64)
    for position in range(len(split)):
        pixels = torch.from_numpy(all_of(split.images.pixels)[position].copy()).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            logits = run.network(pixels).logits
            resized = functional.interpolate(logits, size=split.labels.shape[1:], mode="bilinear")[0].numpy()
        for row, column in np.ndindex(*split.labels.shape[1:]):
            truth = int(all_of(split.labels)[position, row, column])
            counts[19 if truth == VOID else truth, int(resized[:, row, column].argmax())] += 1
    return counts


@pytest.mark.parametrize("label_size", [SIZE, (48, 96), (24, 40)])
def test_evaluate_counts_every_pixel_at_the_labels_resolution(label_size: tuple[int, int]) -> None:
    run = training_run(SourceOnly())
    run.advance(2)
    split = LabelledImages(images(9, 5), labelled(9, 5, label_size).labels)
    counts = evaluate(run, split, "target")
    assert counts.dtype == np.int64
    assert counts.sum() == all_of(split.labels).size
    np.testing.assert_array_equal(counts, by_hand(run, split))


@pytest.mark.parametrize(("length", "chosen"), [(1, [0]), (3, [0, 1, 2]), (4, [0, 1, 2, 3]), (10, [0, 3, 6, 9])])
def test_predictions_of_a_few_images(length: int, chosen: list[int]) -> None:
    run = training_run(SourceOnly())
    run.advance(1)
    split = labelled(length, 6, (48, 96))
    kept = predictions(run, split)
    np.testing.assert_array_equal(kept["images"], split.images.pixels[chosen])
    np.testing.assert_array_equal(kept["truth"], split.labels[chosen])
    assert kept["prediction"].shape == (len(chosen), 48, 96)
    assert all(array.dtype == np.uint8 for array in kept.values())
    few = LabelledImages(images(length, 6), split.labels)
    expected = sum(
        np.histogram2d(truth.ravel(), predicted.ravel(), bins=(20, 20), range=((0, 20), (0, 20)))[0]
        for truth, predicted in zip(np.where(kept["truth"] == VOID, 19, kept["truth"]), kept["prediction"], strict=True)
    )
    if length <= 4:
        np.testing.assert_array_equal(evaluate(run, few, "target"), expected)


# What is deployed


def test_what_is_deployed_is_what_is_evaluated() -> None:
    run = training_run(MeanTeacher())
    run.advance(3)
    split = labelled(4, 5)
    found, kept = evaluate(run, split, "target"), predictions(run, split)["prediction"]
    of_the_teacher = evaluate(deploying(run, run._modules[TEACHER]), split, "target")
    of_the_network = evaluate(deploying(run, run.network), split, "target")
    np.testing.assert_array_equal(found, of_the_teacher)
    assert not np.array_equal(found, of_the_network)
    np.testing.assert_array_equal(kept, predictions(deploying(run, run._modules[TEACHER]), split)["prediction"])


def deploying(run: TrainingRun, module: nn.Module) -> TrainingRun:
    """A run that deploys a copy of a module as its network."""
    other = training_run(SourceOnly())
    other.network.load_state_dict(module.state_dict())
    return other


@pytest.mark.parametrize("method", [SourceOnly(), MeanTeacher()], ids=str)
def test_evaluation_leaves_every_module_in_the_mode_it_was_in(method: Method) -> None:
    """Those within a module included, and those that are not evaluated."""
    run = training_run(method)
    run.advance(1)
    for module in run._modules.values():
        module.get_submodule("context_path").eval()
        module.get_submodule("context_path.layer1").train()
    before = modes(run)
    assert set(before.values()) == {True, False}
    seen: list[bool] = []
    watched = run._modules[run.methods.deployed].get_submodule("context_path.layer1")
    watched.register_forward_hook(lambda module, *_: seen.append(module.training))
    evaluate(run, labelled(3, 5), "target")
    predictions(run, labelled(3, 5))
    assert modes(run) == before
    assert set(seen) == {False}


def test_an_evaluation_that_is_interrupted_leaves_the_modes_too() -> None:
    run = training_run(MeanTeacher())
    run.advance(1)
    before = modes(run)
    with pytest.raises(Interrupted):
        evaluate(run, labelled(20, 5), "target", lambda: True)
    assert modes(run) == before


def modes(run: TrainingRun) -> dict[str, bool]:
    return {
        f"{player}.{name}": module.training
        for player, whole in run._modules.items()
        for name, module in whole.named_modules()
    }


def test_images_are_shown_with_the_domain_that_they_are_of() -> None:
    run, shown = training_run(SourceOnly()), list[str]()
    run.network.register_forward_pre_hook(lambda module, inputs, named: shown.append(named["domain"]), with_kwargs=True)
    evaluation(run, CAMVID_11, tested=True)
    predictions(run, run.splits.oracle.test)
    assert shown[:1] == ["source"]
    assert set(shown[1:]) == {"target"}
