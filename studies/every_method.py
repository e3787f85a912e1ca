"""Which selector ranks trials as the target's labels would, over every method on the shelf, from render to render?

A study for `python -m platform.audit`: each method with its learning rate and the one field that it is known by. No
trial is stopped, since one that is has no last checkpoint to judge; the audit says what early stopping would have
stopped. `source/miou` selects, as is the custom, whatever the audit finds: it is among what is judged.
"""

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
    MinEnt,
    MultiBandTransfer,
    MultiLevelAdversarial,
    PseudoLabels,
    RareClassSampling,
    SourceOnly,
    TargetSupervised,
)
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study, Uniform


def rows() -> dict[str, Arm]:
    """Every method, searched with the same effort."""
    rate = {"learning_rate": LogUniform(5e-3, 1e-1)}
    adversarial = {"lambda_adv": LogUniform(1e-4, 1e-1), "width": 16, **rate}
    return {
        "source only": Arm(SourceOnly, **rate),
        "rare-class sampling": Arm(RareClassSampling, temperature=LogUniform(0.01, 1.0), **rate),
        "AdaBN": Arm(AdaBN).after("source only"),
        "CORAL": Arm(CORAL, lambda_coral=LogUniform(0.1, 100.0), **rate),
        "MMD": Arm(MMD, lambda_mmd=LogUniform(1e-2, 10.0), **rate),
        "batch norm's moments": Arm(BatchNormMoments, lambda_moments=LogUniform(0.1, 1000.0), **rate),
        "DANN": Arm(DANN, lambda_dann=LogUniform(0.01, 10.0), **rate),
        "adversarial": Arm(Adversarial, **adversarial),
        "lightweight adversarial": Arm(Adversarial, separable=True, **adversarial),
        "multi-level adversarial": Arm(MultiLevelAdversarial, **adversarial),
        "class-conditional adversarial": Arm(ClassConditionalAdversarial, **adversarial),
        "AdvEnt": Arm(AdvEnt, **adversarial),
        "FDA": Arm(FDA, beta=LogUniform(0.01, 0.1), **rate),
        "Lab transfer": Arm(LabTransfer, **rate),
        "histogram matching": Arm(HistogramMatching, **rate),
        "MinEnt": Arm(MinEnt, lambda_ent=LogUniform(1e-4, 1.0), **rate),
        "maximum squares": Arm(MaxSquare, lambda_max_square=LogUniform(1e-2, 1.0), **rate),
        "DACS": Arm(DACS, threshold=Uniform(0.5, 0.99), **rate),
        "pseudo-labels": Arm(PseudoLabels, fraction=Uniform(0.2, 0.9), **rate).after("source only"),
        "CBST": Arm(CBST, portion=Uniform(0.1, 0.5), **rate).after("source only"),
        "multi-band transfer": Arm(MultiBandTransfer, fraction=Uniform(0.2, 0.9), **rate).after("FDA"),
        "distillation": Arm(Distillation, lambda_distillation=LogUniform(0.1, 10.0), **rate).after("DACS"),
        "majority vote": Arm(MajorityVote).after("FDA", "adversarial", "DACS"),
        "target supervised": Arm(TargetSupervised, **rate),
    }


study = Study(
    shift=town(),
    arms=rows(),
    reference="source only",
    select="source/miou",
    search=ASHA(trials=8, grace=1.0),
    budget=Budget(steps=300, evaluations=12),
    seeds=5,
    recipe=Recipe(network=BiSeNet18(width=0.25)),
)
