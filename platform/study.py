"""What a study file imports, and the study command: `python -m platform.study studies/fda_beta.py`."""

if __name__ == "__main__":
    from platform.commands.before.importing import interruptible, leave
    from platform.commands.before.room import require_room

    require_room()
    with interruptible():
        from platform.commands.study import main

    leave(main())

from platform.design.ablation.ablate import ablate
from platform.design.ablation.designs import AblationPath, AddOneIn, FractionalFactorial, FullFactorial, LeaveOneOut
from platform.design.arm import Arm
from platform.design.asha import ASHA
from platform.design.budget import Budget
from platform.design.ranges import Integers, LogUniform, OneOf, Uniform
from platform.design.study import Study
from platform.training.recipe import Recipe

__all__ = [
    "ASHA",
    "AblationPath",
    "AddOneIn",
    "Arm",
    "Budget",
    "FractionalFactorial",
    "FullFactorial",
    "Integers",
    "LeaveOneOut",
    "LogUniform",
    "OneOf",
    "Recipe",
    "Study",
    "Uniform",
    "ablate",
]
