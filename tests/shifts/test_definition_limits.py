"""The user's code that classes lead to: what does not count, what is refused, and that it is the same everywhere."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from platform.methods import FDA, SourceOnly
from platform.records.provenance import ROOT
from platform.shifts.definition import definition
from tests.support.definitions import DECORATOR, NETWORK, TAKEN, TWO_FILES, edited, of, own
from tests.support.patience import PATIENCE

BY_NAME = "import what it takes where the file begins, and use it by its name"
UNRELATED = """
class Other(SourceOnly):
    pass
seeds = 3
lock = threading.Lock()
"""
UNSEEN: dict[str, tuple[dict[str, str] | str, str, str]] = {
    "a comment": (own("f()", "def f(): return 1"), "def f(): return 1", "# one\ndef f(): return 1  # one"),
    "a docstring": (own("f()", "def f():\n    return 1"), "    return 1", "    '''One.'''\n    return 1"),
    "the layout": (own("f()", "def f(): return 1"), "return 1", "\n\n    return (\n        1)"),
    "annotations": (own("f(1)", "def f(x):\n    y = x\n    return y"), "(x):\n    y", "(x: int) -> int:\n    y: int"),
    "another seed and another arm": (own("1", "", UNRELATED), "seeds = 3", "seeds = 4\nclass Third(Other): pass"),
    "another arm's helper": (own("1", "def f(): return 1"), "return 1", "return 2"),
    "where a helper lies": (own("f()", "x = 0\ndef f(): return 1"), "x = 0\n", "class A:\n    f = 3\nx = y = 0\n"),
    "an attribute of a constant's name": (own("step.CONSTANT", "CONSTANT = 1.5"), "1.5", "2.5"),
    "a local of a constant's name": (own("f()", "x = 1.5\ndef f():\n    x = 2\n    return x"), "1.5", "2.5"),
    "what another function of a module does": (TWO_FILES, "def f(", "def g(): return 1\ndef f("),
    "how a library is imported": (own("nn.ReLU()"), "from torch import nn", "import torch.nn as nn"),
    "what a library's module is called": (
        own("f()", "import torch.nn.functional as F\ndef f(): return F.relu"),
        "import torch.nn.functional as F\ndef f(): return F.relu",
        "from torch.nn import functional\ndef f(): return functional.relu",
    ),
    "from where a helper comes": (TAKEN, "from helpers import f", "SCALE = 1.5\ndef f(x):\n    return SCALE\n"),
    "the order of methods": (
        own("1").replace("def losses", "def a(self): 1\n    def b(self): 2\n    def losses"),
        "def a(self): 1\n    def b(self): 2",
        "def b(self): 2\n    def a(self): 1",
    ),
    "a lambda beside it": (own("f['a']()", "f = {'a': lambda: 1}; g = lambda: 2"), "lambda: 2", "lambda: 3"),
    "an annotation of a class": (own("A", "class A:\n    x: int = 1"), "x: int", "x: float"),
    "a generator that all share": (
        own("f()", "f = random.random"),
        "f = random.random",
        "random.seed(1); f = random.random",
    ),
}
REFUSED: dict[str, tuple[str, dict[str, str] | str, str, str]] = {
    "an open file": ("Own.table", own("1", "", "Own.table = open(__file__)"), "_io.TextIOWrapper", "open it where"),
    "a lock": ("LOCK", own("LOCK", "LOCK = threading.Lock()"), "lock", "make it where it is used"),
    "a lock in a dictionary": ("LOCKS['a']", own("LOCKS", "LOCKS = dict(a=threading.Lock())"), "lock", "make it where"),
    "a lock of an instance": (
        "A.lock",
        own("A", "class B: pass\nA = B()\nA.lock = threading.Lock()"),
        "lock",
        "make it",
    ),
    "a generator": ("NUMBERS", own("NUMBERS", "NUMBERS = (x for x in 'ab')"), "generator", "make it where it is used"),
    "code without a file": (
        "f",
        own("f()", "exec('def f(): return 1')"),
        "function f",
        "write it in a file that is imported",
    ),
    "lambdas that cannot be told apart": (
        "f['a']",
        own("f", "f = eval('dict(a=lambda: 1)')"),
        "function <lambda>",
        "write it with def",
    ),
    "a scripted function": (
        "f",
        own(
            "f()",
            "import warnings\ndef g(x):\n    return x\n"
            "with warnings.catch_warnings(action='ignore'):\n    f = torch.jit.script(g)",
        ),
        "torch.jit.ScriptFunction",
        "make it where it is used",
    ),
    "an import to come": (
        "Own.losses",
        {"own.py": own("1").replace("return", "import helpers\n        return"), "helpers.py": ""},
        "helpers",
        "import helpers where the file begins",
    ),
    "code in a text": ("Own.losses", own("eval('f()')", "def f(): return 1"), "function eval", BY_NAME),
    "code in a text, further in": ("g", own("g()", "def g(): return [exec('f()') for x in 'a']"), "exec", BY_NAME),
    "names in a text": ("f", own("f()", "def f(): return globals()['g']()\ndef g(): return 1"), "globals", BY_NAME),
    "a module by a text": ("Own.losses", own("__import__('helpers').f()"), "__import__", BY_NAME),
    "a module of importlib's": (
        "f",
        own("f()", "import importlib\ndef f(): return importlib.import_module('helpers').f()"),
        "import_module",
        BY_NAME,
    ),
    "a weak reference": (
        "R",
        own("R", "import weakref\nclass A: pass\na = A()\nR = weakref.ref(a)"),
        "weakref",
        "make it",
    ),
}


@pytest.mark.parametrize("change", UNSEEN)
def test_what_changes_no_number_is_not_seen(tmp_path: Path, change: str) -> None:
    files, before, after = UNSEEN[change]
    assert of(tmp_path / "before", files) == of(tmp_path / "after", edited(files, before, after))


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_followed_is_refused(tmp_path: Path, what: str) -> None:
    path, files, value, remedy = REFUSED[what]
    with pytest.raises(ValueError, match=re.escape(path)) as refusal:
        of(tmp_path, files)
    assert re.fullmatch(
        rf"{re.escape(path)} must be made of values and code that a trial's id can name, got .*{re.escape(value)}.*; "
        rf"{re.escape(remedy)}.*",
        str(refusal.value),
    )


def test_a_compiled_module_of_the_user_s_own_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = ModuleType("fast")
    compiled.__file__ = str(tmp_path / "fast.so")
    monkeypatch.setitem(sys.modules, "fast", compiled)
    with pytest.raises(
        ValueError, match=r"^fast must be made of .*; install the package that holds it, without --edit"
    ):
        of(tmp_path, own("f(fast)", "import fast\ndef f(x): return x"))


def test_the_package_and_libraries_are_known_by_their_names() -> None:
    assert definition(SourceOnly) == definition(FDA, dict, Path) == definition() == ""


def test_the_package_s_parts_of_a_class_do_not_count_twice(tmp_path: Path) -> None:
    alone = of(tmp_path / "alone", own("1"))
    assert of(tmp_path / "with", own("1"), "Own", "SourceOnly") == alone
    assert of(tmp_path / "another", own("1", "class Other: pass"), "Own", "Other") != alone


def test_a_study_s_name_does_not_count(tmp_path: Path) -> None:
    text = own(
        "f(HERE, __file__)",
        "HERE = Path(__file__).parent / 'data'\nlog = __import__('logging').getLogger(__name__)\n"
        "def f(*_):\n    log.info('')\n    return 1",
    )
    assert of(tmp_path / "a", {"one.py": text}) == of(tmp_path / "b" / "c", {"other.py": text})


def test_classes_that_refer_to_themselves_end(tmp_path: Path) -> None:
    text = own(
        "Own.registry",
        "",
        "Own.registry = {Own, SourceOnly, frozenset([Own])}\nOwn.one = Own()\nOwn.all = [Own.one]\n"
        "Own.all.append(Own.all)",
    )
    assert of(tmp_path / "a", text) == of(tmp_path / "b", text)


def test_a_long_chain_of_helpers_ends(tmp_path: Path) -> None:
    chain = "\n".join(f"def f{number}(): return f{number + 1}()" for number in range(1200))
    assert of(tmp_path / "a", own("f0()", f"{chain}\ndef f1200(): return 1.5")) != of(
        tmp_path / "b", own("f0()", f"{chain}\ndef f1200(): return 2.5")
    )


STABLE = own(
    "f(A, B, C, T, dispatched, Head, HERE, S, D, P, COLOURS)",
    NETWORK
    + DECORATOR
    + """
class Colour(enum.Enum):
    RED = 'red'
    BLUE = 'blue'
A = {'a', 'b', 'c', 1, 2.5, None, (1, 'x')}
B = frozenset(['x', 'y', frozenset(['z', 'w']), Colour.RED])
C = {int, str, Colour, Own_ := type('Own_', (), {}), len}
T = TypeVar('T')
HERE = Path(__file__).parent / 'weights'
S = str(HERE)
D = defaultdict(list, a=[np.float32(1.5), np.ones(3), torch.ones(2, dtype=torch.bfloat16)])
P = functools.partial(f, re.compile('a'), key=lambda x: x)
COLOURS = {Colour.RED, Colour.BLUE}
@functools.singledispatch
def dispatched(x): return random.random() + np.random.rand()
@dispatched.register
def _(x: int): return 2
dispatched(3)
""",
)


def test_it_is_the_same_in_every_process(tmp_path: Path) -> None:
    """Whatever the seed of hashes, the folder and the file's name, and as `load` runs a study file."""
    study = f"""{STABLE}
from platform.study import Arm, Budget, Study
from platform.shifts import town
study = Study(shift=town(), arms={{"own": Arm(Own)}}, reference="own", budget=Budget(steps=4, evaluations=2), seeds=2)
"""
    program = (
        "import sys; from pathlib import Path; from platform.design.loading import load; "
        "from platform.shifts.definition import definition; "
        "print(definition(load(Path(sys.argv[1])).study.arms['own'].methods[0]))"
    )
    processes = []
    for number in range(2):
        file = tmp_path / ("folder/" * number) / f"study{number}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(study)
        environment = os.environ | {"PYTHONHASHSEED": str(number), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", program, str(file)]
        processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, encoding="utf-8"))
    said = {process.communicate(timeout=PATIENCE)[0].strip() for process in processes}
    assert len(said) == 1
    assert re.fullmatch("[0-9a-f]{12}", said.pop())


def test_it_takes_no_time(tmp_path: Path) -> None:
    of(tmp_path / "first", STABLE)
    began = time.process_time()
    of(tmp_path / "second", STABLE)
    assert time.process_time() - began < 0.5
