"""What MLflow does not take of a study holds back nothing else."""

from dataclasses import replace

import pytest
from mlflow import MlflowClient

from platform.records.record import End
from platform.results.mirror.entries import accepted
from tests.support import invented_study
from tests.support.invented_study import COST, begun, record, report
from tests.support.mirrored import STUDY, CrashingClient, copy, deliver, mirror, running
from tests.support.mlflow_contents import contents, runs
from tests.support.synthetic_study import ask


def test_a_trial_that_mlflow_refuses_holds_up_no_other(uri: str) -> None:
    good = ask("FDA", "search", 0)
    bad = ask("FDA", "search", 1)
    before_1970 = replace(copy(bad, running(bad, 1)), times={100: -1})
    to = mirror(uri)
    answer = to.deliver([before_1970, copy(good, record(good))])
    assert answer.held == (good.trial.id,)
    assert "Invalid" in answer.refused[bad.trial.id]


def test_a_param_that_mlflow_refuses_holds_up_no_number(uri: str) -> None:
    asked = ask("FDA", "search", 0)
    to = mirror(uri)
    deliver(to, copy(asked, replace(running(asked, 1), cost={})))
    MlflowClient(tracking_uri=uri).log_param(
        runs(uri, STUDY)["FDA search 0"].info.run_id, f"cost/{next(iter(COST))}", "9"
    )
    whole = copy(asked, record(asked))
    answer = to.deliver([whole])
    assert (answer.held, answer.steps) == ((), {asked.trial.id: whole.record.step})
    assert list(answer.refused) == [asked.trial.id]
    assert answer.refused[asked.trial.id].startswith(f"cost/{next(iter(COST))}: ")
    run = contents(uri, STUDY)["FDA search 0"]
    assert (run.status, len(run.metrics["source/miou"]), run.tags["state"]) == ("FINISHED", 4, "complete")
    assert run.params.keys() >= {f"cost/{name}" for name in COST}
    before = runs(uri, STUDY)["FDA search 0"].info
    assert to.deliver([replace(whole, at=whole.at + 1)]) == answer
    assert runs(uri, STUDY)["FDA search 0"].info == before, "what was refused is not sent again and again"
    to.connect()
    MlflowClient(tracking_uri=uri).delete_run(before.run_id)
    to.connect()
    deliver(to, whole)


def test_names_and_texts_that_mlflow_would_refuse_arrive_in_a_form_that_it_takes(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "false")
    asked = ask("FDA", "search", 0)
    odd = {"loss/KL(p||q)": 1.0, "loss/KL(p, q)": 2.0, "a//b/../c": 3.0, "x" * 300: 4.0, "β µ": 5.0}
    first = replace(report(asked, 100), metrics=odd)
    hyperparameters = {"classes": "a" * 7000, "path": "data/\udce4\0.png"}
    asked = replace(asked, trial=replace(asked.trial, hyperparameters=hyperparameters))
    long = replace(begun(asked, [first]), end=End("failed", "data", "why? " * 2000, 100))
    to = mirror(uri, question="why? " * 2000)
    deliver(to, copy(asked, long))
    run = contents(uri, STUDY)["FDA search 0"]
    assert run.metrics == {
        "loss/KL_p__q_": [(100, 1.0)],
        "loss/KL_p_ q_": [(100, 2.0)],
        "a/c": [(100, 3.0)],
        "x" * 250: [(100, 4.0)],
        "β µ": [(100, 5.0)],
    }
    assert (len(run.params["classes"]), run.params["path"]) == (6000, "data/\\udce4\\x00.png")
    assert (run.status, len(run.tags["stop_reason"])) == ("FAILED", 8000)
    assert len(runs(uri, STUDY)[STUDY].data.tags["mlflow.note.content"]) == 8000
    # What was cut is not sent again.
    to = mirror(uri, question="why? " * 2000)
    to._client = CrashingClient(to._client, 1)  # type: ignore[assignment]
    to._probe = lambda: None  # type: ignore[method-assign]
    deliver(to, copy(asked, long))


def test_names_that_become_the_same_stay_two() -> None:
    assert accepted(["a(b", "a)b", "a_b"]) == {"a(b": "a_b 2", "a)b": "a_b 3", "a_b": "a_b"}
    assert list(accepted(["x" * 300, "x" * 301]).values()) == ["x" * 250, f"{'x' * 246} 2"]
    assert accepted(["..", "/"]) == {"..": "_", "/": "_ 2"}


def test_names_that_a_filter_could_take_for_its_own_signs(uri: str) -> None:
    for name in invented_study.AWKWARD[2:4]:
        to = mirror(uri, name=name.replace("/", " "))
        asked = ask("FDA", "search", 0)
        deliver(to, copy(replace(asked, arm=name), record(asked)))
