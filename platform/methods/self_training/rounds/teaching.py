"""Who labels the target in which round, and by which thresholds.

Of R rounds in a run of N steps, step n is of round floor(n R / N). The networks that an arm comes after teach in the
first; in each later one a copy of the trained network does, as it was when the round began.

Departures from the published rounds, of which each is a run of its own: the learning rate goes on falling over all of
them. Labels are not stored, but made anew of the images as the recipe flips or crops them, by the teachers in
evaluation mode. No player can see an image before the first step, which is therefore taken without pseudo-labels.
"""

import copy
import functools
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from platform.methods.method import Method, Player
from platform.methods.self_training.rounds.confidence import histogram, ranked
from platform.methods.step import Step
from platform.methods.upsampled_loss import cross_entropy
from platform.networks.network import Network
from platform.networks.operations.upsampling import single_precision, upsample
from platform.shifts.labels import NUM_CLASSES, VOID

TEACHERS, SUCCESSOR, THRESHOLDS = "teachers", "successor", "thresholds"
UNREACHED = 2.0
"""A threshold that no probability reaches."""


class Thresholds(nn.Module):
    """The probability from which pixels of each class are labelled."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("of_class", torch.full((NUM_CLASSES,), UNREACHED))


def refuse_untaught(method: Method, given: Sequence[Network]) -> None:
    """Raise ValueError for a method without networks that could teach it."""
    if not given:
        name = type(method).__name__
        raise ValueError(f'{name} needs trained networks that label the target; write Arm({name}).after("source only")')


def players_of_rounds(rounds: int, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
    """The players of so many rounds: the teachers of the first, that of the later ones, and the thresholds."""
    players = {TEACHERS: Player(nn.ModuleList(given)), THRESHOLDS: Player(Thresholds())}
    return players if rounds == 1 else {**players, SUCCESSOR: Player(copy.deepcopy(network))}


def thresholds_of(step: Step) -> Float[Tensor, " classes"]:
    """The thresholds of this step's round."""
    return step.modules[THRESHOLDS].get_buffer("of_class")


def begun(step: Step, rounds: int) -> int | None:
    """The round that begins after this step, if any; the first begins after the first step."""
    this, following = (number * rounds // step.steps for number in (step.number, step.number + 1))
    if this < following < rounds:
        return following
    return 0 if step.number == 0 else None


def counted(step: Step, number: int) -> Int64[Tensor, "classes _"]:
    """Let the teachers of a round that begins see all images, and count how probable their labels are."""
    if number > 0:
        step.modules[SUCCESSOR].load_state_dict(step.network.state_dict())
    teachers, every = _teachers(step, number), range(len(step.adapt))
    # As many at once as a step has: there is memory for these.
    together = len(step.target.images)
    batches = (step.adapt.batch(every[first : first + together]) for first in every[::together])
    return functools.reduce(torch.add, (histogram(_probabilities(teachers, batch.images)) for batch in batches))


def follow_the_surest(step: Step, rounds: int, fraction: float, confidence: float) -> None:
    """Where a round begins, have a fraction of each class's pixels reach its threshold, and all of a probability."""
    if (number := begun(step, rounds)) is not None:
        thresholds_of(step).copy_(ranked(counted(step, number), fraction).clamp(max=confidence))


def probabilities(step: Step, rounds: int) -> Float[Tensor, "batch classes height width"]:
    """What the teachers of this step's round make of the target batch."""
    return _probabilities(_teachers(step, step.number * rounds // step.steps), step.target.images)


def learned(step: Step, labels: Int64[Tensor, "batch height width"]) -> Float[Tensor, ""]:
    """The cross-entropy of the target with these labels, put on record with how many pixels have one."""
    step.note("pseudo_labels/labelled", (labels != VOID).float().mean())
    return step.term("pseudo_labels", cross_entropy(step.target_prediction.logits, labels))


def _teachers(step: Step, number: int) -> list[nn.Module]:
    return [*step.modules[TEACHERS].children()] if number == 0 else [step.modules[SUCCESSOR]]


@torch.no_grad()
def _probabilities(
    teachers: Sequence[nn.Module], images: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch classes height width"]:
    """The mean of the teachers' probabilities at the images' size."""
    each = (
        upsample(single_precision(teacher(images, domain="target").logits), images.shape[-2:]).softmax(dim=1)
        for teacher in teachers
    )
    return functools.reduce(torch.add, each) / len(teachers)
