"""The code of the user's own that a class leads to."""

from platform.shifts.definition.following import definition

__all__ = ["definition"]
