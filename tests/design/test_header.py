"""The header of a study's records, and whether they are complete."""

from dataclasses import asdict

from platform.design.header import header
from platform.methods import FDA, Adversarial, MajorityVote, SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import pair
from platform.study import Arm, Recipe
from platform.training.cost import cost_of
from tests.support.planned_study import ARMS, study
from tests.support.small_domains import Invented
from tests.support.tiny_splits import composition


def test_the_header_holds_what_a_table_needs() -> None:
    planned = study(recipe=Recipe(network=BiSeNet18(width=0.25)))
    told = header(planned, "fda", "How wide?", {"name": "pair"}, "study = ...", "2026-11-22T20:00:00Z")
    assert (told.name, told.question, told.shift, told.source) == ("fda", "How wide?", {"name": "pair"}, "study = ...")
    assert (told.reference, told.select, told.seeds) == ("source only", "target/norm_and_prior", 5)
    assert (told.search_trials, told.steps, told.rungs) == (12, 20_000, (4_000, 8_000, 16_000))
    assert (told.reduction, told.smoothing, told.began) == (2, 3, "2026-11-22T20:00:00Z")
    assert [arm.name for arm in told.arms] == list(ARMS)
    assert [arm.method for arm in told.arms] == ["SourceOnly", "Adversarial", "FDA", "FDA", "TargetSupervised"]
    assert [arm.supervised for arm in told.arms] == [False, False, False, False, True]
    assert told.arms[2].searched == {"beta": "LogUniform(0.01, 0.1)"}
    assert [arm.integers for arm in told.arms] == [{}, {}, {"beta": (2, 25)}, {}, {}], "0.01 and 0.1 of 256 pixels"
    assert [arm.warm_up for arm in told.arms] == [0.0] * 5
    assert told.arms[1].cost == asdict(cost_of(composition(Adversarial()), Recipe(network=BiSeNet18(width=0.25))))
    unsearched = header(study(arms={"source only": Arm(SourceOnly)}, search=None), "a", "", {}, "", "")
    assert (unsearched.search_trials, unsearched.rungs, unsearched.reduction, unsearched.smoothing) == (0, (), 0, 0)


def test_the_header_says_the_longest_warm_up_of_each_arm_whoever_wrote_its_method() -> None:
    class Late(SourceOnly):
        """A method of a study file's own."""

        @property
        def warm_up(self) -> float:
            return 0.3

    arms: dict[str, Arm] = {"own": Arm(Late), "ramp": Arm(Adversarial, ramp=0.2), "recipe": Arm(SourceOnly)}
    told = header(study(arms=arms, reference="own", search=None, recipe=Recipe(warm_up=0.1)), "a", "", {}, "", "")
    assert [arm.warm_up for arm in told.arms] == [0.3, 0.2, 0.1]


def test_the_header_says_what_a_trial_takes_of_a_gpu_whether_steps_do_anything_and_the_terms_of_data() -> None:
    arms = {
        "source only": Arm(SourceOnly).on(gpus=1),
        "FDA": Arm(FDA),
        "vote": Arm(MajorityVote).after("source only", "FDA"),
    }
    told = header(study(arms=arms, search=None), "a", "", {}, "", "")
    assert [arm.gpus for arm in told.arms] == [1, 0.5, 0.5]
    assert [arm.acts for arm in told.arms] == [True, True, False]
    assert told.licences == {}
    ours = pair(Invented("game"), Invented("photographs", seed=1), (32, 64), licences={"game": "MIT"})
    assert header(study(arms=arms, search=None, shift=ours), "a", "", {}, "", "").licences == {"game": "MIT"}
