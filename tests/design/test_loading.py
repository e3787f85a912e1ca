"""Study files: what is found in them, and what is wrong with them, in one line."""

import os
import unicodedata
from pathlib import Path

import pytest

from platform.design.loading import StudyFileError, load
from platform.methods import FDA
from tests.support.nasty_names import REFUSED

IMPORTS = """\
from platform.methods import FDA, Adversarial, SourceOnly
from platform.networks import BiSeNet18
from platform.shifts import gta5_to_cityscapes, town
from platform.study import ASHA, Arm, Budget, Integers, LogUniform, OneOf, Recipe, Study, Uniform
"""
FINE = 'study = Study(shift=town(), arms={"FDA": Arm(FDA)}, reference="FDA", budget=Budget(steps=4, evaluations=2))\n'
REFUSED_STEMS = [name for name in REFUSED if name.strip() and "\0" not in name]
FIRST = IMPORTS.count("\n") + 1
"""The line after the imports."""


def written(folder: Path, text: str) -> Path:
    """A study file with these lines after the imports."""
    path = folder / "question.py"
    path.write_text(IMPORTS + text)
    return path


def mistake(path: Path) -> str:
    """The one line that loading a file ends with."""
    with pytest.raises(StudyFileError) as caught:
        load(path)
    text = str(caught.value)
    assert text
    assert "\n" not in text
    return text


def test_a_study_file_gives_its_study_with_its_name_question_and_text(tmp_path: Path) -> None:
    path = tmp_path / "question.py"
    text = f'"""How wide\nshould it be?\n\nMore of it.\n"""\n{IMPORTS}{FINE}again = study\n'
    path.write_text(text)
    file = load(path)
    assert (file.name, file.question, file.path, file.source) == ("question", "How wide should it be?", path, text)
    assert file.study.arms["FDA"].methods == (FDA,)


def test_a_file_without_a_docstring_asks_nothing(tmp_path: Path) -> None:
    assert load(written(tmp_path, FINE)).question == ""


def test_a_file_may_define_classes_and_import_its_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "neighbour_of_question.py").write_text(IMPORTS + 'arms = {"FDA": Arm(FDA)}\n')
    monkeypatch.syspath_prepend(tmp_path)
    path = written(
        tmp_path,
        "from dataclasses import dataclass\n"
        "from neighbour_of_question import arms\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Mine(SourceOnly):\n"
        '    """Mine."""\n' + FINE.replace('{"FDA": Arm(FDA)}', 'arms | {"mine": Arm(Mine)}'),
    )
    assert list(load(path).study.arms) == ["FDA", "mine"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("x = 1\nb = Budgett()\n", 2, "NameError: name 'Budgett' is not defined"),
        ("def f(:\n", 1, "SyntaxError: invalid syntax"),
        ("from platform.studdy import Study\n", 1, "ModuleNotFoundError: No module named 'platform.studdy'"),
        ("from platform.labels import groups\n", 1, "ModuleNotFoundError: No module named 'platform.labels'"),
        ("raise ValueError\n", 1, "no message"),
        ("from platform.study import ASHA as Halving\nHalving(trails=3)\n", 2, "Did you mean 'trials'?"),
        ("(lambda a: a)(betta=1)\n", 1, "TypeError: <lambda>() got an unexpected keyword argument 'betta'"),
        (
            "from platform.methods import FDDA\n",
            1,
            "cannot import name 'FDDA' from 'platform.methods'. Did you mean 'FDA'?",
        ),
        ("from platform.study import Asha\n", 1, "'Asha' from 'platform.study'. Did you mean 'ASHA'?"),
        ("from platform.study import ASHA\nAsha(trials=4)\n", 2, "name 'Asha' is not defined. Did you mean 'ASHA'?"),
        ("ASHA(4)\n", 1, "ASHA takes its arguments by name: trials, grace, reduction, smoothing, parallel, promote"),
        ("ASHA(4, grace=0.1)\n", 1, "ASHA takes its arguments by name: trials, grace, "),
        (
            "class Mine:\n    def __init__(self):\n        pass\n\nMine(4)\n",
            5,
            "TypeError: Mine.__init__() takes 1 posit",
        ),
        ("print(nam)\n", 1, "NameError: name 'nam' is not defined"),
        ("f = lambda: 1\nf(4)\n", 2, "TypeError: <lambda>() takes 0 positional arguments but 1 was given"),
        ("open('no such file')\n", 1, "FileNotFoundError"),
        ("raise ValueError('one\\n  two')\n", 1, "one two"),
        ("raise SystemExit(3)\n", 1, "a study file must not exit; remove the call"),
        ("import sys\nsys.exit()\n", 2, "a study file must not exit; remove the call"),
        ("def f():\n    return 1 / 0\n\nf()\n", 2, "ZeroDivisionError: division by zero"),
        ("Arm(FDA, betta=0.1)\n", 1, "FDA has no field 'betta'. It has: beta, "),
        ("Arm(FDA, betta=0.1)\n", 1, "Did you mean 'beta'?"),
        (
            "s = Study(armss={})\n",
            1,
            "Study has no field 'armss'. It has: shift, arms, reference, select, checkpoint, search, budget",
        ),
        ("s = Study(armss={})\n", 1, "Did you mean 'arms'?"),
        ("Budget(step=3)\n", 1, "Budget has no field 'step'. It has: steps, evaluations, gpus, cpus, memory, silence."),
        (
            "ASHA(trails=3)\n",
            1,
            "ASHA has no field 'trails'. It has: trials, grace, reduction, smoothing, parallel, promote. Did you mean",
        ),
        ("Arm(FDA).on(gpu=1)\n", 1, "Arm.on has no field 'gpu'. It has: gpus, cpus, memory. Did you mean 'gpus'?"),
        ("Recipe(learning_rat=3)\n", 1, "Did you mean 'learning_rate'?"),
        (
            "town(sise=3)\n",
            1,
            "town has no field 'sise'. It has: size, source_images, target_images, seed, few. Did you mean",
        ),
        (
            "gta5_to_cityscapes(grups=3)\n",
            1,
            "gta5_to_cityscapes has no field 'grups'. It has: root, size, groups, few.",
        ),
        ("LogUniform(low=1, hihg=2)\n", 1, "Did you mean 'high'?"),
        ("import platform.study as p\np.ASHA(trails=3)\n", 2, "ASHA has no field 'trails'"),
        ("def f(a):\n    return a\nf(b=1)\n", 3, "f has no field 'b'. It has: a."),
        ("A = ASHA\nA(trails=3)\n", 2, "Did you mean 'trials'?"),
        ("Study(shift=town())\n", 1, "Study must be given 'arms', 'reference', and 'budget'"),
        ("Budget(steps=4)\n", 1, "Budget must be given 'evaluations'"),
        ("LogUniform(1)\n", 1, "LogUniform must be given 'high'"),
        ("Study(town())\n", 1, "Study takes its arguments by name: shift, arms, reference, "),
        ("Arm(FDA, beta=0.7)\n", 1, "FDA.beta must be at least 0.0 and below 0.5, got 0.7"),
        ("Arm(FDA, beta=LogUniform(0.1, 0.7))\n", 1, "FDA.beta must be"),
        ("Arm(FDA, network=BiSeNet18(width=Uniform(0.1, 0.7)))\n", 1, "BiSeNet18.width must be of type int or float"),
        ("Arm(FDA, network=Uniform(0.1, 0.7))\n", 1, "Recipe.network is of type Architecture, but Uniform(0.1, 0.7)"),
        ("Arm(FDA, network=BiSeNet18)\n", 1, "call it: BiSeNet18()"),
        ("Arm(FDA, FDA)\n", 1, "the methods of an arm must differ, got FDA twice"),
        ("Budget(steps=Integers(1, 7), evaluations=1)\n", 1, "only the fields of an Arm take ranges"),
        ("ASHA(trials=3, grace=Uniform(0.1, 0.7))\n", 1, "only the fields of an Arm take ranges"),
        ("Recipe(learning_rate=Uniform(0.1, 0.7))\n", 1, "Recipe.learning_rate must be"),
        ("Uniform(3, 1)\n", 1, "Uniform(3, 1) is empty"),
        ("Uniform(3, float('nan'))\n", 1, "must have finite numbers as ends, got nan"),
        (FINE.replace('="FDA"', '="FDDA"'), 1, "Study.reference must be one of the arms, 'FDA', got 'FDDA'"),
        (FINE.replace("budget", "seeds=0, budget"), 1, "Study.seeds must be a whole number of at least 1, got 0"),
        (FINE.replace("budget", "seeds=True, budget"), 1, "Study.seeds must be a whole number of at least 1, got True"),
        (FINE.replace("budget", "select='miou', budget"), 1, "Study.select must be one of source/miou"),
        ('a = {\n"x": Arm(FDA),\n"x": Arm(FDA),\n}\n', 3, "two arms or settings are named 'x'"),
        (
            FINE.replace('{"FDA"', '{"FDA": Arm(SourceOnly),\n"FDA"'),
            2,
            "two arms or settings are named 'FDA', of which a dict keeps the last; give each its own name",
        ),
        ('a = {"y": Arm(FDA), **{"x": 1, "y": 2, "x": 3}}\n', 1, "two arms or settings are named 'x'"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = written(tmp_path, text)
    said = mistake(path)
    assert said.startswith(f"{path}:{FIRST + line - 1}: ")
    assert message in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must define exactly one Study, got none; write study = Study(...) in it"),
        ("study = Study\n", "got none"),
        ("studies = [" + FINE.removeprefix("study = ").strip() + "]\n", "got none"),
        (FINE + FINE.replace("study =", "other ="), "got 2: study, other; split it into one file each"),
    ],
)
def test_a_file_defines_exactly_one_study(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    said = mistake(path)
    assert said.startswith(f"{path}: ")
    assert message in said


def test_a_byte_order_mark_hides_no_mistake(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    path = written(tmp_path, "arms = {'b': 1, 'b': 2}\n")
    plain = mistake(path)
    assert "b" in plain
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert mistake(path) == plain


def test_an_error_in_a_neighbour_is_placed_in_the_neighbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_neighbour.py").write_text("x = 1\n\n\n\n\n\n\ndef f(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = written(tmp_path, "x = 1\nimport broken_neighbour\n")
    assert mistake(path) == f"{tmp_path}/broken_neighbour.py:8: SyntaxError: invalid syntax"
    (tmp_path / "raising_neighbour.py").write_text("x = 1\ny = x / 0\n")
    path = written(tmp_path, "import raising_neighbour\n")
    assert mistake(path) == f"{tmp_path}/raising_neighbour.py:2: ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("decorator", "field", "words"),
    [
        ("@dataclass", "weight: float = 1.0", "TypeError: cannot inherit non-frozen dataclass from a frozen one"),
        (
            "@dataclass(frozen=True)",
            "layers: list = [1]",
            "mutable default <class 'list'> for field layers is not allowed; ",
        ),
        (
            "@dataclass(frozen=True)",
            "weight = hyperparameter(1.0)",
            "TypeError: 'weight' is a field but has no type annotation",
        ),
    ],
)
def test_pythons_rules_of_dataclasses_come_with_how_one_is_declared_here(
    tmp_path: Path, decorator: str, field: str, words: str
) -> None:
    imports = "from dataclasses import dataclass\nfrom platform.methods import SourceOnly, hyperparameter\n"
    said = mistake(written(tmp_path, f"{imports}\n{decorator}\nclass Mine(SourceOnly):\n    {field}\n"))
    assert words in said
    assert said.endswith(
        "; write @dataclass(frozen=True, kw_only=True), and a method's fields as name: float = hyperparameter(default)"
    )


def test_a_relative_path_is_placed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "below").mkdir()
    written(tmp_path, "Budgett()\n")
    monkeypatch.chdir(tmp_path / "below")
    for path in (Path("../question.py"), Path(os.path.relpath(tmp_path / "question.py", Path.cwd()))):
        assert mistake(path) == f"{path}:{FIRST}: NameError: name 'Budgett' is not defined. Did you mean 'Budget'?"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = written(tmp_path, FINE)
    assert (
        mistake(tmp_path / "questoin.py") == f"there is no study file {tmp_path / 'questoin.py'}. Did you mean {path}?"
    )
    assert mistake(tmp_path / "xyz.py") == f"there is no study file {tmp_path / 'xyz.py'}."
    assert mistake(tmp_path / "no" / "where.py") == f"there is no study file {tmp_path / 'no' / 'where.py'}."
    assert mistake(tmp_path) == f"{tmp_path} is a folder; name a study file in it"


@pytest.mark.parametrize("name", ["trials", "set-aside"])
def test_a_name_that_the_results_need(tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.py"
    file.write_text(IMPORTS + FINE)
    assert mistake(file) == f"a study must not be named {name}, a folder of the results; rename {file}"


def test_a_file_that_is_no_python_text(tmp_path: Path) -> None:
    text = tmp_path / "question.txt"
    text.write_text(IMPORTS + FINE)
    assert mistake(text) == f"a study file must be a Python file, got {text}; name it question.py"
    latin = tmp_path / "latin.py"
    latin.write_bytes(b'"""caf\xe9"""\n')
    assert mistake(latin) == f"{latin} must be text in UTF-8, got another byte at position 6"
    null = tmp_path / "null.py"
    null.write_bytes(b"x = 1\0\n")
    assert "null" in mistake(null)


@pytest.mark.parametrize("stem", ["v1.2 (β) #1 50%;&'", "größe", "中文", "x" * 200])
def test_a_study_may_have_any_name_that_can_be_shown(tmp_path: Path, stem: str) -> None:
    file = tmp_path / f"{stem}.py"
    file.write_text(IMPORTS + FINE)
    assert load(file).name == stem
    apart = tmp_path / f"{unicodedata.normalize('NFD', stem)}.py"
    apart.write_text(IMPORTS + FINE)
    assert load(apart).name == stem, "as macOS names it"


@pytest.mark.parametrize("stem", [".hidden", "-option", "~home", " blank", "blank ", *REFUSED_STEMS])
def test_a_study_has_no_name_that_a_folder_or_a_terminal_could_not_take(tmp_path: Path, stem: str) -> None:
    file = tmp_path / f"{stem}.py"
    file.write_text(IMPORTS + FINE)
    said = mistake(file)
    assert said.startswith("a study's name, its file's, must ")
    assert said.endswith("; rename the file")
    assert said.isprintable()


def test_a_question_is_one_line_that_can_be_shown(tmp_path: Path) -> None:
    file = tmp_path / "question.py"
    file.write_text(f'"""How \\x1b[31mred\\x1b[0m?"""\n{IMPORTS}{FINE}')
    assert load(file).question == r"How \x1b[31mred\x1b[0m?"
