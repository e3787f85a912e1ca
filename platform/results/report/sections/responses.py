"""What the search says of each field, in words."""

from collections.abc import Sequence

from platform.results.lines import NONE, arms_listed, p_value, short
from platform.results.report.wording import plus_minus
from platform.results.responses.fields import LEAST_TRIALS as LEAST_FITTED
from platform.results.responses.fields import SearchedField
from platform.search.importance.ped_anova import LEAST_TRIALS as LEAST_COMPARED

HEAD = ("field", "default", "chosen", "complete trials", "importance", "lowest", "highest", "p")


def cells(field: SearchedField) -> tuple[str, ...]:
    """A searched field: default, chosen, complete trials, importance, where the response is lowest and highest, p."""
    importance, response = field.importance, field.response
    ends = [NONE, NONE]
    if response is not None:
        order = sorted(range(len(field.at)), key=response.mean.__getitem__)
        half = [high - mean for high, mean in zip(response.high, response.mean, strict=True)]
        ends = [f"{plus_minus(response.mean[n], half[n])} at {short(field.at[n])}" for n in (order[0], order[-1])]
    return (
        field.field,
        *(NONE if value is None else short(value) for value in (field.default, field.chosen)),
        f"{len(field.complete)} of {len(field.complete) + len(field.stopped)}",
        NONE if importance is None else f"{importance.share:.0%}, p {p_value(importance.chance)}",
        *ends,
        NONE if response is None else p_value(response.chance),
    )


def reading(fields: Sequence[SearchedField], rungs: Sequence[int]) -> list[str]:
    """What a reader must know of importances and responses, and why there is none of some rows."""
    several = [each for each in fields if not each.alone]
    few = _arms([each for each in fields if each.response is None], fields)
    fewer = _arms([each for each in several if each.importance is None], several)
    lines = [
        "Of complete search trials, by the row's selector at the last step; responses.png shows them, and those that "
        "were stopped, whose values are of fewer steps.",
        "Response: the selector as a function of the field, lowest and highest with the half-width of the 95 % band, "
        "what other fields do counted as noise. p: how often scores dealt out by chance look as little like a "
        "constant; from 0.05 on the field cannot be told from one that does nothing. It is not adjusted: of twenty "
        "fields that do nothing one has a p below 0.05 by chance.",
    ]
    if several:
        lines.append(
            "Importance (PED-ANOVA): a field's share, beside the others', in what sets the best half of the trials "
            "apart from all; p as for the response, of that alone."
        )
    if rungs:
        lines.append(
            "Rungs leave the trials that were better early: what is seen is seen among these. "
            "ASHA(grace=1.0) stops none."
        )
    if few:
        lines.append(f"No response of {few}: a band from fewer than {LEAST_FITTED} complete trials cannot be trusted.")
    if fewer:
        lines.append(
            f"No importance of {fewer}: with fewer than {LEAST_COMPARED} complete trials fields would often stand in "
            "the wrong order."
        )
    return lines


def _arms(some: Sequence[SearchedField], every: Sequence[SearchedField]) -> str:
    """The rows of some fields, or that it is all of them; empty without any."""
    names = list(dict.fromkeys(each.arm for each in some))
    return "any row" if len(names) > 1 and len(some) == len(every) else arms_listed(names)
