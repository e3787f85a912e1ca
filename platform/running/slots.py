"""Who trains what, and where: the state that a study's searcher and scheduler share."""

from collections import Counter
from typing import Any, NamedTuple

from platform.design.budget import Resources
from platform.records.ledger import Ledger
from platform.records.record import Ask
from platform.running.cluster import Cluster
from platform.training.assignment import Assignment


class Running(NamedTuple):
    """A trial that was handed out."""

    since: int
    """The step that was on record then."""
    resources: Resources
    claim: str
    """What its worker must show to write."""


class Slots:
    """The trials that workers have, the room that the cluster has for more, and the workers that were lost."""

    def __init__(self, ledger: Ledger, cluster: Cluster) -> None:
        self.cluster = cluster
        self.on_gpus = cluster.offer().has_gpus
        """Decided once: a trial must not change its device on the way."""
        self.controller: Any = None
        """Ray Tune's own, which holds the workers, once it has a trial."""
        self.ended: dict[str, str] = {}
        """Why workers were ended that hung, by their claims."""
        self._ledger = ledger
        self._running: dict[str, Running] = {}
        self._losses: Counter[str] = Counter()

    @property
    def running(self) -> dict[str, Running]:
        """The trials that are trained just now, by their ids."""
        return self._running

    def has_room(self, wanted: Resources) -> bool:
        """Whether another trial may be handed out; also where no node can hold it any more, so that it ends."""
        taken = [running.resources for running in self.running.values()]
        return self.cluster.has_room(taken, wanted) or self.why_never(wanted) is not None

    def why_never(self, wanted: Resources) -> str | None:
        """Why no node can hold a trial any more, None while one may: nodes were excluded meanwhile."""
        if not self.cluster.excluded or self.cluster.may_hold(wanted):
            return None
        return "; ".join(sorted(set(self.cluster.excluded.values())))

    def take(self, ask: Ask, resources: Resources, claim: str) -> None:
        """Note that a trial was handed out."""
        self._running[ask.trial.id] = Running(self._ledger.records[ask.trial.id].step, resources, claim)

    def take_back(self, assignment: Assignment) -> bool:
        """Let a trial be handed out again; False where another worker has it by now."""
        running = self._running.get(assignment.ask.trial.id)
        if running is None or running.claim != assignment.claim:
            return False
        del self._running[assignment.ask.trial.id]
        return True

    def lose(self, assignment: Assignment) -> int:
        """Take a trial back whose worker died, and tell how often that happened since its last report."""
        trial_id = assignment.ask.trial.id
        running = self._running.get(trial_id)
        advanced = running is None or self._ledger.records[trial_id].step > running.since
        self.take_back(assignment)
        self._losses[trial_id] = 1 if advanced else self._losses[trial_id] + 1
        return self._losses[trial_id]
