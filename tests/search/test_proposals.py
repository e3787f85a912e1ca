"""Search decisions: what to try, what to stop, what to confirm; each a function of the records."""

import itertools
import json
import math
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from platform.design.asha import cut, smoothed
from platform.methods import FDA, Adversarial
from platform.records.provenance import ROOT
from platform.records.record import Ask, Cause, End, Record, Report, State
from platform.search.complete import best
from platform.search.proposals import STARTUP, Tried, history, point, propose
from platform.search.space import distribution
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, Integers, LogUniform, OneOf, Study, Uniform

SELECT = "source/miou"
STEPS = 40


class Notebook:
    """One searched arm with invented records: an ask per proposal, ended as a test says."""

    def __init__(self, arm: Arm, trials: int = 1000, select: str = SELECT) -> None:
        self.study = Study(
            shift=town(),
            arms={"row": arm},
            reference="row",
            select=select,
            search=ASHA(trials=trials),
            budget=Budget(steps=STEPS, evaluations=4),
        )
        self.dimensions = self.study.row("row").dimensions
        self.asks: list[Ask] = []
        self.records: dict[str, Record] = {}

    def propose(self, address: tuple[str, str] = ("study", "row")) -> dict[str, Any]:
        """The next values."""
        return propose(self.dimensions, self.tried(), address)

    def tried(self, select: str | None = None) -> list[Tried]:
        """The trials so far, as a proposal sees them."""
        select = select or self.study.selected_by
        return [
            Tried(
                point=point(self.dimensions, self.values(ask)),
                state=None if record.end is None else record.end.state,
                step=record.step,
                value=record.reports[-1].metrics[select] if record.reports else None,
            )
            for ask in self.asks
            for record in [self.records[ask.trial.id]]
        ]

    def note(self, values: Mapping[str, Any], curve: list[float], state: State | None = "complete") -> Ask:
        """Ask for a trial with these values, that reported this curve and ended so."""
        trial = self.study.row("row").trial(values, 0, {})
        ask = Ask("row", "search", len(self.asks), trial)
        reports = tuple(
            Report(10 * number, 1.0, {"oracle/miou": 1 - value, SELECT: value}, {})
            for number, value in enumerate(curve, start=1)
        )
        causes: dict[State, Cause] = {"stopped": "below the cut", "failed": "diverged"}
        end = None if state is None else End(state, causes.get(state), "", 10 * len(curve))
        self.asks.append(ask)
        self.records[trial.id] = Record(trial, {}, {}, reports, end)
        return ask

    def values(self, ask: Ask) -> dict[str, Any]:
        """The searched values of an ask."""
        return ask.trial.values(list(self.dimensions))


def two_logarithmic_fields() -> Arm:
    return Arm(Adversarial, lambda_adv=LogUniform(1e-4, 1e-1), learning_rate=LogUniform(5e-3, 1e-1))


def response(values: Mapping[str, Any], peak: tuple[float, float]) -> float:
    """A quadratic in the two logarithms, its best value 0 at a peak in the unit square."""
    x = (math.log10(values["lambda_adv"]) + 4) / 3
    y = math.log(values["learning_rate"] / 5e-3) / math.log(20)
    return -((x - peak[0]) ** 2) - (y - peak[1]) ** 2


# What Optuna is told


def test_optuna_is_told_how_every_trial_stands() -> None:
    book = Notebook(Arm(Adversarial, width=OneOf(16, 32, 64), learning_rate=LogUniform(5e-3, 1e-1)))
    book.note({}, [0.1, 0.2, 0.3, 0.4])
    book.note({"width": 16, "learning_rate": 0.01}, [0.1, 0.15], "stopped")
    book.note({"width": 32, "learning_rate": 0.02}, [0.1], "failed")
    book.note({"width": 32, "learning_rate": 0.03}, [0.1, 0.2], None)
    book.note({"width": 16, "learning_rate": 0.04}, [], "failed")
    book.note({"width": 16, "learning_rate": 0.05}, [], None)
    told = history(book.dimensions, book.tried(SELECT)).trials
    assert [trial.state for trial in told] == [
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.FAIL,
        TrialState.PRUNED,
        TrialState.FAIL,
        TrialState.RUNNING,
    ]
    assert [trial.value for trial in told] == [0.4, None, None, None, None, None]
    assert [trial.intermediate_values for trial in told] == [{40: 0.4}, {20: 0.15}, {10: 0.1}, {20: 0.2}, {}, {}]
    assert told[0].params == {"width": 64, "learning_rate": 0.025}, "the published default"
    assert told[1].params == {"width": 16, "learning_rate": 0.01}


def test_a_default_outside_the_ranges_is_tried_and_not_told() -> None:
    book = Notebook(Arm(Adversarial, learning_rate=LogUniform(0.05, 0.1)))
    assert book.propose() == {}
    book.note({}, [0.9])
    book.note({"learning_rate": 0.07}, [0.2])
    told = history(book.dimensions, book.tried(SELECT)).trials
    assert [trial.params for trial in told] == [{"learning_rate": 0.07}]
    winner = best(book.asks, book.records, SELECT)
    assert winner is book.asks[0], "it may win all the same"


def test_optuna_is_told_bands_where_beta_is_searched() -> None:
    book = Notebook(Arm(FDA, beta=LogUniform(0.01, 0.1)))
    book.note({"beta": 0.05}, [0.9])
    (trial,) = history(book.dimensions, book.tried(SELECT)).trials
    assert trial.params == {"beta": 4}, "band 3, and 1 because a logarithm begins at 1"


# What is proposed


def fill(book: Notebook, trials: int, score: Callable[[Mapping[str, Any]], float], address: tuple[str, str]) -> None:
    """Search for a number of trials; every third is stopped at its first report, the later ones while one runs."""
    for number in range(trials):
        values = book.study.row("row").defaults | book.propose(address)
        if number % 3 == 2:
            book.note(values, [score(values)], "stopped")
        else:
            book.note(values, [score(values)] * 4)


def test_the_published_default_is_the_first_proposal() -> None:
    assert Notebook(two_logarithmic_fields()).propose() == {}


def test_the_same_records_give_the_same_proposal() -> None:
    books = [Notebook(two_logarithmic_fields()) for _ in range(2)]
    for book in books:
        fill(book, 12, lambda values: response(values, (0.3, 0.6)), ("study", "row"))
    assert [ask.trial for ask in books[0].asks] == [ask.trial for ask in books[1].asks]
    assert books[0].propose() == books[0].propose() == books[1].propose()
    assert books[0].propose() != books[0].propose(("study", "other row"))
    assert books[0].propose() != books[0].propose(("other study", "row"))


def test_a_process_of_its_own_proposes_the_same() -> None:
    script = (
        "from tests.search.test_proposals import *\n"
        "import json\n"
        "book = Notebook(two_logarithmic_fields())\n"
        "fill(book, 8, lambda values: response(values, (0.3, 0.6)), ('study', 'row'))\n"
        "print(json.dumps([book.values(ask) for ask in book.asks]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", script]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    book = Notebook(two_logarithmic_fields())
    fill(book, 8, lambda values: response(values, (0.3, 0.6)), ("study", "row"))
    assert json.loads(ran.stdout) == [book.values(ask) for ask in book.asks]


def test_optuna_proposes_the_same_with_copies_of_the_history() -> None:
    """Optuna is spared its copies of the history: no proposal may depend on that."""
    arm = two_logarithmic_fields()
    book = Notebook(arm)
    fill(book, 40, lambda values: response(values, (0.3, 0.6)), ("study", "row"))
    told = history(book.dimensions, book.tried(SELECT))
    copied = optuna.create_study(direction="maximize", sampler=TPESampler(n_startup_trials=STARTUP, seed=3))
    copied.add_trials(
        create_trial(
            state=trial.state,
            value=trial.value,
            params=trial.params,
            distributions=trial.distributions,
            intermediate_values=trial.intermediate_values,
        )
        for trial in told.trials
    )
    told.sampler = TPESampler(n_startup_trials=STARTUP, seed=3)
    distributions = {name: distribution(dimension) for name, dimension in book.dimensions.items()}
    for _ in range(3):
        ours, theirs = told.ask(distributions), copied.ask(distributions)
        assert ours.params == theirs.params
        told.tell(ours, 0.5)
        copied.tell(theirs, 0.5)


def test_a_running_trial_changes_the_next_proposal() -> None:
    book = Notebook(two_logarithmic_fields())
    fill(book, 12, lambda values: response(values, (0.3, 0.6)), ("study", "row"))
    before = book.propose()
    book.note(before, [0.1], None)
    assert book.propose() != before


def test_proposals_lie_in_the_ranges() -> None:
    arm = Arm(
        Adversarial,
        lambda_adv=Uniform(0.001, 0.002),
        width=Integers(2, 9),
        separable=OneOf(False, True),
        learning_rate=LogUniform(1e-4, 1e-3),
        augmentation=OneOf("none", "flip"),
    )
    book = Notebook(arm)
    draw = random.Random(0)
    fill(book, 25, lambda values: draw.random(), ("study", "row"))
    for ask in book.asks[1:]:
        values = book.values(ask)
        assert 0.001 <= values["lambda_adv"] <= 0.002
        assert values["width"] in range(2, 10)
        assert type(values["width"]) is int
        assert type(values["separable"]) is bool
        assert 1e-4 <= values["learning_rate"] <= 1e-3
        assert values["augmentation"] in ("none", "flip")


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    "range_", [LogUniform(0.01, 0.2), Uniform(0.05, 0.2), OneOf(0.01, 0.012, 0.05, 0.07, 0.1)], ids=str
)
def test_a_search_over_beta_trains_every_band_once(range_: LogUniform | Uniform | OneOf, seed: int) -> None:
    book = Notebook(Arm(FDA, beta=range_))
    draw = random.Random(seed)
    endings: list[tuple[list[float], State | None]] = [([0.1], "stopped"), ([0.1] * 4, "complete"), ([], "failed")]
    for _ in range(book.study.row("row").search_trials):
        curve, state = draw.choice([*endings, ([], None)])
        book.note(book.propose((f"study {seed}", "row")), [value * draw.random() for value in curve], state)
    bands = [math.floor(book.values(ask)["beta"] * 64) for ask in book.asks]
    ends = range_.ends()
    held = [math.floor(beta * 64) for beta in np.linspace(ends[0], ends[-1], 1000)] if len(ends) == 2 else []
    listed = [math.floor(beta * 64) for beta in ends]
    assert sorted(bands) == sorted({0, *held, *listed}), "every band of the range, and the default's, once"
    assert len({ask.trial.id for ask in book.asks}) == len(book.asks)


def test_a_finite_space_of_two_fields_is_exhausted_without_repeating() -> None:
    book = Notebook(Arm(Adversarial, width=OneOf(16, 32, 64), separable=OneOf(False, True)))
    trials = book.study.row("row").search_trials
    fill(book, trials, lambda values: float(values["width"]), ("study", "row"))
    points = {(book.values(ask)["width"], book.values(ask)["separable"]) for ask in book.asks}
    assert points == set(itertools.product((16, 32, 64), (False, True)))
    assert trials == 6


def test_tpe_finds_better_values_than_chance() -> None:
    regrets, by_chance = [], []
    for seed in range(8):
        draw = np.random.default_rng(seed)
        peak = (draw.random(), draw.random())
        book = Notebook(two_logarithmic_fields())
        fill(book, 25, partial(response, peak=peak), (f"study {seed}", "row"))
        winner = best(book.asks, book.records, SELECT)
        assert winner is not None
        regrets.append(-response(book.values(winner), peak))
        # The same number of full-length trials at random, the default among them.
        chance = [book.study.row("row").defaults]
        chance += [
            {"lambda_adv": 10 ** draw.uniform(-4, -1), "learning_rate": 5e-3 * 20 ** draw.random()} for _ in range(24)
        ]
        by_chance.append(min(-response(values, peak) for values in chance))
    assert statistics.mean(regrets) < statistics.mean(by_chance) / 2


# What is stopped


@pytest.mark.parametrize("reduction", [2, 3, 4])
def test_a_trial_goes_on_when_it_is_among_the_best_of_those_seen(reduction: int) -> None:
    for number in range(1, 7):
        for values in itertools.product((0.1, 0.2, 0.3), repeat=number):
            allowed = max(1, number // reduction)
            for value in values:
                better = sum(other > value for other in values)
                assert (value >= cut(values, reduction)) == (better < allowed)


def test_the_first_trial_at_a_rung_goes_on() -> None:
    assert cut([0.2], 3) == 0.2


def test_of_many_trials_one_in_the_reduction_goes_on() -> None:
    values = [number / 100 for number in range(99)]
    random.Random(0).shuffle(values)
    assert sum(value >= cut(values, 3) for value in values) == 33


@pytest.mark.parametrize(("smoothing", "mean"), [(1, 0.6), (2, 0.4), (3, 0.3), (4, 0.25), (9, 0.25)])
def test_what_is_compared_is_the_mean_of_the_last_evaluations(smoothing: int, mean: float) -> None:
    assert smoothed([0.1, 0.1, 0.2, 0.6], smoothing) == pytest.approx(mean)
    assert ASHA(trials=1, smoothing=smoothing).compared([0.1, 0.1, 0.2, 0.6]) == pytest.approx(mean)


# What is confirmed


def test_the_best_is_among_the_complete_at_their_last_step() -> None:
    book = Notebook(two_logarithmic_fields())
    book.note({"lambda_adv": 0.001}, [0.9, 0.9, 0.9, 0.3])
    book.note({"lambda_adv": 0.002}, [0.95, 0.95], "stopped")
    book.note({"lambda_adv": 0.003}, [0.99, 0.99, 0.99], "failed")
    book.note({"lambda_adv": 0.004}, [0.98], None)
    winner = book.note({"lambda_adv": 0.005}, [0.1, 0.1, 0.1, 0.4])
    book.note({"lambda_adv": 0.006}, [0.1, 0.1, 0.1, 0.4])
    assert best(book.asks, book.records, SELECT) is winner, "the earliest of equals"
    assert book.values(winner) == {"lambda_adv": 0.005, "learning_rate": 0.025}


def test_without_a_complete_trial_the_best_is_the_one_that_came_furthest() -> None:
    book = Notebook(two_logarithmic_fields())
    assert best(book.asks, book.records, SELECT) is None
    book.note({"lambda_adv": 0.002}, [], "failed")
    assert best(book.asks, book.records, SELECT) is None
    book.note({}, [0.9], "stopped")
    further = book.note({"lambda_adv": 0.003}, [0.1, 0.2], "stopped")
    book.note({"lambda_adv": 0.004}, [0.1, 0.1], "stopped")
    assert best(book.asks, book.records, SELECT) is further


def test_a_failed_trial_is_never_picked_however_far_it_came() -> None:
    book = Notebook(two_logarithmic_fields())
    book.note({}, [0.9] * 4, "failed")
    stopped = book.note({"lambda_adv": 0.003}, [0.1], "stopped")
    assert best(book.asks, book.records, SELECT) is stopped


def test_an_oracle_picks_by_its_own_metric() -> None:
    book = Notebook(two_logarithmic_fields(), select="oracle/miou")
    book.note({"lambda_adv": 0.001}, [0.9] * 4)
    by_oracle = book.note({"lambda_adv": 0.002}, [0.2] * 4)
    assert best(book.asks, book.records, "oracle/miou") is by_oracle
    told = history(book.dimensions, book.tried("oracle/miou")).trials
    assert [trial.value for trial in told] == [pytest.approx(0.1), pytest.approx(0.8)]


def test_values_are_found_among_the_methods_fields_and_the_recipes() -> None:
    book = Notebook(two_logarithmic_fields())
    ask = book.note({"lambda_adv": 0.003, "learning_rate": 0.01}, [0.1])
    assert ask.trial.values(["learning_rate", "lambda_adv"]) == {
        "learning_rate": 0.01,
        "lambda_adv": 0.003,
    }
