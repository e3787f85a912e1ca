"""What a machine's own energy meters count while a trial trains: processors by RAPL, GPUs by NVML.

Both are read by the readers of codecarbon (Courty et al., 2019 to 2026), and by these alone. Its tracker is not used:
where it finds no meter it goes by the power that processors of a name are sold with, which measures nothing; its online
one asks where the machine stands, and it writes files. Without codecarbon, and without a meter that this user may read,
nothing is measured, and nothing is said.
"""

import logging
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch

from platform.records.record import JOULES_OF_KWH, Report
from platform.training.assignment import Result

POWERCAP = Path("/sys/class/powercap/intel-rapl/subsystem")
"""Where Linux shows the meters of processors; most machines let the administrator alone read them."""
OFTEN = 60.0
"""Seconds between two looks: a processor's meter begins again at 0 after some 20 minutes of full load."""
PROCESSOR, GPU = "processor", "GPU"
"""How the names of meters begin: `processor 0`, `GPU 3`."""


class Reading(NamedTuple):
    """What meters have counted since a worker began to read them."""

    at: float
    """Seconds since 1970."""
    joules: dict[str, float]
    """By meter."""


class Meters:
    """The meters that can be read, and what they have counted since they were found; of several GPUs each has one."""

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._processors: Any = None
        self._gpus: list[Any] = []
        self._joules: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._read = time.monotonic()
        # Whatever a driver or a library does: a trial needs no meter.
        with suppress(Exception):
            if find_spec("codecarbon") is not None:
                self._find(powercap)

    def __bool__(self) -> bool:
        return self._processors is not None or bool(self._gpus)

    def _find(self, powercap: Path) -> None:
        # Only workers read meters; commands should not wait for it.
        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
        from codecarbon.core.cpu import IntelRAPL, is_rapl_available
        from codecarbon.core.gpu import AllGPUDevices, is_gpu_details_available

        if is_rapl_available(str(powercap)):
            self._processors = IntelRAPL(str(powercap))  # type: ignore[no-untyped-call]
            self._processors.start()
        if is_gpu_details_available():
            # Older GPUs have no meter, and what codecarbon puts in its place is the power of one moment.
            self._gpus = [device for device in AllGPUDevices().devices if device.last_energy is not None]

    def read(self) -> Reading:
        """Look at the meters."""
        with self._lock:
            with suppress(Exception):
                self._look()
            return Reading(time.time(), dict(self._joules))

    def own_gpu(self) -> str:
        """The meter of the GPU that this process computes on; empty without any, and for a slice of one."""
        if not self._gpus or not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            return ""
        own = str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
        by_id = {device.get_static_details()["uuid"].removeprefix("GPU-"): device.gpu_index for device in self._gpus}
        return f"{GPU} {by_id[own]}" if own in by_id else ""

    def watch(self) -> None:
        """Look at them now and then, for as long as this process lives: those of processors begin again at 0."""
        if self:
            threading.Thread(target=self._watch, name="meters", daemon=True).start()

    def _watch(self) -> None:
        while True:
            time.sleep(OFTEN)
            self.read()

    def _look(self) -> None:
        if not self:
            return
        from codecarbon.core.units import Time

        now = time.monotonic()
        since, self._read = Time.from_seconds(now - self._read), now
        if self._processors is not None:
            found = self._processors.get_cpu_details(since)
            counted = [kwh for name, kwh in found.items() if name.startswith("Processor Energy")]
            self._joules.update({f"{PROCESSOR} {number}": JOULES_OF_KWH * kwh for number, kwh in enumerate(counted)})
        for device in self._gpus:
            self._joules[f"{GPU} {device.gpu_index}"] += (
                JOULES_OF_KWH * device.delta(since)["delta_energy_consumption"].kWh
            )


def metered(result: Result, before: Reading, after: Reading, gpu: str = "") -> Result:
    """A report with when it was made, and what meters have counted meanwhile: processors', and the trial's GPU's."""
    counted = {
        meter: joules - before.joules.get(meter, 0.0)
        for meter, joules in after.joules.items()
        if meter.startswith(PROCESSOR) or meter == gpu
    }
    # A meter that stands still is one that cannot be read.
    counted = {meter: joules for meter, joules in counted.items() if joules > 0}
    return replace(result, energy=counted, metered=(before.at, after.at)) if isinstance(result, Report) else result
