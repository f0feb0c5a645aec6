"""All that a cell's state has outside the user's names, from the cell's start to each snapshot and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from colab_guard.errors import GuardError
from colab_guard.state.outside import process, registered
from colab_guard.state.outside.adapters import Adapter
from colab_guard.state.outside.figures import Figures
from colab_guard.state.outside.logs import Handlers, Loggers, LogLevels
from colab_guard.state.outside.modules import LocalModules
from colab_guard.state.outside.process import Process
from colab_guard.state.outside.registered import REGISTERED as REGISTERED_STATE
from colab_guard.state.outside.settings import LIBRARIES, NUMPY, PYTHON, Settings
from colab_guard.state.outside.stores import Stores
from colab_guard.state.outside.tables import Filters, PandasOptions, RcParams
from colab_guard.state.outside.torch_settings import THREADS, TORCH
from colab_guard.state.outside.watch import Change, Watch
from colab_guard.state.pickler import Placeholder

SWITCHES, THINGS, REGISTERED = "switches", "things", "registered"


@dataclass(slots=True)
class Taken:
    """What one snapshot keeps: `needed` by the code to come, `kept` as far as it goes, `parts` beside the graph.

    `losses` names what belongs here and is in no snapshot.
    """

    needed: dict[str, Any]
    kept: dict[str, Any]
    parts: dict[str, bytes] = field(default_factory=dict)
    losses: list[Placeholder] = field(default_factory=list)


class Outside:
    """Made at a cell's start. `switches` are owned by `with` blocks too; `things` are objects."""

    def __init__(self) -> None:
        loggers = Loggers()
        self._process = Process()
        self._switches: list[Adapter] = [
            Settings((*PYTHON, *NUMPY, *TORCH, *LIBRARIES)),
            Filters(),
            RcParams(),
            PandasOptions(),
            LogLevels(loggers),
        ]
        self.modules = LocalModules()
        self._things: list[Adapter] = [Figures(), Handlers(loggers), Stores(), self.modules]
        self._outer = _values(self._switches)
        self._restored: Mapping[str, Any] = {}
        self._began = False
        self._watch: Watch | None = None
        self._keeps_threads = False
        self.lost: tuple[str, ...] = ()
        """Paths of what changed in libraries, and is in no snapshot."""

    def watch(self, words: Iterable[str], namespace: Mapping[str, Any]) -> None:
        """Compare libraries from now on, as far as code that mentions `words` may change them."""
        self._watch = Watch(words, namespace, self.modules.covers)

    # capture

    def facts(self) -> dict[str, Any]:
        """What a commit's record says of all this, for those who never unpickle."""
        found: dict[str, Any] = {"lost": list(self.lost), "registered": sorted(REGISTERED_STATE), "threads": self._keeps_threads}
        return {name: value for name, value in found.items() if value}

    def take(self, *, in_context: bool = False, at_end: bool = False) -> Taken:
        """What is to be kept now; `in_context` says that code stands inside `with` blocks, `at_end` that nothing follows.

        Raises SnapshotRefused where a registered state cannot be had. What it gives refers to live objects.
        """
        self._began = True
        switches = _values(self._switches)
        self._keeps_threads = THREADS in switches.get(Settings.name, {})
        if not in_context:
            self._outer = switches
        needed = {SWITCHES: (switches, self._outer if in_context else None), REGISTERED: registered.values()}
        taken = Taken(needed, {THINGS: _values(self._things)})
        changed = self._process.get()
        if changed is not None:
            taken.parts[process.EARLY] = json.dumps(changed).encode()
        why = "its name or value looks like a secret, which no snapshot holds; set it again in a cell before this one"
        taken.losses = [Placeholder(f"os.environ[{name!r}]", "str", why) for name in self._process.secret]
        taken.losses += self._compared(at_end)
        return taken

    def _compared(self, at_end: bool) -> list[Placeholder]:
        changes = self._watch.changes(now=at_end) if self._watch is not None else []
        changes = [change for change in changes if not registered.covers(change.path)]
        self.lost = tuple(change.path for change in changes)
        return [Placeholder(change.path, change.kind, _why(change)) for change in changes]

    # restore

    def set_early(self, parts: Mapping[str, bytes]) -> None:
        """Before anything is rebuilt."""
        early = process.early(parts)
        if early is not None or self._began:
            self._process.set(early)

    def set_things(self, needed: Mapping[str, Any], kept: Mapping[str, Any]) -> list[str]:
        """When names are back, and before code runs: objects, and the switches as they were outside all `with` blocks.

        Gives what could not be put back, in words.
        """
        again, self._began = self._began, True
        state, things = needed.get("outside", {}), kept.get("outside things", {}).get(THINGS, {})
        now, outer = state.get(SWITCHES, ({}, None))
        failed = _set(self._things, things, again) + _set(self._switches, now if outer is None else outer, again)
        registered.set_values(state.get(REGISTERED, {}))
        self._restored, self._outer = now, now if outer is None else outer
        return failed

    def set_switches(self) -> list[str]:
        """When the position is reached: the switches as they were there."""
        return _set(self._switches, self._restored, again=False)


def _why(change: Change) -> str:
    return (
        f"{change.kind}; it changed while the cell ran and is in no snapshot; "
        f"colab_guard.register_state({change.path!r}, get, set) keeps it"
    )


def _values(adapters: Iterable[Adapter]) -> dict[str, Any]:
    found = {}
    for adapter in adapters:
        if adapter.available() and (value := adapter.get()) is not None:
            found[adapter.name] = value
    return found


def _set(adapters: Iterable[Adapter], values: Mapping[str, Any], again: bool) -> list[str]:
    """`again`: this kernel goes back, so that what a snapshot does not hold is as it was at the cell's start."""
    failed = []
    for adapter in adapters:
        value = values.get(adapter.name)
        if isinstance(value, Placeholder) or (value is None and not again):
            continue
        try:
            adapter.set(value)
        except GuardError:
            raise
        except Exception as error:  # a library of another version refuses an old value: that is said, and the rest goes on
            failed.append(f"{adapter.name}: {type(error).__name__}: {error}".split("\n")[0])
    return failed
