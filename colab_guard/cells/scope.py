"""Which of the user's names belong to a snapshot, and capturing them.

Every name that the cell reads or writes; every name that the notebook's functions and classes it reaches read or
write; and every other name that shares mutable objects, or memory, with those. Names that code after the safe point
may read are `needed`: what cannot be kept of them refuses the snapshot. The others are `kept` as far as they go.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from colab_guard import state
from colab_guard.cells.frames import FrameEntry
from colab_guard.cells.functions import names_through_functions
from colab_guard.cells.points import FrameInfo
from colab_guard.cells.rewrite import PREFIX, VALUE
from colab_guard.cells.unseen import Reaching, code_names

SHELL_NAMES = frozenset({"In", "Out", "get_ipython", "exit", "quit", "open", "_dh", "_oh", "_ih"})
LAST_RESULTS = frozenset({"_", "__", "___"})
"""The shell's, unless the cell binds them itself: then the shell leaves them alone too."""
GRADIENTS = ("backward", "grad", "jacobian", "hessian", "jvp", "vjp", "minimize")
GRADIENTS_AT_ONCE = frozenset({"fit", "train_step", "training_step", "optimize"})
GRADIENTS_NOT = frozenset({"no_grad", "zero_grad", "requires_grad", "requires_grad_", "set_grad_enabled", "is_grad_enabled"})
DEFINITIONS = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)


def asks_for_gradients(name: str) -> bool:
    """Whether code that mentions `name` may run a backward pass; where none does, a graph is never asked for again."""
    return name in GRADIENTS_AT_ONCE or (name not in GRADIENTS_NOT and any(word in name for word in GRADIENTS))


def bound_last_results(code: types.CodeType) -> frozenset[str]:
    """Which of the shell's last results the cell binds as names of its own."""
    stored = {step.argval for step in dis.get_instructions(code) if step.opname in ("STORE_NAME", "STORE_GLOBAL")}
    inner = [bound_last_results(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return (LAST_RESULTS & stored).union(*inner)


class Scope:
    """The names of one guarded cell in `namespace`."""

    def __init__(
        self,
        namespace: dict[str, Any],
        code: types.CodeType,
        *,
        keep: Iterable[str] = (),
        skip: Iterable[str] = (),
        overlap: state.Overlapping | None = None,
    ) -> None:
        self.namespace = namespace
        self.start: Mapping[str, Any] = dict(namespace)
        self.outside = state.Outside()
        self._skip = frozenset(skip) | (LAST_RESULTS - bound_last_results(code))
        self._split = state.Split()
        self._overlap = overlap
        mentioned = set(code_names(code)) | set(keep)
        reached, looked_up = names_through_functions(mentioned, namespace)
        self.through_functions = frozenset(looked_up)
        self.tracked = {name for name in mentioned | reached if self._is_users(name)}
        self.outside.watch(mentioned | reached, namespace)
        words = mentioned | reached
        self._reaching = Reaching(words, namespace)
        self.live = state.Live(
            namespace,
            self.start,
            differentiates=any(map(asks_for_gradients, words)),
            secrets=state.Secrets(self.start, code),
        )
        self._shared_looked_for = False

    def _is_users(self, name: str) -> bool:
        return not name.startswith(PREFIX) and name not in SHELL_NAMES and name not in self._skip

    # capture

    def capture(self, live: frozenset[str] | None, **needed: Any) -> state.Captured:
        """All names as they are now; `live` None means that nothing of the cell runs any more."""
        captured = self._capture(live, needed)
        if not self._shared_looked_for:
            self._shared_looked_for = True
            shared = self._sharing(captured)
            if shared:
                self.tracked |= shared
                captured = self._capture(live, needed)
        return captured

    def _capture(self, live: frozenset[str] | None, needed: Mapping[str, Any]) -> state.Captured:
        self.tracked |= self._made_unseen()
        present = {name: self.namespace[name] for name in sorted(self.tracked) if name in self.namespace}
        if live is None:
            wanted: set[str] = set()
        else:
            wanted = {n for n in present if n in live or n in self.through_functions}
        # what was there before the cell and is not code's to lose would be missed just as much
        rest = {name: value for name, value in present.items() if name not in wanted}
        if VALUE in self.namespace:
            rest[VALUE] = self.namespace[VALUE]
        gone = sorted(name for name in self.start if name not in self.namespace and self._is_users(name))
        frames = needed.get("frames", ())
        taken = self.outside.take(in_context=any(entry.contexts or entry.around for entry in frames), at_end=live is None)
        captured = state.capture(
            {
                **needed,
                "names": {name: present[name] for name in sorted(wanted)},
                "gone": gone,
                "random": state.random_state(),
                "outside": taken.needed,
            },
            {"names": rest, "outside things": taken.kept},
            self._live_now(),
            self._split,
            self._overlap,
            shares=not self._shared_looked_for,
        )
        if state.holds_sets(captured.parts):
            orders = state.set_orders(present | local_variables(frames))
            if what := state.holds_secret(orders):
                raise state.SnapshotRefused(f"a set, or the way to one, holds {what}, which no snapshot stores; keep it elsewhere")
            captured.parts[state.ORDERS] = orders
        captured.parts.update(taken.parts)
        captured.placeholders.extend(taken.losses)
        return captured

    def _live_now(self) -> state.Live:
        if not self.live.reaches_moments and self._reaching.moments():
            self.live = replace(self.live, reaches_moments=True)
        return self.live

    def _made_unseen(self) -> set[str]:
        """Names that the cell has bound in ways that its text does not show: `globals()[...]`, `exec`, a magic."""
        missing = object()
        changed = [name for name, value in list(self.namespace.items()) if self.start.get(name, missing) is not value]
        return {name for name in changed if not name.startswith("__") and self._is_users(name)}

    def _sharing(self, captured: state.Captured) -> set[str]:
        """Other names whose values share objects or memory with what was captured."""
        found = set()
        for name, value in self.namespace.items():
            if name in self.tracked or name.startswith("_") or not self._is_users(name):
                continue
            if isinstance(value, DEFINITIONS) and not getattr(value, "__closure__", None):
                continue
            if captured.shares(value):
                found.add(name)
        return found

    # told before the run

    def needed_inside(self, info: FrameInfo) -> frozenset[str]:
        """Names that code after some point inside the cell (`info`) may read: what refuses a snapshot where it cannot be kept."""
        return self.through_functions.union(*(point.live for point in info.points.values()))

    # restore

    def set_names(self, needed: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
        """Put restored names into the namespace, and take out those that had been deleted."""
        for names in (kept["names"], needed["names"]):
            self.tracked.update(name for name in names if name != VALUE)
            for name, value in names.items():
                if not isinstance(value, state.Placeholder):
                    self.namespace[name] = value
                elif name not in self.start:
                    self.namespace.pop(name, None)
        for name in needed["gone"]:
            self.namespace.pop(name, None)


def local_variables(frames: Iterable[FrameEntry]) -> dict[str, Any]:
    """Variables of functions that are running, by a name that none of the notebook has."""
    return {
        f"{name} (of {entry.frame.partition('#')[0]}(), {depth})": value
        for depth, entry in enumerate(frames)
        for name, value in (entry.cells | entry.locals).items()
    }
