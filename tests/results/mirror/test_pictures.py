"""The picture of a trial's test predictions: it arrives, or is owed, or is known to be lost."""

from pathlib import Path

import pytest

from platform.commands import tracking
from platform.records.store import PREDICTIONS, Store
from platform.results.mirror.entries import LACKS, PICTURE
from platform.results.mirror.messages import Answer, Files
from tests.support.copied_study import RUN, STUDY, recorded_study
from tests.support.invented_study import record
from tests.support.mirrored import copy, mirror
from tests.support.mlflow_contents import contents, runs
from tests.support.synthetic_study import ask


def test_predictions_that_cannot_be_read_for_a_while_are_owed(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a bucket is away, which has them."""
    results = recorded_study(tmp_path / "results")

    def away(store: Store, trial_id: str, name: str) -> Path:
        raise OSError("the bucket is away")

    with monkeypatch.context() as while_it_is_away:
        while_it_is_away.setattr(Store, "fetched", away)
        assert tracking.main([str(results), "--to", uri]) == 3
        assert "cannot be read (the bucket is away)" in capsys.readouterr().out
    run = contents(uri, STUDY)[RUN]
    assert (run.status, run.files, run.tags[LACKS]) == ("FINISHED", (), PICTURE)
    assert tracking.main([str(results), "--to", uri]) == 0
    run = contents(uri, STUDY)[RUN]
    assert run.files == (PICTURE,)
    assert LACKS not in run.tags


def test_a_run_whose_predictions_are_damaged_lacks_its_picture(uri: str, tmp_path: Path) -> None:
    asked = ask("FDA", "confirm", 0)
    damaged = tmp_path / PREDICTIONS
    damaged.write_bytes(b"PK torn by a crash")
    to = mirror(uri)
    answer = to.deliver([copy(asked, record(asked), damaged)])
    assert answer.pictures == (asked.trial.id,)
    assert to.store(Files(asked.trial.id, (damaged,))) == Answer(lost=(PREDICTIONS,))
    (run,) = (run for name, run in runs(uri, STUDY).items() if name == "FDA seed 1")
    assert run.data.tags[LACKS] == PICTURE
