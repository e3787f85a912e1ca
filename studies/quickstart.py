"""How far does each kind of adaptation close the gap between a rendered town and its photographs?

The whole path on the embedded `town` shift, in minutes on a laptop: every arm searches its learning rate and one field
of its own with the same budget, then reruns its choice on five fresh seeds.
"""

from platform.methods import FDA, Adversarial, SourceOnly, TargetSupervised
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import ASHA, Arm, Budget, LogUniform, Recipe, Study

learning_rate = LogUniform(5e-3, 1e-1)
lambda_adv = LogUniform(1e-4, 1e-1)

study = Study(
    shift=town(),
    arms={
        "source only": Arm(SourceOnly, learning_rate=learning_rate),
        "adversarial": Arm(Adversarial, lambda_adv=lambda_adv, learning_rate=learning_rate, width=16),
        "lightweight adversarial": Arm(
            Adversarial, lambda_adv=lambda_adv, learning_rate=learning_rate, width=16, separable=True
        ),
        "FDA": Arm(FDA, beta=LogUniform(0.01, 0.1), learning_rate=learning_rate),
        "target supervised": Arm(TargetSupervised, learning_rate=learning_rate),
    },
    reference="source only",
    select="target/norm_and_prior",
    search=ASHA(trials=4, grace=0.25),
    budget=Budget(steps=300, evaluations=12),
    seeds=5,
    recipe=Recipe(network=BiSeNet18(width=0.25)),
)
