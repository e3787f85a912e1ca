"""Which kind of adaptation closes most of the gap from GTA5 to Cityscapes when every row is tuned with the same effort?

The rows of the original study (BiSeNet trained on the target's labels, adversarial adaptation with a full and with a
depthwise separable discriminator, FDA) at its image size, and the row that it lacked: the source alone.

Compared: the methods. Searched for every row, with the same number of trials: the learning rate, which source only and
target supervised need as much as the others, and the one hyperparameter that a method is known by. Fixed: everything
else, as published, from ImageNet weights.
"""

from platform.methods import FDA, Adversarial, SourceOnly, TargetSupervised
from platform.networks import BiSeNet18
from platform.shifts import gta5_to_cityscapes
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study


def rows(discriminator_width: int = 64) -> dict[str, Arm]:
    """The rows of the comparison; 64 is the published width of the discriminators."""
    learning_rate = LogUniform(1e-3, 5e-2)
    adversarial = {
        "lambda_adv": LogUniform(1e-4, 1e-2),
        "width": discriminator_width,
        "learning_rate": learning_rate,
    }
    return {
        "source only": Arm(SourceOnly, learning_rate=learning_rate),
        "adversarial": Arm(Adversarial, **adversarial),
        "lightweight adversarial": Arm(Adversarial, separable=True, **adversarial),
        "FDA": Arm(FDA, beta=LogUniform(0.01, 0.1), learning_rate=learning_rate),
        "target supervised": Arm(TargetSupervised, learning_rate=learning_rate),
    }


study = Study(
    shift=gta5_to_cityscapes(size=(512, 1024)),
    arms=rows(),
    reference="source only",
    select="target/norm_and_prior",
    search=ASHA(trials=12, grace=0.2),
    budget=Budget(steps=20_000, evaluations=20, gpus=0.5),
    seeds=5,
    recipe=Recipe(network=BiSeNet18(pretrained=True)),
)
