"""Evidence whose samples are in another order."""

import numpy as np

from platform.scores.evidence import loaded, saved, shuffled
from tests.support.made_evidence import GOOD, IMAGES, UNSURE, arrays_of, assert_equal, evidence_of

CANDIDATES = [evidence_of(GOOD), evidence_of(UNSURE)]


def rows(*arrays: np.ndarray) -> list[bytes]:
    """What stands beside each other, row by row, in an order of its own."""
    return sorted(b"".join(array[row].tobytes() for array in arrays) for row in range(len(arrays[0])))


def test_samples_stay_beside_what_belongs_to_them() -> None:
    for before, after in zip(CANDIDATES, shuffled(CANDIDATES, 1), strict=True):
        labelled = [(each.source.logits, each.source.features, each.source_labels) for each in (before, after)]
        assert rows(*labelled[0]) == rows(*labelled[1])
        assert rows(before.target.logits, before.target.features) == rows(after.target.logits, after.target.features)
        for name in ("flipped", "zoomed", "disturbed"):
            first, second = getattr(before, name), getattr(after, name)
            assert rows(first.before, first.after) == rows(second.before, second.after)
        assert sorted(before.maps.ravel().tolist()) == sorted(after.maps.ravel().tolist()), "cell by cell"


def test_all_candidates_have_the_same_new_order() -> None:
    """Their samples are of the same places, and selectors lay them over each other."""
    first, second = shuffled(CANDIDATES, 1)
    before, other = CANDIDATES
    for domain in ("source", "target"):
        one, two, old, older = (getattr(each, domain) for each in (first, second, before, other))
        assert rows(one.logits, two.logits) == rows(old.logits, older.logits)
        np.testing.assert_array_equal(one.images, two.images)
    assert rows(first.maps.ravel(), second.maps.ravel()) == rows(before.maps.ravel(), other.maps.ravel())
    np.testing.assert_array_equal(first.source_labels, second.source_labels)


def test_the_order_changes_and_a_seed_decides_it() -> None:
    (before, _), (first, _), (again, _), (other, _) = CANDIDATES, *(shuffled(CANDIDATES, seed) for seed in (1, 1, 2))
    assert_equal(first, again)
    for name in ("source.logits", "target.logits", "target.images", "source_labels", "maps"):
        assert arrays_of(first)[name].tobytes() not in (
            arrays_of(before)[name].tobytes(),
            arrays_of(other)[name].tobytes(),
        )


def test_images_have_other_names_and_the_same_samples() -> None:
    before, after = CANDIDATES[0], shuffled(CANDIDATES, 1)[0]
    for domain in ("source", "target"):
        old, new = (
            {name: rows(each.logits[each.images == name]) for name in range(IMAGES)}
            for each in (getattr(before, domain), getattr(after, domain))
        )
        assert sorted(old.values()) == sorted(new.values())
        assert old != new


def test_what_is_of_all_places_stays() -> None:
    for before, after in zip(CANDIDATES, shuffled(CANDIDATES, 3), strict=True):
        for name in ("source_confusion", "group_of", "mixed.same", "mixed.different", "flipped.counts"):
            np.testing.assert_array_equal(arrays_of(before)[name], arrays_of(after)[name])
        for name in ("places", "mean", "products", "entropy", "predicted"):
            np.testing.assert_array_equal(getattr(before.target, name), getattr(after.target, name))


def test_the_candidates_themselves_are_left_alone_and_what_comes_out_is_evidence() -> None:
    before = [saved(each) for each in CANDIDATES]
    for each in shuffled(CANDIDATES, 4):
        assert_equal(loaded(saved(each)), each)
    assert [saved(each) for each in CANDIDATES] == before


def test_a_single_candidate_and_none_can_be_shuffled() -> None:
    assert shuffled([], 1) == []
    assert_equal(shuffled(CANDIDATES[:1], 1)[0], shuffled(CANDIDATES, 1)[0])
