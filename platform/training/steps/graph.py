"""A step as one launch: recorded after its first few times, compared with the step itself, then repeated.

A step of a real-time network is a thousand small operations, and on a fast GPU it takes the CPU longer to launch them
than the GPU to carry them out. What is recorded are the same operations on the same memory, and gives the same bits.

From one step to the next only memory may differ: the images and labels of the batches, the learning rates, the
progress. `step.number`, `step.random` and the positions of images lie with the CPU, so the step of a method that asks
for one of them is not repeated, and neither is one that reads numbers of the device.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from platform.methods.batch import Labelled, Unlabelled, unplaced
from platform.training.device.memory import out_of_memory
from platform.training.device.recorder import Recorder

WARM_UP = 3
"""Steps before one is recorded: in the first of them libraries choose algorithms, and optimisers make their state."""
SLOWER = 1.1
"""Times as long as the launching of a step that a device may be at it, for a recording to pay."""

Batches = Mapping[str, Labelled | Unlabelled]
Noted = dict[str, Float[Tensor, ""]]


@dataclass(frozen=True)
class Taking:
    """How a step is taken: nothing here is kept, lest a run be kept by its own graph."""

    take: Callable[[Batches, bool], Noted]
    """Takes a step, which is recorded or not, and returns what it noted."""
    state: Callable[[], Iterable[Shaped[Tensor, "..."]]]
    """Everything that a step changes."""
    seed: Callable[[], None]
    """Has the device's draws begin as they do in this step."""

    def by_itself(self, batches: Batches) -> Noted:
        """Take the step."""
        self.seed()
        return self.take(batches, False)

    def places(self) -> list[tuple[int, torch.Size, str]]:
        """Where the state lies, in which sizes, and on what kind of device."""
        return [(tensor.data_ptr(), tensor.shape, tensor.device.type) for tensor in self.state()]

    @torch.no_grad()
    def copied(self) -> list[Shaped[Tensor, "..."]]:
        """What the state is now."""
        return [tensor.clone() for tensor in self.state()]

    @torch.no_grad()
    def put_back(self, copies: Iterable[Shaped[Tensor, "..."]]) -> None:
        """Make the state what it was."""
        for tensor, copy in zip(self.state(), copies, strict=True):
            tensor.copy_(copy)


class StepGraph:
    """Takes steps: one by one, until it is known that a recording of them gives the same."""

    def __init__(self, recorder: Recorder | None) -> None:
        self._recorder = recorder
        self._taken = 0
        self._recorded: _Recorded | None = None
        self.repeats = False
        """Whether steps are repeated by now."""
        self.why_not = "" if recorder else "nothing is recorded on such a device"
        """Why they never will be, if that is known."""

    def step(self, batches: Batches, taking: Taking) -> Noted:
        """Take a step, and return what it noted."""
        if self.repeats and self._recorded is not None:
            taking.seed()
            return self._recorded.again(batches)
        self._taken += 1
        if self._recorded is not None:
            return self._compared(batches, taking)
        if self._recorder is None or self._taken <= WARM_UP:
            return taking.by_itself(batches)
        return self._first(batches, taking, self._recorder)

    def stop(self, why: str) -> None:
        """Take every step by itself from now on."""
        self._recorder = self._recorded = None
        self.repeats, self.why_not = False, why

    def _first(self, batches: Batches, taking: Taking, recorder: Recorder) -> Noted:
        """Take a step, and record it if that can be done, and pays."""
        before = taking.places()
        observed = recorder.observe(lambda: taking.by_itself(batches))
        if observed.waits:
            self.stop("it waits for the device")
        elif observed.whole > SLOWER * observed.launching:
            self.stop("the device is the slower one")
        # Of a recording whatever is not on the device would be carried out, and what is new be the recording's own.
        elif taking.places() != before or len({device for _, _, device in before}) > 1:
            self.stop("it makes new memory for what it remembers, or remembers it on the CPU")
        else:
            self._record(batches, taking, recorder)
        return observed.given

    def _record(self, batches: Batches, taking: Taking, recorder: Recorder) -> None:
        try:
            taking.seed()
            self._recorded = _Recorded(batches, recorder, lambda given: taking.take(given, True))
        # Whatever cannot be recorded is taken step by step, which tells what is wrong with it, if anything is.
        except Exception as error:
            self.stop(f"{type(error).__name__}: {error}")

    def _compared(self, batches: Batches, taking: Taking) -> Noted:
        """Take a step by itself and as it was recorded, and see whether both give the same."""
        before = taking.copied()
        try:
            noted = taking.by_itself(batches)
            after = taking.copied()
        except Exception as error:
            if not out_of_memory(error):
                raise
            after = []
        if not after or self._recorded is None:
            # There is no room for a recording and what else there is: an evaluation would not fit either.
            self.stop("there is no memory for both")
            taking.put_back(before)
            return taking.by_itself(batches)
        taking.put_back(before)
        taking.seed()
        again = self._recorded.again(batches)
        pairs = zip([*after, *noted.values()], [*taking.state(), *again.values()], strict=True)
        if noted.keys() == again.keys() and all(torch.equal(one, other) for one, other in pairs):
            self.repeats = True
        else:
            self.stop("it gives other numbers")
            taking.put_back(after)
        return noted


class _Recorded:
    """A step that was recorded, with the memory in which it finds its batches."""

    def __init__(self, batches: Batches, recorder: Recorder, take: Callable[[Batches], Noted]) -> None:
        self._batches = {name: _place_for(batch) for name, batch in batches.items()}
        self._noted, self._launch = recorder.record(lambda: take(self._batches))

    def again(self, batches: Batches) -> Noted:
        """Take the step with these batches."""
        for name, place in self._batches.items():
            batch = batches[name]
            place.images.copy_(batch.images)
            if isinstance(place, Labelled) and isinstance(batch, Labelled):
                place.labels.copy_(batch.labels)
        self._launch()
        # The next step writes to the same memory.
        return {name: value.clone() for name, value in self._noted.items()}


def _place_for(batch: Labelled | Unlabelled) -> Labelled | Unlabelled:
    place = replace(unplaced(batch), images=batch.images.clone())
    return replace(place, labels=place.labels.clone()) if isinstance(place, Labelled) else place
