"""The shifts that studies name, and the classes that their ground truths distinguish."""

from platform.shifts.gta5_to_cityscapes import gta5_to_cityscapes
from platform.shifts.labels import CAMVID_11, groups
from platform.shifts.shift import DataError, Shift
from platform.shifts.town import town

__all__ = ["CAMVID_11", "DataError", "Shift", "groups", "gta5_to_cityscapes", "town"]
