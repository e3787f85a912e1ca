"""The shifts that studies name."""

from platform.shifts.gta5_to_cityscapes import gta5_to_cityscapes
from platform.shifts.shift import DataError, Shift
from platform.shifts.town import town

__all__ = ["DataError", "Shift", "gta5_to_cityscapes", "town"]
