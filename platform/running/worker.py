"""Ray's rim around an attempt at a trial: one step of Ray Tune is the training up to the next evaluation."""

import gc
import importlib.metadata
import os
import socket
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.util import get_node_ip_address

from platform.records.provenance import package
from platform.running.machine.meters import Meters, metered
from platform.running.workers.code import users_modules
from platform.running.workers.parcel import PARCEL, Received, assigned
from platform.training.assignment import Failure, Node, Result, UnfitNode, breaks_worker
from platform.training.attempt import Attempt, forget, free_memory, take_step
from platform.training.code import code_with

NODE_LABEL = "ray.io/node-id"
"""The label by which Ray's placement groups tell nodes apart."""


class TrialTrainable(tune.Trainable):
    """Trains whichever assignment its configuration holds; the actor is reused from trial to trial."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """A trial's slot, on none of the nodes that it avoids."""
        assignment = assigned(config)
        others = [{NODE_LABEL: f"!in({','.join(assignment.avoided)})"}] if assignment.avoided else None
        return tune.PlacementGroupFactory([assignment.resources], bundle_label_selector=others)

    def setup(self, config: dict[str, Any]) -> None:
        self._meters = Meters()
        self._meters.watch()
        # What was imported stays; to look through it at every trial's end takes a quarter of a second.
        gc.freeze()
        self._broken = False
        self._imports = Imports()
        self._node = this_node()
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial; not after a result that may have left the process or its GPU broken."""
        if self._broken:
            # Ray Tune forgets the trial that an actor refuses, while that of a lost worker is handed out again.
            os._exit(1)
        self._take(new_config)
        free_memory()
        return True

    def _take(self, config: dict[str, Any]) -> None:
        parcel: Received = config[PARCEL]
        self._name = parcel.name
        # The trial before is let go of only afterwards: a study file's classes are the same as long as one is there.
        opened = parcel.opened()
        self._attempt = opened if isinstance(opened, Failure) else Attempt(opened, self._node)
        # Every result would carry it back.
        self.config = {}

    def __repr__(self) -> str:
        # Ray names an actor in its error also when it was never set up, and a second error would hide the first.
        return getattr(self, "_name", type(self).__name__)

    def step(self) -> dict[str, Any]:
        """The result of the next step; an exception would be retried by Ray, which only a lost worker deserves."""
        attempt = self._attempt
        if isinstance(attempt, Failure):
            # Nothing was trained that may have broken the process: the next trial need not wait for another one.
            return {"result": attempt}
        before = self._meters.read()
        result = other_code(attempt) or take_step(attempt)
        result = metered(result, before, self._meters.read(), self._meters.own_gpu())
        if (refusal := self._imports.refusal()) is not None:
            # Whoever goes on from its checkpoint would not import anything, and take the report that it holds.
            forget(attempt)
            result = refusal
        self._broken = breaks_worker(result)
        said, attempt.said = attempt.said, []
        return {"result": result, "said": said} if said else {"result": result}

    def cleanup(self) -> None:
        if isinstance(self._attempt, Attempt):
            self._attempt.training = None

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: every report leaves a checkpoint under the trial's id, which outlives Ray's own bookkeeping."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing, see `save_checkpoint`."""


class Imports:
    """The user's modules that a worker imports only while it trains: no run can take their code at its start."""

    def __init__(self) -> None:
        self._before = self._elsewhere()
        self._seen = len(sys.modules)

    def refusal(self) -> Result | None:
        """The failure of a trial that imported one, None where all of its code is the run's."""
        if len(sys.modules) == self._seen:
            return None
        self._seen = len(sys.modules)
        late = [place for place in self._elsewhere() if place not in self._before]
        if not late:
            return None
        return Failure(
            "error",
            f"modules must be imported where a study file begins, so that a run takes their code once, got {late[0]}, "
            "which is imported while trials train; move that import",
            retry=True,
            trace="\n".join(map(str, late)),
        )

    def _elsewhere(self) -> list[Path]:
        return users_modules(elsewhere_than=package().parent.resolve())


def other_code(attempt: Attempt) -> Result | None:
    """What becomes of a trial whose id names other code than this worker has imported; None where it is the same."""
    assignment = attempt.assignment
    if code_with(assignment.definition) == assignment.ask.trial.code:
        return None
    torch = importlib.metadata.version("torch")
    where = f"its code, in {package()}, or its torch, {torch}, is not what the study began with"
    return UnfitNode(attempt.node, where)


def this_node() -> Node:
    """The node that this worker runs on, by its address in a cluster, and by its name where there is only this one."""
    address = get_node_ip_address()  # type: ignore[no-untyped-call]
    name = socket.gethostname() if ip_address(address).is_loopback else address
    return Node(ray.get_runtime_context().get_node_id(), name)
