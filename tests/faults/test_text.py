"""A study whose names any format could take for its own signs, on an output that is not UTF-8: whole, and in MLflow."""

import csv

import pytest

from tests.support.checkout import Checkout
from tests.support.mlflow_contents import runs
from tests.support.nasty_names import NASTY

pytestmark = pytest.mark.slow

NAME = "v1.2 (β) #1 50%;&'"
TEXT = f'''"""Do names survive? \\x1b[31m{{}} & <b>$x_1$</b>"""

from platform.methods import SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import town
from platform.study import Arm, Budget, Recipe, Study


class Größe(SourceOnly):
    """A class of the study file's own."""


names = {NASTY[:8]!r}
study = Study(
    shift=town(size=(64, 64), source_images=(8, 4), target_images=(8, 4, 4)),
    arms={{name: Arm(Größe, momentum=0.1 * number) for number, name in enumerate(names)}},
    reference=names[0],
    budget=Budget(steps=1, evaluations=1),
    seeds=1,
    recipe=Recipe(network=BiSeNet18(width=0.0625), batch=2),
)
'''


def test_names_and_output(fresh_checkout: Checkout) -> None:
    file = fresh_checkout.write(f"{NAME}.py", TEXT)
    code, output = fresh_checkout.study(file, PYTHONIOENCODING="ascii")
    assert code == 0, output
    assert "Traceback" not in output
    assert "\\u03b2" in output
    with (fresh_checkout.root / "results" / NAME / "table.csv").open(encoding="utf-8") as table:
        assert [line["arm"].removeprefix("'") for line in csv.DictReader(table)] == list(NASTY[:8])
    held = runs(f"sqlite:///{fresh_checkout.root}/mlflow.db", NAME)
    assert held.keys() == {NAME, *(f"{arm} seed 1" for arm in NASTY[:8])}
    assert {run.info.status for run in held.values()} == {"FINISHED"}
    assert {run.data.params["method"] for name, run in held.items() if name != NAME} == {"Größe"}
    assert fresh_checkout.study(file, "--report", PYTHONIOENCODING="ascii")[0] == 0


@pytest.mark.thorough
def test_paths_of_any_bytes(fresh_checkout: Checkout) -> None:
    """As an old archive leaves them; Ray notes the command that began a study, and takes only text."""
    (fresh_checkout.root / "studies/\udcff").mkdir()
    file = fresh_checkout.write("\udcff/bytes.py", TEXT)
    code, output = fresh_checkout.study(file, "--results", str(fresh_checkout.root / "r\udce9sultats"))
    assert code == 0, output
    assert (fresh_checkout.root / "r\udce9sultats/bytes/comparison.png").is_file()
    assert runs(f"sqlite:///{fresh_checkout.root}/mlflow.db", "bytes")["bytes"].info.status == "FINISHED"
