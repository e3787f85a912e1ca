"""Which selector ranks trials as the target's labels would, over every method on the shelf, on photographs?

The rows of `studies/every_method.py` on images of 96 x 128 for two CPU cores, with the 11 classes that coarser ground
truths than Cityscapes' distinguish too.
"""

from platform.networks import BiSeNet18
from platform.shifts import gta5_to_cityscapes
from platform.shifts.labels import CAMVID_11
from platform.study import ASHA, Budget, Recipe, Study
from studies.every_method import rows

study = Study(
    shift=gta5_to_cityscapes(size=(96, 128), groups=CAMVID_11),
    arms=rows(),
    reference="source only",
    select="source/miou",
    search=ASHA(trials=8, grace=1.0),
    budget=Budget(steps=400, evaluations=12),
    seeds=5,
    recipe=Recipe(network=BiSeNet18(width=0.25)),
)
