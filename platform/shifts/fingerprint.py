"""Fingerprints of source code: of what it means, whatever its comments, its layout, and where its parts lie."""

import ast
import hashlib
import inspect
import sys
from collections.abc import Iterable
from pathlib import Path


def fingerprint(files: Iterable[Path], *more: str) -> str:
    """12 hexadecimal digits that change when what the files say changes, or any of the texts `more`.

    Comments, docstrings, layout, annotations of functions, import statements and the files' names and folders do not
    count; what an imported name stands for does, wherever it is used.
    """
    return digest(*meanings(files), *more)


def digest(*texts: str) -> str:
    """12 hexadecimal digits that change with any of the texts."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def meanings(files: Iterable[Path]) -> list[str]:
    """What each file says, as `meaning` has it, in an order that does not depend on their names. Raises OSError."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    return sorted(meaning(tree, imported(tree)) for tree in trees)


def meaning(tree: ast.Module, names: dict[str, str]) -> str:
    """Code as text that differs where its meaning does, see `fingerprint`; `names` are those that it imports."""
    return ast.dump(_Meant(names).visit(tree))


def imported(tree: ast.AST) -> dict[str, str]:
    """What the names that a module imports stand for, `{"functional": "torch.nn.functional"}`.

    Of our own package the last part only: its modules may move.
    """
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            ours = (node.module or "").split(".")[0] == "platform"
            names |= {
                alias.asname or alias.name: ("" if ours else f"{node.module}.") + alias.name for alias in node.names
            }
    return names


def defined(kind: type) -> str:
    """What a class means in its file, see `definition`. Raises OSError where there is no file."""
    return definition(kind.__name__, inspect.getsource(sys.modules[kind.__module__]))


def definition(name: str, source: str) -> str:
    """What a name means in a file: its definition, and those of the file's names that it leads to.

    A study file that defines a method may get another arm or another seed, and its trials stay the same.
    """
    tree = ast.parse(source)
    owners: dict[str, ast.stmt] = {}
    for statement in tree.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                owners[node.id] = statement
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            owners[statement.name] = statement
    reached, ahead = set[str](), {name}
    while ahead:
        reached |= ahead
        nodes = [node for each in ahead if each in owners for node in ast.walk(owners[each])]
        ahead = {node.id for node in nodes if isinstance(node, ast.Name)} - reached
    statements = [owners[each] for each in sorted(reached & owners.keys())]
    return meaning(ast.Module(statements, []), imported(tree))


class _Meant(ast.NodeTransformer):
    """Leaves out imports, docstrings and functions' annotations, and gives imported names their full ones."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)
