"""What training libraries keep of models that nobody else has any more.

accelerate's `Accelerator` lists every model, optimizer, scheduler and loader that it has prepared, for as long as it
lives: one accelerator for all models of a sweep keeps them all. (Its process-wide states refer weakly since 1.0, and a
`Trainer` and its parts only hold each other, which the garbage collector sees.) Dead is a model that is gone once the
list lets go of it; whatever is still there then is listed again, in its order. Only where a model was dead are the lists
of what was prepared beside it looked at in the same way: a scheduler may be left to the accelerator on purpose.
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

BESIDE = ("_optimizers", "_schedulers", "_dataloaders")


def collect_with_lists_open() -> None:
    """A garbage collection in which models that only an `Accelerator` lists count as garbage."""
    accelerators = _accelerators()
    models = [entries for one in accelerators if isinstance(entries := vars(one).get("_models"), list)]
    counts = [len(entries) for entries in models]
    _collect_open(models)
    died = [one for one, entries, count in zip(accelerators, models, counts, strict=True) if len(entries) < count]
    beside = [vars(one).get(name) for one in died for name in BESIDE]
    if beside:
        _collect_open([entries for entries in beside if isinstance(entries, list)])


def _accelerators() -> list[Any]:
    kind = getattr(sys.modules.get("accelerate"), "Accelerator", None)
    if kind is None:
        return []
    return [one for one in gc.get_objects() if issubclass(type(one), kind) and isinstance(vars(one).get("_models"), list)]


def _collect_open(lists: list[list[Any]]) -> None:
    put_back = [_opened(entries) for entries in lists]
    try:
        gc.collect()
    finally:
        for again in put_back:
            again()


def _opened(entries: list[Any]) -> Callable[[], None]:
    """Empty the list; give what puts back all that is still there."""
    references = [_weakly(entry) for entry in entries]
    entries.clear()

    def again() -> None:
        entries[:0] = [entry for reference in references if (entry := reference()) is not None]

    return again


def _weakly(entry: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(entry)
    except TypeError:
        return lambda: entry
