"""The source of a function, and the names that it reads."""

import ast
import builtins
import dis
import functools
import importlib.util
import linecache
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import TypeAlias

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
IMPORT = dis.opmap["IMPORT_NAME"]
Span: TypeAlias = tuple[tuple[int, int], tuple[int, int]]
"""Line and column of a beginning and of an end."""


def source(function: FunctionType) -> ast.Module | None:
    """A function's own statement, or the expression of a lambda; None where the file does not tell which it is."""
    code = function.__code__
    if (file := _file(function)) is None:
        return None
    found = file.definitions[code.co_firstlineno, code.co_name]
    meant = [each for each in found if len(found) == 1 or _body(each) == _around(code, found)]
    return _cut(file.lines, meant[0]) if len(meant) == 1 else None


def imported_as(function: FunctionType, name: str) -> list[tuple[str, str]]:
    """What the imports of a function's file may have bound to a name: modules, and what is taken of them."""
    file = _file(function)
    return file.imports[name] if file is not None else []


@dataclass(frozen=True)
class _File:
    """What a file says where."""

    lines: list[str]
    definitions: dict[tuple[int, str], list[Definition]]
    """By the line and the name that their code objects have."""
    imports: dict[str, list[tuple[str, str]]]


def _file(function: FunctionType) -> _File | None:
    """The file that a function was read from; None where there is none, or its text has changed beyond reading."""
    linecache.checkcache(file := function.__code__.co_filename)
    lines = linecache.getlines(file, function.__globals__)
    return _read("".join(lines), function.__globals__.get("__package__") or "")


@functools.lru_cache(maxsize=64)
def _read(text: str, package: str) -> _File | None:
    file = _File(text.splitlines(keepends=True), defaultdict(list), defaultdict(list))
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except SyntaxError:
        return None
    for node in nodes:
        if isinstance(node, ast.Lambda):
            file.definitions[node.lineno, "<lambda>"].append(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            file.definitions[_first_line(node), node.name].append(node)
        for name, module, attribute in _imports(node, package):
            file.imports[name].append((module, attribute))
    return file


def _first_line(node: Definition) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min(each.lineno for each in [node, *decorators])


def _body(node: Definition) -> Span:
    inner = node.body if isinstance(node, ast.Lambda) else node
    return (inner.lineno, inner.col_offset), (inner.end_lineno or 0, inner.end_col_offset or 0)


def _around(code: CodeType, lambdas: list[Definition]) -> Span | None:
    """The narrowest of the lambdas' bodies that holds every instruction of the code, None where none is known to."""
    spans: list[Span] = [
        ((line, column), (last_line, last_column))
        for line, last_line, column, last_column in code.co_positions()
        # What Python adds itself lies at the beginning of the line, and has no width.
        if line and last_line and column is not None and last_column
    ]
    holding = [
        (begin, end)
        for begin, end in map(_body, lambdas)
        if spans and all(begin <= first and last <= end for first, last in spans)
    ]
    return max(holding, default=None)


def _cut(lines: list[str], node: Definition) -> ast.Module:
    """A copy of a definition, parsed from its own lines: the file's tree is kept as it is."""
    lines = lines[_first_line(node) - 1 : node.end_lineno]
    if isinstance(node, ast.Lambda):
        raw = [line.encode() for line in lines]
        raw[-1] = raw[-1][: node.end_col_offset]
        raw[0] = raw[0][node.col_offset :]
        return ast.parse(f"({b''.join(raw).decode()})")
    if not lines[0][0].isspace():
        return ast.parse("".join(lines))
    block = ast.parse("if True:\n" + "".join(lines)).body[0]
    assert isinstance(block, ast.If)
    return ast.Module(block.body, [])


def names_read(code: CodeType) -> set[str]:
    """The global names that a code object reads, with those of the functions and classes inside it."""
    read, bound = set[str](), set[str]()
    for instruction in dis.get_instructions(code) if code.co_names else ():
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
            read.add(instruction.argval)
        elif instruction.opname == "STORE_NAME":
            bound.add(instruction.argval)
    inner = (names_read(each) for each in code.co_consts if isinstance(each, CodeType))
    # The body of a class reads what it has bound itself before.
    return (read - bound).union(*inner)


def names_taken(code: CodeType) -> set[str]:
    """The names and attributes that a code object takes, with those of the functions and classes inside it."""
    return set(code.co_names).union(*(names_taken(each) for each in code.co_consts if isinstance(each, CodeType)))


def attributes_read(tree: ast.AST) -> dict[str, set[tuple[str, ...]]]:
    """What is read of each name: `{"helpers": {("scaled",)}}` for `helpers.scaled(x)`, `()` for the name alone."""
    found: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    inner = set[int]()
    for node in ast.walk(tree):  # outer nodes come before the inner ones
        parts, at = list[str](), node
        while isinstance(at, ast.Attribute):
            inner.add(id(at.value))
            parts.append(at.attr)
            at = at.value
        if isinstance(at, ast.Name) and id(node) not in inner:
            found[at.id].add(tuple(reversed(parts)))
    return found


def imports(function: FunctionType, tree: ast.AST) -> list[tuple[str, str, str]]:
    """Every import in a function as the name that it binds, the module's full name, and what is taken of it."""
    package = function.__globals__.get("__package__") or ""
    return (
        [each for node in ast.walk(tree) for each in _imports(node, package)] if _imports_any(function.__code__) else []
    )


def _imports_any(code: CodeType) -> bool:
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return IMPORT in code.co_code[::2] or any(map(_imports_any, inner))


def _imports(node: ast.AST, package: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0], alias.name, ""
    elif isinstance(node, ast.ImportFrom):
        full = node.module or ""
        if node.level:
            with suppress(ImportError):  # of a file that lies in no package, where the import would fail, too
                full = importlib.util.resolve_name("." * node.level + full, package)
        for alias in node.names:
            yield alias.asname or alias.name, full, alias.name


def is_builtin(name: str) -> bool:
    """Whether a name is one of Python's own, unless a module defines it."""
    return hasattr(builtins, name)
