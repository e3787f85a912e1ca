"""What differs between two rows and no study file can say, with how to find out what it does."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from platform.records.plain import listed
from platform.results.against.mismatches import Mismatch
from platform.results.against.proposal.factors import Factor

COMMIT, VERSION = re.compile(r"[0-9a-f]{7,64}"), re.compile(r"[0-9][0-9A-Za-z.+]{0,30}")
"""What may be told to be typed into a shell: records may be somebody else's."""


class Unsaid(NamedTuple):
    """A difference, and what tells what it does."""

    mismatch: Mismatch
    remedy: str

    def __str__(self) -> str:
        return f"{self.mismatch.name}: {self.mismatch.this} in this, {self.mismatch.other} in other; {self.remedy}"


def unsaid(factors: Sequence[Factor], mismatches: Iterable[Mismatch]) -> list[Unsaid]:
    """Each difference that may change numbers, is none of the factors, and is not said by another one."""
    keys = {key for factor in factors for key in factor.keys}
    said = {name for key in keys for name in (key, key.partition(".")[2])} | {each.name for each in factors}
    left = [each for each in mismatches if each.weight in ("numbers", "last bits") and each.name not in said]
    # The code is that of a commit, with a version of torch.
    told = {
        "seeds",
        "begins from",
        "comes after",
        *(["code"] if any(each.name == "git commit" for each in left) else []),
    }
    return [Unsaid(each, _remedy(each)) for each in left if each.name not in told]


def remedies(found: Iterable[Unsaid]) -> list[str]:
    """How to find out, each remedy once: `device and processor: run the study on the other's machine as well`."""
    by_remedy: dict[str, dict[str, None]] = {}
    for each in found:
        by_remedy.setdefault(each.remedy, {})[each.mismatch.name] = None
    return [f"{listed([*names])}: {remedy}" for remedy, names in by_remedy.items()]


def _remedy(mismatch: Mismatch) -> str:
    name, other = mismatch.name, mismatch.other
    if name == "git commit":
        known = other.removesuffix("+")
        which = known if COMMIT.fullmatch(known) else "that of the other"
        return f"check out {which} in another folder, and run the study there as well"
    if name == "torch":
        which = f"torch=={other}" if VERSION.fullmatch(other) else "the other's torch"
        return f"install {which} in an environment of its own, and run the study there as well"
    if name == "code":
        return "the code that trains, or torch, has changed: run both studies again, with one checkout"
    if name.startswith(("shift.", "files of ")):
        return "bring the other's data, or its code of the shift, and run the study on them as well"
    if name in ("device", "processor", "precision"):
        return "run the study on the other's machine as well"
    if name == "batches":
        return "give trials more memory, so that none takes its batches in halves"
    return "this version's study files have no such setting"
