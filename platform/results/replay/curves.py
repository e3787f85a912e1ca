"""The rows of a recorded study: the curves of their searches, and what their trials took."""

import itertools
import statistics
from dataclasses import dataclass, replace

from platform.design.asha import ASHA
from platform.records.record import ArmHeader, Ask, Journal
from platform.records.store import Store
from platform.results.replay.duration import Work
from platform.results.replay.replay import Curve, Repetition
from platform.search.health import ailment


@dataclass(frozen=True)
class RecordedRow:
    """What is on record of a row."""

    curves: tuple[Curve, ...]
    """Of its search trials, in the order asked."""
    confirm: tuple[float, ...]
    """Seconds of each confirm trial."""
    after: tuple[str, ...]
    """The rows whose confirm trials its own begin from."""
    tuned_as: str = ""
    """The row whose search chooses what its confirm trials are; empty for its own."""

    def again(
        self, evaluated_steps: tuple[int, ...], rungs: tuple[int, ...], setting: ASHA, *, to_the_end: bool = False
    ) -> Work:
        """The row once more, of which nothing is known yet; open trials end as recorded, or go on `to_the_end`."""
        curves = [_gone_on(curve, len(evaluated_steps)) for curve in self.curves] if to_the_end else self.curves
        search = Repetition(curves, evaluated_steps, rungs, setting) if curves else None
        return Work(search, self.confirm, self.after, self.tuned_as)


def _gone_on(curve: Curve, evaluations: int) -> Curve:
    """A curve behind whose end the rest of the steps takes its time, at the trial's own pace."""
    if curve.failed or not curve.values:
        return curve
    left = evaluations - len(curve.values)
    return replace(curve, seconds=(*curve.seconds, left * statistics.fmean(curve.seconds)))


def recorded_row(store: Store, journal: Journal, arm: ArmHeader) -> RecordedRow:
    """All that is on record: another study may have let a trial go on where this one stopped it."""
    # A line that was damaged and written again stands at another place than the trial's number says.
    asks = sorted({ask.place: ask for ask in journal.asks if ask.arm == arm.name}.values(), key=lambda ask: ask.number)
    search = [ask for ask in asks if ask.phase == "search" and ask.number < arm.search_trials]
    confirm = [store.read(ask.trial.id) for ask in asks if ask.phase == "confirm"]
    return RecordedRow(
        curves=tuple(_curve(store, ask, arm.select, journal) for ask in search),
        confirm=tuple(sum(report.seconds for report in record.reports) for record in confirm if record is not None),
        after=arm.after,
        tuned_as=arm.tuned_as,
    )


def _curve(store: Store, ask: Ask, select: str, journal: Journal) -> Curve:
    record = store.read(ask.trial.id)
    if record is None:
        return Curve(())
    judged = itertools.takewhile(lambda report: select in report.metrics, journal.scored(record, ask.arm).reports)
    reports, evaluations = list(judged), ask.trial.evaluations
    seconds, end = tuple(report.seconds for report in reports), record.end
    sick = (number for number in range(1, min(len(reports) + 1, evaluations)) if ailment(reports[:number]) is not None)
    failed = end is not None and end.state == "failed" and not record.is_given_up
    if (first := next(sick, None)) is not None:
        reports, failed = reports[: first - 1], True
    return Curve(tuple(report.metrics[select] for report in reports), failed and len(reports) < evaluations, seconds)
