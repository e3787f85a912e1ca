"""Is it the discriminator that adapts, or is it batch norm, which sees the target's images on the discriminator's way?

Adversarial training passes images of the target through the network in training mode, so that batch norm's running
statistics become those of both domains; the same gain has been reported with the discriminator's weight at 0. Compared:
all four combinations of the two. Without the discriminator lambda_adv is 0, and the target's images still pass. Without
statistics the passes of the target update none, so that what is deployed normalises by those of the source. Without
both nothing is left that adapts: that row should be what source only is. And what batch norm can do alone, at the end:
source only, which normalises by statistics of the target.

Searched for every row: the learning rate, and lambda_adv where it is not 0. Fixed: everything else, as published, but
for a discriminator of a quarter of its channels.
"""

from platform.methods import Adversarial, SourceOnly, TargetSupervised
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, FullFactorial, LogUniform, Recipe, Study, ablate


def rows() -> dict[str, Arm]:
    """The four combinations, what batch norm does alone, and the bounds."""
    learning_rate = LogUniform(5e-3, 1e-1)
    adversarial = Arm(Adversarial, lambda_adv=LogUniform(1e-4, 1e-1), learning_rate=learning_rate, width=16)
    parts = {
        "discriminator": {"lambda_adv": 0.0},
        "statistics": {"batch_norm": "source"},
    }
    return {
        "source only": Arm(SourceOnly, learning_rate=learning_rate),
        **ablate(adversarial, parts, FullFactorial(), name="adversarial", retuned=True),
        "target statistics": Arm(SourceOnly, batch_norm="target", learning_rate=learning_rate),
        "target supervised": Arm(TargetSupervised, learning_rate=learning_rate),
    }


study = Study(
    shift=town(),
    arms=rows(),
    reference="source only",
    select="target/norm_and_prior",
    search=ASHA(trials=4, grace=0.25),
    budget=Budget(steps=300, evaluations=12),
    seeds=5,
    recipe=Recipe(network=BiSeNet18(width=0.25)),
)
