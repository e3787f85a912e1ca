"""Evidence as a file, and what is refused as one."""

import dataclasses
import io
import pickle
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import jaxtyping
import numpy as np
import pytest
from scipy import special

from platform.scores.evidence import (
    MOST_BYTES,
    Evidence,
    Mixed,
    Repeated,
    Sampled,
    group_of,
    loaded,
    saved,
    softmax,
)
from platform.shifts.labels import CAMVID_11, NUM_CLASSES, SINGLE_CLASSES, VOID, Groups, groups
from platform.training import evidence as gathering
from tests.support.made_evidence import GOOD, arrays_of, assert_equal, evidence, evidence_of, random_logits, sampled

MADE = evidence()
CONTENT = saved(MADE)


def entries(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, value in files.items():
            archive.writestr(name, value)
    return content.getvalue()


def with_file(name: str, value: bytes) -> bytes:
    assert name in entries(CONTENT)
    return archive_of(entries(CONTENT) | {name: value})


def array_file(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def header(words: str) -> bytes:
    """The beginning of a file of an array that says this of itself, and nothing else of it."""
    return b"\x93NUMPY\x01\x00" + len(words).to_bytes(2, "little") + words.encode()


# There and back


@pytest.mark.parametrize("made", [MADE, evidence(groups=CAMVID_11), evidence_of(GOOD)], ids=["few", "groups", "many"])
def test_evidence_is_read_as_it_was_written(made: Evidence) -> None:
    assert_equal(loaded(saved(made)), made)
    assert saved(loaded(saved(made))) == saved(made)


def test_evidence_of_extreme_numbers_is_read_as_it_was_written() -> None:
    edges = np.array([65504, -65504, 6e-8, -0.0, 0.0], np.float16)
    logits = np.resize(edges, (20, NUM_CLASSES))
    made = evidence(source=sampled(logits), target=sampled(logits), source_labels=np.array([0, *[VOID] * 19]))
    assert_equal(loaded(saved(made)), made)


def test_the_same_evidence_is_the_same_file() -> None:
    assert saved(evidence()) == CONTENT


def test_what_is_read_owes_nothing_to_the_file() -> None:
    content = bytearray(CONTENT)
    made = loaded(bytes(content))
    content[:] = bytes(len(content))
    assert_equal(made, MADE)


def largest() -> Evidence:
    """As large as an evaluation leaves it: of many images, a wide network, and a fine grid."""
    random = np.random.default_rng(0)
    repeats = random_logits(gathering.REPEATED_SAMPLES, 1)
    repeated = Repeated(np.full((NUM_CLASSES, NUM_CLASSES), 2**31 - 1, np.int32), repeats, repeats)

    def domain(samples: int) -> Sampled:
        features = random.normal(size=(samples, gathering.FEATURES))
        return sampled(random_logits(samples, 2), features, np.full(samples, 2**16 - 1))

    return evidence(
        source=domain(gathering.SOURCE_SAMPLES),
        target=domain(gathering.TARGET_SAMPLES),
        flipped=repeated,
        zoomed=repeated,
        disturbed=repeated,
        maps=np.full((gathering.MAPS, gathering.MAP_ROWS, gathering.MAP_COLUMNS), 18, np.uint8),
    )


def test_the_largest_evidence_has_a_size_that_is_known_before() -> None:
    assert (gathering.MAPS, gathering.MAP_ROWS, gathering.MAP_COLUMNS, gathering.FEATURES) == (48, 16, 32, 32)
    content = saved(largest())
    assert len(content) <= MOST_BYTES
    assert_equal(loaded(content), largest())


def test_files_are_not_packed_and_hold_no_objects() -> None:
    with zipfile.ZipFile(io.BytesIO(CONTENT)) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    assert {array.dtype.kind for array in arrays_of(MADE).values()} == {"f", "i", "u"}


# What is no evidence


def refused(content: bytes) -> str:
    with pytest.raises(ValueError, match="no evidence of an evaluation") as refusal:
        loaded(content)
    return str(refusal.value)


@pytest.mark.parametrize("length", [0, 1, 100, len(CONTENT) // 2, len(CONTENT) - 1])
def test_a_file_that_ends_early_is_refused(length: int) -> None:
    refused(CONTENT[:length])


@pytest.mark.parametrize("content", [b"PK", b"nothing of the kind" * 100, bytes(5000), array_file(np.zeros(3))])
def test_a_file_of_something_else_is_refused(content: bytes) -> None:
    refused(content)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packed_file_is_refused_before_it_is_unpacked(compression: int) -> None:
    assert "packed" in refused(archive_of(entries(CONTENT), compression))


def test_a_file_that_is_too_large_is_refused() -> None:
    maps = array_file(np.zeros((512, 16, 32), np.uint8))
    assert f"more than {MOST_BYTES:,}" in refused(with_file("maps.npy", maps))


@pytest.mark.parametrize("name", entries(CONTENT))
def test_a_file_without_one_of_its_arrays_is_refused(name: str) -> None:
    left = entries(CONTENT)
    del left[name]
    assert name.removesuffix(".npy") in refused(archive_of(left))


@pytest.mark.parametrize("name", arrays_of(MADE))
def test_an_array_of_another_type_or_shape_is_refused_by_its_name(name: str) -> None:
    array = arrays_of(MADE)[name]
    others = [array.astype(kind) for kind in ("float16", "float32", "complex64", "int16", "uint8", "S3")]
    shapes = [array[None], array[..., None], np.asarray(array.ravel()[0])]
    shapes += [np.concatenate([array, array], axis=axis) for axis in range(array.ndim) if array.shape[axis] == 19]
    for other in others + shapes:
        if (other.dtype, other.shape) != (array.dtype, array.shape):
            assert name in refused(with_file(f"{name}.npy", array_file(other)))


@pytest.mark.parametrize("name", [name for name, array in arrays_of(MADE).items() if array.dtype.kind == "f"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(name: str, value: float) -> None:
    array = arrays_of(MADE)[name].copy()
    array.flat[array.size // 2] = value
    assert f"{name} must be finite" in refused(with_file(f"{name}.npy", array_file(array)))


@pytest.mark.parametrize("name", [name for name, array in arrays_of(MADE).items() if array.dtype.kind == "i"])
def test_negative_counts_are_refused(name: str) -> None:
    array = arrays_of(MADE)[name].copy()
    array.flat[array.size // 2] = -1
    assert f"{name} must count" in refused(with_file(f"{name}.npy", array_file(array)))


@pytest.mark.parametrize("name", ["maps", "target.mean"])
def test_objects_are_refused_and_never_unpickled(name: str) -> None:
    content = io.BytesIO()
    np.save(content, np.array([Told()], object), allow_pickle=True)
    refused(with_file(f"{name}.npy", content.getvalue()))
    assert Told.number == 0
    refused(pickle.dumps(Told()))
    assert Told.number == 0


class Told:
    """Counts how often it is unpickled."""

    number = 0

    def __setstate__(self, state: object) -> None:
        Told.number += 1

    def __getstate__(self) -> dict[str, int]:
        return {"any": 1}


NAMED = "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }\n"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"no array",
        header("\0\n"),
        header(NAMED % "(-1, 1, 1)"),
        header(NAMED % "(100, 16, 32)"),
        header(NAMED % f"({10**15}, 1, 1)"),
        header(NAMED % f"({2**70}, 1, 1)"),
        header("{'descr': '|u1', 'shape': (1, 1, 1\n"),
        header("{1: '|u1', 'fortran_order': False, 'shape': (1, 1, 1), }\n"),
        header("{[1]: '|u1', 'fortran_order': False, 'shape': (1, 1, 1), }\n"),
        header("(" * 3000 + ")" * 3000),
    ],
    ids=["empty", "text", "nul", "negative", "short", "huge", "overflow", "open", "key", "unhashable", "deep"],
)
def test_a_file_that_is_no_array_or_says_what_cannot_be_of_itself_is_refused(value: bytes) -> None:
    """A file may be anybody's: whoever reads the store catches ValueError, and nothing else."""
    refused(with_file("maps.npy", value))


def test_no_byte_can_be_changed_unseen() -> None:
    """Beside what an archive says of its files' times and rights, which nobody reads."""
    for position in np.random.default_rng(0).choice(len(CONTENT), 300, replace=False).tolist():
        content = bytearray(CONTENT)
        content[position] ^= 0x55
        try:
            made = loaded(bytes(content))
        except ValueError:
            continue
        assert_equal(made, MADE)


def test_an_array_too_many_is_no_damage() -> None:
    assert_equal(loaded(archive_of(entries(CONTENT) | {"more.npy": array_file(np.zeros(3))})), MADE)


@pytest.fixture
def shapes_unchecked() -> Iterator[None]:
    """As users run it: the check of shapes, which is of the tests alone, would speak first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def shorter(values: Sampled, field: str) -> Sampled:
    return dataclasses.replace(values, **{field: getattr(values, field)[:-1]})


UNEQUAL: list[tuple[Callable[[], dict[str, Any]], str]] = [
    *(
        (lambda domain=domain, field=field: {domain: shorter(getattr(MADE, domain), field)}, f"of the {domain} must")
        for domain in ("source", "target")
        for field in ("logits", "features", "images")
    ),
    (lambda: {"source_labels": MADE.source_labels[:-1]}, "must each have a label"),
    *(
        (lambda name=name: {name: dataclasses.replace(MADE.flipped, after=MADE.flipped.after[1:])}, "there twice")
        for name in ("flipped", "zoomed", "disturbed")
    ),
]


@pytest.mark.parametrize(("change", "message"), UNEQUAL)
def test_samples_of_unequal_number_are_refused(
    change: Callable[[], dict[str, Any]], message: str, shapes_unchecked: None
) -> None:
    assert message in refused(saved(dataclasses.replace(MADE, **change())))


def test_a_domain_without_samples_is_refused() -> None:
    none = dataclasses.replace(
        MADE.target, logits=MADE.target.logits[:0], features=MADE.target.features[:0], images=MADE.target.images[:0]
    )
    assert "samples of the target" in refused(saved(dataclasses.replace(MADE, target=none)))


@pytest.mark.parametrize(
    "change",
    [
        {"maps": np.full((3, 4, 5), 19, np.uint8)},
        {"source_labels": np.full_like(MADE.source_labels, 19)},
        {"group_of": np.full(NUM_CLASSES, VOID, np.uint8)},
        {"source_confusion": np.zeros((20, 20), np.int64)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_no_selector_can_read_is_refused(change: dict[str, Any]) -> None:
    """Classes that there are not, and a source without a pixel of an evaluated class: one such trial would end the
    ranking of all others."""
    refused(saved(dataclasses.replace(MADE, **change)))


# What it holds


def test_nothing_in_it_is_named_after_target_labels() -> None:
    """Labels, confusions and accuracies are the source's; a field more must be thought about, here too."""
    names = {name.split(".")[0] for name in arrays_of(MADE)}
    assert names == {
        *("group_of", "source_confusion", "source", "source_labels", "target"),
        *("flipped", "zoomed", "disturbed", "mixed", "maps"),
    }
    fields = {field.name for kind in (Sampled, Repeated, Mixed) for field in dataclasses.fields(kind)}
    assert fields == {
        *("places", "mean", "products", "entropy", "predicted", "logits", "features", "images"),
        *("counts", "before", "after", "same", "different"),
    }
    for name in arrays_of(MADE):
        assert "oracle" not in name
        if any(word in name for word in ("label", "confusion", "truth", "iou", "accuracy")):
            assert name.startswith("source")


@pytest.mark.parametrize("evaluated", [SINGLE_CLASSES, CAMVID_11, groups("wall+fence", "road"), ((18,), (0, 7))])
def test_groups_are_kept(evaluated: Groups) -> None:
    assert evidence(groups=evaluated).groups == evaluated


def test_a_class_in_no_group_is_void() -> None:
    table = group_of(groups("sky", "road+sidewalk"))
    assert {number: group for number, group in enumerate(table.tolist()) if group != VOID} == {10: 0, 0: 1, 1: 1}


def test_softmax_is_that_of_scipy() -> None:
    logits = np.concatenate([random_logits(20, 3), np.full((1, NUM_CLASSES), -6e4, np.float16)])
    logits[3, 4], logits[4, 4] = 6e4, -6e4
    found = softmax(logits)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, special.softmax(logits.astype(np.float64), axis=1), rtol=1e-5, atol=1e-30)
    np.testing.assert_array_equal(sampled(logits).probabilities, found)
