"""What code says, apart from how it is laid out: comments, blank lines, docstrings and line numbers do not count.

Functions are compared by the text that their tree is written as (`ast.unparse`), so that versions of Python agree; where
no source is at hand (`exec`, lambdas), by their instructions, which only one version of Python understands.
"""

from __future__ import annotations

import ast
import dis
import hashlib
import importlib.util
import inspect
import linecache
import platform
import sys
import textwrap
import types
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
MINOR = ".".join(platform.python_version_tuple()[:2])
READS = frozenset({"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"})
DEEPEST = 4
"""How far wrappers are followed into what they wrap."""


def canonical(tree: ast.AST) -> str:
    """`tree` as text, without the docstrings of its functions and classes; `tree` itself is left as it is."""
    text = ast.unparse(tree)
    again = ast.parse(text)
    found = False
    for node in ast.walk(again):
        if isinstance(node, SCOPES) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
            found = True
    return ast.unparse(again) if found else text


def is_notebooks(thing: object) -> bool:
    """Whether `thing` (a function or class) was defined in the notebook."""
    return getattr(thing, "__module__", None) == "__main__"


def code_hash(function: types.FunctionType) -> str:
    """The same for functions of equal code. A hash of instructions begins with the version of Python that it is for."""
    text = source(function)
    if text is not None:
        return _hash(text)
    return f"py{MINOR}:{_hash(repr(_instructions(function.__code__)))}"


def same_code(one: str, other: str) -> bool:
    """Whether two hashes may be of equal code; those for other versions of Python cannot be compared, and pass."""
    versions = [part.split(":")[0] for part in (one, other) if ":" in part]
    return one == other or len(set(versions)) == 2


def source(function: types.FunctionType) -> str | None:
    """What a function says, in one style; None where its source is not at hand."""
    if function.__name__ == "<lambda>":
        return _lambda_source(function.__code__)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    fits = len(tree.body) == 1 and isinstance(tree.body[0], SCOPES[:2]) and tree.body[0].name == function.__code__.co_name
    return canonical(tree) if fits else None


def _lambda_source(code: types.CodeType) -> str | None:
    """The innermost lambda of the file that all of `code`'s instructions stand in: its lines hold other code too."""
    # a function's first instructions stand at no column
    places = [(line, column) for line, _, column, end in code.co_positions() if line is not None and column is not None and end]
    try:
        tree = _tree(file_text(code.co_filename) or "")
    except (SyntaxError, ValueError):
        return None
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Lambda)
        and _lambdas_inside(node) == _lambdas_in(code)
        and all((node.lineno, node.col_offset) <= at <= (node.end_lineno or 0, node.end_col_offset or 0) for at in places)
    ]
    inner = min(around, key=lambda node: len(ast.unparse(node)), default=None)
    return None if inner is None or not places else ast.unparse(inner)


def _lambdas_inside(node: ast.Lambda) -> int:
    return sum(isinstance(inner, ast.Lambda) for inner in ast.walk(node.body))


def _lambdas_in(code: types.CodeType) -> int:
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return sum((one.co_name == "<lambda>") + _lambdas_in(one) for one in inner)


def file_text(filename: str) -> str | None:
    """The text of a cell, by the name of file that its code has; the same object each time. None where it is not at hand."""
    return sys.intern("".join(linecache.getlines(filename))) or None


def remember_file(filename: str, text: str) -> None:
    """Let `inspect` and tracebacks find the text of a cell that another kernel ran."""
    if not linecache.getlines(filename):
        # as IPython keeps cells: without a time of change, for no file lies there
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)


@lru_cache(maxsize=32)
def _tree(text: str) -> ast.AST:
    return ast.parse(text)


def _instructions(code: types.CodeType) -> tuple[object, ...]:
    constants = tuple(_instructions(c) if isinstance(c, types.CodeType) else _constant(c) for c in code.co_consts)
    return code.co_name, code.co_code.hex(), constants, code.co_names, code.co_varnames, code.co_freevars


def _constant(constant: object) -> str:
    """A constant as text; that of `x in {"a", "b"}` is a set, whose order follows the hash seed."""
    if isinstance(constant, frozenset):
        return f"frozenset({sorted(map(_constant, constant))})"
    if isinstance(constant, tuple):
        return f"({', '.join(map(_constant, constant))})"
    return repr(constant)


def functions_of(value: Any, depth: int = 0) -> Iterator[types.FunctionType]:
    """Functions of the notebook that `value` is made of: itself, what it wraps, the methods of a class."""
    if isinstance(value, (staticmethod, classmethod, types.MethodType)):
        value = value.__func__
    if depth > DEEPEST:
        return
    if isinstance(value, property):
        for part in (value.fget, value.fset, value.fdel):
            yield from functions_of(part, depth + 1)
    elif isinstance(value, types.FunctionType):
        if value.__globals__.get("__name__") == "__main__":
            yield value
        for part in (*_captured(value), getattr(value, "__wrapped__", None)):
            if isinstance(part, types.FunctionType):
                yield from functions_of(part, depth + 1)
    elif isinstance(value, type):
        if is_notebooks(value):
            for part in vars(value).values():
                yield from functions_of(part, depth + 1)
    elif type(value).__module__ == "functools" and isinstance(getattr(value, "__wrapped__", None), types.FunctionType):
        yield from functions_of(value.__wrapped__, depth + 1)


def _captured(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue


def globals_read(code: types.CodeType) -> Iterator[str]:
    """Names that `code`, and code nested in it, looks up among the notebook's."""
    steps = list(dis.get_instructions(code))
    own = {step.argval for step in steps if step.opname == "STORE_NAME"}  # a class's own names
    yield from (str(step.argval) for step in steps if step.opname in READS and step.argval not in own)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from globals_read(constant)


def looked_up(functions: Iterable[types.FunctionType], namespace: Mapping[str, Any]) -> dict[str, Any]:
    """What these find in the namespace by its name, and what the notebook's functions and classes among that find there."""
    found: dict[str, Any] = {}
    waiting = list(functions)
    while waiting:
        new = {name: namespace[name] for name in globals_read(waiting.pop().__code__) if name in namespace and name not in found}
        found.update(new)
        waiting += [function for value in new.values() for function in functions_of(value)]
    return found


def made_with(function: types.FunctionType) -> dict[str, Any]:
    """Values that a function was made with: defaults by their parameters, and what it captured."""
    positional = function.__defaults__ or ()
    code = function.__code__
    names = code.co_varnames[code.co_argcount - len(positional) : code.co_argcount]
    captured = zip(code.co_freevars, function.__closure__ or (), strict=True)
    held = {name: cell.cell_contents for name, cell in captured if _is_filled(cell)}
    return dict(zip(names, positional, strict=True)) | (function.__kwdefaults__ or {}) | held


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def class_data(cls: type) -> Mapping[str, Any]:
    """Attributes of a class that are no code and not Python's own."""
    own = ("__", "_abc_", "_is_protocol", "_member", "_value", "_generate", "_new_", "_unhashable", "_hashable", "_use_args")
    return {
        name: value
        for name, value in vars(cls).items()
        if not name.startswith(own) and not hasattr(type(value), "__get__")
    }


def local_module_hash(module: types.ModuleType | None) -> str | None:
    """The code of a module that lies beside the notebook; None for libraries, which have versions."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not _is_beside(file):
        return None
    try:
        return _hash(canonical(ast.parse(Path(file).read_text(encoding="utf-8"))))
    except (OSError, SyntaxError, ValueError):
        return None


def is_users(thing: object) -> bool:
    """Whether `thing` (a function or class) is the user's, of the notebook or of a module beside it."""
    return is_notebooks(thing) or is_local(thing)


def is_local(thing: object) -> bool:
    """Whether `thing` (a function or class) is of a module that lies beside the notebook."""
    file = getattr(sys.modules.get(getattr(thing, "__module__", None) or ""), "__file__", None)
    return isinstance(file, str) and _is_beside(file)


@lru_cache(maxsize=4096)  # what is not there is asked for at every capture
def library_module(name: str) -> types.ModuleType | None:
    """A module of a library, imported; never a file of the user's, which runs when the user says so."""
    above = name.rpartition(".")[0]
    if above and above not in sys.modules and library_module(above) is None:
        return None
    try:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.has_location or not spec.origin or not _is_installed(spec.origin):
            return None
        return importlib.import_module(name)
    except Exception:  # what a library's module does when it is imported is its own: here there is none then
        return None


def _is_installed(file: str) -> bool:
    path = Path(file)
    packages = any(part in ("site-packages", "dist-packages") for part in path.parts)
    return packages or (path.is_relative_to(sys.base_prefix) and not path.is_relative_to(Path.cwd()))


@lru_cache(maxsize=4096)
def _is_beside(file: str) -> bool:
    path = Path(file)
    installed = any(part in ("site-packages", "dist-packages", "colab_guard") for part in path.parts)
    # some of torch's modules call a file theirs that is nowhere
    is_there = path.is_absolute() or path.exists()
    return path.suffix == ".py" and is_there and not installed and not path.is_relative_to(sys.base_prefix)


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
