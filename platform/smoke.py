"""The smoke run of a study: its rows and its code paths on a tiny shift, in a minute or two."""

from dataclasses import replace

from platform.study import ASHA, Budget, Study


def smoke(study: Study) -> Study:
    """The same arms, reference and selector with a budget that a laptop spends in seconds."""
    return replace(
        study,
        shift=study.shift.smoke(),
        budget=Budget(steps=4, evaluations=2, cpus=study.budget.cpus),
        search=None if study.search is None else ASHA(trials=2, grace=0.5, reduction=2),
        seeds=1,
        recipe=replace(study.recipe, network_width=0.125, batch=2, pretrained=False),
    )
