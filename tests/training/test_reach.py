"""No reference leads from what a method is given to labels that it does not read, through whichever objects."""

import weakref
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from platform.methods import FDA, Adversarial, Method, SourceOnly, Step, TargetSupervised
from platform.methods.composition import Composition
from platform.shifts import town
from platform.shifts.few import granted
from platform.shifts.shift import LabelledImages, Splits
from platform.shifts.stored import Stored, Verified
from platform.training.run import TrainingRun
from tests.support.own_methods import Few, MeanTeacher, Scripted
from tests.support.reach import ways
from tests.support.tiny_splits import composition, splits, training_run

GIVES = ("start", "players", "source_images", "weights", "translate", "losses", "update")
"""The calls by which a run gives a method anything."""


@pytest.fixture(params=["in memory", "in a cache"])
def data(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Splits:
    if request.param == "in memory":
        return splits()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    opened = town(size=(32, 64), source_images=(7, 2), target_images=(5, 2, 2)).open()
    assert isinstance(opened.oracle.adapt.labels, Stored)
    return opened


def given_by(run: Callable[[], TrainingRun], data: Splits, methods: Composition) -> dict[str, list[str]]:
    """The ways to target labels from what each call gives in two steps, the second of them in halves."""
    found: dict[str, list[str]] = {}

    def watched(call: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def watch(method: Method, *given: Any) -> Any:
            returned = original(method, *given)
            # Afterwards, so that the passes that a method asked for are looked at, too.
            found.setdefault(call, []).extend(ways(data, [*given, method], watchers))
            return returned

        watchers.append(watch)
        return watch

    watchers: list[Any] = [found]
    with pytest.MonkeyPatch.context() as patch:
        for kind in {type(method) for method in methods.methods}:
            for call in GIVES:
                patch.setattr(kind, call, watched(call, getattr(kind, call)))
        made = run()
        made.advance(1)
        made.parts = 2
        made.advance(1)
    return found


METHODS: dict[str, Composition] = {
    "source only": composition(SourceOnly()),
    "FDA": composition(FDA(beta=0.1)),
    "adversarial": composition(Adversarial(width=4)),
    "a teacher": composition(MeanTeacher()),
    "all images": composition(Scripted(loss=lambda step: {"judge": step.adapt.batch([0, 1]).images.mean() and None})),
    "several": Composition((FDA(beta=0.1), Adversarial(width=4), MeanTeacher())),
}


@pytest.mark.parametrize("methods", METHODS.values(), ids=METHODS.keys())
def test_nothing_that_a_method_is_given_leads_to_target_labels(methods: Composition, data: Splits) -> None:
    found = given_by(lambda: training_run(methods, data, batch=4), data, methods)
    assert found == {call: [] for call in GIVES}


def test_a_method_that_reads_few_is_led_to_their_labels_alone(data: Splits) -> None:
    few = granted(data, 2)
    methods = composition(Few())
    run = partial(training_run, methods, few, batch=4, augmentation="none")
    assert given_by(run, few, methods) == {call: [] for call in GIVES}
    found = given_by(run, data, methods)
    assert found.keys() == {*GIVES}
    assert {call for call, reached in found.items() if reached} == {"losses", "update"}
    assert all(way.startswith("a copy of labels at") for reached in found.values() for way in reached)


def test_the_upper_bound_is_led_to_labels_which_shows_that_they_would_be_found(data: Splits) -> None:
    methods = composition(TargetSupervised())
    found = given_by(lambda: training_run(methods, data, batch=4, augmentation="none"), data, methods)
    assert found["losses"]
    assert not found["players"]


# The walk itself


HELD: list[Any] = []
"""Which a function below looks up."""


def looks_up() -> Any:
    def within() -> Any:
        return HELD

    return within


class Holding:
    """Has what it was given, and a method."""

    shared: Any = None

    def __init__(self, held: Any) -> None:
        self.held = held

    def method(self) -> None:
        """Bound to what has it."""

    @property
    def computed(self) -> Any:
        return looks_up()


class Slotted:
    """Has a slot in place of attributes."""

    __slots__ = ("held",)

    def __init__(self, held: Any) -> None:
        self.held = held


def in_a_class(bait: Any) -> type:
    return type("Own", (Holding,), {"shared": bait, "__module__": __name__})


def in_a_global(bait: Any) -> Any:
    HELD.append(bait)
    return looks_up


def behind_a_property(bait: Any) -> Any:
    HELD.append(bait)
    return Holding(None)


def in_a_cache(bait: Any) -> Any:
    cached = lru_cache(lambda number: SimpleNamespace(bait=Holding(bait)))
    cached(1)
    return cached


def in_a_generator(bait: Any) -> Iterator[Any]:
    def running() -> Iterator[Any]:
        held = Holding(bait)
        yield 1
        yield held

    generator = running()
    next(generator)
    return generator


def in_a_hook(bait: Any) -> nn.Module:
    network = nn.Sequential(nn.Linear(1, 1))
    network[0].register_forward_hook(lambda *_: bait)
    return network


def in_a_tensors_hook(bait: Any) -> torch.Tensor:
    tensor = torch.ones(1, requires_grad=True)
    tensor.register_hook(lambda gradient: None if bait else gradient)  # type: ignore[no-untyped-call]
    return tensor


def in_a_tensors_attribute(bait: Any) -> torch.Tensor:
    tensor = torch.ones(1)
    tensor.held = bait  # type: ignore[attr-defined]
    return tensor


def weakly(bait: Any) -> Any:
    owner = Holding(bait)
    return weakref.ref(owner), owner.method


PLACES: dict[str, Callable[[Any], Any]] = {
    "an attribute": Holding,
    "a slot": Slotted,
    "a closure": lambda bait: lambda: bait,
    "a default": lambda bait: lambda held=bait: held,
    "a keyword's default": lambda bait: lambda *, held=bait: held,
    "a partial": lambda bait: partial(print, bait),
    "a partial's keyword": lambda bait: partial(print, end=bait),
    "a bound method": lambda bait: Holding(bait).method,
    "a list": lambda bait: [[bait]],
    "a dictionary": lambda bait: {"a": (bait,)},
    "a view of a dictionary": lambda bait: MappingProxyType({1: bait}),
    "a deque": lambda bait: deque([bait]),
    "a class": in_a_class,
    "a global": in_a_global,
    "a property": behind_a_property,
    "a cache": in_a_cache,
    "a generator": in_a_generator,
    "an iterator": lambda bait: iter([bait]),
    "a built-in method": lambda bait: [bait].append,
    "an array of objects": lambda bait: np.array([Holding(bait)], dtype=object),
    "an error": lambda bait: ValueError("see", bait),
    "a module's hook": in_a_hook,
    "a tensor's hook": in_a_tensors_hook,
    "a weak reference": weakly,
    "a tensor's attribute": in_a_tensors_attribute,
}
BAITS: dict[str, Callable[[Splits], Any]] = {
    "the splits": lambda data: data,
    "the oracle": lambda data: data.oracle,
    "labelled images": lambda data: LabelledImages(data.target_val, data.oracle.val.labels),
    "labels": lambda data: data.oracle.adapt.labels,
}
OF_ARRAYS: dict[str, Callable[[np.ndarray], Any]] = {
    "a view": lambda labels: labels[1:, ::2, ::2],
    "a view's base": lambda labels: labels[:0],
    "a tensor": lambda labels: torch.from_numpy(labels[:2]),
    "a copy": lambda labels: labels[[0]],
    "a tensor of train ids": lambda labels: torch.from_numpy(labels[[1]]).long(),
}


@pytest.fixture(autouse=True)
def _nothing_held() -> Iterator[None]:
    yield
    HELD.clear()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("bait", BAITS)
def test_the_walk_finds_what_is_hidden(place: str, bait: str) -> None:
    data = splits()
    assert ways(data, [PLACES[place](BAITS[bait](data))])
    assert not ways(data, [PLACES[place](data.target_adapt), PLACES[place](data.source_train)]) or HELD


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("form", OF_ARRAYS)
def test_the_walk_knows_labels_in_every_form(form: str) -> None:
    data = splits()
    for split in (data.oracle.adapt, data.oracle.val, data.oracle.test):
        assert isinstance(split.labels, np.ndarray)
        assert ways(data, [OF_ARRAYS[form](split.labels)])
    assert isinstance(data.source_train.labels, np.ndarray)
    assert not ways(data, [OF_ARRAYS[form](data.source_train.labels)])


def test_the_walk_knows_what_a_cache_would_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    data = town(size=(32, 64), source_images=(3, 2), target_images=(3, 2, 2)).open()
    images, labels = data.target_adapt.pixels, data.oracle.adapt.labels
    assert isinstance(images, Stored)
    assert isinstance(labels, Stored)
    folder = images._folder
    told = (images, folder, str(folder), f"{folder}/x", folder.name, str(folder).encode(), labels.nameless, labels[[0]])
    assert all(ways(data, [each]) for each in told)
    assert isinstance(images.nameless, Verified)
    assert not ways(data, [images.nameless, images[[0]], data.target_adapt.names])


def test_the_walk_goes_through_a_real_step() -> None:
    """A way that a step would open is found: here, a network that knows the shift."""
    data, steps = splits(), list[Step]()
    run = training_run(Scripted(after=steps.append), data)
    run.network.register_forward_hook(lambda module, inputs, output: output if data else None)
    run.advance(1)
    assert any(way.startswith("a Splits at") for way in ways(data, steps))
