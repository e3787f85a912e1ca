"""One trial, its record and its study's header, as the store writes them."""

from platform.records.record import ArmHeader, End, Record, Report, StudyHeader
from platform.records.trial import Trial

COUNTS = [[3, 0], [1, 2]]


TRIAL = Trial(
    method="FDA",
    hyperparameters={"beta": 0.012, "eta": 2.0},
    recipe={"learning_rate": 1e-3, "batch": 4, "pretrained": False, "augmentation": "flip"},
    shift={"name": "town", "size": [64, 128], "groups": [[0], [1, 2]], "data": None},
    resolved={"beta": {"band": 0}},
    seed=1,
    steps=30,
    evaluations=3,
    threads=1,
    code="0123456789ab",
)


RECORD = Record(TRIAL, {"host": "näther", "git_commit": "0123abc"}, {"parameters": 12_581_672.0, "gflops": 51.26})


REPORTS = tuple(
    Report(
        step, 0.1 + step, {"source/miou": step / 70, "loss/cross_entropy": 1e-300}, {"target/test": COUNTS}, step // 10
    )
    for step in (10, 20, 30)
)


END = End("complete", "predictions collapsed", "1.3 of 19 classes are predicted", 30)


HEADER = StudyHeader(
    name="question",
    question='How "wide"?\nReally.',
    arms=(
        ArmHeader("source only", "SourceOnly", False, "source/miou", {}, 0, 0.0, {"gflops": 51.26}),
        ArmHeader(
            "FDA β=0.1", "FDA", True, "source/miou", {"beta": "LogUniform(0.01, 0.1)"}, 4, 0.1, {"gflops": 51.26}
        ),
    ),
    reference="source only",
    select="source/miou",
    seeds=3,
    search_trials=4,
    steps=30,
    rungs=(10, 20),
    reduction=2,
    smoothing=3,
    shift={"name": "town", "size": [64, 128], "groups": [[0], [1, 2]]},
    source="study = Study(...)\n",
    began="2026-01-01T00:00:00+00:00",
)
