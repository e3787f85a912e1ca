"""What differs between two rows and no study file can say, with how to find out what it does."""

from collections.abc import Iterable, Sequence

from platform.results.against.difference import Difference
from platform.results.against.proposal.design import Factor


def unsaid(factors: Sequence[Factor], differences: Iterable[Difference]) -> list[str]:
    """A sentence for each difference that may change numbers and is none of the factors."""
    keys = {key for factor in factors for key in factor.keys}
    said = {name for key in keys for name in (key, key.partition(".")[2])} | {each.name for each in factors}
    left = [each for each in differences if each.weight in ("numbers", "last bits") and each.name not in said]
    return [
        f"{each.name}: {each.this} in this, {each.other} in other{remedy}"
        for each in left
        for remedy in [_remedy(each)]
        if remedy is not None
    ]


def _remedy(difference: Difference) -> str | None:
    """How to find out, behind the values; None for what another difference says already."""
    name = difference.name
    if name in ("seeds", "begins from", "comes after"):
        return None
    if name == "git commit":
        return f"; check out {difference.other} in another folder, and run the study there as well"
    if name == "torch":
        return f"; install torch=={difference.other} in an environment of its own, and run the study there as well"
    if name == "code":
        return "; the code that trains, or torch: see the commit and the version, where they are on record"
    if name.startswith(("shift.", "files of ")):
        return "; bring the other's data or code of the shift, and run the study on them as well"
    if name in ("device", "processor", "precision"):
        return "; run the study there as well"
    if name == "batches":
        return "; give trials more memory, so that none takes its batches in halves"
    return ""
