"""The house: doors at the root, rooms in their order, each library in its place, one way to target labels."""

import ast
import functools
import graphlib
import re
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

import platform.methods
import platform.networks

PACKAGE = Path(__file__).parents[1] / "platform"

DOORS = {"study", "score", "replay", "audit", "tracking", "remote"}
"""Modules at the root: commands, and what study files import. Nobody inside the package imports one."""
FLOORS = (
    {"records"},
    {"shifts"},
    {"networks", "scores"},
    {"methods"},
    {"training"},
    {"design"},
    {"search"},
    {"results", "running"},
    {"commands"},
)
"""Rooms, ground first: a room imports itself and what lies below its floor, never a neighbour on it."""
MOST_NAMES, MOST_MODULES, MOST_LINES = 18, 9, 400
"""At the root; in a folder, beside its sub-folders and its face; in a file."""

HOMES = {
    "codecarbon": {"running/machine/meters.py"},
    "ray": {"running", "commands/remote"},
    "mlflow": {"results/mirror"},
    "optuna": {"search"},
    "matplotlib": {"results/figures"},
    "rich": {"commands/terminal", "results/against", "results/audit", "results/lines.py", "results/report"},
    "pandas": {"results/report"},
    "pyarrow": {"records/storage/bucket.py", "results/report"},
    "scipy": {"results/responses", "results/statistics", "shifts/town"},
    "sqlalchemy": {"results/mirror"},
    "torchvision": {"networks", "methods/self_training"},
    "PIL": {"shifts"},
}
"""Where a library may be imported: everything else is plain PyTorch and Python."""

NETWORKS = {
    "networks/architectures/bisenet.py": {"BiSeNet", "BiSeNet18", "BiSeNet101"},
    "networks/architectures/deeplabv3.py": {"DeepLab", "DeepLabV3"},
    "networks/architectures/lraspp.py": {"LRASPP", "LRASPPNetwork"},
    "networks/architectures/pidnet.py": {"PIDNet", "PIDNetSmall"},
}
"""Files of single networks, and their classes: the networks and their descriptions."""

ORACLE = {"shifts", "training"}
"""Rooms that may reach for target labels: the shifts, and what trains the upper bound and evaluates."""
NAMES_ORACLE = {
    "design/arm.py",
    "methods/bounds/target_supervised.py",
    "methods/composition.py",
    "methods/step.py",
}
"""Files that name the batch of an upper bound, `reads = frozenset({"oracle"})`: a name that leads to no label."""

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def name_of(path: Path) -> str:
    """A file below `platform/`, as tests are named by it."""
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    """The room of a file, or the name of a door."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor_of(room: str) -> int:
    """How high a room lies; doors lie on top."""
    return next((number for number, floor in enumerate(FLOORS) if room in floor), len(FLOORS))


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def file_of(dotted: str) -> Path | None:
    """The file of one of our modules or faces, None for what is neither."""
    place = PACKAGE.joinpath(*dotted.split(".")[1:])
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Every import of a file, anywhere in it, as module and name; no name where a module itself is imported."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, "imports name a module in full, from `platform` on"
            assert node.level == 0, "imports name a module in full, from `platform` on"
            yield from ((node.module, alias.name) for alias in node.names)


def our_imports(path: Path) -> set[Path]:
    """The files of our own that a file imports."""
    ours = {(module, name) for module, name in imported(path) if module.split(".")[0] == "platform"}
    found = (file_of(f"{module}.{name}") or file_of(module) for module, name in ours)
    return {file for file in found if file is not None and file != PACKAGE / "__init__.py"}


every_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


def test_the_root_holds_doors_and_rooms() -> None:
    names = {
        path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.name not in {"__pycache__", "README.md"}
    }
    assert names == {"__init__", *DOORS}.union(*FLOORS)
    assert len(names) <= MOST_NAMES


def test_every_folder_has_a_face() -> None:
    folders = {path.parent for path in MODULES} - {PACKAGE}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_no_folder_is_a_heap() -> None:
    folders = {path.parent for path in MODULES} - {PACKAGE}
    modules = {name_of(folder): len({*folder.glob("*.py")} - {folder / "__init__.py"}) for folder in folders}
    assert {folder: number for folder, number in modules.items() if number > MOST_MODULES} == {}


def test_no_file_is_too_long() -> None:
    root = PACKAGE.parent
    files = [
        path for folder in ("platform", "studies", "tests", "benchmarks") for path in (root / folder).rglob("*.py")
    ]
    lines = {path.relative_to(root).as_posix(): len(path.read_text().splitlines()) for path in files}
    assert {name: number for name, number in lines.items() if number > MOST_LINES} == {}


@every_module
def test_imports_point_down(path: Path) -> None:
    mine = room_of(path)
    others = {name_of(file) for file in our_imports(path) if room_of(file) != mine}
    assert {name for name in others if floor_of(room_of(PACKAGE / name)) >= floor_of(mine)} == set()


@every_module
def test_nobody_imports_a_door(path: Path) -> None:
    assert {name_of(file) for file in our_imports(path) if file.parent == PACKAGE} == set()


def test_no_file_imports_itself_by_way_of_others() -> None:
    graph = {name_of(path): {name_of(file) for file in our_imports(path)} for path in MODULES}
    assert list(graphlib.TopologicalSorter(graph).static_order()), "raises CycleError, which names the circle"


@every_module
def test_private_names_stay_in_their_modules(path: Path) -> None:
    """Neither imported from a module, nor taken from an imported one by its attribute."""
    taken = {f"{module}.{name}" for module, name in imported(path) if module.startswith("platform") and name[:1] == "_"}
    modules = {name for module, name in imported(path) if file_of(f"{module}.{name}") is not None}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            taken |= {f"{node.value.id}.{node.attr}"} if node.attr.startswith("_") and node.attr[:2] != "__" else set()
    assert taken == set()


@every_module
def test_libraries_stay_in_their_homes(path: Path) -> None:
    used = {module.split(".")[0] for module, _ in imported(path)} & HOMES.keys()
    homeless = {
        library
        for library in used
        if not any(name_of(path) == home or name_of(path).startswith(f"{home}/") for home in HOMES[library])
    }
    assert homeless == set()


@every_module
def test_only_the_shelf_and_the_recipe_know_a_network(path: Path) -> None:
    """What else needs one gets it from the recipe, whichever it is."""
    names = {name_of(file) for file in our_imports(path)} | {name for _, name in imported(path)}
    knows = names & {*NETWORKS}.union(*NETWORKS.values())
    assert room_of(path) == "networks" or name_of(path) == "training/recipe.py" or knows == set()


def test_no_network_is_left_out() -> None:
    shelf = {name: entry for name, entry in vars(platform.networks).items() if isinstance(entry, type)}
    described = {name for name, entry in shelf.items() if issubclass(entry, platform.networks.Architecture)}
    assert described - {"Architecture"} <= set().union(*NETWORKS.values())


@every_module
def test_only_the_shelf_knows_a_single_method(path: Path) -> None:
    """Everything else asks a method what it needs to know: a study file's own one is as good as ours."""
    classes = {name: entry for name, entry in vars(platform.methods).items() if isinstance(entry, type)}
    methods = {name for name, entry in classes.items() if issubclass(entry, platform.methods.Method)} - {"Method"}
    families = {f"platform.methods.{folder.name}" for folder in (PACKAGE / "methods").iterdir() if folder.is_dir()}
    ours = {(module, name) for module, name in imported(path) if module.startswith("platform.methods")}
    known = {name for module, name in ours if name in methods or module.startswith(tuple(families))}
    assert room_of(path) == "methods" or known == set()


READERS = {"read_text", "write_text", "fdopen", "TextIOWrapper", "NamedTemporaryFile", "TemporaryFile"}
"""Calls that read or write text unless they are told that it is bytes; so does `open`."""


def unstated_encodings(tree: ast.AST) -> list[int]:
    """The lines of calls that take text in whatever encoding the user's locale has."""
    lines = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        options = {option.arg: option.value for option in call.keywords}
        literals = [value.value for value in [*call.args, *options.values()] if isinstance(value, ast.Constant)]
        modes = [value for value in literals if isinstance(value, str) and re.fullmatch(r"[rwax+bt]{1,3}", value)]
        opens = name in READERS or (name == "open" and (modes or isinstance(call.func, ast.Name)))
        texts = opens and not any("b" in mode for mode in modes)
        texts |= any(getattr(options.get(option), "value", False) for option in ("text", "universal_newlines"))
        encoded = "encoding" in options or (name == "TextIOWrapper" and len(call.args) > 1)
        if texts and not encoded and not (name.endswith("TemporaryFile") and not modes):
            lines.append(call.lineno)
    return lines


@pytest.mark.parametrize("path", [*MODULES, *(PACKAGE.parent / "benchmarks").glob("*.py")], ids=lambda path: path.name)
def test_text_is_read_and_written_in_a_stated_encoding(path: Path) -> None:
    assert unstated_encodings(parsed(path)) == []


@pytest.mark.parametrize(
    "code",
    [
        "path.read_text()",
        "path.write_text(x)",
        "open(path)",
        "path.open('w')",
        "os.fdopen(1, 'w')",
        "subprocess.run(x, text=True)",
        "TemporaryFile('w+')",
    ],
)
def test_every_unstated_encoding_is_seen(code: str) -> None:
    assert unstated_encodings(ast.parse(code))


PIPES = {"sys.stdin.buffer", "self._popen.stdout"}
"""Between a process and the one that it started: nobody else writes there."""
PARCELS = {"self.content"}
"""What Ray has brought to a worker, which it would have unpickled itself."""


@every_module
def test_no_file_is_unpickled(path: Path) -> None:
    calls = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
    for call in calls:
        name, line = ast.unparse(call.func), call.lineno
        options = {option.arg: ast.unparse(option.value) for option in call.keywords}
        assert options.get("allow_pickle", "False") == "False", line
        assert options.get("weights_only", "True") == "True", line
        assert "weights_only" in options or name not in {"torch.load", "load_state_dict_from_url"}, line
        assert not name.endswith(("read_pickle", "Unpickler")), line
        assert not name.endswith("pickle.loads") or ast.unparse(call.args[0]) in PARCELS, line
        assert not name.endswith("pickle.load") or ast.unparse(call.args[0]) in PIPES, line


def named_batches(tree: ast.AST) -> set[ast.AST]:
    """Texts that name batches: in a set, as a key of a dictionary, and asked for in what is read."""
    found: list[ast.AST | None] = []
    for node in ast.walk(tree):
        match node:
            case ast.Set(elts=names) | ast.Dict(keys=names):
                found += names
            case ast.Compare(left=left, ops=[ast.In()], comparators=[ast.Attribute(attr="reads")]):
                found.append(left)
    return {node for node in found if node is not None}


def reached_for(tree: ast.AST, name: str, besides: Collection[ast.AST] = ()) -> list[int]:
    """The lines of code that take an attribute: `x.name`, `getattr(x, "name")`, `case X(name=...)`, `"name.other"`."""
    lines = []
    for node in (node for node in ast.walk(tree) if node not in besides):
        attribute = isinstance(node, ast.Attribute) and node.attr == name
        text = isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.split(".")[0] == name
        pattern = isinstance(node, ast.MatchClass) and name in node.kwd_attrs
        if attribute or text or pattern:
            lines.append(node.lineno)  # type: ignore[attr-defined]
    return lines


@every_module
def test_target_labels_have_one_door(path: Path) -> None:
    """Only the shifts themselves, the supervised upper bound's data and the evaluation reach for `oracle`."""
    tree = parsed(path)
    names = named_batches(tree) if name_of(path) in NAMES_ORACLE else set()
    assert room_of(path) in ORACLE or reached_for(tree, "oracle", names) == []


@pytest.mark.parametrize(
    "code",
    [
        "splits.oracle.val",
        "splits.oracle, 1",
        "door = splits.oracle",
        "getattr(splits, 'oracle')",
        "attrgetter('oracle.val')(splits)",
        "name = 'oracle'",
        "splits['oracle']",
        "match splits:\n    case Splits(oracle=labels):\n        pass",
    ],
)
def test_every_way_to_target_labels_is_seen(code: str) -> None:
    tree = ast.parse(code)
    assert reached_for(tree, "oracle", named_batches(tree))


def test_a_batch_named_oracle_is_no_way_to_target_labels() -> None:
    tree = ast.parse("reads = frozenset({'oracle'}); supervised = 'oracle' in self.reads; {'oracle': 'target'}")
    assert not reached_for(tree, "oracle", named_batches(tree))
    assert len(reached_for(tree, "oracle")) == 3


def test_a_metric_named_oracle_is_no_way_to_target_labels() -> None:
    assert not reached_for(ast.parse("metrics['oracle/miou']"), "oracle")
