"""Completion of the magics' words, by the hook that IPython 7.34 and 9 share (`complete_command`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from IPython.core.interactiveshell import InteractiveShell

from colab_guard.magics import grammar
from colab_guard.magics.parsing import LineParser


class _CompletionEvent(Protocol):
    line: str
    symbol: str


def candidates(magic: str, line: str, names: Callable[[], list[str]]) -> list[str]:
    """What may follow in `line`, for a magic's name without its `%`."""
    before = line.split()[1:]
    if line and not line[-1].isspace():
        before = before[:-1]
    parser, words = _grammar(magic)
    if before and before[-1] == "--overlap":
        return list(grammar.OVERLAPS)
    if before and before[-1] == "--allow":
        return list(grammar.ALLOWED)
    if before and before[-1] == "--to":
        return ["drive"]
    if before and before[-1] == "--notify":
        return ["https://"]
    used = set(before)
    options = [option for option in parser.options() if option not in used or option in ("--keep", "--skip", "--files")]
    if magic == "keepalive":
        if used & set(words):
            return []
        options = [option for option in options if option != "--touch" or "--page-script" in used]
    if magic == "checkpointed":
        return [*([] if before else names()), *options]
    if magic == "guard" and before[:1] == ["checkpoints"]:
        return names()
    return [*([] if before else words), *options]


def install(shell: InteractiveShell, names: Callable[[], list[str]]) -> Callable[[], None]:
    """Complete the four magics in `shell`; give the undo."""
    hooks: list[tuple[str, Callable[..., list[str]]]] = []
    for magic in ("keepalive", "memguard", "guard", "checkpointed"):
        hook = _hook(magic, names)
        key = ("%%" if magic == "checkpointed" else "%") + magic
        shell.set_hook("complete_command", hook, str_key=key)  # type: ignore[no-untyped-call]
        hooks.append((key, hook))
    take_back = _without_python_names(shell, tuple(key for key, _ in hooks))

    def undo() -> None:
        take_back()
        strings = shell.strdispatchers["complete_command"].strs
        for key, hook in hooks:
            chain = strings.get(key)
            if chain is None:
                continue
            chain.chain = [
                entry for entry in chain.chain if getattr(entry[1], "__func__", None) is not hook
            ]  # set_hook binds it to the shell
            if not chain.chain:
                del strings[key]

    return undo


def _without_python_names(shell: InteractiveShell, keys: tuple[str, ...]) -> Callable[[], None]:
    """Keep jedi's names out of the magics' lines; give the undo.

    IPython adds them to what a `complete_command` hook gives, and only newer versions have a way to say no: so the
    completer's own method is stood in for, where it has that (7.34 and 9 do).
    """
    completer = shell.Completer
    original = getattr(completer, "_jedi_matches", None)
    if original is None:
        return lambda: None

    def matches(cursor_column: int, cursor_line: int, text: str) -> object:
        line = text.split("\n")[cursor_line].lstrip()
        return [] if line.split(maxsplit=1)[:1] and line.split(maxsplit=1)[0] in keys else original(cursor_column, cursor_line, text)

    completer._jedi_matches = matches  # type: ignore[attr-defined,unused-ignore]

    def undo() -> None:
        if completer.__dict__.get("_jedi_matches") is matches:
            del completer._jedi_matches

    return undo


def _hook(magic: str, names: Callable[[], list[str]]) -> Callable[..., list[str]]:
    def complete(shell: object, event: _CompletionEvent) -> list[str]:
        return [word for word in candidates(magic, event.line, names) if word.startswith(event.symbol)]

    return complete


def _grammar(magic: str) -> tuple[LineParser, tuple[str, ...]]:
    return {
        "keepalive": (grammar.keepalive_parser(), grammar.KEEPALIVE_WORDS),
        "memguard": (grammar.memguard_parser(), grammar.MEMGUARD_WORDS),
        "guard": (grammar.guard_parser(), grammar.GUARD_WORDS),
        "checkpointed": (grammar.checkpointed_parser(), ()),
    }[magic]
