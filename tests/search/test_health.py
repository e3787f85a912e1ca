"""What is called sick and what is not, on curves that were measured and on runs that are made sick here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from platform.methods import FDA, Adversarial, Method, SourceOnly
from platform.methods.method import Player
from platform.networks import Network
from platform.records.record import Report
from platform.scores.metrics import effective_classes
from platform.search.health import PERSISTENCE, ailment
from platform.training.evaluation import evaluate
from tests.support.tiny_splits import splits, training_run

# Effective classes


def test_effective_classes_is_the_perplexity_of_the_predictions() -> None:
    counts = np.zeros((20, 20), np.int64)
    counts[:3, 0] = 30, 20, 0
    counts[19, 1] = 25  # void in the truth counts like any other pixel
    counts[5, 2] = 25
    assert effective_classes(counts) == pytest.approx(2**1.5)


@pytest.mark.parametrize(("classes", "expected"), [(range(1), 1.0), (range(2), 2.0), (range(19), 19.0)])
def test_even_predictions_of_n_classes_are_n_effective_ones(classes: range, expected: float) -> None:
    counts = np.zeros((20, 20), np.int64)
    counts[4, list(classes)] = 100
    assert effective_classes(counts) == pytest.approx(expected)


def test_effective_classes_do_not_see_the_truth() -> None:
    random = np.random.default_rng(0)
    counts = random.integers(0, 1000, (20, 20))
    shuffled = random.permuted(counts, axis=0)
    assert effective_classes(shuffled) == pytest.approx(effective_classes(counts), rel=1e-12)


# Recorded runs on the town, a report every 50 steps


def reports_of(**curves: Sequence[float]) -> list[Report]:
    names = {"classes": "target/effective_classes", "spread": "discriminator/spread"}
    columns = {names.get(name, f"loss/{name}"): curve for name, curve in curves.items()}
    length = len(next(iter(curves.values())))
    return [
        Report(50 * (number + 1), 1.0, {name: curve[number] for name, curve in columns.items()}, {})
        for number in range(length)
    ]


def ailments(reports: Sequence[Report]) -> list[str | None]:
    """The cause at each report."""
    found = [ailment(reports[: number + 1]) for number in range(len(reports))]
    return [None if each is None else each[0] for each in found]


HEALTHY = {
    "few classes at first": reports_of(
        classes=[2.34, 2.66, 2.71, 2.8, 2.8],
        cross_entropy=[1.488, 0.887, 0.7, 0.65, 0.6],
        entropy=[0.38, 0.11, 0.1] * 2,
    ),
    "published adversarial": reports_of(
        classes=[4.29, 3.11, 3.45, 3.36, 3.51, 3.49],
        cross_entropy=[1.163, 0.704, 0.605, 0.551, 0.522, 0.501],
        discriminator=[0.691, 0.631, 0.56, 0.52, 0.496, 0.472],
        spread=[0.0147, 0.376, 1.07, 1.19, 1.33, 1.45],
    ),
    "lightweight, at ln 2": reports_of(
        classes=[4.38, 3.11, 3.54, 3.59, 3.66, 3.6],
        cross_entropy=[1.164, 0.704, 0.606, 0.55, 0.52, 0.5],
        discriminator=[0.696, 0.693, 0.693, 0.693, 0.693, 0.693],
        spread=[0.0186, 0.0225, 0.0192, 0.0155, 0.0134, 0.0124],
    ),
    "a network that fools at lambda_adv 100": reports_of(
        classes=[4.01, 5.28, 2.8, 3.73, 4.34, 4.33],
        cross_entropy=[1.29, 0.857, 0.839, 0.677, 0.592, 0.587],
        discriminator=[0.693] * 6,
        spread=[0.0031, 0.00344, 0.00527, 0.0026, 0.00144, 0.0018],
    ),
    "a discriminator that wins at lambda_adv 0": reports_of(
        classes=[4.4, 3.3, 3.66, 3.93, 4.1, 4.24],
        cross_entropy=[1.17, 0.7, 0.59, 0.433, 0.408, 0.405],
        discriminator=[0.625, 0.47, 0.402, 0.276, 0.203, 0.208],
        spread=[0.716, 1.77, 2.38, 3.13, 3.96, 4.16],
    ),
    "sharpened predictions": reports_of(
        classes=[2.66, 2.62, 2.48, 2.59, 2.6, 2.55], cross_entropy=[1.81, 0.954, 0.803, 0.717, 0.677, 0.65]
    ),
    "hardly any learning": reports_of(
        classes=[8.0, 8.0, 7.2, 7.0, 7.1, 7.0], cross_entropy=[2.75, 2.72, 2.68, 2.66, 2.64, 2.62]
    ),
}


@pytest.mark.parametrize("reports", HEALTHY.values(), ids=HEALTHY)
def test_what_learns_is_not_called_sick(reports: list[Report]) -> None:
    assert ailments(reports) == [None] * len(reports)


def test_entropy_that_drowns_the_labels() -> None:
    """entropy_weight 1e3: one class from the first report on, with a cross-entropy above a uniform guess's."""
    reports = reports_of(
        classes=[1.266, 1.009, 1.016, 1.039, 1.022], cross_entropy=[16.8, 4.47, 3.71, 3.48, 3.41], entropy=[0.02] * 5
    )
    assert ailments(reports) == [None, None, *["predictions collapsed"] * 3]
    assert ailment(reports) == (
        "predictions collapsed",
        "target/effective_classes at most 1.04, below 1.5, at steps 150 to 250",
    )


def test_a_discriminator_at_an_absurd_learning_rate() -> None:
    """Adam at 0.1: the predictions collapse, recover for a report, and collapse for good."""
    reports = reports_of(
        classes=[1.015, 1.571, 1.0, 1.0, 1.0, 1.0],
        cross_entropy=[11.3, 11.7, 8.28, 7.16, 4.66, 3.46],
        discriminator=[92700.0, 26400.0, 99100.0, 11900.0, 2740.0, 563.0],
        spread=[66400.0, 31700.0, 82500.0, 14100.0, 4470.0, 759.0],
    )
    assert ailments(reports) == [None] * 4 + ["predictions collapsed"] * 2


def test_a_collapse_in_the_middle() -> None:
    """Predictions that knew more are sick at one class, however well the source is fitted."""
    reports = reports_of(classes=[4.0, 3.8, 1.4, 1.2, 1.1], cross_entropy=[1.2, 0.8, 0.6, 0.5, 0.4])
    assert ailments(reports) == [None] * 4 + ["predictions collapsed"]


def test_a_network_that_says_one_thing_from_the_start_and_learns_nothing() -> None:
    """Activations may be dead: the cross-entropy stays that of the classes' frequencies."""
    reports = reports_of(classes=[1.0] * 4, cross_entropy=[1.92, 1.9, 1.91, 1.92])
    assert ailments(reports) == [None, None, None, "predictions collapsed"]


def test_a_slow_starter_is_left_alone_until_it_stops_learning() -> None:
    losses = [2.8, 2.7, 2.6, 2.5, 2.4, 2.41, 2.42, 2.41]
    reports = reports_of(classes=[1.0, 1.0, 1.0, 1.1, 1.2, 1.2, 1.2, 1.2], cross_entropy=losses)
    assert ailments(reports) == [None] * 6 + ["predictions collapsed"] * 2


def test_a_sign_must_last() -> None:
    reports = reports_of(classes=[4.0, 1.1, 1.1, 4.0, 1.1, 1.1, 1.6, 1.1, 1.1], cross_entropy=[0.5] * 9)
    assert ailments(reports) == [None] * 9
    reports = reports_of(discriminator=[1e-6, 1e-6, 0.1, 1e-6, 1e-6], spread=[20.0] * 5)
    assert ailments(reports) == [None] * 5
    assert PERSISTENCE == 3


def test_a_discriminator_of_one_opinion() -> None:
    """lambda_adv 1e6, where the predictions are left out."""
    reports = reports_of(discriminator=[0.693] * 6, spread=[1.5e-3, 1.05e-4, 7.67e-6, 5.1e-7, 7.1e-8, 7.8e-8])
    assert ailments(reports) == [None] * 4 + ["discriminator collapsed"] * 2
    assert ailment(reports) == (
        "discriminator collapsed",
        "discriminator/spread at most 5.1e-07, below 0.0001, at a loss of ln 2, at steps 200 to 300",
    )


def test_one_opinion_that_is_no_equilibrium_may_still_change() -> None:
    assert ailments(reports_of(discriminator=[0.8] * 4, spread=[1e-6] * 4)) == [None] * 4


def test_metrics_that_a_method_does_not_have_are_not_missed() -> None:
    assert ailments([Report(step, 1.0, {}, {}) for step in range(1, 6)]) == [None] * 5
    assert ailments(reports_of(discriminator=[math.log(2)] * 4)) == [None] * 4
    assert ailments(reports_of(classes=[1.0] * 4)) == [None, None, *["predictions collapsed"] * 2]
    assert ailment([]) is None


# Real runs, made sick


def real_reports(
    method: Method, steps: int, evaluations: int, images: int = 4, batch: int = 4, **recipe: Any
) -> list[Report]:
    data = splits(images, images)
    run = training_run(method, data, steps=steps, batch=batch, augmentation="none", **recipe)
    reports = []
    for _ in range(evaluations):
        means = run.advance(steps // evaluations)
        classes = effective_classes(evaluate(run, run.splits.oracle.val, "target"))
        reports.append(Report(run.step, 1.0, {"target/effective_classes": classes, **means}, {}))
    return reports


def test_real_predictions_that_entropy_collapses() -> None:
    reports = real_reports(FDA(beta=0.1, entropy_weight=1e3), steps=60, evaluations=6, learning_rate=0.03)
    assert "predictions collapsed" in ailments(reports)


@dataclass(frozen=True, kw_only=True)
class Forgetful(Adversarial):
    """Its discriminator's weights decay to nothing."""

    def players(self, network: Network, given: Sequence[Network]) -> Mapping[str, Player]:
        adam = partial(torch.optim.Adam, lr=0.02, weight_decay=100.0)
        return {name: player._replace(optimiser=adam) for name, player in super().players(network, given).items()}


def test_a_real_discriminator_that_forgets() -> None:
    found = ailments(real_reports(Forgetful(width=8), steps=50, evaluations=5))
    assert found[0] is None
    assert found[-1] == "discriminator collapsed"


def test_a_real_discriminator_that_knows_its_images_by_heart() -> None:
    method = Adversarial(width=16, lambda_adv=0.0, discriminator_learning_rate=1e-3)
    found = ailments(real_reports(method, steps=150, evaluations=10, images=2, batch=2))
    assert found[0] is None
    assert found[-1] == "discriminator saturated"


@pytest.mark.parametrize("method", [SourceOnly(), FDA(beta=0.1), Adversarial(width=8, lambda_adv=1e-3)], ids=str)
def test_real_runs_that_are_well(method: Method) -> None:
    reports = real_reports(method, steps=60, evaluations=6, images=8)
    assert ailments(reports) == [None] * 6
