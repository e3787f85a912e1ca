"""Methods that train nothing: several trained networks, deployed as one."""

from platform.methods.committee.majority_vote import MajorityVote

__all__ = ["MajorityVote"]
