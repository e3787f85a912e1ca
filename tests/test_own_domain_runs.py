"""The study file of docs/data.md, with a data set of one's own, from its plan to its table."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from platform.design.loading import load
from platform.design.plan import plan
from platform.records.provenance import ROOT
from platform.shifts.pair import Pair
from tests.support.checkout import Checkout
from tests.support.small_domains import Invented, write

SHOWN: str = re.findall(r"```python\n(.*?)```", (ROOT / "docs/data.md").read_text(), re.DOTALL)[0]
SMALL = {
    "size=(512, 1024)": "size=(32, 64)",
    "Budget(steps=20_000, evaluations=20)": "Budget(steps=2, evaluations=2)",
    "seeds=5": "seeds=1, recipe=Recipe(network=BiSeNet18(width=0.0625), batch=2)",
    "import Arm, Budget, Study": "import Arm, Budget, Recipe, Study\nfrom platform.networks import BiSeNet18",
}


def small() -> str:
    """The study that is shown, so small that it runs in seconds."""
    text = SHOWN
    for shown, replaced in SMALL.items():
        assert shown in text
        text = text.replace(shown, replaced)
    return text


def test_the_study_that_is_shown_can_be_planned_and_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLATFORM_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "shown.py").write_text(SHOWN)
    file = load(tmp_path / "shown.py")
    assert plan(file.study).warnings == ()
    assert isinstance(file.study.shift, Pair)
    assert json.dumps(file.study.shift.identity()), "a plan needs no data"
    domain = SHOWN[SHOWN.index("@dataclass") : SHOWN.index("study = ")].strip().splitlines()
    assert len([line for line in domain if line]) <= 12


@pytest.mark.slow
def test_a_study_with_a_domain_of_ones_own_ends_in_a_table(fresh_checkout: Checkout, tmp_path: Path) -> None:
    data = tmp_path / "data"
    write(data / "renderings", Invented("renderings"), ["train", "val"])
    write(data / "photographs", Invented("photographs", size=(48, 80), seed=1), ["adapt", "val", "test"])
    path = fresh_checkout.write("own.py", small())
    code, output = fresh_checkout.study(path, PLATFORM_DATA=str(data))
    assert code == 0, output
    table = pd.read_csv(fresh_checkout.root / "results/own/table.csv").set_index("arm")
    assert list(table.index) == ["source only", "FDA"]
    assert table["scores/miou"].between(0, 1).all()
    assert "renderings to photographs" in (fresh_checkout.root / "results/own/table.md").read_text()
