"""Evidence of no network, on which a selector of the user's own is tried before anything is trained."""

import numpy as np

from platform.scores.evidence import Evidence, Mixed, Repeated, Sampled, group_of, softmax
from platform.shifts.labels import NUM_CLASSES, SINGLE_CLASSES
from platform.shifts.randomness import generator

IMAGES, SAMPLES, FEATURES = 4, 64, 8


def example(number: int) -> Evidence:
    """The `number`-th example: random predictions, of the shapes that those of a network have."""
    random = generator("example of evidence", number)
    labels = random.integers(NUM_CLASSES, size=SAMPLES).astype(np.uint8)
    confusion = np.zeros((NUM_CLASSES + 1, NUM_CLASSES + 1), np.int64)
    confusion[:NUM_CLASSES, :NUM_CLASSES] = random.integers(1, 50, (NUM_CLASSES, NUM_CLASSES))
    return Evidence(
        group_of=group_of(SINGLE_CLASSES),
        source_confusion=confusion,
        source=_sampled(random),
        source_labels=labels,
        target=_sampled(random),
        flipped=_repeated(random),
        zoomed=_repeated(random),
        disturbed=_repeated(random),
        mixed=Mixed(
            same=_counts(random, NUM_CLASSES),
            different=_counts(random, 3),
        ),
        maps=random.integers(NUM_CLASSES, size=(IMAGES, 8, 16)).astype(np.uint8),
    )


def _sampled(random: np.random.Generator) -> Sampled:
    logits = random.normal(0, 2, (SAMPLES, NUM_CLASSES)).astype(np.float16)
    p = softmax(logits).astype(np.float64)
    return Sampled(
        places=np.array(SAMPLES),
        mean=p.mean(axis=0),
        products=p.T @ p / SAMPLES,
        entropy=np.asarray(-(p * np.log(np.maximum(p, 1e-300))).sum(axis=1).mean()),
        predicted=np.bincount(logits.argmax(axis=1), minlength=NUM_CLASSES),
        logits=logits,
        features=random.normal(0, 1, (SAMPLES, FEATURES)).astype(np.float16),
        images=(np.arange(SAMPLES) % IMAGES).astype(np.uint16),
    )


def _repeated(random: np.random.Generator) -> Repeated:
    before, after = (random.normal(0, 2, (SAMPLES, NUM_CLASSES)).astype(np.float16) for _ in range(2))
    return Repeated(_counts(random, NUM_CLASSES), before, after)


def _counts(random: np.random.Generator, columns: int) -> np.ndarray:
    return random.integers(1, 20, (NUM_CLASSES, columns)).astype(np.int32)
