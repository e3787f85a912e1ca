"""A study file's own method, written from the faces of rooms alone, is a method like any other."""

from dataclasses import fields
from pathlib import Path

import pytest

from platform.design.arm import Arm
from platform.design.loading import load
from platform.methods import Method
from tests.support.tiny_splits import assert_same, recipe, state, training_run

STUDY = '''"""Does a classifier of the domain's colours help?"""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from platform.methods import (
    SEGMENTATION,
    Integer,
    Labelled,
    Method,
    Player,
    SourceOnly,
    Step,
    Unlabelled,
    cross_entropy,
    hyperparameter,
)
from platform.networks import Network
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, Study, Uniform


@dataclass(frozen=True, kw_only=True)
class Colours(Method):
    """Brightness of the target, its own predictions as labels, and a classifier beside the network."""

    weight: float = hyperparameter(0.1, at_least=0.0)
    channels: float = hyperparameter(2.0, at_least=1.0)
    ramp: float = hyperparameter(0.2, at_least=0.0, below=1.0)

    @property
    def warm_up(self) -> float:
        return self.ramp

    @classmethod
    def integer(cls, field: str, size: tuple[int, int]) -> Integer | None:
        return Integer("channels", int, float) if field == "channels" else None

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        channels = int(self.channels)
        classifier = nn.Sequential(nn.Conv2d(3, channels, 1), nn.ReLU(), nn.Conv2d(channels, 1, 1))
        return {"classifier": Player(classifier, partial(torch.optim.Adam, lr=1e-3))}

    def translate(self, source: Labelled, target: Unlabelled | None, memory: MutableMapping[int, Tensor]) -> Tensor:
        assert target is not None
        for index, image in zip(target.indices.tolist(), target.images, strict=True):
            memory.setdefault(index, image.mean((1, 2)))
        wanted = torch.stack([memory[index] for index in target.indices.tolist()])[:, :, None, None]
        return source.images - source.images.mean((2, 3), keepdim=True) + wanted

    def losses(self, step: Step) -> Mapping[str, Tensor]:
        classify = step.modules["classifier"]
        logits = step.target_prediction.logits
        guesses = logits.detach().argmax(1)
        taught = step.term("pseudo", cross_entropy(logits, guesses))
        step.note("pseudo/classes", torch.tensor(float(guesses.unique().numel())))
        source = classify(step.source.images / 255).mean()
        target = classify(step.target.images / 255).mean()
        return {
            SEGMENTATION: self.weight * taught,
            "classifier": step.term("classifier", torch.sigmoid(source - target)),
        }


study = Study(
    shift=town(),
    arms={"source only": Arm(SourceOnly), "colours": Arm(Colours, weight=Uniform(0.0, 1.0))},
    reference="source only",
    search=ASHA(trials=4),
    budget=Budget(steps=4, evaluations=2),
)
'''


@pytest.fixture
def own(tmp_path: Path) -> type[Method]:
    """The method of the study file."""
    (tmp_path / "colours.py").write_text(STUDY)
    (method,) = load(tmp_path / "colours.py").study.arms["colours"].methods
    return method


def test_it_is_written_from_the_faces_of_rooms_alone() -> None:
    ours = [line for line in STUDY.splitlines() if line.startswith("from platform.")]
    assert [line.split()[1] for line in ours] == [
        "platform.methods",
        "platform.networks",
        "platform.shifts",
        "platform.study",
    ]


def test_it_trains_all_its_players_and_notes_what_it_says(own: type[Method]) -> None:
    run = training_run(own())
    noted = run.advance(2)
    assert noted.keys() == {"loss/cross_entropy", "loss/pseudo", "loss/classifier", "pseudo/classes"}
    assert run._modules.keys() == run._optimisers.keys() == {"segmentation", "classifier"}
    assert run.batches.memory.keys() == {0}
    assert all(len(kept) == 3 for kept in run.batches.memory[0].values())


def test_it_goes_on_from_a_checkpoint_as_if_never_interrupted(own: type[Method]) -> None:
    uninterrupted, restored = training_run(own()), training_run(own())
    uninterrupted.advance(1)
    restored.restore(uninterrupted.save({}))
    assert restored.advance(2) == uninterrupted.advance(2)
    assert_same(state(restored), state(uninterrupted))


def test_its_fields_are_checked_as_those_of_any_method(own: type[Method]) -> None:
    assert [field.name for field in fields(own)] == ["weight", "channels", "ramp"]
    with pytest.raises(ValueError, match=r"Colours\.weight must be at least 0\.0, got -1"):
        Arm(own, weight=-1)
    integer = own.integer("channels", (32, 64))
    assert integer is not None
    assert integer.of(integer.value(3)) == 3
    assert Arm(own, ramp=0.5).warm_up(recipe()) == 0.5
