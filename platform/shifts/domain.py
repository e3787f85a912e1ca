"""Domains: one data set each, as it lies on disk, before anything is resized and decoded to the cache."""

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from platform.shifts.labels import NUM_CLASSES, VOID
from platform.shifts.shift import DataError, Pixels, Shift

SOURCE_SPLITS, TARGET_SPLITS = ("train", "val"), ("adapt", "val", "test")
"""The splits that a source and a target are asked for."""
UNLABELLED = "adapt"
"""The one split whose images may go without labels."""
LONGEST_NAME = 60
"""Characters of a domain's name."""


@dataclass(frozen=True)
class Domain(ABC):
    """One data set: a frozen dataclass, cheap to make and to send, which gives labelled images by split and name."""

    name: str
    """What tables and messages call it."""

    small: ClassVar[bool] = False
    """Whether it needs no data and takes seconds, so that `--smoke` runs on it and on no town."""

    @property
    def is_small(self) -> bool:
        """Whether it, or each of several domains, is small."""
        return self.small

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """All that decides pixels, labels and splits but the code, as JSON values; files count by `contents`."""

    @abstractmethod
    def names(self, split: str) -> Sequence[str]:
        """The images of a split in order: a source has `train` and `val`, a target `adapt`, `val` and `test`."""

    @abstractmethod
    def read(self, split: str, name: str) -> tuple[Pixels, Pixels | None]:
        """An image, uint8 RGB of shape (h, w, 3), and its labels, uint8 train ids of shape (h, w), 255 for void.

        Both have the data set's own resolution. None instead of labels stands for void everywhere, in `adapt` only.
        """

    def check(self) -> None:  # noqa: B027 - a split without images is refused in any case
        """Raise DataError, saying what to do, where the data are not on this machine."""

    def origins(self, split: str) -> tuple[int, ...]:
        """Which of several domains each image of a split comes from, counted from 0; empty for a single one."""
        return ()

    @property
    def classes(self) -> tuple[type, ...]:
        """The classes whose code decides what it gives."""
        return (type(self),)


@dataclass(frozen=True)
class Union(Domain):
    """Several domains as one."""

    domains: tuple[Domain, ...]

    @property
    def is_small(self) -> bool:
        return all(domain.is_small for domain in self.domains)

    def identity(self) -> dict[str, Any]:
        """The domains' own, in order."""
        return {"domains": [known(domain) for domain in self.domains]}

    def check(self) -> None:
        """Check each."""
        for domain in self.domains:
            domain.check()

    def names(self, split: str) -> Sequence[str]:
        """The names in every domain, in order, with its own in front: `game/00001`."""
        return [f"{domain.name}/{name}" for domain in self.domains for name in names_of(domain, split)]

    def read(self, split: str, name: str) -> tuple[Pixels, Pixels | None]:
        """Read from the domain that the name begins with."""
        owner, _, own = name.partition("/")
        return next(domain for domain in self.domains if domain.name == owner).read(split, own)

    def origins(self, split: str) -> tuple[int, ...]:
        """The position of each image's domain."""
        return tuple(position for position, domain in enumerate(self.domains) for _ in names_of(domain, split))

    @property
    def classes(self) -> tuple[type, ...]:
        """Those of all domains."""
        return tuple(dict.fromkeys(kind for domain in self.domains for kind in domain.classes))


def union(*domains: Domain) -> Domain:
    """Several domains as one, whose images keep which domain they come from; one of a union's counts as one of these.

    Raises ValueError for fewer than two, and for two of one name.
    """
    for domain in domains:
        require_domain("union", domain)
    each = tuple(own for domain in domains for own in (domain.domains if isinstance(domain, Union) else (domain,)))
    if len(each) < 2:
        raise ValueError(f"a union must have two domains or more, got {len(each)}; use the one as it is")
    if twice := [name for name, number in Counter(domain.name for domain in each).items() if number > 1]:
        raise ValueError(
            f"the domains of a union must differ, by name, got {twice[0]!r} twice; leave one out, or rename it"
        )
    return Union("+".join(domain.name for domain in each), each)


def check_licences(licences: object, domains: Iterable[Domain]) -> None:
    """Raise ValueError unless these are one text for each of some of these domains."""
    names = [own.name for domain in domains for own in (domain.domains if isinstance(domain, Union) else (domain,))]
    if not isinstance(licences, Mapping) or not all(isinstance(text, str) and text for text in licences.values()):
        raise ValueError(
            f"pair: licences must be texts by domain, got {licences!r}; write licences={{{names[0]!r}: 'CC BY 4.0'}}"
        )
    if unknown := [name for name in licences if name not in names]:
        raise ValueError(f"pair: licences must name its domains, {', '.join(names)}, got {unknown[0]!r}; rename it")


def require_domain(what: str, domain: object) -> None:
    """Raise ValueError for what is no domain, or has a name that is none."""
    if not isinstance(domain, Domain):
        remedy = f"call it: {domain.__name__}(...)" if isinstance(domain, type) else "derive its class from Domain"
        if isinstance(domain, Shift):
            remedy = "that is a shift, of two domains; give it one domain, as pair(source, target) takes them"
        raise ValueError(f"{what} must be given a Domain, got {domain!r}; {remedy}")
    name: object = domain.name
    if not isinstance(name, str) or not name.isprintable() or name.strip() != name or "/" in name or not name:
        raise ValueError(f"a domain's name must be printable, without / and blanks around it, got {name!r}; rename it")
    if len(name) > LONGEST_NAME and not isinstance(domain, Union):
        raise ValueError(f"a domain's name must have at most {LONGEST_NAME} characters, got {len(name)}; shorten it")


def known(domain: Domain) -> dict[str, Any]:
    """Name and identity of a domain as JSON gives them back. Raises DataError for what is none."""
    with _told(f"{domain.name}: its identity"):
        identity: object = domain.identity()
        if not isinstance(identity, dict):
            raise DataError(
                f"{domain.name}: its identity must be a dictionary of what decides its pixels, got {identity!r}; "
                'return {"files": contents(folder)}'
            )
        try:
            return {"name": domain.name, "identity": json.loads(json.dumps(identity))}
        except TypeError as error:
            raise DataError(
                f"{domain.name}: its identity must be of JSON values, got {identity!r}; "
                "write paths and arrays as texts and lists"
            ) from error


def names_of(domain: Domain, split: str) -> list[str]:
    """The names of a split's images. Raises DataError unless they are one or more, and tell the images apart."""
    with _told(f"{domain.name}: the names of {split}"):
        names = list(domain.names(split))
    remedy = f"see `names` of {type(domain).__name__}"
    if not names:
        raise DataError(f"{domain.name}: {split} must hold at least one image, got none; {remedy}, and its folder")
    if wrong := [name for name in names if not isinstance(name, str) or not name]:
        raise DataError(f"{domain.name}: the names of {split} must be texts, got {wrong[0]!r}; {remedy}")
    if twice := [name for name, number in Counter(names).items() if number > 1]:
        raise DataError(f"{domain.name}: the names of {split} must differ, got {twice[0]!r} twice; {remedy}")
    return names


def example(domain: Domain, split: str, name: str) -> tuple[Pixels, Pixels]:
    """An image and its labels, void everywhere where there are none. Raises DataError for what is wrong with them."""
    place = f"{domain.name}: image {name!r} of {split}"
    with _told(place):
        read = domain.read(split, name)
    if not isinstance(read, tuple) or len(read) != 2:
        raise DataError(f"{place} must come as image and labels, got {_kind(read)}; let `read` return both, or None")
    image, labels = read
    if labels is None:
        if split != UNLABELLED:
            raise DataError(f"{place} must have labels, got None; only images that are adapted to may go without")
        _require(place, "pixels", image, 3)
        return image, np.full(image.shape[:2], VOID, np.uint8)
    _require(place, "pixels", image, 3)
    _require(place, "labels", labels, 2)
    if image.shape[:2] != labels.shape:
        raise DataError(
            f"{place} must have the size of its labels, height x width {_size(labels)}, got {_size(image)}; "
            "replace one of the two"
        )
    if (wrong := (labels >= NUM_CLASSES) & (labels != VOID)).any():
        raise DataError(
            f"{place} must have train ids from 0 to {NUM_CLASSES - 1} as labels, or {VOID} for void, "
            f"got {labels[wrong][0]}; `labels_of` translates the ids of files"
        )
    return image, labels


def _require(place: str, what: str, array: object, axes: int) -> None:
    """Refuse what is no uint8 array of an image's, or its labels', shape."""
    shape = "(height, width, 3)" if axes == 3 else "(height, width)"
    fits = isinstance(array, np.ndarray) and array.dtype == np.uint8 and array.ndim == axes and array.size
    if not fits or (axes == 3 and array.shape[2] != 3):  # type: ignore[attr-defined]
        reader = "image_of" if axes == 3 else "labels_of"
        raise DataError(
            f"{place} must have {what} of uint8 in an array of shape {shape}, got {_kind(array)}; "
            f"`{reader}` reads files as such, and np.asarray(..., np.uint8) converts"
        )


def _kind(value: object) -> str:
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def _size(array: Pixels) -> str:
    return f"{array.shape[0]} x {array.shape[1]}"


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Have whatever a domain's own code raises be one line that says where."""
    try:
        yield
    except DataError:
        raise
    except (Exception, SystemExit) as error:
        # It imports torch, which what only names a data set should not wait for.
        from platform.shifts.definition.mistakes import explained

        remedy = "" if isinstance(error, ValueError | OSError) else "; mend it"
        raise DataError(f"{what}: {explained(error).removeprefix('ValueError: ')}{remedy}") from error
