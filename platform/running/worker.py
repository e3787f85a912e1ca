"""The Ray Trainable around a training run: one step of Ray Tune is the training up to the next evaluation.

A step returns one of five: the trial's next report, why the trial failed, that it was interrupted, that the disk
failed, or that this node cannot train it; the last two are not the trial's fault. Whatever happens, the last good
checkpoint stays in the trial's folder.
"""

import gc
import os
from typing import Any

import ray
from ray import tune

from platform.records.record import Report
from platform.training.assignment import (
    DISK,
    FAILURE,
    INTERRUPTED,
    REPORT,
    UNFIT,
    Assignment,
    DiskFault,
    Superseded,
    Unfit,
    UnfitNode,
)
from platform.training.attempt import Training, advance, failure_of, free_memory, node_address, start, stopped
from platform.training.run import Interrupted, out_of_memory

NODE_LABEL = "ray.io/node-id"
"""By which Ray's placement groups tell nodes apart."""


class TrialTrainable(tune.Trainable):
    """Trains whichever assignment its configuration holds; the actor is reused from trial to trial."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """A trial's slot, on none of the nodes that it avoids."""
        assignment: Assignment = config["assignment"]
        elsewhere = [{NODE_LABEL: f"!in({','.join(assignment.avoided)})"}] if assignment.avoided else None
        return tune.PlacementGroupFactory([assignment.resources], bundle_label_selector=elsewhere)

    def setup(self, config: dict[str, Any]) -> None:
        # What was imported stays; to look through it at every trial's end takes a quarter of a second.
        gc.freeze()
        self._begin(config)

    def _begin(self, config: dict[str, Any]) -> None:
        self.assignment: Assignment = config["assignment"]
        self._training: Training | None = None
        self._parts = 1
        self._broken = False

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial; not after an unknown error, which may have left the process or its GPU broken."""
        if self._broken:
            # Ray Tune forgets the trial that an actor refuses, while that of a lost worker is handed out again.
            os._exit(1)
        self._begin(new_config)
        free_memory()
        return True

    def __repr__(self) -> str:
        return self.assignment.name

    def step(self) -> dict[str, Any]:
        """Train to the next evaluation; a failure is returned with its cause instead of raised.

        Ray would retry an exception: only a lost worker deserves that.
        """
        try:
            return {REPORT: self._next_report()}
        except (Interrupted, Superseded):
            return {INTERRUPTED: True}
        except Unfit as error:
            self._training, self._broken = None, True
            return {UNFIT: UnfitNode(ray.get_runtime_context().get_node_id(), node_address(), str(error))}
        except DiskFault as fault:
            self._training = None
            return {DISK: str(fault)}
        except Exception as error:
            self._training = None
            failure = failure_of(error)
            self._broken = failure.cause == "error"
            return {FAILURE: failure}

    def cleanup(self) -> None:
        self._training = None

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: every report leaves a checkpoint under the trial's id, which outlives Ray's own bookkeeping."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing, see `save_checkpoint`."""

    def _next_report(self) -> Report:
        """The next report; from the last checkpoint in halved batches when memory runs out for the first time."""
        try:
            return self._attempt()
        except Exception as error:
            if not (out_of_memory(error) and self._can_halve()):
                raise
        # Here the error is gone, and with it the tensors that its traceback held.
        self._training, self._parts = None, 2
        free_memory()
        return self._attempt()

    def _attempt(self) -> Report:
        if stopped(self.assignment):
            raise Interrupted
        if self._training is None:
            self._training = start(self.assignment, self._parts)
            report = self._training.report
            if report is not None and report.step > self.assignment.reported:
                return report
        return advance(self.assignment, self._training)

    def _can_halve(self) -> bool:
        """Whether batches are whole so far, and their halves hold the two images that batch norm needs."""
        whole = self._parts == 1 and (self._training is None or self._training.run.parts == 1)
        batch = self.assignment.recipe.batch
        return whole and batch >= 4 and batch % 2 == 0
