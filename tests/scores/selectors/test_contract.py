"""What every selector promises. A new one joins by its name in LABEL_FREE or ORACLE."""

import pytest

from platform.scores.selectors import LABEL_FREE, ORACLE, check_selector
from tests.support.invented_study import made

SELECTORS = (*LABEL_FREE, *ORACLE)


def test_no_name_stands_for_two_selectors() -> None:
    assert len(set(SELECTORS)) == len(SELECTORS)


@pytest.mark.parametrize("name", SELECTORS)
def test_a_selector_is_known_by_its_domain_and_its_measure(name: str) -> None:
    check_selector(name)
    domain, measure = name.split("/")
    assert domain
    assert measure


@pytest.mark.parametrize("name", LABEL_FREE)
def test_without_target_labels_nothing_is_called_an_oracle(name: str) -> None:
    assert not name.startswith("oracle/")
    assert not made(select=name)[3].selected_by_oracle


@pytest.mark.parametrize("name", ORACLE)
def test_with_target_labels_a_selector_is_called_an_oracle_and_its_table_says_so(name: str) -> None:
    assert name.startswith("oracle/")
    assert made(select=name)[3].selected_by_oracle


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("source/mIoU", "Did you mean 'source/miou'?"),
        ("orcale/accuracy", "Did you mean 'oracle/accuracy'?"),
        ("target/miou", ""),
        ("", ""),
    ],
)
def test_an_unknown_selector_is_refused_by_name_with_those_there_are(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=r"Study\.select must be one of") as refusal:
        check_selector(name)
    message = str(refusal.value)
    assert repr(name) in message
    assert hint in message
    assert all(known in message for known in SELECTORS)
