"""A trial: an arm with every range filled in, and a seed. Its id is the hash of all that decides its outcome."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable
from typing import Any

SEARCH_SEED = 0
"""Every search trial trains on this seed; confirm trials on 1, 2, ..., which the search never sees."""
START_NUMBER = 10**6 - 1
"""The number of the confirm trial that the search trials of a row which comes after begin from; no table counts it."""


def confirm_seed(number: int) -> int:
    """The seed of an arm's confirm trial, by its number from 0: the same in every arm."""
    return SEARCH_SEED + 1 + number


@dataclasses.dataclass(frozen=True)
class Trial:
    """Plain values only, so that a trial reads the same in a record, in a Ray actor and in its hash."""

    method: str
    """Names of the methods' classes, ours or a study file's own: `FDA + Adversarial`."""
    hyperparameters: dict[str, Any]
    """Every field of the methods."""
    recipe: dict[str, Any]
    """Every field of the recipe; the network by the call that describes it: `BiSeNet18(width=0.25, ...)`."""
    shift: dict[str, Any]
    """`Shift.identity()`: what decides the images, labels, splits and groups."""
    resolved: dict[str, dict[str, Any]]
    """What hyperparameters mean at the shift's size: `{"beta": {"band": 3}}` for FDA, empty for most."""
    seed: int
    steps: int
    evaluations: int
    threads: int
    """CPU threads: they decide the order of sums."""
    code: str
    """`platform.training.code.training_code` of the methods, of the network and of the shift."""
    data: dict[str, str] = dataclasses.field(default_factory=dict)
    """Digests of the files that methods read, by method."""
    after: tuple[str, ...] = ()
    """Ids of the trials of other rows that it begins from, of its own seed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "after", tuple(self.after))

    @functools.cached_property
    def id(self) -> str:
        """12 hexadecimal digits; hyperparameters that resolve to the same meaning give the same id."""
        decisive = dataclasses.asdict(self)
        decisive["hyperparameters"] = {
            name: value for name, value in self.hyperparameters.items() if name not in self.resolved
        }
        for name in ("data", "after"):
            if not decisive[name]:
                del decisive[name]  # trials of versions without the field keep their ids
        text = json.dumps(decisive, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def values(self, names: Iterable[str]) -> dict[str, Any]:
        """The values of these fields, the method's before the recipe's."""
        return {name: self.hyperparameters.get(name, self.recipe.get(name)) for name in names}

    @property
    def evaluated_steps(self) -> tuple[int, ...]:
        """The steps at which the trial is evaluated and reports."""
        return evaluated_steps(self.steps, self.evaluations)

    @property
    def configuration(self) -> str:
        """What all trials share that differ in their seed alone."""
        return dataclasses.replace(self, seed=SEARCH_SEED, after=()).id

    @property
    def confirms(self) -> bool:
        """Whether this is a confirm trial: on a fresh seed, and scored on the sealed test split."""
        return self.seed != SEARCH_SEED


def start_seed(seed: int) -> int:
    """The seed of the trials from which one of this seed begins: its own, unless it searches."""
    return confirm_seed(START_NUMBER) if seed == SEARCH_SEED else seed


def evaluated_steps(steps: int, evaluations: int) -> tuple[int, ...]:
    """Steps at even distances, the last one at the end."""
    return tuple(steps * number // evaluations for number in range(1, evaluations + 1))
