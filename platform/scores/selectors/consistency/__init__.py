"""Selectors by predictions that stay as they are when images change."""

from platform.scores.selectors.consistency.cte import ConsistencyTransferability
from platform.scores.selectors.consistency.mixval import MixVal
from platform.scores.selectors.consistency.views import ViewConsistency

__all__ = ["ConsistencyTransferability", "MixVal", "ViewConsistency"]
