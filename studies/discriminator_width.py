"""How small may the discriminator be: does the full one earn its parameters over the depthwise separable one?

Compared: the kind of the discriminator and its width, the channels of its first convolution; 64 is published for both.
It is trained and thrown away, so its size costs training time only.

Searched for every row: the learning rate, and lambda_adv, since a weaker discriminator may take another weight. Fixed:
the discriminator's learning rate and everything else, as published.
"""

from platform.methods import Adversarial, SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import gta5_to_cityscapes
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study

learning_rate = LogUniform(1e-3, 5e-2)
lambda_adv = LogUniform(1e-4, 1e-2)

study = Study(
    shift=gta5_to_cityscapes(size=(512, 1024)),
    arms={
        "source only": Arm(SourceOnly, learning_rate=learning_rate),
        **{
            f"{kind}, width {width}": Arm(
                Adversarial, width=width, separable=separable, lambda_adv=lambda_adv, learning_rate=learning_rate
            )
            for kind, separable in (("full", False), ("separable", True))
            for width in (64, 32, 16)
        },
    },
    reference="full, width 64",
    select="target/norm_and_prior",
    search=ASHA(trials=12, grace=0.2),
    budget=Budget(steps=20_000, evaluations=20, gpus=0.5),
    seeds=5,
    recipe=Recipe(network=BiSeNet18(pretrained=True)),
)
