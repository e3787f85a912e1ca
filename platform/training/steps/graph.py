"""A step as one launch: recorded after its first few times, compared with the step itself, then repeated.

A step of a real-time network is a thousand small operations, and on a fast GPU it takes the CPU longer to launch them
than the GPU to carry them out. What is recorded are the same operations on the same memory, and gives the same bits.

From one step to the next only memory may differ: the images and labels of the batches, the learning rates, the
progress. `step.number`, `step.random` and the positions of images lie with the CPU, so the step of a method that asks
for one of them is not repeated, and neither is one that reads numbers of the device.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

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


class StepGraph:
    """Takes steps: one by one, until it is known that a recording of them gives the same."""

    def __init__(
        self,
        take: Callable[[Batches, bool], Noted],
        state: Callable[[], Iterable[Shaped[Tensor, "..."]]],
        recorder: Recorder | None,
    ) -> None:
        self._take = take
        """Takes a step, which is recorded or not, and returns what it noted."""
        self._state = state
        """Everything that a step changes."""
        self._recorder = recorder
        self._taken = 0
        self._recorded: _Recorded | None = None
        self.repeats = False
        """Whether steps are repeated by now."""

    def step(self, batches: Batches, seed: Callable[[], None]) -> Noted:
        """Take a step, whose draws on the device begin anew with `seed`, and return what it noted."""
        if self.repeats and self._recorded is not None:
            seed()
            return self._recorded.again(batches)
        self._taken += 1
        if self._recorded is not None:
            return self._compared(batches, seed, self._recorded)
        seed()
        if self._recorder is None or self._taken <= WARM_UP:
            return self._take(batches, False)
        return self._first(batches, seed, self._recorder)

    def stop(self) -> None:
        """Take every step by itself from now on."""
        self._recorder = self._recorded = None
        self.repeats = False

    def _first(self, batches: Batches, seed: Callable[[], None], recorder: Recorder) -> Noted:
        """Take a step, and record it if that pays."""
        noted, launching, whole = recorder.timed(lambda: self._take(batches, False))
        if whole > SLOWER * launching:
            self.stop()
            return noted
        try:
            seed()
            self._recorded = _Recorded(batches, recorder, lambda given: self._take(given, True))
        # Whatever cannot be recorded is taken step by step, which tells what is wrong with it, if anything is.
        except Exception:
            self.stop()
        return noted

    def _compared(self, batches: Batches, seed: Callable[[], None], recorded: "_Recorded") -> Noted:
        """Take a step by itself and as it was recorded, and see whether both give the same."""
        before = self._copied()
        try:
            seed()
            noted = self._take(batches, False)
            after = self._copied()
        except Exception as error:
            if not out_of_memory(error):
                raise
            after = []
        if not after:
            # There is no room for a recording and what else there is: an evaluation would not fit either.
            self.stop()
            del recorded
            self._put_back(before)
            seed()
            return self._take(batches, False)
        self._put_back(before)
        seed()
        again = recorded.again(batches)
        pairs = zip([*after, *noted.values()], [*self._state(), *again.values()], strict=True)
        if noted.keys() == again.keys() and all(torch.equal(one, other) for one, other in pairs):
            self.repeats = True
        else:
            self.stop()
            self._put_back(after)
        return noted

    @torch.no_grad()
    def _copied(self) -> list[Tensor]:
        return [tensor.clone() for tensor in self._state()]

    @torch.no_grad()
    def _put_back(self, copies: Iterable[Tensor]) -> None:
        for tensor, copy in zip(self._state(), copies, strict=True):
            tensor.copy_(copy)


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
