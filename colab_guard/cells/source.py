"""A cell's text: through the shell's own transforms, parsed, compiled, and hashed so that comments do not count."""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from types import CodeType
from typing import Any

from colab_guard.cells.functions import Functions
from colab_guard.cells.points import CELL, FrameInfo
from colab_guard.cells.programs import FLAGS, FUTURE, Program
from colab_guard.cells.rewrite import take_last_expression
from colab_guard.cells.syntax import compiled, copied
from colab_guard.cells.unseen import code_names
from colab_guard.errors import BadCell


@dataclass(frozen=True, slots=True)
class CompiledCell:
    """A cell ready to run. `code` is the rewritten code, `original` has the same names and no instruments."""

    text: str
    filename: str
    hash: str
    code: CodeType
    original: CodeType
    info: FrameInfo
    shows_value: bool
    program: Program
    functions: Functions


def compile_cell(shell: Any, text: str, call_names: Iterable[str] = ()) -> CompiledCell:
    """Transform, parse and rewrite `text`; raises BadCell for an empty cell and SyntaxError as Python words it."""
    # an empty line stands for that of the magic, so that lines count as the user sees them
    source = "\n" + shell.transform_cell(text)
    filename = _remember(shell, source, text)
    tree = ast.parse(source, filename)
    if not tree.body:
        raise BadCell("%%checkpointed found no code in the cell; put it above the code that is to be resumable")
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]
    flags = FLAGS | (shell.compile.flags & FUTURE)
    written = compile(copied(tree), filename, "exec", flags=flags, dont_inherit=True)
    shows_value = take_last_expression(copied(tree)) and not _ends_with_semicolon(source)
    functions = Functions(shell.user_ns, call_names)
    known = functions.known(tree, code_names(written))
    info = FrameInfo(CELL)
    program = Program(tree, filename, known, functions.new_slot, info, future=shell.compile.flags)
    functions.load(program)
    assert program.running is not None  # made with the program
    functions.codes[program.running] = info
    original = compiled(copied(program.plain), filename, flags)
    return CompiledCell(text, filename, digest, program.running, original, info, shows_value, program, functions)


def _remember(shell: Any, source: str, text: str) -> str:
    """Give the source to the shell's cache, so that tracebacks show the cell's lines; the name to compile it under."""
    # IPython 9 counts a cell before it runs, IPython 7 after that: its display hook knows the number that people see
    name: str = shell.compile.cache(source, shell.displayhook.prompt_count, raw_code=text)
    return name


def _ends_with_semicolon(source: str) -> bool:
    """Whether the last token that is no comment is `;`, which asks not to show the last value."""
    last = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type not in (tokenize.COMMENT, tokenize.NEWLINE, tokenize.NL, tokenize.ENDMARKER, tokenize.DEDENT):
                last = token.string
    except tokenize.TokenError:
        return False
    return last == ";"
