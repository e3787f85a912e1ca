"""How wide a band of the target's amplitude spectrum should FDA lend to the source?

Compared: beta, the band's half-width as a fraction of the shorter side. Its published values are 0.01, 0.05 and 0.09;
below them stand 0, which lends the mean colour alone, and 0.002, one frequency at this size. Each value is a row of its
own on all seeds: a search would crowd where it already does well, and leave the rest of the curve thin.

Searched for every row: the learning rate. Fixed: the entropy weight and everything else, as published.
"""

from platform.methods import FDA, SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import gta5_to_cityscapes
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study

learning_rate = LogUniform(1e-3, 5e-2)

study = Study(
    shift=gta5_to_cityscapes(size=(512, 1024)),
    arms={
        "source only": Arm(SourceOnly, learning_rate=learning_rate),
        **{
            f"FDA beta={beta}": Arm(FDA, beta=beta, learning_rate=learning_rate)
            for beta in (0, 0.002, 0.01, 0.05, 0.09)
        },
    },
    reference="source only",
    select="target/norm_and_prior",
    search=ASHA(trials=12, grace=0.2),
    budget=Budget(steps=20_000, evaluations=20, gpus=0.5),
    seeds=5,
    recipe=Recipe(network=BiSeNet18(pretrained=True)),
)
