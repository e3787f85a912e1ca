"""The shifts that studies name, what brings data of one's own, and the classes that ground truths distinguish."""

from platform.shifts.domain import Domain, union
from platform.shifts.few import granted
from platform.shifts.files.arrays import image_of, labels_of
from platform.shifts.files.content import contents
from platform.shifts.gta5_to_cityscapes import gta5_to_cityscapes
from platform.shifts.labels import CAMVID_11, groups
from platform.shifts.pair import pair
from platform.shifts.shift import DataError, Images, LabelledImages, Oracle, Shift, Splits
from platform.shifts.town import town

__all__ = [
    "CAMVID_11",
    "DataError",
    "Domain",
    "Images",
    "LabelledImages",
    "Oracle",
    "Shift",
    "Splits",
    "contents",
    "granted",
    "groups",
    "gta5_to_cityscapes",
    "image_of",
    "labels_of",
    "pair",
    "town",
    "union",
]
