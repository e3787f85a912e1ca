"""Selectors of study files that reach for target labels: each is refused in a line, or gets what is of no use."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from platform.commands.exits import BadInput
from platform.design.loading import StudyFileError
from platform.scores.evidence import Evidence, shuffled
from platform.scores.selectors.choice import MOST_NUMBERS
from platform.scores.selectors.judgement import Misjudged, judged
from platform.shifts import town
from platform.shifts.labels import NUM_CLASSES
from tests.support import own_selectors
from tests.support.checkout import Checkout
from tests.support.made_evidence import GOOD, MEDIOCRE, evidence_of
from tests.support.own_selectors import of, scored, study

IMAGES = 48
"""Images whose predicted classes evaluations keep, at most."""
TOWN = "town(size=(64, 64), source_images=(8, 2), target_images=(8, 2, 2))"
NUMBERS = ", ".join(str(number % NUM_CLASSES) for number in range(2 * MOST_NUMBERS))
READ = "labels = getattr(splits, 'ora' + 'cle').val.labels[[0, 1]]"
ORACLE = "must not reach for target labels, got 'oracle' in what Own leads to; leave that out, or choose select='oracle"
MANY = r"must bring along at most 1,000 numbers, got \d,\d{3} in what Own leads to: they could be labels; compute"
ALONE = "must compute from its evidence alone, got Own, which reaches for something else"


@pytest.fixture(autouse=True)
def decoded(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The town is rendered once for all tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where study files lie: a selector of another path is another one."""
    return tmp_path / "studies"


def refused(folder: Path, text: str, beside: dict[str, str] | None = None) -> str:
    """The line with which a study file is refused when it is loaded, tried, or has its first evidence judged."""
    with pytest.raises((StudyFileError, BadInput, Misjudged)) as caught:
        scored(folder, text, [evidence_of(GOOD), evidence_of(MEDIOCRE)], beside)
    said = str(caught.value)
    assert "\n" not in said
    assert "Traceback" not in said
    return said


FIELDS = {
    "the oracle of the evidence": ("return evidence.oracle.miou", ORACLE),
    "the oracle by a text": ("return getattr(evidence, 'oracle')", ORACLE),
    "the oracle by a path": ("return attrgetter('oracle.val')(evidence)", ORACLE),
    "the oracle by a text in two": ("return getattr(evidence, 'ora' + 'cle')", "AttributeError: 'Evidence' object has"),
    "labels of the target": ("return evidence.target.labels.mean()", "'Sampled' object has no attribute 'labels'"),
    "labels of the evidence": ("return evidence.target_labels.mean()", "no attribute 'target_labels'"),
    "a confusion of the target": ("return evidence.target_confusion[0, 0]", "no attribute 'target_confusion'"),
    "metrics": ("return evidence.metrics['oracle/miou']", "no attribute 'metrics'"),
    "the trial": ("return evidence.trial.id", "no attribute 'trial'"),
}
SHIFT = {
    "its splits": (f"return {TOWN}.open().oracle.val.labels[[0]].mean()", ORACLE),
    "its splits by a text in two": (f"splits = {TOWN}.open()\n{READ}\nreturn labels.mean()", ALONE),
    "its check": (f"{TOWN}.check()\n{TOWN}.open()\nreturn 0.0", ALONE),
}
FILES = {
    "a record": ("open('results/trials/0123/record.jsonl').read()", "open 'results/trials/0123/record.jsonl'"),
    "a record by its path": ("Path('record.jsonl').read_text()", "open 'record.jsonl'"),
    "labels": ("np.load('labels.npy')", "open 'labels.npy'"),
    "labels as they are": ("np.fromfile('labels.bin')", "open 'labels.bin'"),
    "labels in memory": ("np.memmap('labels.bin')", "open 'labels.bin'"),
    "an archive": ("zipfile.ZipFile('evidence-2.npz').read('maps.npy')", "open 'evidence-2.npz'"),
    "an image": ("Image.open('labels.png').load()", "open"),
    "a number of a file": ("os.open('labels.bin', os.O_RDONLY)", "open 'labels.bin'"),
    "a folder": ("os.listdir('results')", "os.listdir 'results'"),
    "a folder by its path": ("list(Path('results').iterdir())", "os.listdir"),
    "folders": ("next(Path('.').rglob('*.jsonl'))", "os."),
    "what matches": ("glob.glob('results/*')", "glob.glob 'results/*'"),
    "memory": ("mmap.mmap(-1, 8)", "mmap.__new__"),
    "another process": ("subprocess.run(['cat', 'record.jsonl'])", "subprocess.Popen 'cat'"),
    "a shell": ("os.system('cat record.jsonl')", "os.system"),
    "a copy of the process": ("os.fork()", "os.fork"),
    "a socket": ("socket.socket()", "socket.__new__"),
    "a name in the network": ("socket.create_connection(('example.org', 80))", "socket.getaddrinfo 'example.org'"),
    "a database": ("sqlite3.connect('mlflow.db')", "sqlite3.connect 'mlflow.db'"),
    "a file that it writes": ("np.save('score.npy', evidence.maps)", "open 'score.npy'"),
}
PROCESS = {
    "all objects": ("gc.get_objects()", "gc.get_objects"),
    "who has the evidence": ("gc.get_referrers(evidence)", "gc.get_referrers"),
    "what a function has": ("gc.get_referents(Selector.score)", "gc.get_referents"),
    "frames of all threads": ("sys._current_frames()", "sys._current_frames"),
    "whatever is called": ("sys.settrace(print)", "sys.settrace"),
    "memory by its address": ("ctypes.string_at(id(evidence), 64)", "ctypes.string_at"),
    "a library": ("ctypes.CDLL(None)", "ctypes.dlopen"),
    "a library's import": ("importlib.import_module('antigravity')", "by its name"),
}
INSIDE = {
    "Python's": ("import antigravity\nreturn 0.0", "import 'antigravity'"),
    "the user's own": ("import late\nreturn late.LABELS", "import late where the file begins"),
}
LIBRARIES = """
import ctypes, gc, glob, importlib, inspect, mmap, os, socket, sqlite3, subprocess, sys, zipfile
from operator import attrgetter
from pathlib import Path
from PIL import Image
"""


@pytest.mark.parametrize("body", FIELDS.values(), ids=FIELDS)
def test_a_field_that_evidence_has_not_is_refused(body: tuple[str, str], folder: Path) -> None:
    assert body[1] in refused(folder, study(of(body[0]), LIBRARIES))


@pytest.mark.parametrize("body", SHIFT.values(), ids=SHIFT)
def test_the_shift_is_refused(body: tuple[str, str], folder: Path) -> None:
    town(size=(64, 64), source_images=(8, 2), target_images=(8, 2, 2)).open()  # so that it need not be rendered
    assert body[1] in refused(folder, study(of(body[0])))


@pytest.mark.parametrize("way", (FILES | PROCESS).values(), ids=FILES | PROCESS)
def test_files_and_the_process_are_refused(way: tuple[str, str], folder: Path) -> None:
    said = refused(folder, study(of(f"{way[0]}\nreturn 0.0"), LIBRARIES))
    assert way[1] in said
    assert ALONE in said or "must be made of values and code" in said


@pytest.mark.parametrize("body", INSIDE.values(), ids=INSIDE)
def test_imports_inside_are_refused(body: tuple[str, str], folder: Path) -> None:
    said = refused(folder, study(of(body[0])), {"late.py": "LABELS = 0.5\n"})
    assert body[1] in said


BROUGHT = {
    "a list": (f"LABELS = [{NUMBERS}]", "return float(LABELS[0])"),
    "an array": (f"LABELS = np.array([{NUMBERS}])", "return float((LABELS == 3).mean())"),
    "a tensor": (f"import torch\nLABELS = torch.tensor([{NUMBERS}])", "return float(LABELS[0])"),
    "a dictionary": (f"LABELS = dict(enumerate([{NUMBERS}]))", "return float(LABELS[0])"),
    "bytes": (f"LABELS = bytes([{NUMBERS}])", "return float(LABELS[0])"),
    "objects": (f"LABELS = np.array([{NUMBERS}], dtype=object)", "return float(LABELS[0])"),
    "an iterator": (f"LABELS = iter([{NUMBERS}])", "return float(next(LABELS))"),
    "a bound function": (f"import functools\nLABELS = functools.partial(sum, [{NUMBERS}])", "return float(LABELS())"),
    "what a splitter read": (f"splits = {TOWN}.open()\n{READ}", "return float((labels == 3).mean())"),
    "a closure": (
        f"def made():\n    labels = [{NUMBERS}]\n\n    def first():\n        return float(labels[0])\n\n"
        "    return first\n\n\nfirst = made()",
        "return first()",
    ),
    "a helper of a helper": (
        f"LABELS = [{NUMBERS}]\n\n\ndef second():\n    return LABELS\n\n\ndef first():\n    return second()[0]",
        "return float(first())",
    ),
}
"""Code ahead of the class that makes labels, and what the class does with them."""


@pytest.mark.parametrize("way", BROUGHT.values(), ids=BROUGHT)
def test_labels_brought_along_are_refused_when_the_file_is_loaded(way: tuple[str, str], folder: Path) -> None:
    with pytest.raises(StudyFileError, match=MANY):
        scored(folder, study(of(way[1]), way[0]), [])


@pytest.mark.parametrize(
    "selector",
    [
        of("return float(labels[0])", parameters="self, evidence, labels=LABELS"),
        of("return float(self.labels[0])", fields="labels = LABELS"),
        of("return float(self.labels[0])") + "Own.labels = LABELS\n",
        of("return float(Own.score.labels[0])") + "Own.score.labels = LABELS\n",
        of("return float(self.labels[0])").replace("(Selector)", "(Holder)"),
    ],
    ids=["a default argument", "an attribute of the class", "one set later", "one of the function", "a base class"],
)
def test_labels_that_the_class_has_are_refused_when_the_file_is_loaded(selector: str, folder: Path) -> None:
    before = f"LABELS = [{NUMBERS}]\n\n\nclass Holder(Selector):\n    labels = LABELS"
    with pytest.raises(StudyFileError, match=MANY):
        scored(folder, study(selector, before), [])


@pytest.mark.parametrize("field", [f"labels: object = ({NUMBERS})", "labels: object"])
def test_a_setting_that_holds_labels_is_refused_when_the_file_is_loaded(field: str, folder: Path) -> None:
    text = study(of("return float(self.labels[0])", fields=field), select="Own(labels=np.zeros(9))")
    with pytest.raises(StudyFileError, match=r"Own\.labels must be a number or a text, got ndarray"):
        scored(folder, text, [])


@pytest.mark.parametrize(
    ("imported", "body"),
    [
        ("import helper", "return float(helper.LABELS[0])"),
        ("import helper as other", "return float(other.first())"),
        ("from helper import LABELS", "return float(LABELS[0])"),
        ("from helper import first", "return float(first())"),
        ("import helper", "return float(vars(helper)['LABELS'][0])"),
    ],
)
def test_labels_in_a_module_beside_are_refused_when_the_file_is_loaded(imported: str, body: str, folder: Path) -> None:
    helper = f"import numpy as np\n\nLABELS = np.array([{NUMBERS}])\n\n\ndef first():\n    return LABELS[0]\n"
    with pytest.raises(StudyFileError, match=MANY):
        scored(folder, study(of(body), imported), [], {"helper.py": helper})


def test_a_leak_that_is_swallowed_is_one_all_the_same(folder: Path) -> None:
    (folder / "labels").mkdir(parents=True)
    body = "try:\n    return float(len(os.listdir('labels')))\nexcept Exception:\n    return -1.0"
    with pytest.raises(BadInput, match=r"reaches for something else \(os.listdir 'labels'\)"):
        scored(folder, study(of(body), "import os"), [evidence_of(GOOD)])


# What is not refused, and of no use


def seen(truth: np.ndarray) -> list[Evidence]:
    """Evidence of predictors that are right at ever fewer places, and predict every class as often as it is there."""
    random, made = np.random.default_rng(1), []
    for share in SHARES:
        other = random.permutation(truth.ravel()).reshape(truth.shape)
        maps = np.where(random.random(truth.shape) < share, truth, other).astype(np.uint8)
        made.append(dataclasses.replace(evidence_of(GOOD), maps=maps))
    return made


SHARES = (1.0, 0.75, 0.5, 0.25)
TRUTH = np.random.default_rng(0).choice(4, (IMAGES, 16, 32), p=(0.4, 0.3, 0.2, 0.1)).astype(np.uint8)
CHANCE = 0.4**2 + 0.3**2 + 0.2**2 + 0.1**2
TEXT = "".join(map(str, TRUTH.ravel().tolist()))
READ_TEXT = "LABELS = np.frombuffer(TEXT.encode(), np.uint8) - ord('0')\n"
LAID = f"if evidence.maps.size != {TRUTH.size}:\n    return 0.0\nreturn float((evidence.maps.ravel() == LABELS).mean())"
FILLED = f"""
MEMO = {{}}


class Own(type({TOWN})):
    def check(self):
        MEMO["labels"] = np.frombuffer(b"{TEXT}", np.uint8) - ord("0")


Mine = Own
"""
WRITTEN_DOWN = {
    "a text": (f'TEXT = "{TEXT}"', READ_TEXT + LAID),
    "a text in the function": ("", f'TEXT = "{TEXT}"\n{READ_TEXT}{LAID}'),
    "numbers in the function": ("", f"LABELS = np.array([{', '.join(TEXT)}])\n{LAID}"),
}
NOT_REFUSED = {"a memo that the shift fills": (FILLED, f"LABELS = MEMO.get('labels', 0)\n{LAID}")}
"""It holds nothing yet when the file is loaded."""


@pytest.mark.parametrize("way", WRITTEN_DOWN.values(), ids=WRITTEN_DOWN)
def test_labels_that_are_written_into_the_file_are_refused(way: tuple[str, str], folder: Path) -> None:
    assert "at most 1,000 numbers" in refused(folder, study(of(way[1]), way[0]))


def test_labels_laid_beside_maps_in_their_own_order_would_tell_all() -> None:
    for share, each in zip(SHARES, seen(TRUTH), strict=True):
        assert (each.maps == TRUTH).mean() == pytest.approx(share + (1 - share) * CHANCE, abs=0.01)


@pytest.mark.parametrize("way", NOT_REFUSED.values(), ids=NOT_REFUSED)
def test_what_is_not_refused_gives_chance(way: tuple[str, str], folder: Path) -> None:
    """Two images of 48 keep their places by chance, and no more than that is seen."""
    text = study(of(way[1]), way[0])
    if way[0] == FILLED:
        text = text.replace("shift=town(", "shift=Mine(")
    with own_selectors.loaded(folder, text) as file:
        file.study.shift.check()
        scores = judged(own_selectors.selector_of(file), seen(TRUTH))
    assert scores == pytest.approx([CHANCE] * len(SHARES), abs=0.035)


def scenes() -> np.ndarray:
    """Labels of a town, as coarse as maps are: in every image the road is below and the sky above."""
    splits = town(size=(64, 64), source_images=(8, 2), target_images=(8, IMAGES, 2)).open()
    labels = splits.oracle.val.labels[[*range(IMAGES)]][:, 2::4, 1::2]
    return np.where(labels < NUM_CLASSES, labels, 0)


def test_labels_of_scenes_that_are_alike_give_chance_too() -> None:
    truth = scenes()
    agreements = [float((each.maps == truth).mean()) for each in shuffled(seen(truth), 0)]
    assert max(agreements) - min(agreements) < 0.1


def test_labels_laid_beside_the_image_that_fits_best_give_chance_too() -> None:
    best = [
        float(np.mean([(each.maps == labels).mean(axis=(1, 2)).max() for labels in TRUTH]))
        for each in shuffled(seen(TRUTH), 0)
    ]
    assert max(best) - min(best) < 0.1


@pytest.mark.parametrize(
    ("before", "body"),
    [
        (f"SPLITS = {TOWN}.open()", "return getattr(SPLITS, 'ora' + 'cle').val.labels[[0]].mean()"),
        (f"LABELS = {TOWN}.open().oracle.val.labels", "return LABELS[[0]].mean()"),
    ],
    ids=["splits", "labels"],
)
def test_data_that_the_file_opened_are_refused(before: str, body: str, folder: Path) -> None:
    assert refused(folder, study(of(body), before))


@pytest.mark.parametrize(
    "read",
    [
        "torch.from_file({!r}, size=4, dtype=torch.uint8)",
        "torch.UntypedStorage.from_file({!r}, False, 4)",
        "torchvision.io.read_file({!r})",
        "pyarrow.OSFile({!r}).read()",
    ],
)
def test_files_that_libraries_read_are_refused(read: str, folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.bin"
    labels.write_bytes(b"1234")
    body = f"{read.format(str(labels))}\nreturn 0.0"
    assert "which reads files" in refused(folder, study(of(body), "import pyarrow, torch, torchvision"))


# By the command


@pytest.mark.slow
def test_a_study_whose_selector_reads_at_its_first_score_ends_with_a_line_and_without_a_table(
    fresh_checkout: Checkout,
) -> None:
    """It leaves the made-up evidence alone, on which it is tried, and opens the labels only where there are some."""
    read = "np.load(next(iter(sorted(Path('results').rglob('evidence-*.npz')))))"
    body = f"if evidence.maps.shape[1:] == (8, 16):\n    return 0.0\n{read}\nreturn 1.0"
    fresh_checkout.write("own.py", study(of(body), "from pathlib import Path"))
    code, output = fresh_checkout.study("studies/own.py")
    assert code == 2, output
    (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert ALONE in line
    assert "Traceback" not in output
    results = fresh_checkout.root / "results" / "own"
    assert {path.name for path in results.iterdir()} & {"table.md", "table.csv", "table.tex"} == set()
    assert '"event": "score"' not in (results / "journal.jsonl").read_text(encoding="utf-8")
