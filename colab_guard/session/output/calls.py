"""Methods of single objects, replaced and put back; what a call of `publish` says; for which cell a kernel sends output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def replaced_on(thing: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Callable[[], None] | None:
    """Put `make(method)` in the place of `thing`'s method `name`; give the undo, or None where that cannot be."""
    original = getattr(thing, name)
    mine = make(original)
    was_there = name in getattr(thing, "__dict__", {})
    try:
        setattr(thing, name, mine)
    except (AttributeError, TypeError):
        return None

    def undo() -> None:
        if vars(thing).get(name) is not mine:
            return  # the cell put something of its own there, which goes on through ours
        if was_there:
            setattr(thing, name, original)
        else:
            delattr(thing, name)

    return undo


def told(args: tuple[Any, ...], words: dict[str, Any]) -> tuple[Mapping[str, Any], Any, str | None, bool]:
    """Data, metadata, display id and whether it is an update, from a call of any version's `publish`."""
    data = words.get("data", args[0] if args else {})
    metadata = words.get("metadata", args[1] if len(args) > 1 else None)
    # the third is `source` for some, and `transient` for others
    third = args[2] if len(args) > 2 and isinstance(args[2], dict) else None
    transient = words.get("transient", third) or {}
    update = bool(words.get("update", args[3] if len(args) > 3 else False))
    return data, metadata, transient.get("display_id"), update


def message_of(source: Any) -> Any:
    """The request that the kernel sends this output for; None where there is no kernel."""
    header = getattr(source, "parent_header", None)
    return header.get("msg_id") if isinstance(header, dict) else None
