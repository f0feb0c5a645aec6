"""The import graph against the floors: a room imports only from lower floors, lazy imports included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import colab_guard

ROOT = Path(colab_guard.__file__).parent

FLOORS = {
    "extension": 7,
    "magics": 6,
    "cli": 6,
    "panel": 6,
    "session": 6,
    "sweep": 5,
    "memory": 5,
    "training": 5,
    "keepalive": 5,
    "cells": 4,
    "plan": 4,
    "snapshots": 3,
    "state": 2,
    "store": 1,
    "hosts": 1,
    "pages": 2,
    "events": 0,
    "errors": 0,
    "clock": 0,
    "workers": 0,
}

HEAVY = {
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "pandas",
    "matplotlib",
    "ray",
    "anywidget",
    "ipywidgets",
    "numpy",
    "fsspec",
}

# the modules that are about one heavy library; others import them lazily
ABOUT = {
    "keepalive/connection.py": {"anywidget"},
    "panel/widget.py": {"anywidget", "ipywidgets"},
    "store/faults/filesystem.py": {"fsspec"},
    **{f"plan/dry/{name}.py": {"torch"} for name in ("kernels", "measure", "optimizers", "trace", "twins")},
}


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if "__pycache__" not in path.parts)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def rooms_imported(tree: ast.AST, path: Path) -> Iterator[tuple[str, int]]:
    """Rooms that a module imports, anywhere in it, `importlib.import_module("colab_guard.x")` too; with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}:{node.lineno}: relative import"
            parts = (node.module or "").split(".")
            if parts == ["colab_guard"]:
                yield from ((alias.name, node.lineno) for alias in node.names if alias.name in FLOORS)
            elif parts[0] == "colab_guard":
                yield parts[1], node.lineno
        elif isinstance(node, ast.Import):
            yield from (
                (alias.name.split(".")[1], node.lineno) for alias in node.names if alias.name.startswith("colab_guard.")
            )
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and str(name.value).startswith("colab_guard."):
                yield str(name.value).split(".")[1], node.lineno


def module_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run at import: not those in functions, nor under `if TYPE_CHECKING:`."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from module_level(node.orelse)
            continue
        yield node
        for field in ("body", "orelse", "finalbody"):
            yield from module_level(getattr(node, field, []))
        for handler in getattr(node, "handlers", []):
            yield from module_level(handler.body)


@pytest.mark.parametrize("path", [p for p in modules() if room_of(p) != "__init__"], ids=relative)
def test_a_room_imports_only_from_lower_floors(path: Path) -> None:
    room = room_of(path)
    assert room in FLOORS, f"{relative(path)} is on no floor"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    wrong = [
        f"{relative(path)}:{line} imports {other}"
        for other, line in rooms_imported(tree, path)
        if other != room and FLOORS.get(other, 99) >= FLOORS[room] > 0
    ]
    assert wrong == []


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_nothing_heavy_is_imported_at_module_level(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    allowed = ABOUT.get(relative(path), set())
    found = set()
    for node in module_level(tree.body):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    assert found & HEAVY <= allowed


def test_every_room_has_a_floor_and_a_docstring() -> None:
    rooms = [p for p in ROOT.iterdir() if p.is_dir() and p.name not in ("static", "__pycache__")]
    for room in rooms:
        assert room.name in FLOORS
        assert ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))), room.name
