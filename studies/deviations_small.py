"""Which of the original study's departures from the published methods cost it most, on photographs?

The rows of `studies/deviations.py` at a size for two CPU cores: images of 96 x 128, a quarter of the network's
channels, and the 11 classes that coarser ground truths than Cityscapes' distinguish too.
"""

from platform.networks import BiSeNet18
from platform.shifts import gta5_to_cityscapes
from platform.shifts.labels import CAMVID_11
from platform.study import ASHA, Budget, Recipe, Study
from studies.deviations import rows

study = Study(
    shift=gta5_to_cityscapes(size=(96, 128), groups=CAMVID_11),
    arms=rows(),
    reference="source only",
    select="target/norm_and_prior",
    search=ASHA(trials=4, grace=0.25),
    budget=Budget(steps=400, evaluations=12),
    seeds=5,
    recipe=Recipe(network=BiSeNet18(width=0.25)),
)
