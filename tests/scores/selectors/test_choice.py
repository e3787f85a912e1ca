"""A study's choice of a selector: names, selectors of one's own, and what decides their scores."""

import subprocess
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from platform.commands.exits import BadInput
from platform.design.loading import StudyFileError
from platform.methods import SourceOnly
from platform.records.provenance import ROOT
from platform.scores import evidence as scores_evidence
from platform.scores.evidence import Evidence
from platform.scores.selectors import SHELF, EnsV, Entropy, GatedRanks, Selector, SoftNeighbourhoodDensity
from platform.scores.selectors.choice import LONGEST, ORACLE, OWN, chosen, identity_of, name_of, tried
from platform.scores.selectors.clusters import soft_neighbourhood_density
from platform.scores.selectors.dispersity import nuclear_norm
from platform.scores.selectors.example import example
from platform.scores.selectors.source import miou as source_miou
from platform.shifts import town
from platform.study import Arm, Budget, Study
from tests.support.own_selectors import loaded, of, scored, selector_of, study


@dataclass(frozen=True, kw_only=True)
class Sure(Selector):
    """Mean of the largest logit."""

    weight: float = 1.0

    def score(self, evidence: Evidence) -> float:
        return self.weight * float(evidence.target.logits.max(axis=1).mean())


def named(name: Any) -> Selector:
    """A selector of the user's own that is called so."""

    @dataclass(frozen=True)
    class Named(Sure):
        pass

    Named.name = name
    return Named()


class Choice(Enum):
    ENTROPY = "target/entropy"


# By name


@pytest.mark.parametrize("selector", SHELF, ids=lambda each: each.name)
def test_a_selector_of_the_shelf_is_chosen_by_its_name_or_as_it_is(selector: Selector) -> None:
    assert chosen(selector.name) == selector
    assert chosen(selector) is selector
    assert name_of(selector) == name_of(selector.name) == selector.name


@pytest.mark.parametrize("name", ORACLE)
def test_target_labels_are_chosen_by_their_name_and_are_no_selector(name: str) -> None:
    assert chosen(name) is None
    assert name_of(name) == name


@pytest.mark.parametrize("name", [np.str_("target/entropy"), np.array("target/entropy"), Choice.ENTROPY])
def test_a_name_from_an_array_or_an_enumeration_is_a_name(name: Any) -> None:
    assert chosen(name) == Entropy()
    assert type(name_of(name)) is str
    assert name_of(name) == "target/entropy"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("target/entropi", "target/entropy"),
        ("entropy", "target/entropy"),
        ("source/mIoU", "source/miou"),
        ("orakle/miou", "oracle/miou"),
        ("population/gated_rank", "population/gated_ranks"),
    ],
)
def test_a_near_miss_is_told_what_it_may_mean(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"got {name!r}. Did you mean {meant!r}?"):
        chosen(name)


@pytest.mark.parametrize("name", ["", "best", "oracle", "oracle/", "oracle/test", None, 3, object()])
def test_any_other_is_refused_with_all_names(name: Any) -> None:
    with pytest.raises(
        ValueError, match=r"^Study\.select must be one of source/miou, .*, or a Selector of your own, got "
    ):
        chosen(name)


@pytest.mark.parametrize("kind", [Sure, Entropy, EnsV])
def test_a_class_is_told_to_be_called(kind: Any) -> None:
    with pytest.raises(ValueError, match=rf"got <class '.*'>\. Call it: {kind.__name__}\(\)\.$"):
        chosen(kind)


def test_one_of_the_shelf_with_other_settings_is_refused_which_tables_could_not_tell() -> None:
    said = (
        r"must be 'target/snd' as it is, .* got SoftNeighbourhoodDensity\(temperature=0.1\), .* derive one of your own"
    )
    with pytest.raises(ValueError, match=said):
        chosen(SoftNeighbourhoodDensity(temperature=0.1))
    assert chosen(SoftNeighbourhoodDensity()) == SoftNeighbourhoodDensity()


def test_one_of_ones_own_may_be_derived_from_one_of_the_shelf_with_other_settings() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Wider(GatedRanks):
        name: ClassVar[str] = "own/wider"
        gate: float = 0.25

    assert chosen(Wider()) == Wider()
    assert name_of(Wider()) == "own/wider"


def test_a_study_says_the_same_when_it_is_made() -> None:
    budget = Budget(steps=4, evaluations=2)
    arguments: dict[str, Any] = {"arms": {"a": Arm(SourceOnly)}, "reference": "a", "budget": budget}
    made = Study(shift=town(size=(64, 64)), select=Sure(weight=2.0), **arguments)
    assert made.selector == Sure(weight=2.0)
    assert made.selected_by == "own/Sure"
    assert {row.selector for row in made.rows} == {"own/Sure"}
    with pytest.raises(ValueError, match=r"Study\.select must be one of"):
        Study(shift=town(size=(64, 64)), select="target/entropi", **arguments)
    with pytest.raises(ValueError, match=r"must be 'last' with population/ensv, which compares trials at one step"):
        Study(shift=town(size=(64, 64)), select=EnsV(), checkpoint="selected", **arguments)


# Of one's own


def test_one_without_a_name_is_called_by_its_class() -> None:
    assert name_of(Sure()) == "own/Sure"
    assert chosen(Sure()) == Sure()


@pytest.mark.parametrize("name", ["own/sure", "own/sicher wie 1 β", np.str_("own/sure")])
def test_one_has_the_name_that_it_says(name: str) -> None:
    assert name_of(named(name)) == name
    assert chosen(named(name)) is not None


@pytest.mark.parametrize(
    "name", ["target/entropy", "source/miou", "loss/entropy", "learning_rate", "oracle/mine", "Own/a"]
)
def test_a_name_that_does_not_begin_with_own_is_refused(name: str) -> None:
    """It is a selector's of the shelf, a metric's that trials report, or one of target labels."""
    with pytest.raises(ValueError, match=rf"^Named\.name must begin with {OWN}, got '{name}'; other names are metrics"):
        chosen(named(name))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("two\nlines", "must be one line of text whose every character can be shown"),
        ("a\x1b[31mred", "must be one line of text whose every character can be shown"),
        ("zero\u200bwidth", "must be one line of text whose every character can be shown"),
        (" ", "must be one line of text"),
        ("own/" + "x" * (LONGEST - 3), f"must have at most {LONGEST} bytes, got {LONGEST + 1}"),
        ("ü" * LONGEST, f"must have at most {LONGEST} bytes, got {2 * LONGEST}"),
        ("\u0301above", "must not begin with a mark"),
    ],
)
def test_a_name_that_tables_cannot_show_is_refused(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^the name of Named {said}"):
        chosen(named(name))


@pytest.mark.parametrize("value", [(1, 2), [1], {"a": 1}, np.zeros(3), None, Sure(), print, b"bytes"])
def test_a_setting_that_is_no_plain_value_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^Sure\.weight must be a number or a text, got "):
        chosen(Sure(weight=value))


@pytest.mark.parametrize("value", [2, True, "much", np.float32(0.1), np.int64(3), np.str_("much"), np.array(0.5)])
def test_a_setting_is_a_number_or_a_text_whichever_librarys(value: Any) -> None:
    assert chosen(Sure(weight=value)) is not None


def test_settings_that_can_change_are_refused() -> None:
    class Loose(Sure):
        """It has the settings of its base, which are frozen, and is no dataclass itself."""

    with pytest.raises(ValueError, match=r"^Loose must be a frozen dataclass; write @dataclass\(frozen=True, kw_only="):
        chosen(Loose())


def test_one_without_settings_need_be_no_dataclass() -> None:
    class Plain(Selector):
        name: ClassVar[str] = "own/plain"

        def score(self, evidence: Evidence) -> float:
            return 1.0

    assert name_of(Plain()) == "own/plain"
    assert chosen(Plain()) is not None


# What decides its scores

TEXT = study(
    of("# most\nreturn self.weight * first(evidence)", fields="weight: float = 1.0"),
    "import helper\nSCALE = 2.0\n\n\ndef first(evidence):\n    return SCALE * helper.second(evidence)",
)
HELPER = "def second(evidence):\n    return float(evidence.target.entropy)\n"


def identity(folder: Path, text: str = TEXT, helper: str = HELPER) -> str:
    with loaded(folder, text, {"helper.py": helper}) as file:
        return identity_of(selector_of(file))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Own()", "Own(weight=2.0)"),
        ("weight: float = 1.0", "weight: float = 3.0"),
        ("SCALE = 2.0", "SCALE = 2.5"),
        ("return SCALE *", "return -SCALE *"),
        ("self.weight * first", "-self.weight * first"),
        ("class Own(", "class Other(Selector):\n    pass\n\n\nclass Own(Other, "),
        ("float(evidence.target.entropy)", "-float(evidence.target.entropy)"),
    ],
)
def test_an_identity_changes_with_settings_and_with_code_wherever_it_is(
    tmp_path: Path, before: str, after: str
) -> None:
    text, helper = (each.replace(before, after) for each in (TEXT, HELPER))
    assert (text, helper) != (TEXT, HELPER)
    assert identity(tmp_path / "then") != identity(tmp_path / "now", text, helper)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# most", "# least, and # more"),
        ("# most\n", '"""What it is."""\n'),
        ("return SCALE * helper", "return (\n        SCALE * helper"),
        ("self, evidence)", "self, evidence: object) -> float"),
        ("SCALE = 2.0", "OTHER = 3.0\nSCALE = 2.0"),
        ("steps=4", "steps=8"),
        ("return float(evidence", "# half\n    return float(evidence"),
    ],
)
def test_an_identity_does_not_change_with_comments_layout_or_the_study(tmp_path: Path, before: str, after: str) -> None:
    text, helper = (each.replace(before, after) for each in (TEXT, HELPER))
    if after.endswith("(\n        SCALE * helper"):
        text = text.replace("second(evidence)\n", "second(evidence)\n    )\n")
    assert (text, helper) != (TEXT, HELPER)
    assert identity(tmp_path / "then") == identity(tmp_path / "now", text, helper)


def test_an_identity_is_one_line_that_names_the_class_and_its_settings() -> None:
    assert "\n" not in identity_of(Sure(weight=0.5))
    assert "Sure(weight=0.5) " in identity_of(Sure(weight=0.5))
    assert identity_of(GatedRanks()).startswith(f"{GatedRanks()!r} ")
    assert identity_of(GatedRanks(gate=0.25)) != identity_of(GatedRanks())
    assert identity_of(Entropy()) == identity_of(Entropy())


@pytest.mark.parametrize(
    ("module", "changes"),
    [
        (nuclear_norm, {"target/nuclear_norm", "target/norm_and_prior", "population/gated_ranks"}),
        (soft_neighbourhood_density, {"target/snd"}),
        (source_miou, {"source/miou", "population/gated_ranks"}),
        (scores_evidence, {selector.name for selector in SHELF}),
    ],
)
def test_an_identity_of_the_shelf_changes_with_all_that_it_computes_with_and_with_nothing_else(
    module: Any, changes: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {selector.name: identity_of(selector) for selector in SHELF}
    (tmp_path / "changed.py").write_text(Path(module.__file__).read_text(encoding="utf-8") + "\nMORE = 1\n", "utf-8")
    monkeypatch.setattr(module, "__file__", str(tmp_path / "changed.py"))
    assert {selector.name for selector in SHELF if identity_of(selector) != before[selector.name]} == changes


def test_an_identity_of_ones_own_changes_with_the_code_of_the_shelf_that_it_may_build_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = identity_of(Sure())
    (tmp_path / "changed.py").write_text(
        Path(nuclear_norm.__file__).read_text(encoding="utf-8") + "\nMORE = 1\n", "utf-8"
    )
    monkeypatch.setattr(nuclear_norm, "__file__", str(tmp_path / "changed.py"))
    assert identity_of(Sure()) != before


# Tried before anything is trained


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return evidence.target.logit.mean()", "AttributeError: 'Sampled' object has no attribute 'logit' at own.py:"),
        ("return 1 / 0", "ZeroDivisionError: division by zero at own.py:"),
        ("raise SystemExit(3)", "SystemExit: 3 at own.py:"),
        ("pass", "Own must give a finite number for a checkpoint, got None"),
        ("return float('nan')", "Own must give a finite number for a checkpoint, got nan"),
        ("import random; return random.random()", "Own must give the same evidence the same score, got 0."),
    ],
)
def test_a_mistake_is_found_on_evidence_that_is_made_up(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        scored(tmp_path, study(of(body)), [])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_selector_says_neither_of_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"must have score\(self, evidence\), got neither it nor scores"):
        scored(tmp_path, study("class Own(Selector):\n    pass\n"), [])


def test_the_shelf_takes_what_it_is_tried_on() -> None:
    np.ma.count([])  # imports what np.unique would
    for selector in (*SHELF, Sure()):
        tried(selector)


def test_the_shelf_takes_what_it_is_tried_on_in_a_process_that_has_done_nothing_else() -> None:
    code = """
from platform.scores.selectors import SHELF
from platform.scores.selectors.choice import tried
for selector in SHELF:
    tried(selector)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_mistake_of_the_class_is_one_of_the_file_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match=r"own\.py:\d+: Own\.weights must be a number or a text, got tuple$"):
        scored(tmp_path, study(of("return 1.0", fields="weights: tuple = (1.0, 2.0)")), [])


# What an honest one uses

HONEST = {
    "scipy": ("from scipy import special", "return -special.entr(p).sum(axis=1).mean()"),
    "scipy's statistics": ("from scipy import stats", "return stats.entropy(p, axis=1).mean()"),
    "scipy's clusters": ("from scipy.cluster import vq", "return vq.kmeans2(p, 3, seed=0)[0].mean()"),
    "scipy's optimisation": (
        "from scipy import optimize",
        "return optimize.minimize(lambda w: ((p @ w - 1) ** 2).mean(), p[0]).fun",
    ),
    "torch": ("import torch", "return torch.linalg.matrix_norm(torch.from_numpy(p), ord='nuc')"),
    "gradients": (
        "import torch",
        "w = torch.zeros(19, requires_grad=True, dtype=torch.float64)\n"
        "(torch.from_numpy(p) @ w - 1).square().mean().backward()\nreturn w.grad.sum()",
    ),
    "numpy's linear algebra": ("", "return np.linalg.svd(evidence.target.products)[1].sum()"),
    "numpy's randomness": ("", "return np.random.default_rng(0).permutation(p[:, 0])[0]"),
    "a cached function": (
        "import functools\n\n\n@functools.cache\ndef twice(x):\n    return 2 * x",
        "return twice(3.0)",
    ),
    "part of a function": ("import functools\n\ntwice = functools.partial(np.multiply, 2)", "return twice(p.max())"),
    "constants": (
        "WEIGHTS = np.arange(19) / 19\nNAMES = {'road': 0}",
        "return p.mean(axis=0) @ WEIGHTS + NAMES['road']",
    ),
    "a table": ("TABLE = np.zeros((19, 19))", "return (TABLE * evidence.flipped.counts).sum()"),
    "a helper": ("def half(x):\n    return x / 2", "return half(evidence.target.entropy)"),
    "a module beside it": ("import helper", "return helper.second(evidence) * helper.SCALE"),
    "a name of it": ("from helper import second as other", "return other(evidence)"),
    "selectors of the shelf": (
        "from platform.scores.selectors import Entropy, NuclearNorm",
        "return Entropy().score(evidence) + NuclearNorm().score(evidence)",
    ),
    "a logger": ("import logging\nlog = logging.getLogger('own')", "log.info('one')\nreturn 1.0"),
    "a warning": ("import warnings", "warnings.warn('one')\nreturn 1.0"),
}


@pytest.mark.parametrize("way", HONEST.values(), ids=HONEST)
def test_an_honest_selector_is_not_refused(way: tuple[str, str], tmp_path: Path) -> None:
    before, body = way
    text = study(of(f"p = evidence.target.probabilities.astype(float)\n{body}"), before)
    helper = {"helper.py": f"SCALE = 0.5\n\n\n{HELPER}"}
    scores = scored(tmp_path, text, [example(3), example(4)], helper)
    assert np.isfinite(scores).all()
    assert scored(tmp_path / "again", text, [example(3), example(4)], helper) == scores
