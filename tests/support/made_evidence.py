"""Evidence of made arrays, and of made predictors over a made street."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from platform.scores.evidence import Evidence, Mixed, Repeated, Sampled, group_of
from platform.scores.metrics import confusion
from platform.shifts.labels import NUM_CLASSES, SINGLE_CLASSES, Groups, train_id
from platform.shifts.randomness import generator

SHARES = {
    train_id(name): share
    for name, share in {
        "road": 0.40,
        "building": 0.22,
        "vegetation": 0.14,
        "sky": 0.10,
        "car": 0.07,
        "sidewalk": 0.04,
        "person": 0.02,
        "pole": 0.01,
    }.items()
}
"""How frequent the classes of the street are."""
STREET = np.array([*SHARES])
IMAGES, ROWS, COLUMNS = 6, 12, 20
SOURCE_SAMPLES, TARGET_SAMPLES = 512, 1024
CHANNELS = 8


# Arrays


def sampled(
    logits: np.ndarray,
    features: np.ndarray | None = None,
    images: np.ndarray | None = None,
    samples: np.ndarray | None = None,
) -> Sampled:
    """A domain whose places have these logits; of `samples` of them, else of all, features and images are given."""
    chosen = np.arange(len(logits)) if samples is None else samples
    whole = logits.astype(np.float64)
    exponentials = np.exp(whole - whole.max(axis=1, keepdims=True))
    p = exponentials / exponentials.sum(axis=1, keepdims=True)
    surprise = np.where(p > 0, -np.log(np.where(p > 0, p, 1.0)), 0.0)
    return Sampled(
        places=np.asarray(len(p)),
        mean=p.mean(axis=0),
        products=p.T @ p / len(p),
        entropy=np.asarray((p * surprise).sum() / len(p)),
        predicted=np.bincount(logits.argmax(axis=1), minlength=NUM_CLASSES),
        logits=logits[chosen].astype(np.float16),
        features=(logits[chosen, :CHANNELS] if features is None else features).astype(np.float16),
        images=(np.zeros(len(chosen)) if images is None else images).astype(np.uint16),
    )


def logits_of(probabilities: np.ndarray) -> np.ndarray:
    """Logits of which the softmax gives these probabilities, as exactly as half precision has it."""
    logits: np.ndarray = np.log(np.maximum(probabilities, 1e-30)).astype(np.float16)
    return logits


def random_logits(number: int, seed: int, scale: float = 2.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, (number, NUM_CLASSES)).astype(np.float16)


def one_hot(classes: Sequence[int] | np.ndarray, margin: float = 8.0) -> np.ndarray:
    """Logits that are 0, but for those of these classes."""
    return (margin * np.eye(NUM_CLASSES)[np.asarray(classes, np.int64)]).astype(np.float16)


def pairs(before: Sequence[int] | np.ndarray, after: Sequence[int] | np.ndarray) -> Repeated:
    """Places that are predicted as these classes before a change, and as those after it."""
    counts = np.zeros((NUM_CLASSES, NUM_CLASSES), np.int32)
    for first, second in zip(before, after, strict=True):
        counts[first, second] += 1
    return Repeated(counts=counts, before=one_hot(before[:9]), after=one_hot(after[:9]))


def mixture(
    stronger: Sequence[int] | np.ndarray, weaker: Sequence[int] | np.ndarray, mixed: Sequence[int] | np.ndarray
) -> Mixed:
    """Places of two images and of their mixture that are predicted as these classes."""
    same, different = np.zeros((NUM_CLASSES, NUM_CLASSES), np.int32), np.zeros((NUM_CLASSES, 3), np.int32)
    for above, below, seen in zip(stronger, weaker, mixed, strict=True):
        if above == below:
            same[above, seen] += 1
        else:
            different[above, 0 if seen == above else 1 if seen == below else 2] += 1
    return Mixed(same=same, different=different)


def evidence(
    *,
    source: Sampled | None = None,
    target: Sampled | None = None,
    source_labels: Sequence[int] | np.ndarray | None = None,
    source_confusion: np.ndarray | None = None,
    flipped: Repeated | None = None,
    zoomed: Repeated | None = None,
    disturbed: Repeated | None = None,
    mixed: Mixed | None = None,
    maps: np.ndarray | None = None,
    groups: Groups = SINGLE_CLASSES,
) -> Evidence:
    """Evidence with these parts; any other is that of a few random predictions, of which half are right."""
    source = sampled(random_logits(30, 1)) if source is None else source
    predicted = source.logits.argmax(axis=1)
    if source_labels is None:
        source_labels = np.where(np.arange(len(predicted)) % 2, predicted, (predicted + 1) % NUM_CLASSES)
    labels = np.asarray(source_labels).astype(np.uint8)
    some = random_logits(60, 3).argmax(axis=1)
    other = np.where(np.arange(len(some)) % 3, some, (some + 1) % NUM_CLASSES)
    return Evidence(
        group_of=group_of(groups),
        source_confusion=confusion(predicted, labels) if source_confusion is None else source_confusion,
        source=source,
        source_labels=labels,
        target=sampled(random_logits(40, 2)) if target is None else target,
        flipped=pairs(some, other) if flipped is None else flipped,
        zoomed=pairs(other, some) if zoomed is None else zoomed,
        disturbed=pairs(some, some) if disturbed is None else disturbed,
        mixed=mixture(some, other, some) if mixed is None else mixed,
        maps=some.reshape(3, 4, 5).astype(np.uint8) if maps is None else maps,
    )


def arrays_of(values: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """The arrays of nested dataclasses by their paths."""
    found: dict[str, np.ndarray] = {}
    for field in fields(values):
        value, name = getattr(values, field.name), prefix + field.name
        found |= arrays_of(value, name + ".") if is_dataclass(value) else {name: value}
    return found


def assert_equal(left: Evidence, right: Evidence) -> None:
    """Equal to the bit, types and shapes included."""
    one, other = arrays_of(left), arrays_of(right)
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert (array.dtype, array.shape) == (other[name].dtype, other[name].shape), name
        assert array.tobytes() == other[name].tobytes(), name


# Predictors


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """Sees a street, and says which class each place is of."""

    right: float = 1.0
    """Share of places at which it says what it sees; at others it says any class of the street."""
    margin: float
    """By about how much the logit of the class that it says exceeds the others: how sure it is."""
    kept: float = 1.0
    """Share of places at which it says the same of an image that has been changed, or that another lies over."""
    only: int | None = None
    """The class that it says everywhere, whatever it sees."""
    permuted: bool = False
    """Whether it takes each class of the target for another one: the most frequent for the rarest."""

    def says(self, truth: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The class that it says of each place of the source."""
        if self.only is not None:
            return np.full_like(truth, self.only)
        return np.where(random.random(truth.shape) < self.right, truth, random.choice(STREET, truth.shape))

    def says_of_target(self, truth: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The class that it says of each place of the target."""
        said = self.says(truth, random)
        if not self.permuted:
            return said
        other = np.arange(NUM_CLASSES)
        other[STREET] = STREET[::-1]
        permuted: np.ndarray = other[said]
        return permuted

    def says_again(self, said: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """What it says of the same places, changed."""
        return np.where(random.random(said.shape) < self.kept, said, random.choice(STREET, said.shape))


GOOD = Predictor(right=0.9, margin=7.0, kept=0.93)
"""Mostly right, mostly sure."""
UNSURE = Predictor(right=0.85, margin=3.0, kept=0.88)
"""Nearly as right, and not sure of it."""
MEDIOCRE = Predictor(right=0.6, margin=5.0, kept=0.8)
COLLAPSED = Predictor(only=train_id("road"), margin=12.0)
"""One class everywhere, on both domains."""
CONFIDENTLY_WRONG = Predictor(right=0.97, margin=12.0, kept=0.99, permuted=True)
"""Right on the source; on the target sure, and unmoved by views, but wrong: its classes have each other's shares."""


def evidence_of(predictor: Predictor, seed: int = 0) -> Evidence:
    """What a predictor leaves of the street; all are asked about the same places, under a seed of their own."""
    random = generator("predictor", repr(predictor), seed)
    source, target = (street(domain) for domain in ("source", "target"))
    at_source, at_target = _samples("source", source, SOURCE_SAMPLES), _samples("target", target, TARGET_SAMPLES)
    said_of_source, said = predictor.says(source, random), predictor.says_of_target(target, random)
    above, below = said[0::2], said[1::2]
    mixed = np.where(random.random(above.shape) < 0.9, above, below)
    return evidence(
        source=_seen(predictor, source, said_of_source, at_source, 0.0, random),
        source_labels=source.ravel()[at_source],
        source_confusion=confusion(said_of_source, source),
        target=_seen(predictor, target, said, at_target, 0.1, random),
        flipped=pairs(said.ravel(), predictor.says_again(said, random).ravel()),
        zoomed=pairs(said.ravel(), predictor.says_again(said, random).ravel()),
        disturbed=pairs(said.ravel(), predictor.says_again(said, random).ravel()),
        mixed=mixture(above.ravel(), below.ravel(), predictor.says_again(mixed, random).ravel()),
        maps=said.astype(np.uint8),
    )


def street(domain: str) -> np.ndarray:
    """The true classes of a domain's images, whose shares differ from image to image."""
    random = generator("street", domain)
    shares = random.dirichlet(40 * np.array([*SHARES.values()]), IMAGES)
    return np.stack([random.choice(STREET, (ROWS, COLUMNS), p=each) for each in shares])


def _samples(domain: str, truth: np.ndarray, number: int) -> np.ndarray:
    return np.sort(generator("samples", domain).choice(truth.size, number, replace=False))


def _seen(
    predictor: Predictor,
    truth: np.ndarray,
    said: np.ndarray,
    samples: np.ndarray,
    shifted: float,
    random: np.random.Generator,
) -> Sampled:
    """Logits for the classes that are said, and features that cluster by what is seen, which a collapse has lost."""
    margin = predictor.margin * random.uniform(0.6, 1.4, (said.size, 1))
    logits = random.normal(0, 0.5, (said.size, NUM_CLASSES)) + margin * np.eye(NUM_CLASSES)[said.ravel()]
    looks = generator("looks").normal(0, 1, (NUM_CLASSES, CHANNELS))
    seen = (truth if predictor.only is None else said).ravel()[samples]
    features = looks[seen] + shifted + random.normal(0, 0.25, (len(samples), CHANNELS))
    return sampled(logits, features, samples // (ROWS * COLUMNS), samples)
