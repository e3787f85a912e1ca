"""The benchmark of early stopping: what it draws, what a search costs there, and that it runs."""

import sys
from random import Random

import pytest

from benchmarks import early_stopping
from benchmarks.early_stopping import EPOCHS, EVALUATIONS, MADE, Proposed, Setting, compared, made, real, searched

LOW, MIDDLE, HIGH = ((value,) * EVALUATIONS for value in (0.2, 0.3, 0.4))
WAITS, AT_ONCE = Setting(promote=True, parallel=1, reduction=2), Setting(promote=False, parallel=1, reduction=2)


def test_of_the_real_curves_those_of_fifty_epochs_are_taken() -> None:
    assert [len(values) for values in real()] == [EPOCHS] * 8


def test_families_differ_in_what_their_names_say() -> None:
    steady = made(Random(0), noise=0.0)
    assert list(steady) == sorted(steady)
    falling = made(Random(0), noise=0.0, collapsing=1.0)
    assert falling[-1] < max(falling)
    late = [made(Random(draw), noise=0.0, late=1.0) for draw in range(50)]
    early = [made(Random(draw), noise=0.0) for draw in range(50)]
    half = EVALUATIONS // 2
    assert sum(values[half] / values[-1] for values in late) < sum(values[half] / values[-1] for values in early)
    assert sum(values[-1] for values in late) > sum(values[-1] for values in early)
    assert set(MADE) == {"steady", "noise", "late bloomers", "collapse after a peak"}


def test_a_search_counts_its_steps_in_trials_and_its_regret_in_points() -> None:
    """At a fifth, two fifths and four fifths of the steps: the better of two waits there, and goes on from each."""
    found = searched([MIDDLE, LOW, HIGH], 2, WAITS)
    assert (found.trials, found.lost) == (2, False)
    assert found.steps == pytest.approx(1 + 0.2)
    assert found.regret == pytest.approx(10), "the best of all was not among them"
    assert searched([LOW, HIGH, MIDDLE], 2, AT_ONCE).steps == pytest.approx(2), "whoever comes first goes on"


def test_figures_are_interpolated_between_searches_of_more_trials() -> None:
    line = compared([[HIGH, LOW, MIDDLE]], AT_ONCE, [1.1, 5.0])
    assert line == [str(AT_ONCE), f"{1.5:>12.1f}{0:>8.2f}{0:>6.0%}", f"{'-':>12}{'-':>8}{'-':>6}"]


def test_proposals_on_made_up_curves_come_near_the_best() -> None:
    search = Proposed(trials=24, parallel=2, promote=True, draw=0)
    assert search.clock.finished
    assert len(search.curves) == 24
    default = 100 * (0.5 - search.curves[0][-1])
    assert -3 < search.regret < default, "noise of a point may lift it above"


def test_the_benchmark_prints_every_family(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, small in (("DRAWS", 2), ("LARGEST", 5), ("SEARCHES", 1), ("PARALLEL", (1, 2))):
        monkeypatch.setattr(early_stopping, name, small)
    monkeypatch.setattr(sys, "argv", ["early_stopping"])
    early_stopping.main()
    said = capsys.readouterr().out
    assert all(f"\n{name}\n" in said for name in [*MADE, "eight real curves"])
    assert sum(line.startswith("yes ") for line in said.splitlines()) == 4 * 5 + 2
