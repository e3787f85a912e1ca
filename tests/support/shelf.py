"""Every method on the shelf, small: what contract suites go through."""

from pathlib import Path
from typing import Any, NamedTuple

from platform.methods import (
    CBST,
    CORAL,
    DACS,
    DANN,
    FDA,
    MMD,
    AdaBN,
    AdvEnt,
    Adversarial,
    BatchNormMoments,
    ClassConditionalAdversarial,
    Distillation,
    HistogramMatching,
    LabTransfer,
    MajorityVote,
    MaxSquare,
    Method,
    MinEnt,
    MultiBandTransfer,
    MultiLevelAdversarial,
    PseudoLabels,
    RareClassSampling,
    SourceOnly,
    TargetSupervised,
    TranslatedImages,
)
from platform.methods.composition import Composition

TRANSLATED = str(Path(__file__).parent / "translated")
"""A folder of images, 0.png to 11.png, for the source images of the suites."""

METHODS: list[Method] = [
    SourceOnly(),
    TargetSupervised(),
    Adversarial(width=4),
    Adversarial(width=4, separable=True, lambda_adv=0.1),
    Adversarial(width=4, criterion="least squares", lambda_adv=0.01),
    FDA(beta=0.1),
    FDA(beta=0.0, entropy_weight=0.0),
    AdvEnt(width=4),
    AdvEnt(width=4, criterion="least squares", lambda_adv=0.01),
    MultiLevelAdversarial(width=4),
    MultiLevelAdversarial(width=4, criterion="least squares", lambda_adv=0.01),
    ClassConditionalAdversarial(width=4),
    DANN(hidden=4),
    MinEnt(lambda_ent=0.1),
    DACS(threshold=0.05),
    RareClassSampling(),
    CORAL(),
    MMD(),
    BatchNormMoments(),
    LabTransfer(),
    HistogramMatching(),
    TranslatedImages(folder=TRANSLATED),
    AdaBN(),
    PseudoLabels(rounds=5),
    CBST(rounds=5),
    MultiBandTransfer(),
    MaxSquare(),
    Distillation(),
    MajorityVote(),
]
COMPOSED = [
    Composition((FDA(beta=0.1), Adversarial(width=4))),
    Composition((LabTransfer(), RareClassSampling(), DACS(threshold=0.05), MinEnt())),
    Composition((FDA(beta=0.1), MultiBandTransfer())),
    Composition((RareClassSampling(), DACS(threshold=0.05), MaxSquare())),
    Composition((FDA(beta=0.1), Distillation())),
]
ACTING = [Composition((method,)) for method in METHODS] + COMPOSED


class Aim(NamedTuple):
    """What a method is after: a term that it lowers, beside the same without weight, which is source only."""

    method: Method
    weightless: Method
    term: str
    rises: bool = False
    """Whether the term is what the method raises."""


LEARNING: dict[str, Any] = {"width": 4, "discriminator_learning_rate": 1e-2}
"""Of discriminators that tell the domains apart within thirty steps."""
AIMS = [
    Aim(Adversarial(lambda_adv=10.0, **LEARNING), Adversarial(lambda_adv=0.0, **LEARNING), "loss/adversarial"),
    Aim(AdvEnt(lambda_adv=30.0, **LEARNING), AdvEnt(lambda_adv=0.0, **LEARNING), "loss/adversarial"),
    Aim(
        MultiLevelAdversarial(lambda_adv=10.0, auxiliary_lambda_adv=5.0, **LEARNING),
        MultiLevelAdversarial(lambda_adv=0.0, auxiliary_lambda_adv=0.0, **LEARNING),
        "loss/discriminator_fooled",
    ),
    Aim(
        ClassConditionalAdversarial(lambda_adv=100.0, **LEARNING),
        ClassConditionalAdversarial(lambda_adv=0.0, **LEARNING),
        "loss/adversarial",
    ),
    Aim(
        DANN(hidden=4, lambda_dann=10.0, classifier_learning_rate=1e-3),
        DANN(hidden=4, lambda_dann=0.0, classifier_learning_rate=1e-3),
        "loss/domain_classifier",
        rises=True,
    ),
    Aim(MinEnt(lambda_ent=1.0), MinEnt(lambda_ent=0.0), "loss/shannon_entropy"),
    Aim(MaxSquare(lambda_max_square=10.0), MaxSquare(lambda_max_square=0.0), "loss/max_square"),
    Aim(MMD(), MMD(lambda_mmd=0.0), "loss/mmd"),
    Aim(BatchNormMoments(), BatchNormMoments(lambda_moments=0.0), "loss/moments"),
    Aim(CORAL(lambda_coral=10.0), CORAL(lambda_coral=0.0), "loss/coral"),
    Aim(Distillation(), Distillation(lambda_distillation=0.0), "loss/distillation"),
    Aim(DACS(threshold=0.05), DACS(threshold=0.05, lambda_mix=0.0), "loss/mix"),
    Aim(PseudoLabels(rounds=1), PseudoLabels(rounds=1, lambda_pseudo=0.0), "loss/pseudo_labels"),
    Aim(CBST(rounds=1), CBST(rounds=1, lambda_pseudo=0.0), "loss/pseudo_labels"),
    Aim(MultiBandTransfer(), MultiBandTransfer(lambda_pseudo=0.0), "loss/pseudo_labels"),
]
