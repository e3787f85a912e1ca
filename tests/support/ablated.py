"""Studies of an ablation with invented records: nothing was trained."""

import dataclasses

from platform.design.ablation.ablate import ablate
from platform.design.ablation.designs import Design
from platform.methods import FDA, Adversarial
from platform.records.record import Ask, Record, StudyHeader
from platform.results.table import Table
from platform.study import Arm
from tests.support.invented_study import arm, full, study
from tests.support.seen_alike import tabulate

PARTS = {"flips": {"augmentation": "none"}, "adversary": Adversarial, "entropy": {"entropy_weight": 0.0}}
WORTH = {"flips": 0.02, "adversary": 0.15, "entropy": -0.01}
"""How much more of a class is right in a row with the part."""


def ablated(
    design: Design, name: str = "ours", seeds: int = 3
) -> tuple[StudyHeader, list[Ask], dict[str, Record], Table]:
    """A study of source only and the rows of a design, that ran to its end."""
    arms, qualities = [arm("source only", searched={})], {"source only": 0.4}
    for row, made in ablate(Arm(FDA, Adversarial), PARTS, design, name=name).items():
        assert made.cell is not None
        parts = dict(made.cell.parts)
        arms.append(
            dataclasses.replace(
                arm(row, searched={}), ablation=name, design=design.name, parts=parts, centre=made.cell.centre
            )
        )
        qualities[row] = 0.4 + sum(WORTH[part] for part, level in parts.items() if level)
    header = study(*arms, seeds=seeds)
    asks, records = full(header, qualities)
    return header, asks, records, tabulate(header, asks, records)
