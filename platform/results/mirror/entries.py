"""What a run in MLflow holds of a trial: its tags, params and metrics."""

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mlflow.entities import Metric

from platform.records.plain import legible
from platform.records.record import ArmHeader, Ask, End, State
from platform.results.mirror.messages import Copy

BATCH = 200
"""Metrics that fill a batch. MLflow takes 1000, but a loaded server needs longer for these than a call may take."""
FINAL = "final/"
NOT_FINAL = ("loss/", "test/", "time/", "learning_rate")
"""Metrics whose last value says nothing about the trained network, or has a name of its own already."""
RUNNING = "RUNNING"
STATUS: dict[State, str] = {"complete": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}
STUDY = "study"
"""Tag `phase` of the parent run."""
END_TAGS = ("state", "cause", "stop_reason")
COMMIT = "mlflow.source.git.commit"
PICTURE = "prediction.png"
"""The artifact of a complete confirm trial: its test predictions, drawn."""
LACKS = "lacks"
"""Tag of a run that has ended and still waits for its picture, which it names."""
LONGEST_NAME, LONGEST_PARAM, LONGEST_TAG = 250, 6000, 8000
"""Characters that MLflow takes of a name, of a param and of a tag."""


class Scored(NamedTuple):
    """A report with its time, in milliseconds since 1970, as MLflow takes it."""

    at: int
    step: int
    metrics: dict[str, float]


def trial_tags(ask: Ask, provenance: Mapping[str, str]) -> dict[str, str]:
    """The tags of a run that never change."""
    tags = {
        "arm": ask.arm,
        "method": ask.trial.method,
        "phase": ask.phase,
        "seed": str(ask.trial.seed),
        "trial_id": ask.trial.id,
    }
    return fitting(tags | {f"provenance/{name}": value for name, value in provenance.items()}, LONGEST_TAG)


def changing_tags(copy: Copy) -> dict[str, str]:
    """The tags that a run gets, or that change, while it goes on."""
    tags: dict[str, str] = {}
    if copy.record.losses:
        tags["worker_losses"] = str(copy.record.losses)
    if (parts := max((report.parts for report in copy.record.reports), default=1)) > 1:
        tags["parts"] = str(parts)
    return fitting(tags if copy.record.end is None else tags | _end_tags(copy.record.end), LONGEST_TAG)


def _end_tags(end: End) -> dict[str, str]:
    values = (end.state, end.cause or "", end.reason)
    return {name: value for name, value in zip(END_TAGS, values, strict=True) if value}


def settings(copy: Copy, arms: Iterable[ArmHeader]) -> dict[str, str]:
    """A run's params: flat, under the names of a study file, so that the compare view lines arms up.

    Costs are params too: as metrics, which the compare view takes in alphabetical order, they would hide the scores.
    """
    trial = copy.record.trial
    resolved = {name: value for meanings in trial.resolved.values() for name, value in meanings.items()}
    settings: dict[str, Any] = {"arm": copy.ask.arm, "method": trial.method, **trial.recipe}
    settings |= trial.hyperparameters | resolved
    settings |= {"seed": trial.seed, "steps": trial.steps, "evaluations": trial.evaluations}
    arm = next((arm for arm in arms if arm.name == copy.ask.arm), None)
    if arm is not None and arm.few:
        settings["few"] = arm.few
    if arm is not None and trial.after:
        settings |= {"after": " and ".join(arm.after), "after_trials": " ".join(trial.after)}
    settings |= {f"cost/{name}": f"{value:.10g}" for name, value in copy.record.cost.items()}
    return fitting(settings, LONGEST_PARAM)


def fitting(values: Mapping[str, Any], longest: int) -> dict[str, str]:
    """Params or tags as MLflow takes them: it would refuse one that is not, and with it all that comes along."""
    names = accepted(values)
    return {names[name]: _cut(str(value), longest) for name, value in values.items()}


def accepted(names: Iterable[str]) -> dict[str, str]:
    """Names as MLflow takes them, by what they are: the same in nearly all cases, and never one for two."""
    names = list(names)
    fits = {name: name for name in names if _accepted(name) == name}
    for name in (name for name in names if name not in fits):
        short, number = _accepted(name), 1
        fits[name] = short
        while list(fits.values()).count(fits[name]) > 1:
            number += 1
            fits[name] = f"{short[: LONGEST_NAME - 4]} {number}"
    return {name: fits[name] for name in names}


def _accepted(name: str) -> str:
    # What would be another path as a file's name is refused as well.
    return posixpath.normpath("/" + re.sub(r"[^/\w.\- :]", "_", name)).lstrip("/")[:LONGEST_NAME] or "_"


def _cut(text: str, longest: int) -> str:
    """Text that every database takes and every page can show, no longer than that."""
    text = "\n".join(map(legible, text.split("\n")))
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def metrics_at(values: Mapping[str, float], at: int, step: int) -> list[Metric]:
    """MLflow's metrics of one step and time."""
    return [Metric(name, float(value), at, step) for name, value in values.items()]


def final_metrics(copy: Copy, reports: Sequence[Scored]) -> list[Metric]:
    """The newest values of a complete trial under names of their own; nothing for any other trial."""
    end = copy.record.end
    if end is None or end.state != "complete" or not reports:
        return []
    newest = reports[-1].metrics
    values = {FINAL + name: value for name, value in newest.items() if not name.startswith(NOT_FINAL)}
    return metrics_at(values, copy.at, end.step)


def batches_of(reports: Sequence[Scored]) -> list[list[Scored]]:
    """Whole reports, in order, `BATCH` metrics or few more at a time; one empty batch where there are none."""
    batches: list[list[Scored]] = [[]]
    number = 0
    for report in reports:
        if number >= BATCH:
            batches.append([])
            number = 0
        batches[-1].append(report)
        number += len(report.metrics)
    return batches
