"""Fingerprints of source code: of what it means, whatever its comments, its layout, and where its parts lie."""

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path


def fingerprint(files: Iterable[Path], *more: str) -> str:
    """12 hexadecimal digits that change when what the files say changes, or any of the texts `more`.

    Comments, docstrings, layout, annotations of functions and inside them, import statements and the files' names and
    folders do not count; what an imported name stands for does, wherever it is used.
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


class _Meant(ast.NodeTransformer):
    """Leaves out imports, docstrings and functions' annotations, and gives imported names their full ones."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names
        self.in_function = False

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
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self._within(node, in_function=True)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._within(node, in_function=False)

    def _within(self, node: ast.AST, in_function: bool) -> ast.AST:
        before, self.in_function = self.in_function, in_function
        try:
            return self.generic_visit(node)
        finally:
            self.in_function = before

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        # Those of a class make a dataclass's fields; Python never evaluates a function's.
        if not self.in_function:
            return self.generic_visit(node)
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign([node.target], node.value))

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)
