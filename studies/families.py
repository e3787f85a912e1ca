"""What does each family of adaptation give on one network, alone and together, when every row is tuned alike?

The methods of four families, the bounds, and the changes of batch norm that are no method, from render to render on the
`town` shift, small enough for a laptop. Rows come family by family, and last what asks whether families add up. Only
`TranslatedImages` is left out, which needs images that another program has made.

Searched for every row that trains, with the same number of trials: the learning rate, and where there is one, the one
field that the method is known by; FDA's windows are rows of their own. Whatever trains nothing has nothing to search:
AdaBN, and the vote of other rows' trials. Each search begins at the published defaults, but that of least squares at
the plain discriminator's weight, not at its own, 0.01. Rows that begin from others, as published, have those rows'
training besides, which is worth something by itself: "source only, twice" says how much. Fixed: everything else, as
published, but for discriminators of a quarter of their channels. No trial is stopped, since an audit asks of each how
its last checkpoint would have been judged.
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

RATE = {"learning_rate": LogUniform(5e-3, 1e-1)}
ADVERSARIAL = {"lambda_adv": LogUniform(1e-4, 1e-1), "width": 16, **RATE}
BANDS = (0.01, 0.05, 0.09)
"""FDA's published windows, whose networks label the target together in multi-band transfer."""


def bounds() -> dict[str, Arm]:
    """What every comparison lies between, and what rows that begin from source only are to be held against."""
    return {
        "source only": Arm(SourceOnly, **RATE),
        "source only, twice": Arm(SourceOnly, **RATE).after("source only"),
        "target supervised": Arm(TargetSupervised, **RATE),
    }


def discrepancy() -> dict[str, Arm]:
    """Statistics of both domains brought together."""
    return {
        "AdaBN": Arm(AdaBN).after("source only"),
        "target statistics": Arm(SourceOnly, batch_norm="target", **RATE),
        "CORAL": Arm(CORAL, lambda_coral=LogUniform(0.1, 100.0), **RATE),
        "MMD": Arm(MMD, lambda_mmd=LogUniform(0.01, 10.0), **RATE),
        "batch-norm moments": Arm(BatchNormMoments, lambda_moments=LogUniform(0.1, 100.0), **RATE),
    }


def adversarial() -> dict[str, Arm]:
    """A discriminator to be taken in."""
    classes = {"lambda_adv": LogUniform(1e-4, 1e-1), "width": 64, **RATE}
    return {
        "adversarial": Arm(Adversarial, **ADVERSARIAL),
        "lightweight adversarial": Arm(Adversarial, separable=True, **ADVERSARIAL),
        "least squares": Arm(Adversarial, criterion="least squares", **ADVERSARIAL),
        "multi-level": Arm(MultiLevelAdversarial, **ADVERSARIAL),
        "AdvEnt": Arm(AdvEnt, **ADVERSARIAL),
        "DANN": Arm(DANN, lambda_dann=LogUniform(0.01, 10.0), **RATE),
        "class-conditional": Arm(ClassConditionalAdversarial, **classes).after("source only"),
    }


def translation() -> dict[str, Arm]:
    """The source in the looks of the target."""
    return {
        **{f"FDA beta={beta}": Arm(FDA, beta=beta, **RATE) for beta in BANDS},
        "Lab transfer": Arm(LabTransfer, **RATE),
        "histogram matching": Arm(HistogramMatching, **RATE),
    }


def self_training() -> dict[str, Arm]:
    """The network's own predictions on the target, or another's, as labels."""
    dacs = {"threshold": Uniform(0.5, 0.99), **RATE}
    return {
        "MinEnt": Arm(MinEnt, lambda_ent=LogUniform(1e-4, 1.0), **RATE),
        "MaxSquare": Arm(MaxSquare, lambda_max_square=LogUniform(1e-2, 1.0), **RATE).after("source only"),
        "pseudo-labels": Arm(PseudoLabels, fraction=Uniform(0.2, 0.9), **RATE).after("source only"),
        "CBST": Arm(CBST, portion=Uniform(0.1, 0.5), **RATE).after("source only"),
        "multi-band transfer": Arm(FDA, MultiBandTransfer, beta=BANDS[0], **RATE).after(
            *(f"FDA beta={beta}" for beta in BANDS)
        ),
        "DACS": Arm(DACS, **dacs),
        "DACS, twice as wide": Arm(DACS, network=BiSeNet18(width=0.5), **dacs),
        "distilled DACS": Arm(Distillation, lambda_distillation=LogUniform(0.1, 10.0), **RATE).after(
            "DACS, twice as wide"
        ),
        "rare classes": Arm(RareClassSampling, temperature=LogUniform(0.01, 1.0), **RATE),
    }


def together() -> dict[str, Arm]:
    """Families composed, and the vote of three of them."""
    dacs = {"threshold": Uniform(0.5, 0.99), **RATE}
    return {
        "FDA + adversarial": Arm(FDA, Adversarial, beta=BANDS[1], **ADVERSARIAL),
        "Lab transfer + DACS": Arm(LabTransfer, DACS, **dacs),
        "rare classes + DACS": Arm(RareClassSampling, DACS, **dacs),
        "adversarial, own norms": Arm(Adversarial, batch_norm="domain-specific", **ADVERSARIAL),
        "majority vote": Arm(MajorityVote).after("adversarial", "Lab transfer", "DACS"),
    }


def rows() -> dict[str, Arm]:
    """All of them."""
    return bounds() | discrepancy() | adversarial() | translation() | self_training() | together()


study = Study(
    shift=town(),
    arms=rows(),
    reference="source only",
    select="target/norm_and_prior",
    search=ASHA(trials=4, grace=1.0),
    budget=Budget(steps=300, evaluations=12),
    seeds=5,
    recipe=Recipe(network=BiSeNet18(width=0.25)),
)
