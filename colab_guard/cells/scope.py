"""Which of the user's names belong to a snapshot, and capturing them.

Every name that the cell reads or writes; every name that the notebook's functions and classes it reaches read or
write; and every other name that shares mutable objects, or memory, with those. Names that code after the safe point
may read are `needed`: what cannot be kept of them refuses the snapshot. The others are `kept` as far as they go.
"""

from __future__ import annotations

import dis
import itertools
import re
import sys
import types
from collections.abc import Callable, Iterable, Mapping
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
MOST_LOOKED_AT = 1000
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
            classes=state.classes_of(self.start),
        )
        self._shared_looked_for = False
        self._not_kept: set[str] = set()
        self._let_go: set[str] = set()

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
                captured.forget()
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
        self._not_kept.update(re.split(r"[.\[]", p.path, maxsplit=1)[0] for p in captured.placeholders)
        captured.placeholders.extend(taken.losses)
        return captured

    def _live_now(self) -> state.Live:
        if not self.live.reaches_moments:
            self._reaching.look()
            reached = (self._reaching.moments, self._reaching.unseen)
            if reached != (self.live.reaches_moments, self.live.writes_unseen):
                self.live = replace(self.live, reaches_moments=reached[0], writes_unseen=reached[1])
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

    def ask_for_room(self, room: Callable[[], int | None]) -> None:
        """Before a capture copies much, `room` tells how many bytes may be taken; too few refuse the snapshot."""
        self._split.staging.room = room

    def shed(self) -> None:
        """Let go of what the last capture was copied into; the next one makes it anew. Its commit has to be written."""
        self._split.staging.shed()

    # told before the run

    def needed_inside(self, info: FrameInfo) -> frozenset[str]:
        """Names that code after some point inside the cell (`info`) may read: what refuses a snapshot where it cannot be kept."""
        return self.through_functions.union(*(point.live for point in info.points.values()))

    # restore

    def let_go(self) -> None:
        """Before a snapshot of this run is read: what it brings back that holds tensors is held no longer.

        What no snapshot could keep stays.
        """
        start: dict[str, Any] = self.start  # type: ignore[assignment]
        for name in self.tracked - self._not_kept:
            if name in self.namespace and holds_tensors(self.namespace[name]):
                del self.namespace[name]
                self._let_go.add(name)
            if name in start and holds_tensors(start[name]):
                start[name] = None
                self._let_go.add(name)

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
        for name in self._let_go & self.start.keys() & self.namespace.keys():
            self.start[name] = self.namespace[name]  # type: ignore[index]
        self._let_go.clear()


def holds_tensors(value: Any, depth: int = 3) -> bool:
    """Whether `value` is a tensor, a model or an optimizer of torch, or holds one not far below."""
    torch = sys.modules.get("torch")
    if torch is None or depth < 0 or isinstance(value, DEFINITIONS):
        return False
    if isinstance(value, (torch.Tensor, torch.nn.Module, torch.optim.Optimizer)):
        return True
    if isinstance(value, Mapping):
        inside: Iterable[Any] = list(value.values())
    elif isinstance(value, (list, tuple, set, frozenset)):
        inside = value
    elif type(value).__module__.startswith(("colab_guard.", "builtins")):
        return False
    else:
        inside = list(getattr(value, "__dict__", {}).values())
    return any(holds_tensors(part, depth - 1) for part in itertools.islice(inside, MOST_LOOKED_AT))


def local_variables(frames: Iterable[FrameEntry]) -> dict[str, Any]:
    """Variables of functions that are running, by a name that none of the notebook has."""
    return {
        f"{name} (of {entry.frame.partition('#')[0]}(), {depth})": value
        for depth, entry in enumerate(frames)
        for name, value in (entry.cells | entry.locals).items()
    }
