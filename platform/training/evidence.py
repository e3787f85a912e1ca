"""The evidence of an evaluation, gathered from what is predicted: no label of the target comes this way."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float16, Float64, Int32, Int64, UInt8
from torch import Tensor
from torch.nn import functional

from platform.networks.network import Prediction
from platform.scores.evidence import Mixed, Repeated, Sampled
from platform.shifts.labels import NUM_CLASSES
from platform.shifts.randomness import derive, generator

SOURCE_SAMPLES, TARGET_SAMPLES, REPEATED_SAMPLES = 512, 1024, 128
FEATURES = 32
"""Channels of features that are kept: of more, as many random projections."""
LEAST_REPEATED, MOST_REPEATED, REPEATED_SHARE = 8, 32, 6
"""Target images that are predicted again: one in six, and not fewer or more than these."""
MAPS, MAP_ROWS, MAP_COLUMNS = 48, 16, 32
"""Target images whose predicted classes are kept, at most, and places of each."""
STRONGER = 0.55
"""The weight of an image that another one is laid over."""
MARGIN = 8
"""An eighth of an image is left out on each side where its middle is looked at."""
NOISE = 16.0
"""Standard deviation of the noise that images in [0, 255] are disturbed by."""
STRIDE = 8
"""Pixels of an image between places that are looked at, at least: of all there would be 64 times as many."""
LARGEST = 6e4
"""The largest logit or feature that half precision holds."""


class Gathered:
    """What is kept of the predictions of a domain, gathered batch by batch."""

    def __init__(self, domain: str, images: int, samples: int) -> None:
        random = generator("evidence", domain, images)
        self._image = np.sort(random.integers(images, size=samples))
        # Fractions of an image, so that networks of any stride are looked at in the same places.
        self._at = random.random((samples, 2))
        self._mapped = frozenset(spread(images, MAPS))
        self.again = spread(images, max(LEAST_REPEATED, min(MOST_REPEATED, images // REPEATED_SHARE)))
        """Positions of the images that are predicted again."""
        self.kept: list[Float[Tensor, "19 rows columns"]] = []
        """Their logits."""
        self._sums: list[Float64[Tensor, " sums"]] = []
        self._places = 0
        self._logits: list[Float16[Tensor, "samples 19"]] = []
        self._features: list[Float16[Tensor, "samples features"]] = []
        self._labels: list[UInt8[np.ndarray, " samples"]] = []
        self._maps: list[UInt8[Tensor, "batch rows columns"]] = []

    def take(self, positions: Sequence[int], prediction: Prediction) -> None:
        """Take from the predictions of the images at these positions, which follow each other."""
        logits = _bounded(prediction.logits)
        self._sums.append(_sums(logits).double())
        self._places += logits[:, 0].numel()
        self._logits.append(self._at_samples(positions, logits).half())
        self._features.append(_projected(self._at_samples(positions, _bounded(prediction.features))).half())
        if mapped := [number for number, position in enumerate(positions) if position in self._mapped]:
            self._maps.append(_coarse(logits[mapped].argmax(dim=1)).to(torch.uint8))
        self.kept += [one for position, one in zip(positions, logits, strict=True) if position in self.again]

    def take_labels(
        self,
        positions: Sequence[int],
        labels: UInt8[np.ndarray, "batch height width"],
        prediction: Prediction,
    ) -> None:
        """Take from the labels of these images, in the middle of the places that samples are of."""
        rows, columns = prediction.logits.shape[2:]
        image, row, column = self._cells(positions, rows, columns)
        height, width = labels.shape[1:]
        self._labels.append(labels[image, _middle(row, rows, height), _middle(column, columns, width)])

    def sampled(self) -> Sampled:
        """Means over all places, and the samples."""
        sums = torch.stack(self._sums).cpu().sum(dim=0).numpy()
        products, mean, predicted, entropy = np.split(sums, np.cumsum([NUM_CLASSES**2, NUM_CLASSES, NUM_CLASSES]))
        return Sampled(
            places=np.asarray(self._places),
            mean=mean / self._places,
            products=products.reshape(NUM_CLASSES, NUM_CLASSES) / self._places,
            entropy=np.asarray(entropy[0] / self._places),
            predicted=predicted.astype(np.int64),
            logits=torch.cat(self._logits).cpu().numpy(),
            features=torch.cat(self._features).cpu().numpy(),
            images=self._image.astype(np.uint16),
        )

    def labels(self) -> UInt8[np.ndarray, " samples"]:
        """The labels at the samples."""
        return np.concatenate(self._labels)

    def maps(self) -> UInt8[np.ndarray, "number rows columns"]:
        """The predicted classes of some images on a coarse grid."""
        return torch.cat(self._maps).cpu().numpy()

    def _at_samples(
        self, positions: Sequence[int], values: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "samples channels"]:
        image, row, column = (torch.from_numpy(each) for each in self._cells(positions, *values.shape[2:]))
        return values[image, :, row, column]

    def _cells(self, positions: Sequence[int], rows: int, columns: int) -> tuple[Int64[np.ndarray, " samples"], ...]:
        """Where the samples of these images lie on a grid: the image's number among them, the row, the column."""
        within = (self._image >= positions[0]) & (self._image <= positions[-1])
        row, column = (self._at[within] * (rows, columns)).astype(np.int64).T
        return self._image[within] - positions[0], row, column


Predict = Callable[[Float[Tensor, "batch 3 height width"]], Float[Tensor, "batch 19 rows columns"]]


class Again:
    """Predictions of some target images, changed in ways that leave their classes as they are, and of mixtures."""

    def __init__(self) -> None:
        self._logits: dict[str, list[Float[Tensor, "batch 19 rows columns"]]] = {name: [] for name in CHANGES}
        self._mixed: list[Int64[Tensor, "19 22"]] = []

    def take(
        self,
        predict: Predict,
        images: Float[Tensor, "batch 3 height width"],
        before: Float[Tensor, "batch 19 rows columns"],
    ) -> None:
        """Predict a batch of images again, whose logits are known."""
        for name, (change, _) in CHANGES.items():
            self._logits[name].append(_bounded(predict(change(images))))
        # A single image lies over itself.
        stronger, weaker = slice(0, None, 2), slice(min(1, len(images) - 1), None, 2)
        pairs = len(images[weaker])
        mixture = STRONGER * images[stronger][:pairs] + (1 - STRONGER) * images[weaker]
        logits = (before[stronger][:pairs], before[weaker], _bounded(predict(mixture)))
        classes = [each.argmax(dim=1) for each in logits]
        self._mixed.append(_mixed(*classes))

    def repeated(self, name: str, before: Float[Tensor, "batch 19 rows columns"]) -> Repeated:
        """What one change has changed, given the logits of all images before it."""
        _, follow = CHANGES[name]
        first, second = (_listed(logits) for logits in (follow(before), torch.cat(self._logits[name])))
        chosen = torch.from_numpy(generator("evidence", name).integers(len(first), size=REPEATED_SAMPLES))
        return Repeated(
            counts=_pairs(first.argmax(dim=1), second.argmax(dim=1)),
            before=first[chosen].half().cpu().numpy(),
            after=second[chosen].half().cpu().numpy(),
        )

    def mixed(self) -> Mixed:
        """What mixtures are predicted as."""
        counts = torch.stack(self._mixed).sum(dim=0).to(torch.int32).cpu().numpy()
        return Mixed(same=counts[:, :NUM_CLASSES], different=counts[:, NUM_CLASSES:])


def flipped(values: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
    """Images, or logits, from left to right."""
    return values.flip(-1)


def zoomed(images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
    """The middle of images, 3/4 of each side, at their whole size: a network may take no other."""
    height, width = images.shape[2:]
    rows, columns = (slice(side // MARGIN, side - side // MARGIN) for side in (height, width))
    return functional.interpolate(images[..., rows, columns], size=(height, width), mode="bilinear")


def within_zoomed(logits: Float[Tensor, "batch 19 rows columns"]) -> Float[Tensor, "batch 19 rows columns"]:
    """The logits of images where those of their zoomed middles lie."""
    rows, columns = (
        (side / MARGIN + (1 - 2 / MARGIN) * (torch.arange(side, device=logits.device) + 0.5)).long()
        for side in logits.shape[2:]
    )
    return logits[:, :, rows][..., columns]


def disturbed(images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
    """Images under noise, the same for every batch."""
    random = torch.Generator(images.device).manual_seed(derive("evidence", "noise"))
    noise = torch.randn(images.shape, generator=random, device=images.device)
    return (images + NOISE * noise).clamp(0, 255)


def unmoved(logits: Float[Tensor, "batch 19 rows columns"]) -> Float[Tensor, "batch 19 rows columns"]:
    """Logits as they are."""
    return logits


CHANGES = {"flipped": (flipped, flipped), "zoomed": (zoomed, within_zoomed), "disturbed": (disturbed, unmoved)}
"""What is done to images, and what brings the logits of the images as they were to the same places."""


def thinned(prediction: Prediction, size: tuple[int, ...]) -> Prediction:
    """A prediction for images of this size at the places that evidence looks at: of a fine one, those in the middle."""
    sides = prediction.logits.shape[2:]
    places = [min(side, -(-whole // STRIDE)) for side, whole in zip(sides, size, strict=True)]
    if places == [*sides]:
        return prediction
    rows, columns = (
        torch.from_numpy(_middle(np.arange(cells), cells, side)) for cells, side in zip(places, sides, strict=True)
    )
    logits, features = (each[:, :, rows][..., columns] for each in (prediction.logits, prediction.features))
    return Prediction(logits, (), features)


def spread(number: int, at_most: int) -> tuple[int, ...]:
    """Positions among so many, evenly spaced; all where there are no more than `at_most`."""
    return tuple(np.linspace(0, number - 1, min(number, at_most)).astype(int).tolist())


def _bounded(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    return values.float().nan_to_num(0.0).clamp(-LARGEST, LARGEST)


def _sums(logits: Float[Tensor, "batch 19 rows columns"]) -> Float[Tensor, " sums"]:
    """Sums over all places: of p pᵀ, of p, how often each class is predicted, and of the entropy."""
    listed = _listed(logits)
    log_p = listed.log_softmax(dim=1)
    p = log_p.exp()
    predicted = listed.argmax(dim=1)[:, None] == torch.arange(NUM_CLASSES, device=listed.device)
    return torch.cat([(p.T @ p).flatten(), p.sum(dim=0), predicted.sum(dim=0), -(p * log_p).sum()[None]])


def _projected(features: Float[Tensor, "samples channels"]) -> Float[Tensor, "samples features"]:
    """Features of few channels as they are, of more a random projection, the same for every trial."""
    channels = features.shape[1]
    if channels <= FEATURES:
        return features
    matrix = generator("evidence", "projection", channels).normal(0, FEATURES**-0.5, (channels, FEATURES))
    return _bounded(features @ torch.from_numpy(matrix).to(features))


def _listed(logits: Float[Tensor, "batch 19 rows columns"]) -> Float[Tensor, "places 19"]:
    return logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1])


def _coarse(classes: Int64[Tensor, "batch rows columns"]) -> Int64[Tensor, "batch _ _"]:
    """The classes in the middle of each of so many cells, the same ones for networks of any stride."""
    rows, columns = (
        torch.from_numpy(_middle(np.arange(cells), cells, side))
        for side, cells in zip(classes.shape[1:], (MAP_ROWS, MAP_COLUMNS), strict=True)
    )
    return classes[:, rows][..., columns]


def _middle(cell: Int64[np.ndarray, " cells"], cells: int, size: int) -> Int64[np.ndarray, " cells"]:
    """The position among `size` in the middle of each of these of so many cells."""
    position: np.ndarray = (2 * cell + 1) * size // (2 * cells)
    return position


def _pairs(before: Int64[Tensor, " places"], after: Int64[Tensor, " places"]) -> Int32[np.ndarray, "19 19"]:
    """How often each (class before, class after) is there."""
    counts = torch.bincount(before * NUM_CLASSES + after, minlength=NUM_CLASSES**2)
    return counts.view(NUM_CLASSES, NUM_CLASSES).to(torch.int32).cpu().numpy()


def _mixed(
    stronger: Int64[Tensor, "batch rows columns"],
    weaker: Int64[Tensor, "batch rows columns"],
    mixture: Int64[Tensor, "batch rows columns"],
) -> Int64[Tensor, "19 22"]:
    """Places of each class of the stronger image: of each class of the mixture where both images are of one class;
    else at which the mixture is of the stronger's class, of the weaker's, of another.
    """
    told = torch.where(mixture == stronger, 0, torch.where(mixture == weaker, 1, 2)) + NUM_CLASSES
    columns = torch.where(stronger == weaker, mixture, told)
    cells = (stronger * (NUM_CLASSES + 3) + columns).flatten()
    return torch.bincount(cells, minlength=NUM_CLASSES * (NUM_CLASSES + 3)).reshape(NUM_CLASSES, NUM_CLASSES + 3)
