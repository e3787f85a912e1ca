"""How much weight should the adversarial loss have, and how much of its effect is there without it?

Compared: lambda_adv, from 0 over the published 0.001 to ten times as much. At 0 the network still sees the target's
images, and its batch norm averages over both domains: what that row gains on source only, batch norm gains alone.

Searched for every row: the learning rate. Fixed: the discriminator and its learning rate, as published.
"""

from platform.methods import Adversarial, SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import gta5_to_cityscapes
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study

learning_rate = LogUniform(1e-3, 5e-2)

study = Study(
    shift=gta5_to_cityscapes(size=(512, 1024)),
    arms={
        "source only": Arm(SourceOnly, learning_rate=learning_rate),
        **{
            f"adversarial lambda_adv={weight}": Arm(Adversarial, lambda_adv=weight, learning_rate=learning_rate)
            for weight in (0, 0.0001, 0.0003, 0.001, 0.003, 0.01)
        },
    },
    reference="source only",
    select="target/norm_and_prior",
    search=ASHA(trials=12, grace=0.2),
    budget=Budget(steps=20_000, evaluations=20, gpus=0.5),
    seeds=5,
    recipe=Recipe(network=BiSeNet18(pretrained=True)),
)
