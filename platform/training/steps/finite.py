"""The watch for losses that are not finite, which does not make the CPU wait for the device at every step."""

import time
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor

EVERY = 50
"""Steps after which the device's note is copied, and the copy before is read."""


class Diverged(ArithmeticError):
    """A loss, a weight or a running statistic that is not finite."""


class LossWatch:
    """The first step at which a loss was not finite, noted on the device.

    It is told at most twice `EVERY` steps later, and at every `check`.
    """

    def __init__(self, players: Sequence[str], device: torch.device) -> None:
        self._players = tuple(players)
        self.note = torch.full((1 + len(self._players),), -1.0, dtype=torch.float64, device=device)
        """The first step at which one was not finite, -1 as long as all were, and the loss of each player there."""
        self._rests = torch.zeros((), device=device)
        """What counts for a player without a loss in this step."""
        self._step = torch.zeros(1, dtype=torch.float64, device=device)
        self._copy: Float64[Tensor, " numbers"] | None = None
        self._copied: torch.Event | None = None
        self.waited = 0.0
        """Seconds that were waited for the device."""

    def begin(self, step: int) -> None:
        """Say which step is taken."""
        self._step.fill_(step)

    def take(self, losses: Mapping[str, Float[Tensor, ""]]) -> None:
        """Note the losses of this step if they are the first that are not finite."""
        values = torch.stack([losses[name].detach() if name in losses else self._rests for name in self._players])
        is_first = (self.note[0] < 0) & ~values.isfinite().all()
        # Where it lies, since a step that is recorded finds it there.
        self.note.copy_(torch.where(is_first, torch.cat([self._step, values.double()]), self.note))

    def look(self, step: int) -> None:
        """Once in a while, read what is known by now. Raises Diverged."""
        if step % EVERY:
            return
        if self._copy is not None:
            began = time.perf_counter()
            if self._copied is not None:
                self._copied.synchronize()
            self.waited += time.perf_counter() - began
            self._tell(self._copy)
        on_gpu = self.note.device.type == "cuda"
        self._copy = torch.empty(self.note.shape, dtype=self.note.dtype, pin_memory=on_gpu)
        self._copy.copy_(self.note, non_blocking=True)
        if on_gpu:
            self._copied = torch.Event("cuda")
            self._copied.record()

    def check(self) -> None:
        """Wait for the device, and read its note. Raises Diverged."""
        began = time.perf_counter()
        note = self.note.cpu()
        self.waited += time.perf_counter() - began
        self._tell(note)

    def _tell(self, note: Float64[Tensor, " numbers"]) -> None:
        step, *values = note.tolist()
        if step < 0:
            return
        finite = torch.tensor(values, dtype=torch.float64).isfinite().tolist()
        name = self._players[finite.index(False)]
        raise Diverged(f"the {name} loss is {values[finite.index(False)]} at step {int(step) + 1}")
