"""What a plan says of GPUs, on machines that are made up."""

import re

import pytest

from platform.commands.terminal import gpus, plan
from platform.commands.terminal.plan import describe
from platform.commands.terminal.screen import COLUMNS
from platform.methods import DACS, Adversarial, SourceOnly
from platform.running.placement import Offer
from platform.shifts import town
from platform.study import Arm, Budget, Study
from platform.training.cost import Uncounted

ONE = Offer(({"CPU": 8.0, "GPU": 1.0},))


def study(share: float, **arms: Arm) -> Study:
    return Study(
        shift=town(size=(512, 1024)),
        arms=arms or {"DACS": Arm(DACS)},
        reference=next(iter(arms), "DACS"),
        budget=Budget(steps=4, evaluations=2, gpus=share),
    )


def said(share: float, name: str, monkeypatch: pytest.MonkeyPatch, offer: Offer | None = None, **arms: Arm) -> str:
    """The plan's words on GPUs, where the one of this machine has a name; empty where there are none."""
    monkeypatch.setattr(gpus, "gpu", lambda: name)
    monkeypatch.setattr(plan, "this_machine", lambda: ONE)
    lines = describe(study(share, **arms), "question", offer).split("\n\n")[0].splitlines()
    assert max(map(len, lines)) <= COLUMNS
    starts = [number for number, line in enumerate(lines) if line.startswith("  gpus ")]
    if not starts:
        return ""
    (first,) = starts
    rest = [line for line in lines[first + 1 :] if line.startswith("     ")]
    return " ".join(" ".join([lines[first], *rest]).split()).removeprefix("gpus ")


def test_the_host_is_too_slow_for_an_h100_and_an_l4_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a method that draws, whose steps are not repeated."""
    fast = said(0.5, "NVIDIA H100 80GB HBM3", monkeypatch)
    assert fast.startswith("an H100 carries 2 such trials under MPS (a step takes ")
    assert fast.endswith(" GB of 80); Budget(gpus=0.5) takes 2")
    slow = said(1.0, "NVIDIA L4", monkeypatch)
    assert slow.startswith("an L4 carries 1 such trial (a step takes ")
    assert slow.endswith(" GB of 24); Budget(gpus=1) takes 1")


def test_a_step_that_is_repeated_keeps_the_host_free(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = said(1.0, "NVIDIA H100 80GB HBM3", monkeypatch, adversarial=Arm(Adversarial))
    assert alone.startswith("an H100 carries 1 such trial (a step takes ")
    assert " ms of it and 1 ms of launching, and " in alone
    assert alone.endswith(" GB of 80); Budget(gpus=1) takes 1")
    # One without bfloat16 repeats none, and one that is slower than its host would gain nothing.
    for name in ("Tesla T4", "NVIDIA L4"):
        slow = said(1.0, name, monkeypatch, adversarial=Arm(Adversarial))
        assert re.search(r" carries 1 such trial \(a step takes \d{3} ms of it and 1\d ms of launching, ", slow)


@pytest.mark.parametrize(
    ("share", "words"), [(1.0, "takes 1, which is fewer"), (0.25, "takes 4, which is more"), (0.3, "takes 3, which is")]
)
def test_a_share_that_is_another_is_said(share: float, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"; Budget(gpus={share:g}) {words}" in said(share, "NVIDIA H100 80GB HBM3", monkeypatch)


def test_rows_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    pasting = Arm(DACS).on(gpus=1)
    both = said(0.5, "NVIDIA H100 80GB HBM3", monkeypatch, source_only=Arm(SourceOnly), pasting=pasting)
    assert both.startswith("an H100 carries 1 to 2 such trials, by their arm, under MPS (")
    assert re.search(r"\(a step takes \d to \d+ ms of it and 1 to \d\d ms of launching", both)
    assert both.endswith("; the study takes 1 to 2")


def test_what_takes_no_part_or_has_no_known_name_is_in_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("", "NVIDIA L40S", "NVIDIA H100 80GB HBM3 MIG 1g.10gb"):
        assert said(0.5, name, monkeypatch) == ""
    assert said(0.0, "NVIDIA H100 80GB HBM3", monkeypatch) == ""
    # A cluster's trials do not run here, nor do those of one without GPUs.
    for nodes in ({"CPU": 8.0, "GPU": 1.0}, {"CPU": 8.0}):
        assert said(0.5, "NVIDIA H100 80GB HBM3", monkeypatch, Offer((nodes,))) == ""
    monkeypatch.setattr(gpus, "traffic_of", lambda *_: pytest.fail("nobody asked"))
    assert said(0.5, "NVIDIA L40S", monkeypatch) == ""


def test_a_clusters_gpus_are_said_each(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = ({"CPU": 8.0, "GPU": 1.0, "accelerator_type:L4": 1.0},)
    to_come = ({"CPU": 8.0, "GPU": 1.0, "accelerator_type:H100": 1.0},)
    both = said(0.5, "", monkeypatch, Offer(nodes, to_come))
    assert "an L4 carries 1 such trial (" in both
    assert "an H100 carries 2 such trials under MPS (" in both
    assert "takes 2, which is more" in both


def test_a_plan_is_not_refused_for_what_is_only_reckoned(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: object) -> None:
        raise Uncounted("not on such images")

    monkeypatch.setattr(gpus, "traffic_of", refusing)
    assert said(0.5, "NVIDIA H100 80GB HBM3", monkeypatch) == ""
