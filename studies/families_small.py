"""What does each family of adaptation give on photographs, alone and together, when all there is is a laptop?

Those rows of `studies/families.py` that two CPU cores train in one or two hours: variants of the adversary,
distillation, rare classes and norms of each domain's own are left out, and search trials are stopped early. Images are
of 96 x 128, with the 11 classes that coarser ground truths than Cityscapes' distinguish too.
"""

from platform.networks import BiSeNet18
from platform.shifts import gta5_to_cityscapes
from platform.shifts.labels import CAMVID_11
from platform.study import ASHA, Budget, Recipe, Study
from studies.families import rows

LEFT_OUT = {
    "lightweight adversarial",
    "least squares",
    "multi-level",
    "DACS, twice as wide",
    "distilled DACS",
    "rare classes",
    "rare classes + DACS",
    "adversarial, own norms",
}

study = Study(
    shift=gta5_to_cityscapes(size=(96, 128), groups=CAMVID_11),
    arms={name: arm for name, arm in rows().items() if name not in LEFT_OUT},
    reference="source only",
    select="target/norm_and_prior",
    search=ASHA(trials=4, grace=0.25),
    budget=Budget(steps=400, evaluations=12),
    seeds=3,
    recipe=Recipe(network=BiSeNet18(width=0.25)),
)
