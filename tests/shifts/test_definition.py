"""The user's code that classes lead to: every edit that may change a number is seen."""

import re
from pathlib import Path

import pytest

from tests.support.definitions import DECORATOR, NETWORK, PREAMBLE, TAKEN, TWO_FILES, edited, of, own

FACTORY = """
def made(factor):
    class Made(SourceOnly):
        def losses(self, step):
            return {name: factor * loss * 1.5 for name, loss in super().losses(step).items()}
    return Made
"""
STARRED = {"own.py": own("f(1)", "from helpers import *"), "helpers.py": TWO_FILES["helpers.py"]}
LATE = {"own.py": own("late()", "import helpers\ndef late():\n    from helpers import f\n    return f(1)")} | {
    "helpers.py": TWO_FILES["helpers.py"]
}
PASSED = {
    "own.py": own("g(helpers)", "import helpers\ndef g(m):\n    return m.f(1)"),
    "helpers.py": TAKEN["helpers.py"],
}
RELATIVE = {
    "lab/own.py": own("losses.f(1)", "from . import losses\nfrom .base import Base").replace("(SourceOnly)", "(Base)"),
    "lab/__init__.py": "",
    "lab/base.py": "from lab.inner.root import Root\nclass Base(Root):\n    pass\n",
    "lab/inner/root.py": PREAMBLE + "class Root(SourceOnly):\n    warm_up = 0.25\n",
    "lab/losses.py": TAKEN["helpers.py"],
}
SEEN: dict[str, tuple[dict[str, str] | str, str, str]] = {
    "its own body": (own("2"), "2 * loss", "3 * loss"),
    "a helper": (own("f()", "def f(): return 1.5"), "1.5", "2.5"),
    "a helper that is defined later": (own("f()", "", "def f(): return 1.5"), "1.5", "2.5"),
    "a helper whose name is a local variable elsewhere": (
        own("f()", "def f(): return 1.5", "def g():\n    f = 1\n    return f\nfor f_ in (): f = 3"),
        "1.5",
        "2.5",
    ),
    "a helper under if": (own("f()", "if torch.get_num_threads() > 0:\n    def f(): return 1.5"), "1.5", "2.5"),
    "a helper under try": (
        own("f()", "try:\n    import no_such\nexcept ImportError:\n    def f(): return 1.5"),
        "1.5",
        "2",
    ),
    "a helper's helper": (own("f()", "def g(): return 1.5\ndef f(): return g()"), "1.5", "2.5"),
    "helpers that call each other": (own("f()", "def g(): return f() * 1.5\ndef f(): return g()"), "1.5", "2.5"),
    "a name that is missing": (own("f()"), "f()", "g()"),
    "a helper in another file": (TWO_FILES, "return SCALE", "return -SCALE"),
    "a constant in another file": (TWO_FILES, "1.5", "2.5"),
    "a helper taken from another file": (TAKEN, "1.5", "2.5"),
    "a helper by a star": (STARRED, "1.5", "2.5"),
    "a helper that is imported late": (LATE, "1.5", "2.5"),
    "a helper of a module that is passed on": (PASSED, "1.5", "2.5"),
    "a helper by a relative import": (RELATIVE, "1.5", "2.5"),
    "a base in a third file": (RELATIVE, "0.25", "0.5"),
    "a class by a factory": (own("1", FACTORY, "Own = made(2.0)"), "* 1.5", "* 2.5"),
    "what a factory was called with": (own("1", FACTORY, "Own = made(2.0)"), "made(2.0)", "made(3.0)"),
    "a class with type()": (own("1", "", "Own = type('Own', (SourceOnly,), {'warm_up': 0.25})"), "0.25", "0.5"),
    "a default argument": (own("f()", "FEW = 1.5\ndef f(x=FEW): return x"), "FEW = 1.5", "FEW = 2.5"),
    "a default by keyword": (own("f()", "FEW = 1.5\ndef f(*, x=FEW): return x"), "FEW = 1.5", "FEW = 2.5"),
    "a decorator's inner function": (own("f(1)", DECORATOR), "1.5", "2.5"),
    "what a decorator was called with": (own("f(1)", DECORATOR), "2.0", "3.0"),
    "what was decorated": (own("f(1)", DECORATOR), "return x", "return -x"),
    "a partial's function": (own("p()", "def f(x): return x * 1.5\np = functools.partial(f, 2)"), "1.5", "2.5"),
    "a partial's argument": (own("p()", "def f(x): return x\np = functools.partial(f, x=2)"), "x=2", "x=3"),
    "a cached helper": (own("f()", "@functools.lru_cache\ndef f(): return 1.5"), "1.5", "2.5"),
    "a cached property": (
        own("A().f", "class A:\n    @functools.cached_property\n    def f(self): return 1.5"),
        "1.5",
        "2",
    ),
    "a dispatched helper": (
        own("f(1)", "@functools.singledispatch\ndef f(x): return x\n@f.register\ndef _(x: int): return 1.5"),
        "1.5",
        "2.5",
    ),
    "what a library's decorator holds": (own("f()", "@torch.no_grad()\ndef f(): return 1.5"), "1.5", "2.5"),
    "a compiled helper": (own("f()", "@torch.compile\ndef f(): return 1.5"), "1.5", "2.5"),
    "a helper whose arguments are checked": (
        own(
            "f(1)",
            "from beartype import beartype\nfrom jaxtyping import jaxtyped\nX = 1.5\n"
            "@jaxtyped(typechecker=beartype)\ndef f(x: int): return X",
        ),
        "1.5",
        "2.5",
    ),
    "a lambda": (own("f()", "f = lambda: 1.5"), "1.5", "2.5"),
    "one of two lambdas": (own("f['a']()", "f = dict(a=lambda: 1.5, b=lambda: 0)"), "1.5", "2.5"),
    "a lambda in a lambda": (own("f()()", "f = lambda: lambda: 1.5"), "1.5", "2.5"),
    "an inner function's helper": (
        own("f()", "def g(): return 1.5\ndef f():\n    return [g() for _ in 'a']"),
        "1.5",
        "2",
    ),
    "an inner class's helper": (
        own("f()", "X = 1.5\ndef f():\n    class A:\n        y = X\n    return A.y"),
        "1.5",
        "2",
    ),
    "a bound method's own": (
        own("f()", "class A:\n    x = 1.5\n    def g(self): return self.x\nf = A().g"),
        "1.5",
        "2",
    ),
    "a dictionary": (own("TABLE['a']", "TABLE = {'a': 1.5}"), "1.5", "2.5"),
    "a dictionary of functions": (own("T['a']()", "def f(): return 1.5\nT = {'a': [f]}"), "1.5", "2.5"),
    "a set": (own("len(T)", "T = {'a', 'b', (1, 2.5)}"), "2.5", "3.5"),
    "a set of a class of one's own": (own("T", "class S(set):\n    x = 1.5\nT = S()"), "1.5", "2.5"),
    "a frozen set of a class of one's own": (own("T", "class S(frozenset):\n    x = 1.5\nT = S('ab')"), "1.5", "2.5"),
    "a property of a class of one's own": (
        own("A", "class P(property):\n    x = 1.5\nclass A:\n    p = P(lambda self: 1)"),
        "1.5",
        "2.5",
    ),
    "an attribute of a tensor": (own("T", "T = torch.zeros(1)\nT.scale = 1.5"), "1.5", "2.5"),
    "an array": (own("T", "T = np.arange(3.0)"), "3.0", "4.0"),
    "one value of an array": (own("T", "T = np.array([1.5, 2])"), "1.5", "2.5"),
    "an array's type": (own("T", "T = np.zeros(2, np.float32)"), "np.float32", "np.int32"),
    "a tensor": (own("T", "T = torch.tensor([1.5])"), "1.5", "2.5"),
    "a tensor's type": (own("T", "T = torch.zeros(1, dtype=torch.float32)"), "torch.float32", "torch.int32"),
    "a type of tensors": (own("T", "T = torch.float32"), "torch.float32", "torch.bfloat16"),
    "a slice": (own("T", "T = slice(1, 2)"), "(1, 2)", "(1, 3)"),
    "a range": (own("T", "T = range(1, 2)"), "(1, 2)", "(1, 3)"),
    "a path": (own("T", "T = Path('a/b')"), "a/b", "a/c"),
    "a pattern": (own("T", "T = re.compile('a')"), "compile('a')", "compile('b')"),
    "a pattern's flags": (own("T", "T = re.compile('a')"), "compile('a')", "compile('a', re.I)"),
    "a member of an enumeration": (own("C.A.value", "class C(enum.Enum):\n    A = 1.5"), "1.5", "2.5"),
    "which member": (own("c.value", "class C(enum.Enum):\n    A = 1\n    B = 2\nc = C.A"), "c = C.A", "c = C.B"),
    "a named tuple's default": (own("P()", "class P(NamedTuple):\n    x: float = 1.5"), "1.5", "2.5"),
    "a dataclass's instance": (own("P", "@dataclass\nclass A:\n    x: float\nP = A(1.5)"), "1.5", "2.5"),
    "a default factory": (
        own("A()", "@dataclass\nclass A:\n    x: float = field(default_factory=lambda: 1.5)"),
        "1.5",
        "2",
    ),
    "an attribute of an instance": (own("P.x", "class A: pass\nP = A()\nP.x = 1.5"), "1.5", "2.5"),
    "an attribute of an instance with slots": (own("P.x", "class A: __slots__ = 'x'\nP = A()\nP.x = 1.5"), "1.5", "2"),
    "the class of an instance": (own("P.f()", "class A:\n    def f(self): return 1.5\nP = A()"), "1.5", "2.5"),
    "a library's instance": (own("P", "P = nn.Dropout(0.25)"), "0.25", "0.5"),
    "a network": (own("P", NETWORK + "torch.manual_seed(0)\nP = Head()"), "seed(0)", "seed(1)"),
    "a network's class": (own("Head()", NETWORK), "Conv2d(3, 4, 1)", "Conv2d(3, 4, 3)"),
    "a library's function": (own("f", "from torch.nn.functional import relu as f"), "import relu", "import gelu"),
    "a library's function by a value": (own("f", "f = nn.functional.max_pool1d"), "max_pool1d", "max_pool2d"),
    "a method of a hidden generator": (own("f()", "f = random.random"), "random.random", "random.gauss"),
    "a late import of a library": (
        own("f()", "def f():\n    from torch.nn.functional import relu as act\n    return act(1)"),
        "import relu",
        "import gelu",
    ),
    "a property": (own("1", "", "Own.p = property(lambda self: 1.5)"), "1.5", "2.5"),
    "a mixin": (own("1", "class M:\n    x = 1.5").replace("(SourceOnly)", "(M, SourceOnly)"), "1.5", "2.5"),
    "the order of bases": (
        own("1", "class M: x = 1\nclass N: x = 2").replace("(SourceOnly)", "(M, N, SourceOnly)"),
        "(M, N, ",
        "(N, M, ",
    ),
    "a subclass's hook": (
        own("1", "", "").replace("def losses", "def __init_subclass__(cls): 1.5\n    def losses"),
        "1.5",
        "2",
    ),
    "a class method": (
        own("1").replace("def losses", "@classmethod\n    def c(cls): return 1.5\n    def losses"),
        "1.5",
        "2",
    ),
    "a static method": (
        own("1").replace("def losses", "@staticmethod\n    def c(): return 1.5\n    def losses"),
        "1.5",
        "2",
    ),
    "a nested class": (own("1").replace("def losses", "class C: x = 1.5\n    def losses"), "1.5", "2.5"),
    "a field's default": (
        own("1").replace("def losses", "w: float = hyperparameter(1.5, above=0.0)\n    def losses"),
        "1.5",
        "2.5",
    ),
    "a metaclass": (own("A", "class M(type):\n    x = 1.5\nclass A(metaclass=M): pass"), "1.5", "2.5"),
    "a descriptor": (own("A().d", "class D:\n    def __get__(self, *_): return 1.5\nclass A: d = D()"), "1.5", "2.5"),
    "a protocol's method": (
        own("A().f()", "class P(Protocol):\n    def f(self): return 1.5\nclass A(P): pass"),
        "1.5",
        "2",
    ),
}


@pytest.mark.parametrize("change", SEEN)
def test_what_may_change_a_number_is_seen(tmp_path: Path, change: str) -> None:
    files, before, after = SEEN[change]
    first = of(tmp_path / "before", files)
    assert re.fullmatch("[0-9a-f]{12}", first)
    assert of(tmp_path / "again", files) == first
    assert of(tmp_path / "after", edited(files, before, after)) != first


def test_the_terms_of_a_shifts_data_decide_nothing(tmp_path: Path) -> None:
    shift = (
        PREAMBLE + "from platform.shifts import Shift\nclass Own(Shift):\n    x = 1.5\n    licences = {'mine': 'MIT'}\n"
    )
    first = of(tmp_path / "before", shift)
    assert of(tmp_path / "after", edited(shift, "'MIT'", "'CC BY 4.0'")) == first
    assert of(tmp_path / "other", edited(shift, "1.5", "2.5")) != first
    method = own("Own.licences['x']", "").replace("def losses", "licences = {'x': 1.5}\n    def losses")
    assert of(tmp_path / "method", method) != of(tmp_path / "changed", edited(method, "1.5", "2.5"))
