"""The studies of the documents on methods and networks of one's own, through the real command, as they are shown."""

import re

import pandas as pd
import pytest

from platform.records.provenance import ROOT
from tests.support.checkout import Checkout

SHOWN = {
    "own_method": ["source only", "certain"],
    "own_network": ["BiSeNet", "three", "three, wider"],
}
"""Documents, and the rows of the study that each shows."""


def shown(document: str) -> str:
    (text,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / f"{document}.md").read_text(), re.DOTALL)
    return str(text)


def test_a_method_of_ones_own_takes_ten_lines() -> None:
    text = shown("own_method")
    method = text[text.index("@dataclass") : text.index("study = ")].strip().splitlines()
    assert len([line for line in method if line]) <= 10


@pytest.mark.slow
@pytest.mark.parametrize("document", SHOWN)
def test_the_study_that_is_shown_runs_as_it_is(fresh_checkout: Checkout, document: str) -> None:
    path = fresh_checkout.write(f"{document}.py", shown(document))
    code, output = fresh_checkout.study(path, "--plan")
    assert code == 0, output
    assert "note:" not in output
    code, output = fresh_checkout.study(path, "--smoke")
    assert code == 0, output
    table = pd.read_csv(fresh_checkout.root / "results" / f"{document}-smoke" / "table.csv").set_index("arm")
    assert list(table.index) == SHOWN[document]
    assert table["scores/miou"].between(0, 1).all()
    code, output = fresh_checkout.study(path, "--smoke", "--report")
    assert code == 0, output
    replayed = fresh_checkout.start(f"results/{document}-smoke", module="platform.replay")
    said, _ = replayed.communicate(timeout=300)
    assert replayed.returncode == 0, said
