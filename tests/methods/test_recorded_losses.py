"""Mean losses of every method's steps 1 to 10 and 11 to 20, which a refactoring must leave as they are.

Other threads or kernels move them less than 1e-4: the learning rate is too low for rounding errors to grow.
`python -m tests.methods.test_recorded_losses` writes `fixtures/recorded_losses.json` anew, where a method joins, or a
change is meant to change what one learns.
"""

import json

import pytest

from platform.methods import Method
from platform.records.provenance import ROOT
from tests.support.shelf import METHODS, TRANSLATED
from tests.support.tiny_splits import training_run

FILE = ROOT / "tests/fixtures/recorded_losses.json"
TRAINED = {str(method).replace(TRANSLATED, "translated"): method for method in METHODS if method.reads - {"target"}}


def halves(method: Method) -> dict[str, list[float]]:
    run = training_run(method, batch=4, learning_rate=1e-3)
    first, second = run.advance(10), run.advance(10)
    return {name: [first[name], second[name]] for name in first if name.startswith("loss/") and name in second}


@pytest.mark.parametrize("name", TRAINED)
def test_losses_are_the_recorded_ones(name: str) -> None:
    recorded = json.loads(FILE.read_text())[name]
    assert halves(TRAINED[name]) == {name: pytest.approx(values, rel=2e-3) for name, values in recorded.items()}


def test_nothing_is_recorded_of_what_is_not_on_the_shelf() -> None:
    assert json.loads(FILE.read_text()).keys() == TRAINED.keys()


if __name__ == "__main__":
    rounded = {
        name: {term: [float(f"{value:.5g}") for value in values] for term, values in halves(method).items()}
        for name, method in TRAINED.items()
    }
    FILE.write_text(json.dumps(rounded, indent=1) + "\n")
