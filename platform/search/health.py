"""What ails a trial, judged by its reports alone and without target labels.

Each sign must last for PERSISTENCE reports in a row. The thresholds are far from whatever a trial that learns has
shown, since a search ends a trial for an ailment: a late alarm costs steps, a false one a candidate. Measured on the
town (width 0.25, batch 4, 300 to 1,000 steps, a report every 50):

                                  healthy, all methods     sick
    target/effective_classes      2.3 to 5.8               1.00 to 1.08 (entropy_weight 1e3), 1.0 (lambda_adv 1e6)
    loss/discriminator            0.20 to 0.71             5e-6 (a discriminator that knows its few images by heart)
    discriminator/spread          1.4e-3 to 5              8e-6 and falling (lambda_adv 1e6)

A weak lambda_adv lets the discriminator win, and trains like the source alone, which is no ailment: at lambda_adv = 0
its loss settles near 0.33, and AdaptSegNet's authors call 0.2 to 0.5 normal (github.com/wasidennis/AdaptSegNet,
issue 22). Nor is a loss of ln 2 one, the equilibrium of the game, as long as judgements differ.
"""

import math
from collections.abc import Sequence

from platform.records.record import EFFECTIVE_CLASSES, Cause, Report
from platform.shifts.labels import NUM_CLASSES

PERSISTENCE = 3
"""Reports in a row that must show a sign."""
FEWEST_CLASSES = 1.5
"""Effective classes below which predictions are nearly one class: 87 % of the pixels, if two share them."""
LEAST_LOSS = 1e-4
"""The loss below which a discriminator gives the right domain 99.99 % on average: it has nothing left to learn."""
LEAST_SPREAD = 1e-4
"""The spread of a discriminator's logits below which all judgements are one; untrained, it has 6e-4 or more."""
HAIR = 1e-2
"""How near ln 2 the loss of a discriminator lies that has no opinion."""
Ailment = tuple[Cause, str]


def ailment(reports: Sequence[Report]) -> Ailment | None:
    """What ails a trial at the last of its reports, as cause and reason; None when nothing is known to."""
    if len(reports) < PERSISTENCE:
        return None
    return _predictions(reports) or _discriminator(reports[-PERSISTENCE:])


def _predictions(reports: Sequence[Report]) -> Ailment | None:
    """Whether predictions on the target have collapsed.

    A trial that never showed more classes may still be learning: it is, while its cross-entropy falls and is below that
    of a uniform guess, ln 19.
    """
    name, recent = EFFECTIVE_CLASSES, reports[-PERSISTENCE:]
    classes, losses = _values(recent, name), _values(recent, "loss/cross_entropy")
    if not classes or max(classes) >= FEWEST_CLASSES:
        return None
    knew_more = max(_values(reports, name)) >= FEWEST_CLASSES
    if not knew_more and losses and losses[-1] < min(losses[0], math.log(NUM_CLASSES)):
        return None
    return "predictions collapsed", f"{name} at most {max(classes):.2f}, below {FEWEST_CLASSES:g}, {_span(recent)}"


def _discriminator(recent: Sequence[Report]) -> Ailment | None:
    """Whether the discriminator is sure of every judgement, or makes the same one of everything."""
    losses, spreads = _values(recent, "loss/discriminator"), _values(recent, "discriminator/spread")
    if losses and max(losses) < LEAST_LOSS:
        reason = f"loss/discriminator at most {max(losses):.1e}, below {LEAST_LOSS:g}, {_span(recent)}"
        return "discriminator saturated", reason
    undecided = all(abs(loss - math.log(2)) < HAIR for loss in losses)
    if losses and spreads and undecided and max(spreads) < LEAST_SPREAD:
        reason = f"discriminator/spread at most {max(spreads):.1e}, below {LEAST_SPREAD:g}, at a loss of ln 2, "
        return "discriminator collapsed", reason + _span(recent)
    return None


def _values(reports: Sequence[Report], name: str) -> list[float]:
    """A metric's values, none when a report lacks it."""
    values = [report.metrics.get(name, math.nan) for report in reports]
    return [] if any(map(math.isnan, values)) else values


def _span(recent: Sequence[Report]) -> str:
    return f"at steps {recent[0].step} to {recent[-1].step}"
