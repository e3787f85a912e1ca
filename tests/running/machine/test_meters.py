"""Meters are read by codecarbon's readers: made-up ones of processors and GPUs, and machines that have none."""

import dataclasses
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from platform.records.record import Report
from platform.running.machine import meters
from platform.running.machine.meters import Meters, Reading, metered
from platform.training.assignment import Stopped
from tests.support.attempts import report_of

REPORT = Report(10, 1.5, {}, {})


@pytest.fixture(autouse=True)
def without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may ask anybody anything."""

    def refuse(*arguments: Any) -> NoReturn:
        raise AssertionError(f"a connection to {arguments[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def powercap(folder: Path, *packages: int, most: int = 262_143_328_850) -> Path:
    """A tree as Linux shows processors' meters, in microjoules."""
    for number, counted in enumerate(packages):
        package = folder / f"intel-rapl:{number}"
        package.mkdir(parents=True)
        (package / "name").write_text(f"package-{number}\n")
        (package / "energy_uj").write_text(f"{counted}\n")
        (package / "max_energy_range_uj").write_text(f"{most}\n")
    return folder


def count(folder: Path, number: int, counted: int) -> None:
    (folder / f"intel-rapl:{number}" / "energy_uj").write_text(f"{counted}\n")


class Nvml:
    """NVIDIA's library, of two GPUs the second of which is too old to have a meter."""

    class NVMLError(Exception):
        pass

    class NVMLError_NotSupported(NVMLError):
        pass

    def __init__(self) -> None:
        self.millijoules: list[int | None] = [5_000_000, None]

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return len(self.millijoules)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:
        return number

    def nvmlDeviceGetTotalEnergyConsumption(self, number: int) -> int:
        counted = self.millijoules[number]
        if counted is None:
            raise self.NVMLError_NotSupported
        return counted

    def nvmlDeviceGetName(self, number: int) -> str:
        return "NVIDIA L4"

    def nvmlDeviceGetUUID(self, number: int) -> str:
        return f"GPU-0000-{number}"

    def nvmlDeviceGetMemoryInfo(self, number: int) -> Any:
        return SimpleNamespace(total=1, free=1, used=0)

    def nvmlDeviceGetEnforcedPowerLimit(self, number: int) -> int:
        return 72_000

    def nvmlDeviceGetPowerUsage(self, number: int) -> int:
        return 30_000


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    """Made-up GPUs, as codecarbon sees them."""
    gpu = pytest.importorskip("codecarbon.core.gpu")
    fake = Nvml()
    monkeypatch.setattr(gpu.gpu_nvidia, "pynvml", fake)
    monkeypatch.setattr(gpu, "PYNVML_AVAILABLE", True)
    return fake


def test_processors_meters_are_read_in_joules(tmp_path: Path) -> None:
    pytest.importorskip("codecarbon")
    tree = powercap(tmp_path / "intel-rapl", 1_000_000_000, 7_000_000_000)
    found = Meters(tree)
    before = found.read()
    count(tree, 0, 1_090_000_000)
    count(tree, 1, 7_010_000_000)
    report = report_of(metered(REPORT, before, after := found.read()))
    assert report.energy == {"processor 0": pytest.approx(90.0, rel=1e-5), "processor 1": pytest.approx(10.0, rel=1e-5)}
    assert report.metered == (before.at, after.at)
    assert dataclasses.replace(report, energy={}, metered=(0.0, 0.0)) == REPORT


def test_a_processors_meter_that_began_again_at_0_lost_nothing(tmp_path: Path) -> None:
    pytest.importorskip("codecarbon")
    tree = powercap(tmp_path / "intel-rapl", 9_000_000, most=10_000_000)
    found = Meters(tree)
    before = found.read()
    count(tree, 0, 4_000_000)
    assert report_of(metered(REPORT, before, found.read())).energy == {"processor 0": pytest.approx(5.0, rel=1e-5)}


def test_looks_in_between_change_no_sum(tmp_path: Path) -> None:
    pytest.importorskip("codecarbon")
    tree = powercap(tmp_path / "intel-rapl", 0)
    found = Meters(tree)
    before = found.read()
    for counted in (2_000_000, 3_000_000, 9_000_000):
        count(tree, 0, counted)
        after = found.read()
    assert report_of(metered(REPORT, before, after)).energy == {"processor 0": pytest.approx(9.0, rel=1e-5)}


def test_of_gpus_only_that_of_the_trial_counts_and_none_without_a_meter(tmp_path: Path, nvml: Nvml) -> None:
    found = Meters(tmp_path)
    assert found
    before = found.read()
    nvml.millijoules[0] = 5_360_000
    after = found.read()
    assert after.joules.keys() == {"GPU 0"}, "the power of one moment is no measurement"
    assert report_of(metered(REPORT, before, after, "GPU 0")).energy == {"GPU 0": pytest.approx(360.0, rel=1e-5)}
    assert report_of(metered(REPORT, before, after, "GPU 1")).energy == {}
    assert report_of(metered(REPORT, before, after)).energy == {}


def test_a_process_knows_its_gpu_by_what_the_driver_calls_it(
    tmp_path: Path, nvml: Nvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Meters(tmp_path)
    assert found.own_gpu() == "", "it computes on none"
    for own, meter in (("0000-0", "GPU 0"), ("0000-1", ""), ("MIG-0000-0", "")):
        monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
        monkeypatch.setattr("torch.cuda.current_device", lambda: 0)
        monkeypatch.setattr("torch.cuda.get_device_properties", lambda number, own=own: SimpleNamespace(uuid=own))
        assert found.own_gpu() == meter


def test_a_driver_that_fails_ends_no_trial(tmp_path: Path, nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Meters(tmp_path)
    before = found.read()

    def lost(number: int) -> NoReturn:
        raise RuntimeError("GPU is lost")

    monkeypatch.setattr(nvml, "nvmlDeviceGetTotalEnergyConsumption", lost)
    assert report_of(metered(REPORT, before, found.read(), "GPU 0")).energy == {}
    monkeypatch.setattr(nvml, "nvmlDeviceGetCount", lambda: lost(0))
    assert not Meters(tmp_path)


def test_without_meters_or_without_codecarbon_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = Meters(tmp_path / "nowhere")
    assert not none
    before, after = none.read(), none.read()
    assert metered(REPORT, before, after) == dataclasses.replace(REPORT, metered=(before.at, after.at))
    assert none.read().joules == {}
    monkeypatch.setattr(meters, "find_spec", lambda name: None)
    assert not Meters(powercap(tmp_path / "intel-rapl", 1_000))


def test_a_meter_that_nobody_may_read_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("codecarbon")
    tree = powercap(tmp_path / "intel-rapl", 1_000)
    monkeypatch.setattr("os.access", lambda path, mode: not str(path).endswith("energy_uj"))
    assert not Meters(tree)


def test_what_is_no_report_is_left_as_it_is() -> None:
    result = Stopped()
    assert metered(result, Reading(0.0, {}), Reading(1.0, {"processor 0": 1.0})) is result


def test_readers_alone_are_imported_where_there_is_codecarbon(tmp_path: Path) -> None:
    pytest.importorskip("codecarbon")
    Meters(powercap(tmp_path / "intel-rapl", 1))
    assert "codecarbon.core.cpu" in sys.modules
    assert not list(tmp_path.glob("**/emissions*"))
