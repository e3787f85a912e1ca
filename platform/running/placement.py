"""Which nodes hold which trials: what a cluster has or may still start, and whether a trial fits."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from platform.design.budget import GIB, Resources

UNITS = 10_000
"""Resources are counted in ten thousandths, as Ray does: ten times 0.1 must fit a GPU, which floats would deny."""


class TooLarge(ValueError):
    """A trial asks for more than any node has or will have."""


@dataclass(frozen=True)
class Offer:
    """What a cluster has, and what it may still start."""

    nodes: tuple[Resources, ...]
    """Nodes that are running."""
    to_come: tuple[Resources, ...] = ()
    """Resources of each node that the autoscaler may still start."""
    unknown: int = 0
    """How many more nodes may join, of unknown resources."""

    @property
    def ever(self) -> tuple[Resources, ...]:
        """All nodes that may run at the same time, as far as they are known."""
        return self.nodes + self.to_come

    @property
    def has_gpus(self) -> bool:
        """Whether any node has a GPU: else everything trains on CPUs."""
        return any(node.get("GPU", 0) > 0 for node in self.ever)

    def __str__(self) -> str:
        parts = [_counted(self.nodes)]
        if self.to_come:
            parts.append(f"up to {_counted(self.to_come)} to be started")
        if self.unknown:
            parts.append(f"{self.unknown} more expected")
        return "; ".join(parts)


def fit(wanted: Iterable[Resources], nodes: Sequence[Resources]) -> bool:
    """Whether the nodes hold all trials at the same time when the largest come first, each on the first with room.

    True means that Ray can place them; False does not mean that no other order would fit.
    """
    free = [_units(node) for node in nodes]
    # Equal ones together: a thousand trials of a few sizes are a few questions to each node.
    sizes = Counter(tuple(_units(amounts).items()) for amounts in wanted)
    for size, count in sorted(sizes.items(), key=lambda entry: _size(dict(entry[0])), reverse=True):
        for node in free:
            placed = min(count, _held(dict(size), node))
            for name, amount in size:
                node[name] = node.get(name, 0) - placed * amount
            count -= placed
        if count:
            return False
    return True


def holds_any(wanted: Resources, nodes: Iterable[Resources]) -> bool:
    """Whether any of the nodes, empty, holds a trial."""
    return any(fit([wanted], [node]) for node in nodes)


def at_a_time(wanted: Resources, nodes: Sequence[Resources]) -> int:
    """How many trials of one size the nodes train at the same time."""
    return sum(_held(_units(wanted), _units(node)) for node in nodes)


def refusal(arm: str, wanted: Resources, offer: Offer) -> str | None:
    """Why no node will ever hold a trial of an arm, with the numbers; None when one may."""
    if offer.unknown or holds_any(wanted, offer.ever):
        return None
    return (
        f"a trial of {arm!r} needs {_listed(wanted)} on one node, and no node has {_shortage(wanted, offer.ever)}; "
        "lower the Budget, or the arm's own share, or give the cluster larger nodes"
    )


def _shortage(wanted: Resources, nodes: Sequence[Resources]) -> str:
    """What no node has of what is wanted: the most that there is of each amount that is too large, or all together."""
    largest = {name: max((node.get(name, 0) for node in nodes), default=0) for name in wanted}
    short = [f"at most {_amount(name, largest[name])}" for name, amount in wanted.items() if amount > largest[name]]
    return f"that: {' and '.join(short)}" if short else "all of it, though one by one there is enough"


def _held(amounts: Mapping[str, int], node: Mapping[str, int]) -> int:
    """How many trials of one size a node holds."""
    return min(node.get(name, 0) // amount for name, amount in amounts.items())


def _units(resources: Resources) -> dict[str, int]:
    return {name: units for name, amount in resources.items() if (units := round(amount * UNITS))}


def _size(amounts: Mapping[str, int]) -> tuple[int, int, int]:
    return amounts.get("GPU", 0), amounts.get("CPU", 0), amounts.get("memory", 0)


def _amount(name: str, amount: float) -> str:
    return f"{amount / GIB:.3g} GiB of memory" if name == "memory" else f"{amount:g} {name}{'' if amount == 1 else 's'}"


def _listed(resources: Resources) -> str:
    return ", ".join(_amount(name, amount) for name, amount in resources.items())


def _counted(nodes: Sequence[Resources]) -> str:
    total = {name: sum(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU")}
    plural = "" if len(nodes) == 1 else "s"
    return f"{len(nodes)} node{plural} with " + " and ".join(_amount(name, amount) for name, amount in total.items())
