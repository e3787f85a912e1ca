"""Ray's rim around an attempt at a trial: one step of Ray Tune is the training up to the next evaluation."""

import gc
import os
from typing import Any

import ray
from ray import tune
from ray.util import get_node_ip_address

from platform.training.assignment import Assignment, Node, breaks_worker
from platform.training.attempt import Attempt, free_memory, take_step

NODE_LABEL = "ray.io/node-id"
"""The label by which Ray's placement groups tell nodes apart."""


class TrialTrainable(tune.Trainable):
    """Trains whichever assignment its configuration holds; the actor is reused from trial to trial."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """A trial's slot, on none of the nodes that it avoids."""
        assignment: Assignment = config["assignment"]
        others = [{NODE_LABEL: f"!in({','.join(assignment.avoided)})"}] if assignment.avoided else None
        return tune.PlacementGroupFactory([assignment.resources], bundle_label_selector=others)

    def setup(self, config: dict[str, Any]) -> None:
        # What was imported stays; to look through it at every trial's end takes a quarter of a second.
        gc.freeze()
        self._broken = False
        self._attempt = Attempt(config["assignment"], this_node())

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial; not after a result that may have left the process or its GPU broken."""
        if self._broken:
            # Ray Tune forgets the trial that an actor refuses, while that of a lost worker is handed out again.
            os._exit(1)
        self._attempt = Attempt(new_config["assignment"], self._attempt.node)
        free_memory()
        return True

    def __repr__(self) -> str:
        # Ray names an actor in its error also when it was never set up, and a second error would hide the first.
        return self._attempt.assignment.name if hasattr(self, "_attempt") else type(self).__name__

    def step(self) -> dict[str, Any]:
        """The result of the next step; an exception would be retried by Ray, which only a lost worker deserves."""
        result = take_step(self._attempt)
        self._broken = breaks_worker(result)
        said, self._attempt.said = self._attempt.said, []
        return {"result": result, "said": said} if said else {"result": result}

    def cleanup(self) -> None:
        self._attempt.training = None

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: every report leaves a checkpoint under the trial's id, which outlives Ray's own bookkeeping."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing, see `save_checkpoint`."""


def this_node() -> Node:
    """The node that this worker runs on."""
    return Node(ray.get_runtime_context().get_node_id(), get_node_ip_address())  # type: ignore[no-untyped-call]
