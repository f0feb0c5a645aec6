"""Puts the magics and their completion into a shell, and takes them out again without a trace."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import no_var_expand

from colab_guard.errors import NeedsDecision, UserMistake
from colab_guard.magics import completion, grammar
from colab_guard.magics.parsing import HelpWanted
from colab_guard.magics.twins import Twins


def install(shell: InteractiveShell, twins: Twins) -> Callable[[], None]:
    """Register the magics and the completion of their words; give the undo."""
    magics: list[tuple[str, str, Callable[..., object], str]] = [
        ("line", "keepalive", _keepalive(shell, twins), grammar.keepalive_parser().help_text()),
        ("line", "memguard", _memguard(shell, twins), grammar.memguard_parser().help_text()),
        ("line", "guard", _guard(shell, twins), grammar.guard_parser().help_text()),
        ("line", "checkpointed", _saved(shell, twins), grammar.checkpointed_parser().help_text()),
        ("cell", "checkpointed", _checkpointed(shell, twins), grammar.checkpointed_parser().help_text()),
    ]
    undos = [_register(shell, kind, name, function, text) for kind, name, function, text in magics]
    undos.append(completion.install(shell, twins.names))

    def undo() -> None:
        for step in reversed(undos):
            step()

    return undo


def _register(
    shell: InteractiveShell, kind: str, name: str, function: Callable[..., object], text: str
) -> Callable[[], None]:
    table = shell.magics_manager.magics[kind]
    before = table.get(name)
    function.__name__ = name
    function.__doc__ = text
    unexpanded: Any = no_var_expand  # typed for methods of Magics only
    register: Any = shell.register_magic_function
    register(unexpanded(function), magic_kind=kind, magic_name=name)

    def undo() -> None:
        # a magic of the same name may have been registered after ours: that one stays
        if table.get(name) is function:
            table.pop(name)
            if before is not None:
                table[name] = before

    return undo


def _keepalive(shell: InteractiveShell, twins: Twins) -> Callable[..., object]:
    def keepalive(line: str) -> None:
        with _one_line_errors(shell):
            words: dict[str, Any] = dict(grammar.parse_keepalive(line))
            print(twins.keepalive(words.pop("word"), **words))

    return keepalive


def _memguard(shell: InteractiveShell, twins: Twins) -> Callable[..., object]:
    def memguard(line: str) -> None:
        with _one_line_errors(shell):
            words: dict[str, Any] = dict(grammar.parse_memguard(line))
            print(twins.memguard(words.pop("limit"), **words))

    return memguard


def _guard(shell: InteractiveShell, twins: Twins) -> Callable[..., object]:
    def guard(line: str) -> None:
        with _one_line_errors(shell):
            words = grammar.parse_guard(line)
            name = words["name"]
            answer = twins.checkpoints(str(name)) if name is not None else getattr(twins, str(words["word"]))()
            if answer is not None:
                print(answer)

    return guard


def _checkpointed(shell: InteractiveShell, twins: Twins) -> Callable[..., object]:
    def checkpointed(line: str, cell: str) -> object:
        __tracebackhide__ = True
        with _one_line_errors(shell):
            words: dict[str, Any] = dict(grammar.parse_checkpointed(line))
            given = twins.checkpointed(words.pop("name"), cell, **words)
            if not words["explain"]:
                return given
            print(given)
        return None

    return checkpointed


def _saved(shell: InteractiveShell, twins: Twins) -> Callable[..., object]:
    """`%checkpointed`: help (IPython refuses `%%checkpointed -h` without a cell below it), and what is saved."""

    def checkpointed(line: str) -> None:
        with _one_line_errors(shell):
            print(twins.checkpoints(grammar.parse_saved(line)))

    return checkpointed


@contextlib.contextmanager
def _one_line_errors(shell: InteractiveShell) -> Iterator[None]:
    """A user's mistake as IPython's one-line `UsageError`; `-h` as printed text."""
    try:
        yield
    except HelpWanted as wanted:
        print(wanted)
    except NeedsDecision:
        raise  # one line too, but an output of the cell: whoever executes it unattended must see which it was
    except UserMistake as mistake:
        if _went_through_the_notebook(mistake.__traceback__, shell):
            raise  # raised by a line of the cell: its traceback shows which
        raise UsageError(str(mistake)) from None


def _went_through_the_notebook(traceback: TracebackType | None, shell: InteractiveShell) -> bool:
    while traceback is not None:
        if traceback.tb_frame.f_globals is shell.user_ns:
            return True
        traceback = traceback.tb_next
    return False
