"""What an ablation's parts are worth, in words."""

import math
from collections.abc import Callable

from platform.results.ablation.effects import Ablation, Effect
from platform.results.comparison import Difference
from platform.results.lines import NONE, p_value
from platform.results.report.wording import level, plus_minus
from platform.results.statistics.significance import LEVEL

HEAD = ("Δ mIoU", "p", "seeds")
ALIASES = "together with"
"""Head of the column that tables of fractions have."""
NUMERALS = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")


def cells(worth: Difference, emphasise: Callable[[str], str]) -> tuple[str, ...]:
    """The texts of `HEAD`, an effect that is told from chance emphasised."""
    text = plus_minus(worth.miou, worth.miou_ci, "+")
    return emphasise(text) if worth.told else text, p_value(worth.p), str(worth.seeds)


def aliases(effect: Effect) -> str:
    """What cannot be told apart from an effect: the cell of `ALIASES`."""
    return " ".join(effect.contrast.aliases) or NONE


def reading(ablation: Ablation) -> list[str]:
    """How effects are to be read, one sentence or two each."""
    return [
        of_the_path(ablation) if ablation.is_path else _what(ablation),
        *([_resolved(ablation.resolution)] if ablation.resolution is not None else []),
        *_values(ablation),
        _interval(ablation),
    ]


def of_the_path(ablation: Ablation) -> str:
    """How the steps of a path are to be read, and where it ends before its end."""
    left = len(ablation.parts) - len(ablation.path)
    short = f" It ends {left} step{'s' * (left > 1)} before that, for want of rows with scores." if left else ""
    return (
        f"From the row without any part to the row with all: each step puts in the part that helps most beside those "
        f"that are there.{short} It was picked for its gain, which is therefore exaggerated; p is adjusted for all "
        "parts that were tried at any step."
    )


def _what(ablation: Ablation) -> str:
    several = len(ablation.rows)
    if any(len(effect.contrast.weights) > 2 for effect in ablation.effects):
        return (
            f"An effect is the mean mIoU of the rows with a part less that of those without, over {several} rows; an "
            "interaction, a x b, is half of what the effect of the one is more where the other is."
        )
    return (
        "What a part is worth: the row with it less the row without, which differ in nothing else. What it would be "
        "worth beside other parts these rows do not say."
    )


def _resolved(resolution: int) -> str:
    numeral = NUMERALS[resolution]
    told = {
        3: "effects cannot be told from interactions of two parts",
        4: "effects can be told from interactions of two parts, and these not from each other",
    }.get(resolution, "effects and interactions of two parts can be told from each other")
    return f"The fraction is of resolution {numeral}: {told}. What cannot be told apart stands in one line, as a sum."


def _values(ablation: Ablation) -> list[str]:
    if ablation.retuned is None:
        return []
    if ablation.retuned:
        return ["Tuned again: each row has searched its ranges for itself, with the same budget."]
    return [
        f"At the tuned point: all rows take the values that the search of {ablation.name} has chosen, which may suit "
        "it better than the others."
    ]


def told(ablation: Ablation) -> str:
    """When an effect is emphasised: the end of a sentence."""
    raced = f", and for the {ablation.looks} looks of the race" if ablation.looks > 1 else ""
    among = "all that was tried" if ablation.is_path else f"all {len(ablation.effects)} effects"
    return (
        f"where p, adjusted by Holm's method for {among}{raced}, is at most {LEVEL:g}, and the effect one that these "
        f"seeds can find{_findable(ablation)}"
    )


def has_intervals(ablation: Ablation) -> bool:
    """Whether any effect has one, which takes two seeds."""
    return not all(math.isnan(effect.worth.miou_ci) for effect in ablation.effects)


def _interval(ablation: Ablation) -> str:
    if not has_intervals(ablation):
        return "A single seed has no interval: do not rank these effects."
    return (
        f"± is the half-width of the {level(ablation.looks)} Student-t interval over seeds of what each seed's own "
        f"rows give; p is that of the paired t-test. Bold {told(ablation)}."
    )


def _findable(ablation: Ablation) -> str:
    """The smallest that they can, where it is the same for all."""
    least = {f"{effect.worth.detectable:.3f}" for effect in ablation.effects}
    return f", {least.pop()} or more" if len(least) == 1 else ""
