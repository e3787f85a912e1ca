"""Does the ranking of the methods hold on another network?

One method of each family on the original study's BiSeNet, from ImageNet weights, and on PIDNet-S, for which no such
weights can be fetched. Both are real-time: what the table's GFLOPs and milliseconds are is part of the answer.

Compared: the methods, by their mIoU within each network, whose source only and target supervised bound them. The
table's differences are all to BiSeNet's source only, and say nothing of a ranking on the other. Searched for every row:
the learning rate, and the field that the method is known by. Fixed: everything else, as published.
"""

from platform.methods import CORAL, DACS, FDA, Adversarial, SourceOnly, TargetSupervised
from platform.networks import Architecture, BiSeNet18, PIDNetSmall
from platform.shifts import gta5_to_cityscapes
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study, Uniform


def rows(name: str, network: Architecture, rate: LogUniform, discriminator_width: int = 64) -> dict[str, Arm]:
    """A method of each family, and the bounds, on one network; 64 is the published width of the discriminator."""
    shared = {"network": network, "learning_rate": rate}
    adversarial = {"lambda_adv": LogUniform(1e-4, 1e-2), "width": discriminator_width, **shared}
    return {
        f"source only, {name}": Arm(SourceOnly, **shared),
        f"CORAL, {name}": Arm(CORAL, lambda_coral=LogUniform(0.1, 100.0), **shared),
        f"adversarial, {name}": Arm(Adversarial, **adversarial),
        f"FDA, {name}": Arm(FDA, beta=LogUniform(0.01, 0.1), **shared),
        f"DACS, {name}": Arm(DACS, threshold=Uniform(0.5, 0.99), **shared),
        f"target supervised, {name}": Arm(TargetSupervised, **shared),
    }


RATE = LogUniform(1e-3, 5e-2)

study = Study(
    shift=gta5_to_cityscapes(size=(512, 1024)),
    arms=rows("BiSeNet", BiSeNet18(pretrained=True), RATE) | rows("PIDNet", PIDNetSmall(), RATE),
    reference="source only, BiSeNet",
    select="target/norm_and_prior",
    search=ASHA(trials=12, grace=0.2),
    budget=Budget(steps=20_000, evaluations=20, gpus=0.5),
    seeds=5,
    recipe=Recipe(network=BiSeNet18(pretrained=True)),
)
