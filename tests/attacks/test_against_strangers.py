"""A study beside a stranger's: nothing of their records is executed, chooses a path, or is obeyed by a terminal."""

import ast
import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest

from platform.commands.study import main
from platform.design.budget import Budget
from platform.design.study import Study
from platform.methods import FDA, SourceOnly
from platform.networks import BiSeNet18
from platform.records.record import Ask, End
from platform.records.store import Store
from platform.shifts import town
from platform.study import Arm, Recipe
from tests.support import invented_study as invented

FILE = '''"""My own question."""

from platform.methods import SourceOnly
from platform.shifts import town
from platform.study import Arm, Budget, Study

study = Study(shift=town(), arms={"a": Arm(SourceOnly)}, reference="a", budget=Budget(steps=4, evaluations=1), seeds=3)
'''
OWNED = "import pathlib; pathlib.Path('owned').touch()"
EVIL = (
    f'"""\n{OWNED}\n"""',
    f"'); {OWNED} #",
    f'"): None}}); {OWNED} #',
    f'\\"); {OWNED} #',
    "../../../escaped",
    "\x1b]0;owned\x07\x1b[2J",
    "\u202eright to left",
    "x" * 5000,
    "[link](javascript:1) <script>",
    "FDA",
)


def trials(beta: float) -> dict[str, Any]:
    """The confirm trials of two rows, by the row's method."""
    study = Study(
        shift=town(size=(32, 64)),
        arms={"SourceOnly": Arm(SourceOnly), "FDA": Arm(FDA, beta=beta, batch=4 if beta < 0.1 else 8)},
        reference="SourceOnly",
        budget=Budget(steps=invented.STEPS, evaluations=invented.EVALUATIONS),
        seeds=3,
        recipe=Recipe(network=BiSeNet18(width=0.125)),
    )
    identity = study.shift.identity()
    return {row.name: [row.trial({}, seed, identity) for seed in (1, 2, 3)] for row in study.rows}


def recorded(folder: Path, name: str, evil: str, beta: float, **changes: Any) -> Store:
    """A study of a plain row and of one with an evil name, and evil texts wherever a record has any."""
    store = Store(folder)
    arms = (invented.arm("source only", searched={}), invented.arm(evil, searched={evil: evil}))
    made = trials(beta)
    shift = made["FDA"][0].shift
    header = invented.study(*arms, name=name, question=evil, source=OWNED, select="source/miou", **changes)
    store.announce(dataclasses.replace(header, shift=shift))
    for arm, method in (("source only", "SourceOnly"), (evil, "FDA")):
        for number, trial in enumerate(made[method]):
            ask = Ask(arm, "confirm", number, dataclasses.replace(trial, code=evil if beta > 0.1 else trial.code))
            store.ask(name, ask)
            noted = {"host": evil, "git_commit": evil if beta > 0.1 else "0123abc", "torch": evil, "processor": evil}
            store.begin(dataclasses.replace(invented.begun(ask), provenance=noted))
            for step in invented.EVALUATED_STEPS:
                report = invented.report(ask, step)
                store.report(ask.trial.id, dataclasses.replace(report, node=evil, device=evil, precision=evil))
            end = End("complete", "predictions collapsed", evil, invented.STEPS)
            store.end(ask.trial.id, end)
            store.conclude(name, ask.key, end)
    return store


def only_calls(source: str) -> None:
    """Raise unless a file holds a docstring, imports of ours, and one study of constants and of calls of theirs."""
    docstring, *imports, study = ast.parse(source).body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(docstring.value, ast.Constant)
    names: set[str] = set()
    for each in imports:
        assert isinstance(each, ast.ImportFrom)
        assert str(each.module).startswith("platform.")
        names |= {alias.name for alias in each.names}
    assert isinstance(study, ast.Assign)
    for call in (node for node in ast.walk(study) if isinstance(node, ast.Call)):
        assert isinstance(call.func, ast.Name)
        assert call.func.id in names
    assert not any(isinstance(node, ast.Attribute | ast.JoinedStr | ast.Subscript) for node in ast.walk(study))


@pytest.mark.parametrize("evil", EVIL, ids=itertools.count())
def test_records_of_strangers_are_shown_and_not_obeyed(
    evil: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "invented.py"
    file.write_text(FILE)
    recorded(tmp_path / "results", "invented", evil, 0.05)
    recorded(tmp_path / "theirs", "invented", evil, 0.2, checkpoint="last", selector=evil)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert main([str(file), "--results", "results", "--against", "theirs"]) == 0
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "\u202e" not in text
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert len(new) == 1
    (path,) = new
    assert path.parent == tmp_path / "results" / "invented" / "against"
    assert path.name.isascii()
    source = path.read_text(encoding="utf-8")
    only_calls(source)
    assert main([str(path), "--plan", "--results", "results"]) == 0
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("evil", ["../../../../etc/passwd", "/etc", "trials", "..", "set-aside", "\x1b[2J", "-rf", ""])
def test_what_is_named_is_no_way_out_of_the_results(
    evil: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "invented.py"
    file.write_text(FILE)
    recorded(tmp_path / "results", "invented", "FDA", 0.05)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert main([str(file), "--results", str(tmp_path / "results"), f"--against={evil}"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "\x1b" not in said.err
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before
