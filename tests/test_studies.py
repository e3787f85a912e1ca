"""Every file in `studies/`: it loads without data, plans, and shrinks to a smoke run."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from platform import methods
from platform.commands.terminal.plan import describe
from platform.design.ablation.contrasts import contrasts
from platform.design.header import header
from platform.design.loading import load
from platform.design.plan import plan
from platform.methods import (
    FDA,
    AdaBN,
    Adversarial,
    Labelled,
    MajorityVote,
    Method,
    SourceOnly,
    TargetSupervised,
    TranslatedImages,
    Unlabelled,
)
from platform.methods.composition import Composition
from platform.networks import BiSeNet18, PIDNetSmall
from platform.shifts.labels import CAMVID_11
from platform.shifts.shift import DATA_VARIABLE
from platform.study import Recipe, Study
from platform.training.cost import cost_of
from platform.training.run import TrainingRun
from tests.support.checkout import Checkout
from tests.support.tiny_splits import CPU

FOLDER = Path(__file__).parents[1] / "studies"
FILES = sorted(FOLDER.glob("*.py"))
WHOLE = {"early_stopping", "families"}
"""Studies for replays and audits: no trial is stopped."""


@pytest.fixture(autouse=True)
def without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """A study is planned where its data are not."""
    monkeypatch.delenv(DATA_VARIABLE, raising=False)


def named(stem: str) -> Study:
    """The study of a file."""
    return load(FOLDER / f"{stem}.py").study


def test_the_questions_of_the_issue_are_there() -> None:
    names = {"quickstart", "comparison", "comparison_small", "fda_beta", "lambda_adv", "discriminator_width"}
    assert names <= {file.stem for file in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_study_asks_a_question(path: Path) -> None:
    file = load(path)
    assert file.question.endswith("?")
    assert file.name == path.stem


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_study_is_fair_and_bounded(path: Path) -> None:
    study = load(path).study
    planned = plan(study)
    tuned = [row for row in study.rows if not {AdaBN, MajorityVote} & {*row.arm.methods}]
    assert [row.arm.trains for row in study.rows] == [row in tuned for row in study.rows]
    assert path.stem in WHOLE or planned.warnings == ()
    searching = [row for row in tuned if row.lender is None]
    assert len({row.search_trials for row in searching}) == 1, "every row gets the same search, or takes part in one"
    assert study.seeds >= 3
    assert study.selector is not None, "no target label selects"
    assert any(arm.methods == (SourceOnly,) for arm in study.arms.values()), "a lower bound"
    assert all("learning_rate" in row.arm.ranges for row in tuned)
    assert all(len(arm.ranges) <= 5 for arm in study.arms.values())


def test_the_families_have_every_method_but_those_that_need_files() -> None:
    shelf = {entry for entry in vars(methods).values() if isinstance(entry, type) and issubclass(entry, Method)}
    study = named("families")
    assert {method for arm in study.arms.values() for method in arm.methods} == shelf - {Method, TranslatedImages}
    assert study.seeds == 5
    small = named("families_small")
    assert {name: small.arms[name] for name in small.arms} == {name: study.arms[name] for name in small.arms}
    assert (small.shift.size, small.shift.groups, small.seeds) == ((96, 128), CAMVID_11, 3)


@pytest.mark.parametrize("stem", ["batch_norm", "deviations", "comparison"])
def test_a_small_study_asks_the_same_of_photographs(stem: str) -> None:
    study, small = named(stem), named(f"{stem}_small")
    assert [*small.arms] == [*study.arms]
    assert (small.shift.size, small.shift.groups) == ((96, 128), CAMVID_11)
    assert {name: arm.cell for name, arm in small.arms.items()} == {name: arm.cell for name, arm in study.arms.items()}


@pytest.mark.parametrize("stem", ["networks", "networks_small"])
def test_the_studies_of_networks_have_the_same_rows_on_both(stem: str) -> None:
    rows: dict[Any, dict[str, Any]] = {}
    for name, arm in named(stem).arms.items():
        fields = dict(arm.fields)
        rows.setdefault(fields.pop("network"), {})[name.rpartition(", ")[0]] = (arm.methods, fields)
    one, other = rows.values()
    assert one == other


@pytest.mark.parametrize("path", [file for file in FILES if file.stem not in WHOLE], ids=lambda path: path.stem)
def test_early_stopping_saves_steps_and_trusts_no_single_evaluation(path: Path) -> None:
    study = load(path).study
    assert study.search is not None
    assert study.search.smoothing >= 3
    assert 0.2 <= study.rungs[0] / study.budget.steps < 0.5
    small = study.smoke()
    assert small.rungs, "the smoke run passes one too"
    for planned in (plan(study), plan(small)):
        assert planned.steps_at_least < planned.steps_at_most


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_plan_fits_the_terminal_before_and_after_shrinking(path: Path) -> None:
    file = load(path)
    for study in (file.study, file.study.smoke()):
        assert max(map(len, describe(study, f"{file.name}-smoke").splitlines())) <= 80
        assert [arm.name for arm in header(study, file.name, file.question, {}, file.source, "").arms] == list(
            study.arms
        )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_study_shrinks_to_rows_that_can_be_trained_here(path: Path) -> None:
    study = load(path).study
    small = study.smoke()
    assert list(small.arms) == list(study.arms)
    small.shift.check()
    for row in small.rows:
        trial = row.trial({}, 0, small.shift.identity())
        assert trial.steps == 4
        assert trial.recipe["network"].partition("(")[2] in (
            repr(BiSeNet18(width=0.125)).partition("(")[2],
            repr(PIDNetSmall(width=0.125)).partition("(")[2],
        )
        assert row.search_trials <= 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_two_rows_are_the_same(path: Path) -> None:
    study = load(path).study
    rows = [(arm.methods, arm.kind, dict(arm.fields), arm.follows) for arm in study.arms.values()]
    assert all(one != other for one, other in itertools.combinations(rows, 2))


def test_the_comparison_has_the_original_studys_rows_and_the_one_it_lacked() -> None:
    study = named("comparison")
    rows = {name: (arm.methods, arm.fields.get("separable", False)) for name, arm in study.arms.items()}
    assert rows == {
        "source only": ((SourceOnly,), False),
        "adversarial": ((Adversarial,), False),
        "lightweight adversarial": ((Adversarial,), True),
        "FDA": ((FDA,), False),
        "target supervised": ((TargetSupervised,), False),
    }
    assert study.shift.size == (512, 1024)
    assert study.recipe.network == BiSeNet18(pretrained=True)
    assert study.row("adversarial").cost.discriminator_parameters == 2_781_121
    assert study.row("lightweight adversarial").cost.discriminator_parameters == 191_364


def test_the_small_comparison_has_the_same_rows_at_a_laptops_size() -> None:
    small, full = named("comparison_small"), named("comparison")
    assert {name: arm.ranges for name, arm in small.arms.items()} == {
        name: arm.ranges for name, arm in full.arms.items()
    }
    assert (small.reference, small.select) == (full.reference, full.select)
    assert (small.shift.size, small.shift.groups) == ((96, 128), CAMVID_11)
    assert (small.recipe.network, small.seeds) == (BiSeNet18(width=0.25), 3)
    assert small.budget.gpus == 0
    assert plan(small).hours < 1, "on one core"


def test_the_bands_of_the_beta_study_are_those_it_means() -> None:
    study = named("fda_beta")
    bands = [row.trial({}, 1, {}).resolved["beta"]["band"] for row in study.rows if row.arm.methods == (FDA,)]
    assert bands == [0, 1, 5, 25, 46]


def test_the_weight_study_spans_the_published_value() -> None:
    arms = named("lambda_adv").arms.values()
    weights = [arm.fields["lambda_adv"] for arm in arms if arm.methods == (Adversarial,)]
    assert weights == sorted(weights)
    assert weights[0] == 0
    assert Adversarial().lambda_adv in weights
    assert max(weights) == 10 * Adversarial().lambda_adv


def test_the_discriminator_study_crosses_kind_and_width() -> None:
    study = named("discriminator_width")
    kinds = {
        name: (arm.fields["width"], arm.fields["separable"])
        for name, arm in study.arms.items()
        if arm.methods == (Adversarial,)
    }
    assert set(kinds.values()) == set(itertools.product((16, 32, 64), (False, True)))
    for name, (width, separable) in kinds.items():
        assert study.row(name).cost == cost_of(Composition((Adversarial(width=width, separable=separable),)), Recipe())
    assert kinds[study.reference] == (Adversarial().width, Adversarial().separable)


def test_the_batch_norm_study_crosses_the_discriminator_with_what_batch_norm_sees() -> None:
    study = named("batch_norm")
    crossed = [
        (arm.fields["lambda_adv"] == 0, arm.fields.get("batch_norm", study.recipe.batch_norm))
        for arm in study.arms.values()
        if arm.cell is not None
    ]
    assert sorted(crossed) == sorted(itertools.product((False, True), ("mixed", "source")))
    assert study.seeds == 5
    assert not any(arm.tuner for arm in study.arms.values()), "each row searches"


def test_the_deviations_study_tells_each_departure_from_the_others_and_their_pairs() -> None:
    study = named("deviations")
    cells = {name: arm.cell for name, arm in study.arms.items() if arm.cell is not None}
    found = contrasts(cells)
    departures = [contrast for contrast in found if len(contrast.parts) == 1]
    assert len(departures) == 7
    assert all(not contrast.aliases for contrast in departures)
    assert study.arms["FDA"].fields.keys() == {"beta", "learning_rate"}
    original = dict(study.arms["FDA bare"].fields)
    assert original.pop("learning_rate") == study.arms["FDA"].fields["learning_rate"]
    assert {field: repr(value) for field, value in original.items()} == {
        "beta": "0.1",
        "on_raw_images": "False",
        "symmetric": "False",
        "shuffled": "False",
        "network": "BiSeNetOnCaffeInput(width=0.25, pretrained=False)",
        "decays_by": "'epoch'",
        "batch_norm": "'source'",
        "augmentation": "'none'",
    }


def batch_of(value: tuple[int, int, int], random: np.random.Generator) -> torch.Tensor:
    """Images about one colour."""
    noise = random.normal(0, 5, (2, 3, 32, 64))
    return torch.from_numpy((np.array(value)[:, None, None] + noise).astype(np.float32))


def test_the_original_fda_lends_brightness_the_wrong_way_and_ours_the_right_way() -> None:
    """Where the mean that is subtracted lies between those of source and target, the offset has the opposite sign."""
    method: Any = named("deviations").arms["FDA"].methods[0]
    random = np.random.default_rng(0)
    source, target = batch_of((160, 150, 140), random), batch_of((90, 90, 80), random)
    labelled = Labelled(
        source, torch.zeros(2, 32, 64, dtype=torch.int64), torch.arange(2), torch.zeros(2, dtype=torch.int64)
    )
    for raw, symmetric in itertools.product((True, False), repeat=2):
        made = method(on_raw_images=raw, symmetric=symmetric, beta=0.1)
        lent = made.translate(labelled, Unlabelled(target, torch.arange(2)), {})
        mean = torch.tensor([0.0, 0.0, 0.0] if raw else [122.67891434, 116.66876762, 104.00698793])
        expected = mean + (target.mean((0, 2, 3)) - mean).abs() * (source.mean((0, 2, 3)) - mean).sign()
        assert lent.mean((0, 2, 3)).numpy() == pytest.approx(expected.numpy(), abs=1)
    ours = method(beta=0.1).translate(labelled, Unlabelled(target, torch.arange(2)), {})
    assert torch.equal(ours, FDA(beta=0.1).translate(labelled, Unlabelled(target, torch.arange(2)), {}))


def test_the_original_recipe_keeps_the_order_and_lowers_the_learning_rate_by_epochs() -> None:
    kind: Any = named("deviations").arms["FDA"].kind
    original, ours = kind(shuffled=False, decays_by="epoch"), kind()
    assert [list(original.order(1, "labelled", epoch, 5)) for epoch in range(2)] == [[0, 1, 2, 3, 4]] * 2
    assert ours.order(1, "labelled", 3, 50) == Recipe().order(1, "labelled", 3, 50)
    rates = [original.schedule(step, 520) for step in range(520)]
    assert rates == pytest.approx([(1 - step // 10 / 52) ** 0.9 for step in range(520)])
    assert [ours.schedule(step, 520) for step in range(520)] == [Recipe().schedule(step, 520) for step in range(520)]


def test_the_original_networks_input_is_blue_green_red_less_a_mean() -> None:
    bare = named("deviations").row("FDA bare").filled({})[1]
    network = bare.build()
    images = torch.rand(2, 3, 8, 8) * 255
    blue_first = images.numpy()[:, ::-1] - np.array([104.00698793, 116.66876762, 122.67891434])[:, None, None]
    assert network.get_submodule("normalise")(images).numpy() == pytest.approx(blue_first, abs=1e-3)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_row_of_a_study_trains(path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    small = load(path).study.smoke()
    splits = small.shift.open()
    for row in small.rows:
        trial = row.trial({}, 1, small.shift.identity())
        composed, recipe = row.filled(trial.values(row.dimensions))
        given = [recipe.network.build() for _ in row.given]
        run = TrainingRun(composed, recipe, splits, trial.seed, trial.steps, CPU, given)
        noted = run.advance(trial.steps)
        labelled = row.arm.reads & {"source", "oracle"}
        assert noted["loss/cross_entropy"] > 0 if labelled else noted == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["quickstart", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("comparison", "families_small"))],
)
def test_a_study_smokes(name: str, fresh_checkout: Checkout) -> None:
    """By the real command: of a study for the town, and of one for data that a smoke run does not need."""
    code, output = fresh_checkout.study(f"studies/{name}.py", "--smoke")
    assert code == 0, output
    table = pd.read_csv(fresh_checkout.root / f"results/{name}-smoke/table.csv")
    assert len(table) >= 5
    assert (table["scores/seeds"] == 1).all()
