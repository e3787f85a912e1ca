"""A shift that needs no data: rendered streets, the source with a game's looks, the target with a photograph's."""

from platform.shifts.town.shift import Town, town

__all__ = ["Town", "town"]
