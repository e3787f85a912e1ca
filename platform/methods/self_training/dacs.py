"""Domain adaptation by cross-domain mixed sampling (Tranheden et al., DACS, WACV 2021, arXiv 2007.08702).

A teacher T, the average of the networks S of past steps, labels the target: y_t = argmax T(x_t). Half of the classes of
a source image, M, are pasted into a target image (Olsson et al., ClassMix, WACV 2021, arXiv 2007.07936), with labels:

    x_m = M x_s + (1 - M) x_t,    y_m = M y_s + (1 - M) y_t
    min  CE(S(x_s), y_s) + lambda_mix * mean( w * CE(S(augmented(x_m)), y_m) ),    w = M + (1 - M) q
    T <- a T + (1 - a) S  after every step,    a = min(1 - 1 / (number + 1), decay)

with q the fraction of the batch's target pixels whose probability by the teacher is at least `threshold`. As published,
T averages parameters alone, and normalises by the batch that it sees, as S does in training.

Departures: void is no class that could be pasted (in the published code it is one, whose pixels then count nothing).
What is mixed was flipped or cropped by the recipe before, and its size is the shift's (published crops 512).
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from platform.methods.method import SEGMENTATION, Method, Player
from platform.methods.self_training.strong_augmentation import strongly_augmented
from platform.methods.step import Step
from platform.methods.upsampled_loss import cross_entropy
from platform.networks.hyperparameters import hyperparameter
from platform.networks.modes import statistics_kept
from platform.networks.network import Network
from platform.networks.operations.upsampling import upsample
from platform.shifts.labels import NUM_CLASSES

TEACHER = "teacher"


@dataclass(frozen=True, kw_only=True)
class DACS(Method):
    """Train on source objects pasted into target images that an averaged teacher has labelled."""

    lambda_mix: float = hyperparameter(1.0, at_least=0.0)
    """Weight of the cross-entropy of mixed images."""
    threshold: float = hyperparameter(0.968, at_least=0.0, at_most=1.0)
    """Probability from which the teacher is sure of a pixel."""
    decay: float = hyperparameter(0.99, at_least=0.0, below=1.0)
    """How much of the teacher is kept at each step, at most."""

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return {TEACHER: Player(copy.deepcopy(network))}

    def losses(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        source, target = step.source, step.target
        labels, confidence = self._taught(step)
        pasted = half_of_the_classes(source.labels, step.random)
        mixed_labels = torch.where(pasted, source.labels, labels)
        weights = torch.where(pasted, 1.0, confidence)
        mixed = torch.where(pasted[:, None], source.images, target.images)
        prediction = step.segment(strongly_augmented(mixed, step.random), "target")
        step.note("teacher/confidence", confidence)
        return {
            SEGMENTATION: self.lambda_mix * step.term("mix", cross_entropy(prediction.logits, mixed_labels, weights))
        }

    def update(self, step: Step) -> None:
        kept = min(1 - 1 / (step.number + 1), self.decay)
        # One kernel for all parameters, where each by itself would be one.
        torch._foreach_lerp_([*step.modules[TEACHER].parameters()], [*step.network.parameters()], 1 - kept)

    @torch.no_grad()
    def _taught(self, step: Step) -> tuple[Int64[Tensor, "batch height width"], Float[Tensor, ""]]:
        """The teacher's labels of the target, and the fraction of pixels that it is sure of."""
        teacher, images = step.modules[TEACHER], step.target.images
        teacher.train(step.network.training)
        with statistics_kept(teacher):
            logits = teacher(images, domain="target").logits
        surest = upsample(logits.float(), images.shape[-2:]).softmax(dim=1).max(dim=1)
        return surest.indices, (surest.values >= self.threshold).float().mean()


def half_of_the_classes(
    labels: Int64[Tensor, "batch height width"], random: np.random.Generator
) -> Bool[Tensor, "batch height width"]:
    """The pixels of a random half of the classes of each image, rounded up."""
    # Which classes are there the device knows, and to ask it would be to wait for it: all are put in a random order.
    order = torch.from_numpy(np.argsort(random.random((len(labels), NUM_CLASSES))))
    order = order.to(labels.device, non_blocking=True)
    is_of = labels[:, None] == order[..., None, None]
    is_there = is_of.any(dim=-1).any(dim=-1)
    place = is_there.cumsum(dim=1)
    chosen = is_there & (place <= (place[:, -1:] + 1) // 2)
    return (is_of & chosen[..., None, None]).any(dim=1)
