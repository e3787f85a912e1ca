"""Does the ranking of the methods hold on another network?

One method of each family on the original study's BiSeNet and on PIDNet-S, both from ImageNet weights where there are
any, and both real-time: what the table's GFLOPs and milliseconds are beside each other is part of the answer.

Compared: the methods, within each network. Searched for every row: the learning rate, and the field that the method is
known by. Fixed: everything else, as published. Differences are to BiSeNet's source only; those of the other network are
to be read beside its own.
"""

from platform.methods import CORAL, DACS, FDA, Adversarial, SourceOnly, TargetSupervised
from platform.networks import Architecture, BiSeNet18, PIDNetSmall
from platform.shifts import gta5_to_cityscapes
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study, Uniform


def rows(name: str, network: Architecture) -> dict[str, Arm]:
    """A method of each family, and the bounds, on one network."""
    shared = {"network": network, "learning_rate": LogUniform(1e-3, 5e-2)}
    return {
        f"source only, {name}": Arm(SourceOnly, **shared),
        f"CORAL, {name}": Arm(CORAL, lambda_coral=LogUniform(0.1, 100.0), **shared),
        f"adversarial, {name}": Arm(Adversarial, lambda_adv=LogUniform(1e-4, 1e-2), **shared),
        f"FDA, {name}": Arm(FDA, beta=LogUniform(0.01, 0.1), **shared),
        f"DACS, {name}": Arm(DACS, threshold=Uniform(0.5, 0.99), **shared),
        f"target supervised, {name}": Arm(TargetSupervised, **shared),
    }


study = Study(
    shift=gta5_to_cityscapes(size=(512, 1024)),
    arms=rows("BiSeNet", BiSeNet18(pretrained=True)) | rows("PIDNet", PIDNetSmall()),
    reference="source only, BiSeNet",
    select="target/norm_and_prior",
    search=ASHA(trials=12, grace=0.2),
    budget=Budget(steps=20_000, evaluations=20, gpus=0.5),
    seeds=5,
    recipe=Recipe(network=BiSeNet18(pretrained=True)),
)
