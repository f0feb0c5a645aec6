"""Context managers of switches, which cannot be pickled while they are entered: made anew, and entered again on a resume.

What they put back at their end is then what is in force outside them; what is in force inside is set at the position.
"""

from __future__ import annotations

import decimal
import warnings
from typing import TYPE_CHECKING, Any

from colab_guard.state.things import CannotKeep

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

ERRORS = ("all", "divide", "over", "under", "invalid")


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
    return warnings.catch_warnings, ()


def reduce_local_context(pickler: GraphPickler, manager: Any) -> Any:
    return decimal.localcontext, ()
