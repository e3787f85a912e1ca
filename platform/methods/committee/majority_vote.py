"""Majority vote of trained networks, pixel by pixel (Lam and Suen, IEEE Transactions on SMC-A 27(5), 1997).

Nothing is trained. With M members, p_m the probabilities of member m at the images' size, p their mean, and v_c the
number of members whose most probable class at a pixel is c, the committee's probabilities are

    P_c = (v_c + p_c) / (M + 1),    logits log P_c

so that its class is the one with most votes, since p_c < 1, and among classes with as many the one of the highest mean
probability (of the first, where these are equal in float32). Where all agree on c, P_c lies in [M / (M + 1), 1].

Members are the complete trials of other rows with the same seed. Features are p, which is all that the vote looks at
beside the votes: those of members lie on coarser grids, in channels of different meanings. Departures: where most
members agree on no class, the one with most votes wins (published: the pixel is rejected).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from platform.methods.method import Method, Player
from platform.networks.network import Domain, Network, Prediction
from platform.networks.operations.upsampling import single_precision, upsample

COMMITTEE = "committee"


@dataclass(frozen=True, kw_only=True)
class MajorityVote(Method):
    """Have the networks of other rows vote: `Arm(MajorityVote).after("FDA", "adversarial", "DACS")`."""

    reads: ClassVar[frozenset[str]] = frozenset()
    deployed: ClassVar[str] = COMMITTEE

    def start(self, network: Network, given: Sequence[Network]) -> None:
        if len(given) < 2:
            raise ValueError(
                f"MajorityVote needs the networks of two rows or more, got {len(given)}; write "
                'Arm(MajorityVote).after("a row", "another", "a third")'
            )

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        return {COMMITTEE: Player(Committee(given))}


class Committee(Network):
    """Several networks that vote."""

    def __init__(self, members: Sequence[Network]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"], domain: Domain = "target", auxiliary: bool = False
    ) -> Prediction:
        """The vote of all members, at the images' size."""
        said = [single_precision(member(images, domain=domain).logits) for member in self.members]
        # One image at a time: 19 classes of a single one take 40 MB.
        elections = [elected([logits[[number]] for logits in said], images.shape[-2:]) for number in range(len(images))]
        logits, means = zip(*elections, strict=True)
        return Prediction(torch.cat(logits), (), torch.cat(means))

    def published(self) -> nn.Module:
        """All members as published."""
        return InTurn([member.published() for member in self.members if isinstance(member, Network)])


class InTurn(nn.Module):
    """Modules that are called one after the other: what they cost together."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.together = nn.ModuleList(modules)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> None:
        """Call each on the images."""
        for module in self.together:
            module(images)


def elected(
    said: Sequence[Float[Tensor, "batch classes _ _"]], size: tuple[int, ...]
) -> tuple[Float[Tensor, "batch classes {size[0]} {size[1]}"], Float[Tensor, "batch classes {size[0]} {size[1]}"]]:
    """log P and p at a size, of the logits of all members."""
    classes = torch.arange(said[0].shape[1], device=said[0].device)[:, None, None]
    votes = p = torch.zeros((), device=said[0].device)
    for logits in said:
        enlarged = upsample(logits, size)
        # The maximum is found three times as fast as by argmax.
        votes = votes + (enlarged.max(dim=1, keepdim=True).indices == classes)
        p = p + enlarged.softmax(dim=1) / len(said)
    # Finite also where nobody votes for a class, and its probability is too small for float32.
    return ((votes + p) / (len(said) + 1)).clamp(min=torch.finfo(p.dtype).tiny).log(), p
