"""Who holds memory, in words that the user knows: `trainer.model (520 MiB)`, `seen[3] (80 MiB)`.

Names of the notebook come first, in the order in which they were made; what several hold is told of the first. Then the
variables of functions that run. Tensors that neither leads to are looked for from the other end (`unnamed`).
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from types import CellType, FrameType, GeneratorType
from typing import Any

from colab_guard.memory.reclaim.figures import MIB
from colab_guard.memory.reclaim.heavy import Found, Walk, is_heavy
from colab_guard.memory.reclaim.unnamed import unnamed

HOLDER_BYTES = 64 * MIB
MOST_SHARE = 0.9
"""A holder's part is told in its place where it has so much of its bytes."""
DEEPEST = 6


def holders(shell: Any = None) -> tuple[str, ...]:
    """Whoever holds more than 64 MiB of tensors and arrays, the largest first, each with its size and device."""
    names: Mapping[str, Any] = getattr(shell, "user_ns", {})
    walk = Walk(closed={id(names), id(shell), id(sys.modules)})
    found: list[tuple[int, str]] = []
    for name, value in list(names.items()):
        if not name.startswith("_") or name == "_":
            found += _told(name, walk.of(value))
    for name, values in _running():
        found += _told(name, walk.of(values), inside=False)
    found += unnamed(walk, HOLDER_BYTES)
    return tuple(f"{words} ({size // MIB} MiB)" for size, words in sorted(found, key=lambda pair: -pair[0]))


def _running() -> Iterator[tuple[str, list[Any]]]:
    """Functions that run now, and what their variables hold. Their names are not asked for: that would copy them."""
    own = __name__.rpartition(".")[0].rpartition(".")[0]
    for frame in list(sys._current_frames().values()):
        at: FrameType | None = frame
        while at is not None:
            module = str(at.f_globals.get("__name__", ""))
            if at.f_code.co_name != "<module>" and not module.startswith(own):
                yield f"a variable of {at.f_code.co_qualname}(), which runs", gc.get_referents(at)
            at = at.f_back


def _told(name: str, found: Found, *, inside: bool = True) -> list[tuple[int, str]]:
    totals = found.totals()
    if totals[0] <= HOLDER_BYTES:
        return []
    words = _largest_part(name, found, totals) if inside else name
    devices = sorted(found.devices - {"cpu"})
    return [(totals[0], f"{words} on {', '.join(devices)}" if devices else words)]


def _largest_part(name: str, found: Found, totals: list[int]) -> str:
    """`trainer.model` for `trainer`, where nearly all of it is there."""
    at, words, parent = 0, name, found.things[0]
    for _ in range(DEEPEST):
        if is_heavy(found.things[at]) or _is_optimizer(found.things[at]):
            break
        inner = max(found.children(at), key=totals.__getitem__, default=None)
        if inner is None or totals[inner] < MOST_SHARE * totals[0]:
            break
        thing = found.things[inner]
        if not (isinstance(thing, dict) and thing is getattr(parent, "__dict__", None)):
            words += _step(parent, thing)
            parent = thing
        at = inner
    return words


def _is_optimizer(thing: Any) -> bool:
    optim = sys.modules.get("torch.optim")
    return optim is not None and issubclass(type(thing), optim.Optimizer)


def _step(parent: Any, thing: Any) -> str:
    """How `thing` is reached from `parent`."""
    if isinstance(parent, dict):
        key = next((key for key, value in parent.items() if value is thing), None)
        return f"[{key!r}]" if isinstance(key, (str, int, float, bool, tuple)) and len(repr(key)) < 40 else "[...]"
    if isinstance(parent, (list, tuple)):
        return f"[{next((n for n, value in enumerate(parent) if value is thing), '...')}]"
    if isinstance(parent, GeneratorType):
        return f" (a variable of {parent.gi_code.co_qualname}(), which waits)"
    if isinstance(parent, CellType):
        return ""
    attributes = getattr(parent, "__dict__", {})
    name = next((name for name, value in attributes.items() if value is thing), None)
    if name is not None:
        return f".{name}"
    return " (what it closes over)" if isinstance(thing, CellType) else ""
