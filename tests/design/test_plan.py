"""Plans: numbers against a hand's computation, and text that fits a terminal."""

import re
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from rich.cells import cell_len
from torch import Tensor, nn

from platform.commands.terminal.plan import describe
from platform.design.plan import plan
from platform.methods import FDA, AdaBN, Adversarial, MinEnt, SourceOnly
from platform.networks import Architecture, BiSeNet18, Network, Prediction
from platform.running.placement import Offer
from platform.shifts import gta5_to_cityscapes, town
from platform.shifts.labels import CAMVID_11
from platform.study import ASHA, Arm, Budget, LogUniform, OneOf, Recipe, Study
from platform.training.cost import Uncounted, cost_of
from platform.training.run import TrainingRun
from tests.support.nasty_names import NASTY
from tests.support.planned_study import ARMS, LEARNING_RATE, study
from tests.support.taught import Beside, Deploying, Descending, Mean
from tests.support.tiny_splits import composition


class PlainNetwork(Network):
    """One convolution: neither a backbone nor norms."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 19, 1)

    def forward(self, images: Tensor, domain: str = "target", auxiliary: bool = False) -> Prediction:
        return Prediction(self.layer(images), (), images)


@dataclass(frozen=True, kw_only=True)
class Plain(Architecture):
    """Its description."""

    def build(self) -> Network:
        return PlainNetwork()


def test_rows_trials_and_steps() -> None:
    planned = plan(study())
    assert [(row.name, row.search_trials, len(row.confirm_numbers)) for row in study().rows] == [
        ("source only", 12, 5),
        ("adversarial", 12, 5),
        ("FDA", 12, 5),
        ("FDA 0.05", 12, 5),
        ("target supervised", 12, 5),
    ]
    assert planned.trials == 5 * 17
    assert planned.steps_at_most == 5 * 17 * 20_000
    # Per row: 5 confirm trials, and of 12 search trials 6 come past the rung at 4,000, 3 past 8,000 and 1 past 16,000.
    assert planned.steps_at_least == 5 * (5 * 20_000 + 12 * 4_000 + 6 * 4_000 + 3 * 8_000 + 1 * 4_000)
    stopping = plan(study(search=ASHA(trials=12, promote=False)))
    assert stopping.steps_at_least == 5 * (6 * 20_000 + 11 * 4_000), "all but one are stopped at the first rung"
    assert planned.warnings == ()


def test_a_row_without_ranges_is_confirmed_only() -> None:
    planned = plan(study(arms={"source only": Arm(SourceOnly), "FDA": ARMS["FDA"]}))
    assert [(each.row.search_trials, len(each.row.confirm_numbers)) for each in planned.rows] == [(0, 5), (12, 5)]
    assert planned.steps_at_least == 5 * 20_000 + 5 * 20_000 + 100_000


def test_nothing_is_stopped_without_rungs() -> None:
    planned = plan(study(search=ASHA(trials=12, grace=1)))
    assert planned.steps_at_least == planned.steps_at_most
    unsearched = plan(study(arms={"source only": Arm(SourceOnly)}, search=None))
    assert unsearched.steps_at_least == unsearched.steps_at_most == 100_000


def test_the_cost_is_that_of_every_pass() -> None:
    planned = plan(study())
    # One image of 256 x 512 is a quarter of what costs are counted for; a pass takes 3 passes' operations with its
    # gradients, and the two judgements 7, since the target's is gone back through twice.
    whole = cost_of(composition(Adversarial()), Recipe())
    network, discriminator = whole.deployed_gflops / 4, whole.discriminator_gflops / 4
    forward = {
        "source only": 4 * network,
        "adversarial": 8 * (2 * network + 7 / 3 * discriminator),
        "FDA": 4 * 2 * network,
        "FDA 0.05": 4 * 2 * network,
        "target supervised": 4 * network,
    }
    for each in planned.rows:
        name = each.row.name
        assert each.petaflops == pytest.approx(17 * 20_000 * 3 * forward[name] / 1e6, rel=0.03), name
    assert planned.petaflops == pytest.approx(sum(each.petaflops for each in planned.rows))
    assert planned.hours == pytest.approx(planned.petaflops * 1e15 / 5e12 / 3600)
    assert "GPU" in planned.device


def test_a_row_that_sees_no_target_costs_half() -> None:
    by_name = {each.row.name: each.petaflops for each in plan(study()).rows}
    assert by_name["FDA 0.05"] == pytest.approx(2 * by_name["source only"])
    assert by_name["target supervised"] == pytest.approx(by_name["source only"])


def test_a_row_that_trains_nothing_has_nothing_to_search() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Resting(SourceOnly):
        reads: ClassVar[frozenset[str]] = frozenset()

    late = Arm(Resting).after("source only")
    assert plan(study(arms={"source only": ARMS["source only"], "resting": late})).warnings == ()


def test_what_a_method_says_of_its_arm_is_said_in_its_own_words() -> None:
    with pytest.raises(Uncounted) as error:
        plan(study(arms={"source only": ARMS["source only"], "late": Arm(AdaBN)}))
    assert str(error.value) == """arm 'late': AdaBN adapts a trained network; write Arm(AdaBN).after("source only")"""


def test_a_study_without_gpus_is_estimated_for_a_core() -> None:
    planned = plan(study(budget=Budget(steps=400, evaluations=4)))
    assert "CPU core" in planned.device
    assert planned.hours == pytest.approx(planned.petaflops * 1e15 / 0.02e12 / 3600)


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        (
            {"shift": town(), "arms": {"source only": ARMS["source only"], "FDA": ARMS["FDA"]}},
            "the rows do not get the same number of search trials (12: source only; 7: FDA)",
        ),
        ({"seeds": 1}, "one seed gives no interval; take at least 3"),
        (
            {
                "arms": {
                    "source only": Arm(
                        Adversarial,
                        lambda_adv=LogUniform(1e-4, 1e-2),
                        width=OneOf(16, 64),
                        separable=OneOf(False, True),
                        learning_rate=LEARNING_RATE,
                        momentum=OneOf(0.8, 0.9),
                        batch=OneOf(4, 8),
                    )
                }
            },
            "'source only' searches 6 fields; more than 5 spread its trials too thin",
        ),
        (
            {
                "arms": {
                    "source only": Arm(FDA, beta=LogUniform(0.05, 0.1), learning_rate=LogUniform(0.1, 0.2)),
                    "FDA": Arm(FDA, beta=LogUniform(0.0101, 0.1)),
                }
            },
            "'source only' tries its default first, outside of its ranges: beta 0.01, learning_rate 0.025",
        ),
    ],
)
def test_a_plan_warns(changes: dict[str, Any], warning: str) -> None:
    planned = study(**changes)
    assert plan(planned).warnings == (warning,)
    assert f"note: {warning}" in " ".join(describe(planned, "name").split())


def test_the_text_of_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Offer(({"CPU": 8.0, "GPU": 2.0},))
    monkeypatch.setattr("platform.commands.terminal.plan.this_machine", lambda: two)
    arms = {name: ARMS[name] for name in ("source only", "FDA", "FDA 0.05")}
    assert describe(study(arms=arms, shift=gta5_to_cityscapes(groups=CAMVID_11)), "fda") == (
        """\
fda
  shift     gta5_to_cityscapes at 512 x 1024, 11 classes
  trials    51 = 36 search (seed 0) + 15 confirm (seeds 1 to 5)
  steps     20,000 a trial, evaluated 20 times; 600,000 to 1,020,000 in all
  rungs     4,000, 8,000, 16,000: a trial waits there until it is among the best
            1 in 2, by the mean of its last 3 evaluations
  parallel  4 search trials of a row at a time, whatever the machines; the
            search fills 12 slots at most, and the confirm trials 15
  shows     a true difference in mIoU of 0.041 to the reference has a p of at
            most 0.05 four times out of five, and a mark less than half of the
            time, of 2 compared, with a standard deviation between seeds of
            0.02, taken for granted; 0.05 takes 5, 0.02 takes 13 and 0.01 takes
            41 seeds
  select    target/norm_and_prior
  recipe    at its defaults
  slot      0.5 GPU, 1 CPU a trial
  cost      1,022 PFLOP of training at most, 57 h on one GPU at 5 TFLOP/s
  time      about 21 h on this machine, 4 trials at a time: reckoned, as on one
            GPU at 5 TFLOP/s
  disk      1.4 GB for the checkpoints of the confirm trials, 267 MB at most for
            evidence, 193 MB for each trial that runs, and 3.5 GB at most for
            those that wait at rungs

  source only (reference)                                  12 search + 5 confirm
      learning_rate  LogUniform(0.001, 0.05)
      cost           12.1M parameters deployed

  FDA                                                      12 search + 5 confirm
      beta  LogUniform(0.01, 0.1), band 5 to 51
      cost  12.1M parameters deployed, 2.0 x the reference's operations a step

  FDA 0.05                                                 12 search + 5 confirm
      learning_rate  LogUniform(0.001, 0.05)
      beta           0.05, band 25
      cost           12.1M parameters deployed, 2.0 x the reference's operations
                     a step"""
    )


def test_the_text_says_what_differs_from_the_usual() -> None:
    arms = {"source only": Arm(SourceOnly), "FDA": Arm(FDA, batch=8)}
    recipe = Recipe(network=BiSeNet18(width=0.25), augmentation="none")
    text = describe(study(arms=arms, search=None, select="oracle/miou", recipe=recipe, shift=town()), "fda")
    assert "rungs     none, nothing is searched" in text
    assert "select    oracle/miou, which uses target labels" in text
    recipe_line = (
        "recipe augmentation='none', network=BiSeNet18(width=0.25, pretrained=False), the rest at its defaults"
    )
    assert recipe_line in " ".join(text.split())
    assert "beta   0.01, band 0" in text, "what the default means at this size"
    assert "batch  8" in text
    assert "none, no trial is stopped\n" in describe(study(search=ASHA(trials=2, grace=1)), "fda")


def test_the_text_says_why_a_search_has_no_rung() -> None:
    said = " ".join(describe(study(search=ASHA(trials=2, grace=0.5, smoothing=20)), "fda").split())
    why = "there is no room for grace 0.5 and the mean of 20 evaluations before the last of 20 evaluations"
    assert f"rungs none, no trial is stopped: {why} parallel 2 search trials" in said
    late = study(recipe=Recipe(warm_up=0.5), search=ASHA(trials=2, grace=0.5, smoothing=1))
    why = "there is no room for grace 0.5 and a warm-up of 10,000 steps before the last of 20 evaluations"
    assert f"rungs none, no trial is stopped: {why} parallel" in " ".join(describe(late, "fda").split())


def test_the_text_counts_one_as_one() -> None:
    said = " ".join(describe(study(search=ASHA(trials=1), seeds=1), "fda").split())
    assert "confirm (seed 1)" in said
    assert "rungs 4,000, 8,000, 16,000: a single trial passes them all" in said
    assert "parallel 1 search trial of a row at a time, whatever the machines" in said


def test_the_text_says_that_a_study_for_gpus_finds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.commands.terminal.plan.this_machine", lambda: Offer(({"CPU": 2.0},)))
    said = " ".join(describe(study(), "fda").split())
    assert "on this machine, which has no GPU, 2 trials at a time: reckoned, as on one CPU core" in said
    on_cpus = study(budget=Budget(steps=20_000, evaluations=20, gpus=0))
    assert "which has no GPU" not in describe(on_cpus, "fda")


def test_the_text_says_how_rungs_compare_and_what_warms_up() -> None:
    text = " ".join(describe(study(recipe=Recipe(warm_up=0.05), search=ASHA(trials=4)), "fda").split())
    rungs = (
        "after a warm-up of 1,000 steps, 5,000, 9,000, 17,000: a trial waits there until it is among the best 1 in 2"
    )
    assert f"rungs {rungs}, by the mean of its last 3 evaluations parallel" in text
    text = " ".join(describe(study(search=ASHA(trials=4, smoothing=1, promote=False)), "fda").split())
    assert "1 trial in 2 of a row goes on, by its last evaluation parallel" in text


# Slots


def test_rows_search_and_confirm_at_times_of_their_own() -> None:
    arms = {"source only": Arm(SourceOnly), "FDA": ARMS["FDA"]}
    planned = plan(study(arms=arms, search=ASHA(trials=12, parallel=8)))
    assert (planned.searching, planned.confirming, planned.at_once) == (8, 10, 5 + 8)


def test_a_plan_says_how_many_slots_it_fills() -> None:
    arms = {name: ARMS[name] for name in ("source only", "FDA")}
    said = " ".join(describe(study(arms=arms, search=ASHA(trials=8, parallel=3)), "fda").split())
    assert "parallel 3 search trials of a row at a time, whatever the machines; the search fills 6 slots" in said
    assert "6 slots at most, and the confirm trials 10 shows" in said
    fixed = {"source only": Arm(SourceOnly), "FDA": Arm(FDA)}
    said = " ".join(describe(study(arms=fixed, search=None, seeds=1), "fda").split())
    assert "parallel the trials fill 2 slots at most" in said


@pytest.mark.parametrize(
    ("gpus", "search", "note"),
    [
        (5.0, ASHA(trials=8, parallel=3), ""),
        (6.0, ASHA(trials=8, parallel=3), "12 trials at a time, and the study has 10 at most: 2 slots wait; a larger"),
        (9.0, ASHA(trials=8), "18 trials at a time, and the study has 10 at most: 8 slots wait; a larger"),
        (9.0, ASHA(trials=8, parallel=8), "18 trials at a time, and the study has 16 at most: 2 slots wait"),
        (9.0, None, "18 trials at a time, and the study has 10 at most: 8 slots wait"),
    ],
)
def test_a_plan_warns_of_a_cluster_that_it_cannot_fill(gpus: float, search: ASHA | None, note: str) -> None:
    rate = {} if search is None else {"learning_rate": LEARNING_RATE}
    planned = study(arms={"source only": Arm(SourceOnly, **rate), "FDA": Arm(FDA, **rate)}, search=search)
    text = " ".join(describe(planned, "fda", Offer(({"CPU": 64.0, "GPU": gpus},))).split())
    assert (f"note: the cluster takes {note}" in text) if note else ("slots wait" not in text)
    assert text.endswith("searches in another way") == ("a larger" in note)


# The disk


@pytest.mark.parametrize(
    ("arm", "momentum"),
    [
        (Arm(SourceOnly), 0.9),
        (Arm(SourceOnly), 0.0),
        (Arm(Adversarial, width=32), 0.9),
        (Arm(Adversarial, separable=True), 0.9),
        (Arm(Mean), 0.9),
        (Arm(Deploying), 0.9),
        (Arm(Beside), 0.9),
        (Arm(Descending, kind="plain"), 0.9),
        (Arm(Descending, kind="momentum"), 0.9),
        (Arm(Descending, kind="Adam"), 0.9),
        (Arm(Descending, kind="AMSGrad"), 0.0),
        (Arm(Mean, Descending, Adversarial, width=32), 0.9),
    ],
    ids=lambda value: (
        " ".join([value.name, *map(str, value.fields.values())]) if isinstance(value, Arm) else str(value)
    ),
)
def test_a_checkpoint_takes_the_planned_space(arm: Arm, momentum: float) -> None:
    shift, recipe = town(), Recipe(network=BiSeNet18(width=0.25), momentum=momentum)
    row = study(shift=shift, arms={"row": arm}, reference="row", search=None, recipe=recipe)
    assert_planned(row)


@pytest.mark.parametrize(
    "values",
    [{"optimiser": "Adam"}, {"optimiser": "AdamW", "head_factor": 10.0}, {"batch_norm": "domain-specific"}],
    ids=str,
)
def test_a_checkpoint_of_any_recipe_takes_the_planned_space(values: dict[str, Any]) -> None:
    recipe = Recipe(network=BiSeNet18(width=0.25), **values)
    assert_planned(study(shift=town(), arms={"row": Arm(MinEnt)}, reference="row", search=None, recipe=recipe))


def test_a_recipe_that_does_not_suit_the_network_is_refused() -> None:
    row = study(
        arms={"row": Arm(MinEnt)}, reference="row", search=None, recipe=Recipe(network=Plain(), head_factor=10.0)
    )
    with pytest.raises(
        Uncounted, match=r"Recipe\.head_factor must be 1 for a network without a backbone, as PlainNetwork"
    ):
        plan(row)
    row = study(
        arms={"row": Arm(MinEnt)},
        reference="row",
        search=None,
        recipe=Recipe(network=Plain(), batch_norm="domain-specific"),
    )
    with pytest.raises(Uncounted, match="need a network with batch norm, got PlainNetwork without"):
        plan(row)


def assert_planned(row: Study) -> None:
    methods, recipe = row.rows[0].filled({})
    run = TrainingRun(methods, recipe, row.shift.smoke().open(), 0, 2, torch.device("cpu"))
    run.advance(1)
    assert plan(row).rows[0].checkpoint_bytes == pytest.approx(len(run.save({})), rel=0.03)


def test_the_disk_holds_a_checkpoint_per_confirm_trial_and_two_per_running_one() -> None:
    planned = plan(study())
    by_name = {each.row.name: each.checkpoint_bytes for each in planned.rows}
    counted = cost_of(composition(Adversarial()), Recipe())
    network, discriminator = 4 * counted.parameters, 4 * counted.discriminator_parameters
    # The published count has an ImageNet classifier of half a million parameters, which nothing here trains.
    assert by_name["source only"] == pytest.approx(2 * (network - 4 * 513_000), rel=0.01)
    assert by_name["adversarial"] == by_name["source only"] + 3 * discriminator
    assert planned.kept_bytes == 5 * sum(by_name.values())
    assert planned.running_bytes == 2 * by_name["adversarial"]
    assert planned.waiting_bytes == 12 * sum(by_name[row.name] for row in study().rows if row.search_trials)
    at_once = plan(study(search=ASHA(trials=6, promote=False)))
    assert at_once.waiting_bytes == 4 * sum(by_name[row.name] for row in study().rows if row.search_trials)


def test_a_plan_fits_80_columns_whatever_its_names() -> None:
    long = " ".join(["adversarial adaptation in the output space"] * 4)
    everything = Arm(
        Adversarial,
        width=OneOf(*range(10, 60)),
        lambda_adv=LogUniform(0.00012345678, 0.0123456789),
        learning_rate=LogUniform(0.00012345678, 0.0123456789),
        discriminator_learning_rate=LogUniform(0.00012345678, 0.0123456789),
    )
    planned = study(arms={"source only": Arm(SourceOnly), long: everything, "x" * 120: everything}, reference=long)
    for variant in (planned, replace(planned, shift=town()), replace(planned, seeds=1)):
        text = describe(variant, "a_study_with_quite_a_long_name")
        assert max(map(len, text.splitlines())) <= 80
        assert not any(line != line.rstrip() for line in text.splitlines())
        assert f"{long} (reference)" in " ".join(re.sub(r"\d+ search \+ \d+ confirm", "", text).split())


def test_the_plan_fits_and_aligns_whatever_the_names() -> None:
    arms = {name: Arm(SourceOnly, momentum=0.01 * number) for number, name in enumerate(NASTY)}
    made = Study(shift=town(), arms=arms, reference=NASTY[0], budget=Budget(steps=4, evaluations=2), seeds=2)
    lines = describe(made, "question").splitlines()
    assert max(map(cell_len, lines)) == 80
    assert {cell_len(line) for line in lines if line.endswith("0 search + 2 confirm")} == {80}
    assert "".join(lines).isprintable()
