"""What methods cost, counted from what they build and from one step of theirs, before anything trains."""

from platform.training.cost.counted import Estimate, cost_of, domains_of, estimate_of
from platform.training.cost.tried import Uncounted

__all__ = ["Estimate", "Uncounted", "cost_of", "domains_of", "estimate_of"]
