"""Secrets that are typed into a cell: texts under names that say so, found in its code before it runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from colab_guard.state import tokens
from colab_guard.state.secret_names import is_secret_variable_of_notebook


def remember_typed(source: str) -> None:
    """Know the secrets that stand in `source` (Python): `key="…"`, `api_key = "…"`, `{"token": "…"}`, `os.environ["X_KEY"] = "…"`."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return  # whoever compiles it says so
    for name, value in _named(tree):
        if is_secret_variable_of_notebook(name, value):
            tokens.remember_variable(value, f"the text under {name!r} in the cell")


def _named(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Texts in the code with the names that they are given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg is not None:
            yield from _pair(node.arg, node.value)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _pair(_name_of(target), node.value)
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
            yield from _pair(_name_of(node.target), node.value)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                yield from _pair(_text(key), value)
        elif isinstance(node, ast.arguments):
            arguments = [*node.posonlyargs, *node.args]
            for argument, default in zip(arguments[len(arguments) - len(node.defaults) :], node.defaults, strict=True):
                yield from _pair(argument.arg, default)


def _pair(name: str | None, value: ast.expr) -> Iterator[tuple[str, str]]:
    text = _text(value)
    if name is not None and text is not None:
        yield name, text


def _name_of(target: ast.expr) -> str | None:
    if isinstance(target, ast.Name):
        return target.id
    if isinstance(target, ast.Attribute):
        return target.attr
    return _text(target.slice) if isinstance(target, ast.Subscript) else None


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
