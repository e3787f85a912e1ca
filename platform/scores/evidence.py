"""Evidence: what an evaluation keeps of a checkpoint, so that any selector can be computed from it later.

It is made from source validation labels and from images of the target's val split. No target label is in it, nor
anything that was computed with one. All of it is at the resolution of the network's logits.
"""

import dataclasses
import functools
import io
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float16, Float32, Float64, Int32, Int64, UInt8, UInt16

from platform.scores.metrics import Counts
from platform.shifts.labels import NUM_CLASSES, VOID, Groups

MOST_BYTES = 256 * 1024
"""What the evidence of one evaluation takes on disk, at most."""


@dataclasses.dataclass(frozen=True, eq=False)
class Sampled:
    """Predictions of a domain: means over all its places, and more of some places, the same ones for every trial."""

    places: Int64[np.ndarray, ""]
    """How many places all its images have together."""
    mean: Float64[np.ndarray, "19"]
    """Mean probability of each class."""
    products: Float64[np.ndarray, "19 19"]
    """Mean of p pᵀ over all places, p the probabilities there."""
    entropy: Float64[np.ndarray, ""]
    """Mean entropy of the probabilities, in nats."""
    predicted: Int64[np.ndarray, "19"]
    """How many places each class is predicted at."""
    logits: Float16[np.ndarray, "samples 19"]
    features: Float16[np.ndarray, "samples features"]
    """What the final classifier sees; of many channels a random projection."""
    images: UInt16[np.ndarray, " samples"]
    """Which image each sample is from."""

    @functools.cached_property
    def probabilities(self) -> Float32[np.ndarray, "samples 19"]:
        """The softmax of the logits."""
        return softmax(self.logits)


@dataclasses.dataclass(frozen=True, eq=False)
class Repeated:
    """Predictions of some images, and of the same images changed, place by place."""

    counts: Int32[np.ndarray, "19 19"]
    """Places of each (class before, class after)."""
    before: Float16[np.ndarray, "repeats 19"]
    """Logits at some of these places, before the change, ..."""
    after: Float16[np.ndarray, "repeats 19"]
    """... and after it."""


@dataclasses.dataclass(frozen=True, eq=False)
class Mixed:
    """Predictions of pairs of images that lie over each other, 0.55 of the one and 0.45 of the other."""

    same: Int32[np.ndarray, "19 19"]
    """Where both are of one class by themselves: places of each (that class, class of the mixture)."""
    different: Int32[np.ndarray, "19 3"]
    """Where they are not: places of each class of the stronger image at which the mixture is of that class, of the
    weaker image's, of any other."""


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """What selectors see of a checkpoint."""

    group_of: UInt8[np.ndarray, "19"]
    """The group of each class that the shift's ground truths distinguish, 255 where it is in none."""
    source_confusion: Counts
    """The confusion matrix over the source's val split."""
    source: Sampled
    source_labels: UInt8[np.ndarray, " samples"]
    """Train ids of the source's samples, 255 for void."""
    target: Sampled
    flipped: Repeated
    """Target images from left to right, ..."""
    zoomed: Repeated
    """... their middle at 4/3 of the size, ..."""
    disturbed: Repeated
    """... and under noise."""
    mixed: Mixed
    maps: UInt8[np.ndarray, "number rows columns"]
    """The class predicted at places of some target images, on a coarse grid."""

    @property
    def groups(self) -> Groups:
        """The classes that the shift's ground truths distinguish, as groups of train ids."""
        numbers = range(len(np.unique(self.group_of[self.group_of != VOID])))
        return tuple(tuple(np.flatnonzero(self.group_of == number).tolist()) for number in numbers)

    @property
    def source_prior(self) -> Float64[np.ndarray, "19"]:
        """The share of each class in the source's labels, over pixels of an evaluated class."""
        labelled = self.source_confusion[:NUM_CLASSES].sum(axis=1) * (self.group_of != VOID).astype(np.float64)
        prior: np.ndarray = labelled / max(labelled.sum(), 1.0)
        return prior


def group_of(groups: Groups) -> UInt8[np.ndarray, "19"]:
    """The group of each train id, 255 where it is in none."""
    table = np.full(NUM_CLASSES, VOID, np.uint8)
    for number, members in enumerate(groups):
        table[list(members)] = number
    return table


def softmax(logits: Float16[np.ndarray, "samples 19"]) -> Float32[np.ndarray, "samples 19"]:
    """exp(z) / sum exp(z), in float32."""
    shifted = logits.astype(np.float32)
    shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    probabilities: np.ndarray = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities


def shuffled(candidates: Sequence[Evidence], seed: int) -> list[Evidence]:
    """The same evidence with its samples and images in another order, one order for all candidates.

    A selector is told nothing by where a sample stands, so that no labels that it brings along can be laid beside it.
    """
    random, orders = np.random.default_rng(seed), dict[tuple[str, int], np.ndarray]()

    def order(what: str, number: int) -> np.ndarray:
        if (what, number) not in orders:
            orders[what, number] = random.permutation(number)
        return orders[what, number]

    def sampled(domain: str, values: Sampled) -> Sampled:
        places = order(domain, len(values.logits))
        names = order(f"images of {domain}", int(values.images.max(initial=0)) + 1).astype(np.uint16)
        return dataclasses.replace(
            values, logits=values.logits[places], features=values.features[places], images=names[values.images[places]]
        )

    def repeated(name: str, values: Repeated) -> Repeated:
        places = order(name, len(values.before))
        return dataclasses.replace(values, before=values.before[places], after=values.after[places])

    return [
        dataclasses.replace(
            each,
            source=sampled("source", each.source),
            source_labels=each.source_labels[order("source", len(each.source_labels))],
            target=sampled("target", each.target),
            flipped=repeated("flipped", each.flipped),
            zoomed=repeated("zoomed", each.zoomed),
            disturbed=repeated("disturbed", each.disturbed),
            # Cell by cell: streets are alike, and whoever knows one would find it again.
            maps=each.maps.ravel()[order("maps", each.maps.size)].reshape(each.maps.shape),
        )
        for each in candidates
    ]


def saved(evidence: Evidence) -> bytes:
    """The evidence as a file of arrays, not compressed: its size is known before anything is trained."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **_arrays(evidence))
    return content.getvalue()


def loaded(content: bytes) -> Evidence:
    """The evidence that a file holds. Raises ValueError for one that no evaluation has left."""
    try:
        if len(content) > MOST_BYTES:
            raise ValueError(f"{len(content):,} bytes, more than {MOST_BYTES:,}")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            # A few bytes that are packed may be gigabytes.
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("packed")
            return _evidence({name.removesuffix(".npy"): _array(archive.read(name)) for name in archive.namelist()})
    except Exception as error:  # whatever there is to be wrong with somebody else's file
        raise ValueError(f"no evidence of an evaluation ({type(error).__name__}: {error})") from error


def _arrays(values: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """The arrays of nested dataclasses by their paths, `target.logits`."""
    found = dict[str, np.ndarray]()
    for field in dataclasses.fields(values):
        value, name = getattr(values, field.name), f"{prefix}{field.name}"
        found |= _arrays(value, f"{name}.") if dataclasses.is_dataclass(value) else {name: value}
    return found


def _array(content: bytes) -> np.ndarray:
    """The array of a file that says of itself what its bytes are; what it says may be wrong."""
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array of another format")
    shape, fortran, kind = np.lib.format.read_array_header_1_0(file)
    if fortran or kind.hasobject or min(shape, default=0) < 0:
        raise ValueError("an array of objects, of no size, or in another order")
    array: np.ndarray = np.frombuffer(content, kind, offset=file.tell()).reshape(shape)
    return array


def _evidence(arrays: dict[str, np.ndarray]) -> Evidence:
    evidence: Evidence = _made(Evidence, arrays)
    for name, sampled in (("source", evidence.source), ("target", evidence.target)):
        if not len(sampled.logits) == len(sampled.features) == len(sampled.images) > 0:
            raise ValueError(f"samples of the {name} must each have logits, features and an image")
    if len(evidence.source_labels) != len(evidence.source.logits):
        raise ValueError("samples of the source must each have a label")
    labels = evidence.source_labels
    if (evidence.maps >= NUM_CLASSES).any() or (labels[labels != VOID] >= NUM_CLASSES).any():
        raise ValueError("maps and labels must be of the 19 classes")
    if not evidence.groups or not all(evidence.groups) or not evidence.source_prior.any():
        raise ValueError("the source must show an evaluated class")
    if any(len(each.before) != len(each.after) for each in (evidence.flipped, evidence.zoomed, evidence.disturbed)):
        raise ValueError("repeated samples must be there twice")
    return evidence


def _made(kind: Any, arrays: dict[str, np.ndarray], prefix: str = "") -> Any:
    """A dataclass of arrays from those that are named by its fields, each of the shape that its field says."""
    values = dict[str, Any]()
    for field in dataclasses.fields(kind):
        name = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(field.type):
            values[field.name] = _made(field.type, arrays, f"{name}.")
            continue
        array = values[field.name] = arrays[name]
        if not isinstance(array, field.type):  # type: ignore[arg-type]
            raise ValueError(f"{name} must be {field.type}, got {array.dtype} {array.shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite")
        if array.dtype.kind == "i" and array.min(initial=0) < 0:
            raise ValueError(f"{name} must count, got {array.min()}")
    return kind(**values)
