"""`%keepalive --release`: when all guarded work has ended and is durable, Colab's machine is given back.

The machine takes its disk along, so that everything has to be elsewhere first, with proof. It stays when a piece of work did
not end well, when anything that was saved here is not durable, and while a cell runs or has just run: after the last cell there is
a minute in which `%keepalive off` keeps it. Elsewhere than on Colab nothing is done.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from colab_guard import hosts
from colab_guard.clock import Clock
from colab_guard.events import EventBus, RuntimeReleased
from colab_guard.hosts import Host, NotReleased
from colab_guard.workers import Abandoned, Worker, Workers

QUIET_S = 60.0
"""No cell has run for so long."""
LOOK_S = 1.0
CALL_S = 60.0

OnlyHere = Callable[[], str]
"""Why what a piece of work saved is on this machine alone; "" where it is durable."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a piece of work ended, and what to ask about what it saved."""

    outcome: str
    only_here: OnlyHere


class Release:
    """The switch and its thread. `tell` is given the words of what was decided."""

    def __init__(
        self, shell: Any, host: Host, clock: Clock, workers: Workers, bus: EventBus, tell: Callable[[bool, str], None]
    ) -> None:
        self._shell = shell
        self._host = host
        self._clock = clock
        self._workers = workers
        self._bus = bus
        self._tell = tell
        self._ended: dict[str, Ended] = {}
        self._running = False
        self._cells = 0
        """Cells that run: a cell may run others."""
        self._worker: Worker | None = None
        self._hooked = False
        self.on = False
        self.decided = ""

    @property
    def works_here(self) -> bool:
        """Whether this host lets a machine be given back."""
        return self._host.kind == "colab"

    def switch_on(self) -> None:
        """From now on; nothing happens before guarded work has ended."""
        self.on = True
        events = getattr(self._shell, "events", None)
        if self.works_here and events is not None and not self._hooked:
            self._hooked, self._cells = True, _cells_under_way(self._shell)
            events.register("pre_run_cell", self._cell_begins)
            events.register("post_run_cell", self._cell_ended)

    def switch_off(self) -> None:
        """Keep the machine; a countdown that is under way ends."""
        self.on, self.decided = False, ""
        worker, self._worker = self._worker, None
        if worker is not None:
            self._workers.stop_one(worker)
        if self._hooked:
            self._hooked = False
            self._shell.events.unregister("pre_run_cell", self._cell_begins)
            self._shell.events.unregister("post_run_cell", self._cell_ended)

    def work_started(self, name: str = "", cannot_prove: str = "") -> None:
        """Guarded work begins: nothing is decided meanwhile. Why it will keep the machine is said now, not hours later."""
        self._running = True
        self.decided = f"The machine will be KEPT after {name}: {cannot_prove}." if cannot_prove else ""

    def work_ended(self, name: str, outcome: str, only_here: OnlyHere) -> None:
        """Guarded work has ended with "done", "failed" or "stopped"; the countdown begins."""
        self._running = False
        self._ended[name] = Ended(outcome, only_here)
        alive = self._worker is not None and self._worker.thread.is_alive()
        if self.on and self.works_here and not alive:
            self.decided = ""
            self._worker = self._workers.start("release", self._watch)

    def restored(self, name: str, only_here: OnlyHere) -> None:
        """Work that had ended before was restored: it has to be durable as well, and begins no countdown."""
        self._ended[name] = Ended("done", only_here)

    def why_kept(self) -> str:
        """What speaks against giving the machine back now; "" for nothing."""
        for name, ended in self._ended.items():
            if ended.outcome != "done":
                return f"{name} {'was stopped' if ended.outcome == 'stopped' else ended.outcome}, and a person may want to look"
            if here := ended.only_here():
                return f"{name} is not durable: {here}"
        for folder in sorted(hosts.home().glob("*/FORMAT")):
            if folder.parent.name not in self._ended:
                return f"{folder.parent.name} is saved on this machine, and this kernel has not seen that it is durable elsewhere"
        return ""

    def __str__(self) -> str:
        if not self.on:
            return ""
        if not self.works_here:
            return f"--release does nothing on {self._host.label}: only Colab lets a notebook give its machine back."
        return self.decided or (
            f"When all guarded work has ended and is durable, and no cell has run for {QUIET_S:g} s, the machine is given back, and "
            "files that other cells wrote go with it. Keep it: %keepalive off."
        )

    # the thread

    def _watch(self, stopping: threading.Event) -> None:
        quiet_from = self._clock.monotonic()
        while not self._clock.wait(stopping, LOOK_S):
            now = self._clock.monotonic()
            if self._busy:
                quiet_from = now
            elif now - quiet_from >= QUIET_S:
                if self._decide(stopping):
                    return
                quiet_from = self._clock.monotonic()

    @property
    def _busy(self) -> bool:
        return self._cells > 0 or self._running

    def _decide(self, stopping: threading.Event) -> bool:
        """Give the machine back, or say why not; False where something has begun to run while that was found out."""
        kept = self.why_kept()
        if stopping.is_set() or self._busy:
            return False
        if not kept:
            try:
                self._workers.call("release: unassign", hosts.release, CALL_S)
            except (NotReleased, Abandoned) as error:
                kept = str(error)
        self.decided = f"The machine is KEPT: {kept}." if kept else "The machine was given back."
        self._bus.post(RuntimeReleased(kept=kept))
        self._tell(not kept, self.decided)
        return True

    def _cell_begins(self, *ignored: object) -> None:
        self._cells += 1

    def _cell_ended(self, result: Any = None, *ignored: object) -> None:
        info = getattr(result, "info", None)
        if info is not None and not str(info.raw_cell or "").strip():
            return  # IPython tells only the end of an empty cell
        self._cells = max(0, self._cells - 1)


def _cells_under_way(shell: Any) -> int:
    """How many cells of `shell` run at this moment and will tell their end: one may run others, as `%%capture` does.

    IPython does not count them, so that their calls are looked for in all threads.
    """
    code = type(shell).run_cell_async.__code__
    found = 0
    for top in sys._current_frames().values():
        frame: FrameType | None = top
        while frame is not None:
            if frame.f_code is code and frame.f_locals.get("self") is shell and not frame.f_locals.get("silent"):
                found += 1
            frame = frame.f_back
    return found
