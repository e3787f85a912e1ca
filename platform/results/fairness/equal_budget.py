"""Which rows may be ranked: those that were given the same, and know no target labels."""

from platform.records.record import StudyHeader
from platform.results.fairness.ledger import Given, given_to


def of_equal_budget(header: StudyHeader) -> list[str]:
    """The rows of the most frequent budget, of those that know no target labels; the reference's of two."""
    alike: dict[Given, list[str]] = {}
    for arm in sorted(header.arms, key=lambda arm: arm.name != header.reference):
        if not (arm.supervised or arm.few):
            alike.setdefault(given_to(header, arm), []).append(arm.name)
    largest = max(alike.values(), key=len, default=[])
    return [arm.name for arm in header.arms if arm.name in largest]
