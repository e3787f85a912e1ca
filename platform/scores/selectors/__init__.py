"""The metrics that may stop and pick trials."""

from platform.scores.selectors.selector import LABEL_FREE, ORACLE, check_selector

__all__ = ["LABEL_FREE", "ORACLE", "check_selector"]
