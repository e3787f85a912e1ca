"""The study command's answers to a user's mistakes: one line, exit code 2, nothing started."""

import re
import socket
import time
from pathlib import Path

import pytest
from PIL import Image

from platform.commands.study import main
from platform.records.location import RESULTS_VARIABLE
from platform.records.provenance import JOB_VARIABLE
from platform.results.statistics.power import ASSUMED_DEVIATION, seeds_for
from tests.support.checkout import Checkout
from tests.support.refusals import refused

HEAD = """
from platform.methods import FDA, Adversarial, SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import gta5_to_cityscapes, town
from platform.study import ASHA, Arm, Budget, Integers, LogUniform, OneOf, Recipe, Study, Uniform
budget = Budget(steps=4, evaluations=2)
"""
GOOD = "study = Study(shift=town(), arms={'a': Arm(SourceOnly)}, reference='a', budget=budget)\n"


def study(arms: str = "{'a': Arm(SourceOnly)}", **changes: str) -> str:
    fields = {"shift": "town()", "arms": arms, "reference": "'a'", "budget": "budget"} | changes
    return HEAD + f"study = Study({', '.join(f'{name}={value}' for name, value in fields.items())})\n"


MISTAKES = {
    "no study": (HEAD, ["exactly one Study", "none", "study = Study("]),
    "two studies": (study() + study().replace("study = ", "other = "), ["exactly one Study", "study, other"]),
    "losses that cannot be taken to count a player": (
        HEAD
        + "class Broken(Adversarial):\n    def losses(self, step):\n        raise RuntimeError('sizes differ')\n\n"
        + study("{'a': Arm(Broken)}").removeprefix(HEAD),
        ["Broken cannot be tried", "RuntimeError: sizes differ at mistake.py:9; mend it"],
    ),
    "does not import": ("import platform.studdy\n", ["No module named 'platform.studdy'"]),
    "imports what has moved": (
        "from platform.labels import groups\n",
        ["mistake.py:1: ", "No module named 'platform.labels'"],
    ),
    "syntax": ("study = Study(\n", ["mistake.py:1"]),
    "misspelt arm field": (study("{'a': Arm(FDA, betta=0.1)}"), ["betta", "Did you mean 'beta'?"]),
    "misspelt study field": (study(seedz="3"), ["seedz", "Did you mean 'seeds'?"]),
    "value out of range": (study("{'a': Arm(FDA, beta=0.7)}"), ["FDA.beta must be", "below 0.5", "0.7"]),
    "range within a network": (
        study("{'a': Arm(FDA, network=BiSeNet18(width=Uniform(0.1, 1.0)))}"),
        ["BiSeNet18.width must be of type int or float", "Uniform(0.1, 1.0)"],
    ),
    "empty range": (study("{'a': Arm(FDA, beta=Uniform(0.2, 0.1))}"), ["Uniform(0.2, 0.1)", "empty"]),
    "unknown selector": (study(select="'source/mIoU'"), ["source/mIoU", "Did you mean 'source/miou'?"]),
    "zero seeds": (study(seeds="0"), ["Study.seeds", "at least 1", "0"]),
    "duplicate arms": (study("{'a': Arm(FDA), 'a': Arm(SourceOnly)}"), ["two arms", "'a'"]),
    "nearly duplicate arms": (study("{'a': Arm(FDA), 'A ': Arm(SourceOnly)}"), ["differ", "'A '"]),
    "reference that is no arm": (study(reference="'b'"), ["Study.reference must be one of", "'b'"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_file_is_one_line(mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, said = MISTAKES[mistake]
    file = tmp_path / "mistake.py"
    file.write_text(text)
    line = refused(capsys, str(file), "--plan")
    assert all(part in line for part in said), line


def test_a_network_whose_small_one_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = "class Own(BiSeNet18):\n    def smoke(self):\n        return self.build()\n"
    file = tmp_path / "small.py"
    file.write_text(HEAD + own + study("{'a': Arm(FDA, network=Own(width=0.125))}").removeprefix(HEAD))
    line = refused(capsys, str(file), "--plan", "--smoke")
    assert "Recipe.network must be of type Architecture, got BiSeNet(" in line


def test_a_missing_file_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean studies/quickstart.py?" in refused(capsys, "studies/quikstart.py")


def test_a_data_root_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "nowhere"
    assert str(missing) in refused(capsys, "studies/quickstart.py", "--data", str(missing))


@pytest.mark.parametrize("content", [(), ("gta5",)])
def test_a_data_root_that_lacks_a_data_set(
    tmp_path: Path, content: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLATFORM_DATA", raising=False)
    for name in content:
        (tmp_path / name).mkdir()
    file = tmp_path / "real.py"
    file.write_text(study(shift="gta5_to_cityscapes(size=(64, 128))"))
    line = refused(capsys, str(file), "--data", str(tmp_path))
    assert str(tmp_path) in line
    monkeypatch.delenv("PLATFORM_DATA")
    assert "PLATFORM_DATA" in refused(capsys, str(file))
    assert main([str(file), "--plan"]) == 0


def test_a_plan_says_what_is_wrong_with_data_that_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_DATA", str(tmp_path / "nowhere"))
    file = tmp_path / "real.py"
    file.write_text(study(shift="gta5_to_cityscapes(size=(64, 128))"))
    assert main([str(file), "--plan"]) == 0
    assert re.match(rf"note: the data folder {tmp_path}/nowhere does not exist; [^\n]+\n$", capsys.readouterr().err)
    assert main([str(file), "--plan", "--data", str(tmp_path)]) == 0
    assert re.match(rf"note: [^\n]*{tmp_path}/[^\n]+\n$", capsys.readouterr().err)
    assert main([str(file), "--plan", "--smoke", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().err == "note: --smoke reads no data\n"


def test_a_plan_says_how_many_seeds_a_wished_difference_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RESULTS_VARIABLE, str(tmp_path / "none"))
    file = tmp_path / "two.py"
    file.write_text(study("{'a': Arm(SourceOnly), 'b': Arm(FDA)}"))
    assert main([str(file), "--plan", "--difference", "0.025"]) == 0
    seeds = seeds_for(0.025, ASSUMED_DEVIATION)
    assert f"0.025 takes {seeds}, 0.02 takes" in " ".join(capsys.readouterr().out.split())
    assert "add --plan" in refused(capsys, str(file), "--difference", "0.025")
    for value in ("0", "-0.1", "2.5", "nan", "inf"):
        said = refused(capsys, str(file), "--plan", f"--difference={value}")
        assert f"--difference must lie between 0 and 1, as mIoU does, got {value}" in said


def test_an_address_that_the_environment_names_is_said(fresh_checkout: Checkout) -> None:
    file = fresh_checkout.write("good.py", HEAD + GOOD)
    code, output = fresh_checkout.study(file, "--address", "auto", RAY_ADDRESS="127.0.0.1:1")
    assert code == 2, output
    assert output.startswith("error: no Ray cluster answers at 127.0.0.1:1, which RAY_ADDRESS names (")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "no-such-host.invalid:6379"])
def test_a_ray_address_that_does_not_answer(address: str, fresh_checkout: Checkout) -> None:
    began = time.monotonic()
    code, output = fresh_checkout.study(fresh_checkout.write("good.py", HEAD + GOOD), "--address", address)
    assert code == 2
    assert output.startswith("error: ")
    assert output.count("\n") == 1
    assert address in output
    assert time.monotonic() - began < 60


def test_an_address_where_something_else_listens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.commands.before.refusals.HEALTH_SECONDS", 1)
    file = tmp_path / "good.py"
    file.write_text(HEAD + GOOD)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        line = refused(capsys, str(file), "--address", address, "--results", str(tmp_path / "results"))
    assert line.startswith(f"error: no Ray cluster answers at {address} (what listens there gives no answer in 1 sec")


@pytest.mark.slow
def test_a_budget_that_the_machine_does_not_hold(fresh_checkout: Checkout) -> None:
    large = study(budget="Budget(steps=4, evaluations=2, cpus=4096)")
    code, output = fresh_checkout.study(fresh_checkout.write("large.py", large))
    assert code == 2
    assert re.fullmatch(
        r"error: a trial of 'a' needs 4096 CPUs on one node, .* lower the Budget.*", output.splitlines()[-1]
    )
    assert "Traceback" not in output


def test_a_damaged_file_of_a_data_set_is_named_before_anything_starts(fresh_checkout: Checkout, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("gta5/images/00001.png", "gta5/images/00002.png"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 32)).save(data / name)
        labels = data / name.replace("images", "labels")
        labels.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (64, 32), 7).save(labels)
    for split, frame in (("train", 1), ("train", 2), ("val", 3)):
        for kind, ending, mode in (("leftImg8bit", "leftImg8bit", "RGB"), ("gtFine", "gtFine_labelIds", "L")):
            folder = data / "cityscapes" / kind / split / "town"
            folder.mkdir(parents=True, exist_ok=True)
            Image.new(mode, (64, 32)).save(folder / f"town_{frame:06}_000019_{ending}.png")
    damaged = data / "gta5/labels/00002.png"
    damaged.write_bytes(damaged.read_bytes()[:40])
    real = fresh_checkout.write("real.py", study(shift="gta5_to_cityscapes(size=(32, 64))"))
    code, output = fresh_checkout.study(real, "--data", str(data))
    assert code == 2
    assert output.startswith("error: ")
    assert output.count("\n") == 1
    assert str(damaged) in output


@pytest.mark.parametrize("uri", ["nonsense://x", "sqlite:////dev/null/mlflow.db"])
def test_an_mlflow_uri_that_can_never_work(uri: str, fresh_checkout: Checkout) -> None:
    code, output = fresh_checkout.study(fresh_checkout.write("good.py", HEAD + GOOD), MLFLOW_TRACKING_URI=uri)
    assert code == 2, output
    assert output.startswith("error: ")
    assert output.count("\n") == 1
    assert uri in output


def test_a_results_folder_that_cannot_be_written(fresh_checkout: Checkout) -> None:
    (fresh_checkout.root / "results").write_text("a file where the folder belongs")
    code, output = fresh_checkout.study(fresh_checkout.write("good.py", HEAD + GOOD))
    assert code == 2
    assert re.fullmatch(r"error: [^\n]*results[^\n]*\n", output), output


def test_a_report_without_records(fresh_checkout: Checkout) -> None:
    code, output = fresh_checkout.study(fresh_checkout.write("good.py", HEAD + GOOD), "--report")
    assert code == 2
    assert "run the study first" in output


def test_an_unknown_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["studies/quickstart.py", "--plann"])
    assert exit_.value.code == 2


def test_results_in_a_ray_jobs_own_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ray deletes it some day, and the next job has another one."""
    file = tmp_path / "mine.py"
    file.write_text(HEAD + GOOD)
    monkeypatch.setenv(JOB_VARIABLE, "{}")
    monkeypatch.delenv(RESULTS_VARIABLE, raising=False)
    assert "outside of the checkout" in refused(capsys, str(file))
    assert "there are no records" in refused(capsys, str(file), "--report", "--results", str(tmp_path / "results"))
