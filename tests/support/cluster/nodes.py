"""Studies on the nodes of a cluster, and who holds what of them."""

import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from subprocess import Popen
from typing import Any

from ray.cluster_utils import Cluster
from ray.util import placement_group_table

from tests.support.checkout import Checkout

STUDY = '''"""Where do trials run?"""

import os

from platform.methods import FDA, Adversarial, SourceOnly
from platform.networks import BiSeNet18
from platform.shifts.shift import DataError, Splits
from platform.shifts.town import Town, town
from platform.study import Arm, Budget, Recipe, Study

class Mine(SourceOnly):
    """Defined here, so that workers are sent this file's classes."""

class Elsewhere(Town):
    """A town that some machines do not have."""

    def open(self) -> Splits:
        if "NO_TOWN" in os.environ:
            raise DataError("/data/town does not exist; copy it there")
        return super().open()

shift = town(size=(64, 64), source_images=(8, 4), target_images=(8, 4, 4))
study = Study(
    shift={shift},
    arms={arms},
    reference="source only",
    budget={budget},
    seeds={seeds},
    recipe=Recipe(network=BiSeNet18(width=0.125), batch=2),
)
'''


HERE = "shift"


class Nodes(Cluster):
    """Ray's test cluster, whose nodes have folders of their own for the code that they are sent, as machines do.

    In one folder for all, each node first removes the code that the ones before it run. The head's stays where a study
    looks for it.
    """

    def add_node(self, wait: bool = True, **settings: Any) -> Any:
        own: dict[str, str] = {} if self.head_node is None else {"runtime_env_dir_name": f"code_{uuid.uuid4().hex}"}
        return super().add_node(wait, **own, **settings)


@dataclass
class Watch:
    """Who was seen to hold what at the same time."""

    most: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Trials at a time on each node, by its id."""
    slots: set[tuple[tuple[str, float], ...]] = field(default_factory=set)
    """What trials held."""

    def look(self) -> None:
        """Take note of every trial that has its place now."""
        now: dict[str, int] = defaultdict(int)
        for group in placement_group_table().values():
            if group["state"] == "CREATED":
                (node,) = group["bundles_to_node_id"].values()
                (bundle,) = group["bundles"].values()
                now[node] += 1
                self.slots.add(tuple(sorted(bundle.items())))
        for node, count in now.items():
            self.most[node] = max(self.most[node], count)


def study(
    made: Checkout, arms: str, budget: str = "Budget(steps=4, evaluations=2)", seeds: int = 2, shift: str = HERE
) -> str:
    text = STUDY.replace("{shift}", shift).replace("{arms}", arms).replace("{budget}", budget)
    return made.write("nodes.py", text.replace("{seeds}", str(seeds)))


def follow(process: "Popen[str]", look: Callable[[], None]) -> tuple[int, str]:
    """A command to its end, and what it printed."""
    while process.poll() is None:
        look()
        time.sleep(0.05)
    assert process.stdout is not None
    return process.returncode, process.stdout.read()
