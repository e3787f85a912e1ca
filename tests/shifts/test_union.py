"""Several source domains as one, whose images keep which of them they come from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from platform.methods import FDA, SourceOnly
from platform.shifts import DataError, Domain, pair, union
from platform.shifts.domain import known, names_of
from platform.shifts.few import granted
from platform.training.data.batches import part
from tests.support.arrays import all_of
from tests.support.batches import labelled_batch
from tests.support.small_domains import Invented, Spoilt
from tests.support.tiny_splits import splits, training_run

GAME, OTHER, THIRD = Invented("game"), Invented("other game", size=(20, 36), number=2, seed=2), Invented("third")
TARGET = Invented("photographs", seed=1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_union_holds_the_images_of_all_in_order() -> None:
    both = union(GAME, OTHER)
    assert (both.name, names_of(both, "train")) == (
        "game+other game",
        ["game/00", "game/01", "game/02", "other game/00", "other game/01"],
    )
    for mine, theirs in zip(both.read("train", "other game/01"), OTHER.read("train", "01"), strict=True):
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs))


def test_each_image_knows_its_domain_in_the_cache_as_well() -> None:
    shift = pair(union(GAME, OTHER), TARGET, (32, 64))
    for _ in ("built", "found again"):
        opened = shift.open()
        assert opened.source_train.domains == (0, 0, 0, 1, 1)
        assert opened.source_val.domains == (0, 0, 0, 1, 1)
        assert opened.oracle.adapt.domains == ()
    alone = pair(OTHER, TARGET, (32, 64)).open().source_train
    np.testing.assert_array_equal(opened.source_train.images.pixels[[3, 4]], all_of(alone.images.pixels))


def test_a_union_of_targets_grants_few_labels_with_their_domains() -> None:
    opened = pair(GAME, union(TARGET, THIRD), (32, 64), few=3).open()
    assert opened.few is not None
    assert opened.few.domains == (0, 0, 1)
    assert granted(opened, 6).few is not None


def test_its_identity_lists_all_and_their_order_counts() -> None:
    assert known(union(GAME, OTHER))["identity"] == {"domains": [known(GAME), known(OTHER)]}
    assert known(union(GAME, OTHER)) != known(union(OTHER, GAME))


def test_a_union_of_unions_is_one_of_all() -> None:
    assert union(union(GAME, OTHER), THIRD) == union(GAME, OTHER, THIRD)
    assert union(GAME, OTHER, THIRD).origins("val") == (0, 0, 0, 1, 1, 2, 2, 2)


@pytest.mark.parametrize(
    ("domains", "message"),
    [
        (
            (GAME, OTHER, GAME),
            "the domains of a union must differ, by name, got 'game' twice; leave one out, or rename it",
        ),
        ((GAME, replace(GAME, seed=9)), "got 'game' twice"),
        ((GAME,), "a union must have two domains or more, got 1; use the one as it is"),
        ((), "got 0"),
        ((GAME, "other"), "union must be given a Domain, got 'other'"),
    ],
)
def test_what_is_no_union_is_refused(domains: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        union(*domains)


def test_a_wrong_image_is_named_by_its_domain() -> None:
    source = union(GAME, Spoilt("other", change=lambda image, labels: (image, labels[::2])))
    with pytest.raises(DataError, match=r"^game\+other: image 'other/01' of train must have the size of its labels"):
        pair(source, TARGET, (32, 64)).open()


def test_what_is_missing_is_said_of_the_domain_in_which_it_is() -> None:
    with pytest.raises(DataError, match=r"^empty: train must hold at least one image"):
        pair(union(GAME, Invented("empty", number=0)), TARGET, (32, 64)).check()


def test_the_classes_whose_code_counts_are_those_of_all_domains() -> None:
    assert union(GAME, Spoilt("other")).classes == (Invented, Spoilt)
    single: Domain = GAME
    assert single.classes == (Invented,)


def test_batches_carry_the_domain_of_each_image() -> None:
    data = splits(source=7)
    batch = labelled_batch(replace(data.source_train, domains=(0, 1, 2, 0, 1, 2, 0)), [5, 0, 4])
    assert batch.domains.tolist() == [2, 0, 1]
    assert labelled_batch(data.source_train, [5, 0]).domains.tolist() == [0, 0], "of a single domain"
    halves = [part({"source": batch}, number, 3)["source"] for number in range(3)]
    assert [half.domains.tolist() for half in halves if hasattr(half, "domains")] == [[2], [0], [1]]


@pytest.mark.parametrize("method", [SourceOnly(), FDA()])
def test_methods_see_the_domains_after_translation_and_augmentation(method: Any) -> None:
    data = splits(source=7)
    domains = (0, 1, 2, 0, 1, 2, 0)
    run = training_run(method, replace(data, source_train=replace(data.source_train, domains=domains)), batch=3)
    for step in range(4):
        source = run.batches.at(step)["source"]
        assert source.domains.tolist() == [domains[position] for position in source.indices]  # type: ignore[union-attr]
