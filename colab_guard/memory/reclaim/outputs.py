"""The history of outputs: a value that a cell has shown stays in `Out` and in three more places.

`_oh` (which is `Out`); the names `_`, `__`, `___` and `_7`; the display hook's attributes of those names; the names that
are hidden from `%who`, where the hook puts them too. The result of the last cell holds its value as well.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from colab_guard.memory.reclaim.heavy import reaches_heavy

LAST = ("_", "__", "___")


def clear_outputs(shell: Any, keep: Collection[int] = ()) -> None:
    """Drop values that hold tensors or large arrays from the history of outputs; all others, and those numbered `keep`, stay."""
    names, hidden, hook = shell.user_ns, getattr(shell, "user_ns_hidden", {}), shell.displayhook
    outputs = names.get("_oh", {})
    shown = [*outputs.values(), *(names.get(name) for name in LAST)]
    kept = {id(outputs[number]) for number in keep if number in outputs}
    heavy = {id(value) for value in shown if id(value) not in kept and reaches_heavy(value)}
    for number in [number for number, value in list(outputs.items()) if id(value) in heavy]:
        del outputs[number]
        for holder in (names, hidden):
            holder.pop(f"_{number}", None)
    for name in LAST:
        for holder in (names, hidden):
            if id(holder.get(name)) in heavy:
                holder[name] = ""
        if id(getattr(hook, name, None)) in heavy:
            setattr(hook, name, "")
    last = getattr(shell, "last_execution_result", None)
    if last is not None and id(last.result) not in kept and reaches_heavy(last.result):
        last.result = None
