"""Shapes are types: annotations say them, tests check them, production does not."""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

from platform.methods.batch import Labelled
from platform.methods.upsampled_loss import cross_entropy
from platform.networks.architectures.bisenet import BiSeNet
from platform.networks.network import Prediction
from platform.networks.operations.upsampling import upsample
from platform.records.provenance import ROOT
from platform.scores.metrics import cityscapes, confusion

PACKAGE = ROOT / "platform"

SHAPED_ROOMS = ("networks", "methods", "scores", "training")
"""Rooms whose public functions and fields say the shapes of all arrays."""

AXES = {
    "batch": "images of a batch",
    "number": "images of a split",
    "classes": "classes of a segmentation",
    "channels": "channels of features",
    "inputs": "channels that a layer takes",
    "outputs": "channels that a layer gives",
    "height": "pixels from top to bottom, of images, labels and whatever a layer takes",
    "width": "pixels from left to right",
    "rows": "places from top to bottom on a coarser grid: of features, logits, judgements",
    "columns": "places from left to right on a coarser grid",
    "samples": "places that evidence has more of, or draws of what a study may show",
    "seeds": "runs of a row, each on a seed of its own",
    "repeats": "places of images that were predicted twice",
    "features": "channels of features, or projections of more",
    "candidates": "checkpoints that are compared",
    "clusters": "clusters of features, or cells of a table of them",
}
"""The names of axes and what they count, the same in all rooms."""

UNSAID = "?"
ARRAYS = {"Tensor", "ndarray", "NDArray", "ArrayLike"}
DTYPES = {
    name
    for name, kind in vars(jaxtyping).items()
    if isinstance(kind, type) and issubclass(kind, jaxtyping.AbstractDtype)
}

FILES = [path for room in SHAPED_ROOMS for path in sorted((PACKAGE / room).rglob("*.py"))]


def zeros(*size: int) -> torch.Tensor:
    return torch.zeros(*size)


def train_ids(*size: int) -> torch.Tensor:
    return torch.zeros(size, dtype=torch.int64)


def last_name(node: ast.AST) -> str:
    """`Tensor` of `torch.Tensor`; empty for what is not a name."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def annotations_of(node: ast.AST, owner: str = "") -> Iterator[tuple[str, ast.expr]]:
    """Every annotation of a module's or a class's public functions and fields, with the name of what it describes."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.ClassDef() if not child.name.startswith("_"):
                yield from annotations_of(child, f"{child.name}.")
            case ast.FunctionDef() if not child.name.startswith("_") or child.name.endswith("__"):
                arguments = ast.walk(child.args)
                found = [each.annotation for each in arguments if isinstance(each, ast.arg)]
                yield from ((owner + child.name, each) for each in (*found, child.returns) if each is not None)
            case ast.AnnAssign() if not last_name(child.target).startswith("_"):
                yield owner + last_name(child.target), child.annotation


def shapes_in(annotation: ast.expr) -> Iterator[tuple[str, str]]:
    """Every array of an annotation and its shape, `UNSAID` where none is written down."""
    if isinstance(annotation, ast.Subscript) and last_name(annotation.value) in DTYPES:
        kind, shape = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else (annotation.slice, None)
        yield last_name(kind), str(shape.value) if isinstance(shape, ast.Constant) else UNSAID
    elif isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        yield from shapes_in(ast.parse(annotation.value, mode="eval").body)
    elif last_name(annotation) in ARRAYS | arrays_by_another_name():
        yield last_name(annotation), UNSAID
    else:
        for child in ast.iter_child_nodes(annotation):
            yield from shapes_in(child) if isinstance(child, ast.expr) else ()


@functools.cache
def arrays_by_another_name() -> frozenset[str]:
    """Names that the package gives to arrays without saying a shape: `Pixels = NDArray[np.uint8]`."""
    statements = [node for path in PACKAGE.rglob("*.py") for node in ast.parse(path.read_text()).body]
    return frozenset(
        last_name(node.targets[0])
        for node in statements
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Subscript | ast.Attribute | ast.Name)
        and (last_name(node.value) in ARRAYS or last_name(getattr(node.value, "value", node)) in ARRAYS)
    )


def unsaid(tree: ast.Module) -> list[str]:
    """The public functions and fields of a module that have an array without a shape."""
    return [name for name, annotation in annotations_of(tree) for _, shape in shapes_in(annotation) if shape == UNSAID]


def axes_of(annotation: ast.expr) -> set[str]:
    """The names of an annotation's axes: `batch` and `height` of `"batch 3 -(-height//8) {size[1]}"`."""
    shapes = (re.sub(r"{.*?}", "", shape) for _, shape in shapes_in(annotation))
    return {axis for shape in shapes for axis in re.findall(r"[A-Za-z]\w*", shape)}


every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())


@every_file
def test_public_arrays_have_a_shape(path: Path) -> None:
    assert unsaid(ast.parse(path.read_text())) == []


@every_file
def test_axes_have_the_same_names_everywhere(path: Path) -> None:
    annotations = annotations_of(ast.parse(path.read_text()))
    used = {(name, axis) for name, annotation in annotations for axis in axes_of(annotation)}
    others = {(name, axis) for name, axis in used if axis not in AXES}
    assert not others, f"axes are called {', '.join(AXES)}; use one of these, or add what else is counted to AXES"


@pytest.mark.parametrize(
    "code",
    [
        "def f(x: Tensor): ...",
        "def f(*, x: torch.Tensor | None = None): ...",
        "def f(*x: Tensor): ...",
        "def f() -> Mapping[str, Tensor]: ...",
        "def f(x: npt.NDArray[np.uint8]): ...",
        "def f(x: 'np.ndarray'): ...",
        "def f(x: Pixels): ...",
        "def f(x: Callable[[Tensor], Float[Tensor, '']]): ...",
        "class A:\n    x: Tensor",
        "class A:\n    def __call__(self, x: Tensor): ...",
    ],
)
def test_every_array_without_a_shape_is_seen(code: str) -> None:
    assert len(unsaid(ast.parse(code))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "def f(x: Float[Tensor, 'batch 3 height width']) -> Float[Tensor, '']: ...",
        "def f(x: Int64[np.ndarray, '20 20'] | None, y: int): ...",
        "def f(x: Counts): ...",
        "def _f(x: Tensor): ...",
        "class _A:\n    x: Tensor",
    ],
)
def test_arrays_with_a_shape_and_what_is_private_pass(code: str) -> None:
    assert unsaid(ast.parse(code)) == []


def test_every_axis_of_an_annotation_is_seen() -> None:
    annotation = ast.parse("tuple[Float[Tensor, 'batch 3 -(-height//8) {size[1]}'], Int64[Tensor, '*batch _ depth']]")
    assert axes_of(annotation.body[0].value) == {"batch", "height", "depth"}  # type: ignore[attr-defined]


WRONG: dict[str, Callable[[], object]] = {
    "networks: three axes instead of four": lambda: upsample(zeros(2, 19, 4), (8, 8)),
    "networks: a grey image": lambda: BiSeNet(width=1 / 64)(zeros(2, 1, 32, 32)),
    "networks: auxiliary logits of another size": lambda: Prediction(
        zeros(2, 19, 4, 8), (zeros(2, 19, 2, 4),), zeros(2, 8, 4, 8)
    ),
    "methods: labels of another batch": lambda: cross_entropy(zeros(2, 19, 4, 8), train_ids(3, 32, 64)),
    "methods: labels that are not integers": lambda: cross_entropy(zeros(2, 19, 4, 8), zeros(2, 32, 64)),
    "methods: labels of another size": lambda: Labelled(zeros(2, 3, 8, 8), train_ids(2, 8, 9), *[train_ids(2)] * 2),
    "scores: a matrix without void": lambda: cityscapes(np.ones((19, 19), np.int64)),
    "scores: probabilities instead of train ids": lambda: confusion(np.ones((8, 8)), np.ones((8, 8), np.uint8)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_shape_is_refused_in_tests(name: str) -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        WRONG[name]()


def test_production_checks_no_shape() -> None:
    code = (
        "import sys, torch, platform.methods, platform.training.run\n"
        "from platform.networks.network import Prediction\n"
        "Prediction(torch.zeros(1), (), torch.zeros(1))\n"
        "print([name for name in ('beartype', 'typeguard') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
