"""A study of five arms, with records as a driver would hand them to the tracker, that trained nothing."""

import numpy as np

from platform.labels import CAMVID_11
from platform.metrics import confusion
from platform.records import ArmHeader, Ask, Confusion, End, Phase, Record, Report, StudyHeader
from platform.trials import SEARCH_SEED, Trial

ARMS: dict[str, tuple[str, dict[str, float | bool | int]]] = {
    "source only": ("SourceOnly", {}),
    "adversarial": ("Adversarial", {"lambda_adv": 0.001, "width": 64, "separable": False}),
    "lightweight adversarial": ("Adversarial", {"lambda_adv": 0.001, "width": 64, "separable": True}),
    "FDA": ("FDA", {"beta": 0.01, "entropy_weight": 0.005}),
    "target supervised": ("TargetSupervised", {}),
}
STEPS, EVALUATIONS = 400, 4
COST = {"parameters": 12_581_672.0, "gflops": 51.26, "discriminator_parameters": 0.0}


def study_header(name: str = "quickstart", arms: tuple[str, ...] = tuple(ARMS)) -> StudyHeader:
    """The header of a study with these arms."""
    return StudyHeader(
        name=name,
        question="Does adapting help on a small shift?",
        arms=tuple(ArmHeader(arm, ARMS[arm][0], arm == "target supervised", "source/miou", {}, COST) for arm in arms),
        reference=arms[0],
        select="source/miou",
        seeds=3,
        search_trials=4,
        steps=STEPS,
        rungs=(100,),
        reduction=2,
        shift={"name": "town", "size": [64, 128], "groups": [list(group) for group in CAMVID_11]},
        source='"""Does adapting help on a small shift?"""\n',
    )


def ask(arm: str, phase: Phase, number: int) -> Ask:
    """The `number`-th trial of an arm; its learning rate depends on the number while searching."""
    method, hyperparameters = ARMS[arm]
    trial = Trial(
        method=method,
        hyperparameters=dict(hyperparameters),
        recipe={"learning_rate": 0.01 * (number + 1) if phase == "search" else 0.02, "momentum": 0.9, "batch": 4},
        shift={"name": "town"},
        resolved={"beta": {"band": 3}} if method == "FDA" else {},
        seed=SEARCH_SEED if phase == "search" else number + 1,
        steps=STEPS,
        evaluations=EVALUATIONS,
        threads=1,
        code="0123456789ab",
    )
    return Ask(arm, phase, number, trial)


def record(asked: Ask, reports: tuple[Report, ...] = ()) -> Record:
    """The record of a trial that has begun."""
    return Record(asked.trial, {"host": "node", "device": "cpu", "git_commit": "0123abc"}, COST, reports)


def report(asked: Ask, step: int) -> Report:
    """A report whose numbers are a function of the trial and the step."""
    rng = np.random.default_rng([*asked.trial.id.encode(), step])
    miou = 0.5 * step / STEPS + 0.05 * list(ARMS).index(asked.arm) + 0.02 * rng.random()
    losses = {"loss/cross_entropy": 2.0 - miou}
    if asked.trial.method == "Adversarial":
        losses |= {"loss/adversarial": 0.7, "loss/discriminator": 0.6}
    scores = {f"{domain}/{score}": miou * (0.9 if domain == "oracle" else 1.0) for domain in ("source", "oracle")
              for score in ("miou", "accuracy")}  # fmt: skip
    rate = asked.trial.recipe["learning_rate"] * (1 - step / (STEPS + 1))
    confusions: dict[str, Confusion] = {}
    if asked.trial.confirms and step == STEPS:
        confusions["target/test"] = confusion_matrix(miou, asked.trial.seed)
    return Report(step, 2.0, losses | scores | {"learning_rate": rate}, confusions)


def confusion_matrix(share: float, seed: int) -> Confusion:
    """20 x 20 counts of 20,000 random pixels, of which about this share is predicted right."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 20, 20_000)
    prediction = np.where(rng.random(20_000) < share, truth, rng.integers(0, 19, 20_000))
    counts: Confusion = confusion(prediction, truth).tolist()
    return counts


def steps() -> range:
    """The steps at which a trial reports."""
    return range(STEPS // EVALUATIONS, STEPS + 1, STEPS // EVALUATIONS)


COMPLETE = End("complete", "all steps done", STEPS)
