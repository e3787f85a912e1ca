"""The code of the user's own that a class leads to."""

from platform.shifts.definition.following import Held, definition, held

__all__ = ["Held", "definition", "held"]
