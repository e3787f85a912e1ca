"""Histogram matching (Abramov et al., "Keep it Simple", CVPR Workshops 2020, arXiv 2005.12551; Gonzalez and Woods).

Each channel of the source image, in RGB, takes the histogram of the target image's:

    x_{s->t} = F_t^-1( F_s(x_s) ),   F(k) the share of a channel's pixels at grey level k or below, k in 0..255

F_t^-1 is linear between the levels that the target has, as in scikit-image's `match_histograms`: a lookup table of 256
real numbers for each channel of each image. A target image is remembered by its cumulative histograms, 3 kB.

Departures: the paper adapts a detector, and its other method, which matches means and covariances, is left out. Images
that another translation has changed before are rounded, and clipped to 0..255, to be looked up. Ma et al., CVPR 2021,
arXiv 2103.13041, match a and b of Lab alone: channels of RGB matched one by one may give colours of neither image.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Int32, Int64
from torch import Tensor

from platform.methods.batch import Labelled, Unlabelled
from platform.methods.method import Method
from platform.methods.translation.remembered import remembered
from platform.methods.upsampled_loss import any_order

LEVELS = 256


@dataclass(frozen=True, kw_only=True)
class HistogramMatching(Method):
    """min CE(S(x_{s->t}), y_s): give the source the histograms of the target."""

    def translate(
        self, source: Labelled, target: Unlabelled | None, memory: MutableMapping[int, Int32[Tensor, "3 256"]]
    ) -> Float32[Tensor, "batch 3 height width"]:
        assert target is not None
        wanted = remembered(target, memory, lambda image: cumulative(grey_levels(image[None]))[0])
        return matched(source.images, wanted)


def matched(
    images: Float32[Tensor, "batch 3 height width"], wanted: Int32[Tensor, "batch 3 256"]
) -> Float32[Tensor, "batch 3 height width"]:
    """The images with these cumulative histograms, which are of as many pixels."""
    levels = grey_levels(images)
    return lookup_table(cumulative(levels), wanted).gather(2, levels).view_as(images)


def grey_levels(images: Float32[Tensor, "batch 3 height width"]) -> Int64[Tensor, "batch 3 _"]:
    """The nearest grey level of each pixel, in 0..255."""
    return images.round().clamp(0, LEVELS - 1).long().flatten(2)


def cumulative(levels: Int64[Tensor, "batch 3 _"]) -> Int32[Tensor, "batch 3 256"]:
    """How many pixels of each channel are at a level or below."""
    counts = levels.new_zeros(*levels.shape[:2], LEVELS)
    # Whole numbers add up to the same in any order.
    with any_order():
        counts.scatter_add_(2, levels, torch.ones_like(levels[..., :1]).expand_as(levels))
    return counts.cumsum(2, dtype=torch.int32)


def lookup_table(
    source: Int32[Tensor, "batch 3 256"], target: Int32[Tensor, "batch 3 256"]
) -> Float32[Tensor, "batch 3 256"]:
    """F_t^-1(F_s(k)) for k in 0..255, of cumulative histograms of as many pixels.

    Between a < b, neighbours of the levels that the target has, with F_t(a) < F_s(k) <= F_t(b):

        a + (b - a) (F_s(k) - F_t(a)) / (F_t(b) - F_t(a)),   and b where there is no a
    """
    reached, each = source[..., None], target[..., None, :]
    is_below = each < reached
    above = is_below.sum(-1)
    count_below = (each * is_below).amax(-1)
    below = (each < count_below[..., None]).sum(-1)
    # Nothing is looked up at levels darker than the source, for which F_s is 0.
    count_above = target.gather(2, above)
    share = (source - count_below) / (count_above - count_below).clamp(min=1)
    return torch.where(count_below == 0, above, below + (above - below) * share)
