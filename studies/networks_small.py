"""Does the ranking of the methods hold on another network, as far as a laptop can tell?

The rows of `studies/networks.py` on the embedded `town` shift, on both networks with a quarter of their channels.
"""

from platform.networks import BiSeNet18, PIDNetSmall
from platform.shifts import town
from platform.study import ASHA, Budget, LogUniform, Recipe, Study
from studies.networks import rows

RATE, WIDTH = LogUniform(5e-3, 1e-1), 16

study = Study(
    shift=town(),
    arms=rows("BiSeNet", BiSeNet18(width=0.25), RATE, WIDTH) | rows("PIDNet", PIDNetSmall(width=0.25), RATE, WIDTH),
    reference="source only, BiSeNet",
    select="target/norm_and_prior",
    search=ASHA(trials=4, grace=0.25),
    budget=Budget(steps=300, evaluations=12),
    seeds=5,
    recipe=Recipe(network=BiSeNet18(width=0.25)),
)
