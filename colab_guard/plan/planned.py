"""The run that is under way: its parameters say what is not chosen for it, and its plans are committed with it."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, Protocol

SAID_AS = {
    "effective_batch": ("effective_batch", "batch_size", "train_batch_size"),
    "batch_size": ("micro_batch", "per_device_train_batch_size"),
    "dtype": ("dtype",),
    "lora_rank": ("lora_rank", "rank", "r"),
    "lora_alpha": ("lora_alpha", "alpha"),
    "gradient_checkpointing": ("gradient_checkpointing",),
    "sequence": ("sequence", "sequence_length", "max_length", "max_seq_length"),
}
"""Under which names a run's parameters say what `autoconfig` would choose. `batch_size` there is what the result depends on: the
effective batch, however it is cut."""
DTYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "half": "fp16"}


class Planned(Protocol):
    """A run of a sweep, as far as plans go: `plans` by what was asked for; `note_change` makes its result "not bit-exact"."""

    params: dict[str, Any]
    plans: dict[str, dict[str, Any]]

    def note_change(self, what: str) -> None: ...


_UNDER_WAY: list[weakref.ref[Planned]] = []
"""Weak, so that a run whose cell was interrupted keeps no sweep alive."""


def begin(run: Planned) -> None:
    """`run` is under way: plans made from now on are its own."""
    end(run)
    _UNDER_WAY.append(weakref.ref(run))


def end(run: Planned) -> None:
    """`run` has ended."""
    _UNDER_WAY[:] = [other for other in _UNDER_WAY if other() not in (None, run)]


def end_all() -> None:
    """Guarded work has ended: a run that it left in the middle is under way no more, until it is resumed."""
    _UNDER_WAY.clear()


def under_way() -> Planned | None:
    """The run that began last and has not ended."""
    return next((run for other in reversed(_UNDER_WAY) if (run := other()) is not None), None)


def said(params: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """What `params` say of a plan: by the name of the choice, the value and the parameter's name."""
    found: dict[str, tuple[Any, str]] = {}
    for choice, names in SAID_AS.items():
        for name in names:
            value = params.get(name)
            if choice == "dtype" and isinstance(value, str):
                found[choice] = (DTYPES.get(value, value), name)
            elif choice != "dtype" and isinstance(value, int) and isinstance(value, bool) == (choice == "gradient_checkpointing"):
                found[choice] = (value, name)
            else:
                continue  # a parameter of another meaning
            break
    return found
