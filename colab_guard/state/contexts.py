"""Context managers of switches, which cannot be pickled while they are entered.

Where a manager holds in the open what it puts back at its end, it comes back as one that is entered. The others are made
anew and entered again on a resume: what they put back is then what is in force outside them. What is in force inside is
set at the position in both cases.
"""

from __future__ import annotations

import decimal
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any

from colab_guard.state.things import CannotKeep

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

STAND_ENTERED = frozenset(
    {
        "_thread.RLock",
        "_thread.lock",
        "contextlib.redirect_stdout",
        "contextlib.redirect_stderr",
        "threading.BoundedSemaphore",
        "threading.Condition",
        "threading.Semaphore",
        "torch.autograd.grad_mode.no_grad",
        "torch.autograd.grad_mode.enable_grad",
        "torch.autograd.grad_mode.set_grad_enabled",
        "unittest.mock._patch",
        "unittest.mock._patch_dict",
        "warnings.catch_warnings",
    }
)
"""Managers that come back as entered ones, with what they put back at their end: they are not entered again."""
LOCK = type(threading.Lock())
ERRORS = ("all", "divide", "over", "under", "invalid")


def stands_entered(manager: Any) -> bool:
    """Whether a restored `manager` is in the state in which it was inside its `with` block."""
    kind = type(manager)
    return f"{kind.__module__}.{kind.__qualname__}" in STAND_ENTERED


def in_force_again(manager: Any) -> None:
    """What a manager that stands entered has switched is in force for what is entered inside it, before the position is reached."""
    if type(manager).__module__ == "torch.autograd.grad_mode":
        kept = dict(vars(manager))
        manager.__enter__()
        vars(manager).update(kept)
    elif isinstance(lock := getattr(manager, "_lock", manager), LOCK):
        lock.acquire(blocking=False)  # one that another thread might have held came back free
    elif hasattr(manager, "temp_original") and getattr(manager.target, manager.attribute, None) is not manager.new:
        setattr(manager.target, manager.attribute, manager.new)  # a patch of a library's attribute, or of a function


def reduce_errstate(pickler: GraphPickler, manager: Any) -> Any:
    """`np.errstate` by what it was told; older ones of numpy can be pickled."""
    if not all(hasattr(manager, f"_{name}") for name in ("token", "call", *ERRORS)):
        return NotImplemented
    told = {name: getattr(manager, f"_{name}") for name in ERRORS}
    return rebuild_errstate, (type(manager), told, (manager._call,) if callable(manager._call) or manager._call is None else ())


def rebuild_errstate(kind: Any, told: dict[str, Any], call: tuple[Any, ...]) -> Any:
    options = {name: value for name, value in told.items() if value is not None}
    return kind(**options, call=call[0]) if call else kind(**options)


def reduce_catch_warnings(pickler: GraphPickler, manager: Any) -> Any:
    if manager._record:
        raise CannotKeep("warnings that are being recorded cannot be kept")
    told = {"_filter": manager._filter} if hasattr(manager, "_filter") else {}
    if manager._entered:
        told |= {"_entered": True, "_filters": manager._filters}
    return rebuild_catch_warnings, (told,)


def rebuild_catch_warnings(told: dict[str, Any]) -> Any:
    manager: Any = warnings.catch_warnings()
    if "_entered" in told:
        own = vars(warnings)  # what shows them is the kernel's own
        told = {**told, "_showwarning": own["showwarning"], "_showwarnmsg_impl": own["_showwarnmsg_impl"]}
    vars(manager).update(told)
    return manager


def reduce_inference_mode(pickler: GraphPickler, manager: Any) -> Any:
    """Without the switch that it holds while it is entered, which it makes anew each time."""
    return type(manager), (manager.mode,)


def reduce_patched_dictionary(pickler: GraphPickler, manager: Any) -> Any:
    """A patch of the environment keeps what it changes of it alone: the rest is the host's."""
    if manager.in_dict is not os.environ or manager._original is None:
        return NotImplemented
    before = {name: value for name, value in manager._original.items() if name in manager.values}
    return rebuild_patched_environment, (type(manager), manager.values, manager.clear, before)


def rebuild_patched_environment(kind: Any, values: dict[str, str], clear: bool, before: dict[str, str]) -> Any:
    manager = kind(os.environ, values, clear)
    manager._original = {name: value for name, value in os.environ.items() if name not in values} | before
    return manager


def reduce_local_context(pickler: GraphPickler, manager: Any) -> Any:
    return decimal.localcontext, ()
