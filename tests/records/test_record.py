"""What records say of themselves: the names of trials, the groups of a study."""

import pytest

from platform.records.record import Ask, Phase
from platform.records.trial import Trial
from tests.support.invented_study import study


@pytest.mark.parametrize(
    ("phase", "number", "seed", "label"), [("search", 3, 0, "search 3"), ("confirm", 0, 1, "seed 1")]
)
def test_a_search_trial_is_called_by_its_number_and_a_confirm_trial_by_its_seed(
    phase: Phase, number: int, seed: int, label: str
) -> None:
    asked = Ask("FDA beta=0.01", phase, number, Trial("FDA", {}, {}, {"name": "town"}, {}, seed, 20, 2, 1, "code"))
    assert (asked.label, asked.name) == (label, f"FDA beta=0.01 {label}")


def test_groups_read_back_from_json_are_tuples() -> None:
    header = study(groups=((0,), (1, 2)))
    assert header.shift["groups"] == [[0], [1, 2]]
    assert header.groups == ((0,), (1, 2))
