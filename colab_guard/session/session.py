"""`Session`: the one guard of a kernel."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colab_guard.clock import Clock, SystemClock
from colab_guard.errors import BadOption
from colab_guard.events import Event, EventBus, ListenerFailed, MemoryReclaimed, StepDone
from colab_guard.session.options import CheckpointOptions
from colab_guard.session.seams import GuardedWork, MemoryGuard, Panel, PanelFactory
from colab_guard.workers import Workers

if TYPE_CHECKING:
    from colab_guard.cells import LibraryLoop, PolicyFactory
    from colab_guard.hosts import Host
    from colab_guard.keepalive import KeepAlive
    from colab_guard.session.inputs import Input, Left
    from colab_guard.snapshots import UnitRecord


class Session:
    """Builds the parts when they are first asked for, and takes them back in `close`.

    `shell` is None outside IPython. `panel_factory` is set by the extension; without it there is no panel.
    """

    def __init__(self, shell: Any = None, *, clock: Clock | None = None, bus: EventBus | None = None) -> None:
        self.shell = shell
        self.clock: Clock = clock or SystemClock()
        self.workers = Workers(self.clock, self.failed)
        self.bus = bus or EventBus(self.workers, self.clock)
        self.bus.clean = _clean
        self.work: GuardedWork | None = None
        self.panel_factory: PanelFactory | None = None
        self.failures: list[str] = []
        self.left: dict[str, Mapping[str, Left]] = {}
        """By NAME: what the inputs of its cell held when it ended in this kernel."""
        self.aside: Callable[[], AbstractContextManager[None]] = nullcontext
        """Around what is shown while a cell is recorded and is not the cell's own output."""
        self.begun: dict[str, Mapping[str, Input]] = {}
        """By NAME: the inputs of its cell when it last began from its start in this kernel."""
        self.ended = ""
        """How the work before ended, in one line."""
        self.closed = False
        self._host: Host | None = None
        self._keepalive: KeepAlive | None = None
        self._memory: MemoryGuard | None = None
        self._panel: Panel | None = None
        self._panel_shown = False
        self._undo: list[Callable[[], object]] = [self._stop_workers]

    # the parts

    @property
    def host(self) -> Host:
        """What machine this is."""
        if self._host is None:
            self._host = importlib.import_module("colab_guard.hosts").detect()
        return self._host

    @property
    def keepalive(self) -> KeepAlive:
        """Signs of life; made when first asked for, off until switched on."""
        if self._keepalive is None:
            from colab_guard.keepalive import KeepAlive

            self._keepalive = KeepAlive(self.shell, self.bus, self.clock, self.workers, self.host)
            self._undo.append(self._keepalive.off)
        return self._keepalive

    @property
    def memory(self) -> MemoryGuard:
        """The memory guard; made when first asked for, without a limit until one is set."""
        if self._memory is None:
            made: MemoryGuard = importlib.import_module("colab_guard.memory").MemoryGuard(
                bus=self.bus, clock=self.clock, workers=self.workers
            )
            self._memory = made
            self._undo.append(made.close)
        return self._memory

    @property
    def panel(self) -> Panel | None:
        """The panel; None where nobody has handed in how to make one."""
        if self._panel is None and self.panel_factory is not None:
            self._panel = self.panel_factory(self)
            self._undo.append(self._panel.close)
        return self._panel

    def in_force(self) -> tuple[bool, bool]:
        """Whether keep-alive and a memory limit are in force; builds nothing."""
        return (
            self._keepalive is not None and self._keepalive.in_force,
            self._memory is not None and self._memory.in_force,
        )

    # guarded work

    def run_checkpointed(self, name: str, source: str, options: CheckpointOptions) -> object:
        """Run `source` as guarded work `name`; give the value of its last expression. The cell's errors pass through."""
        from colab_guard.session import checkpointing

        __tracebackhide__ = True
        with self.panelled():
            return checkpointing.run(self, name, source, options)

    def explain(self, name: str, source: str, options: CheckpointOptions) -> str:
        """What running `source` as guarded work `name` would mean; runs nothing and writes nothing."""
        told: str = importlib.import_module("colab_guard.session.explain").explain(self, name, source, options)
        return told

    @contextmanager
    def guarded(self, work: GuardedWork) -> Iterator[None]:
        """The time of guarded work: signs of life, memory watch and panel begin with it and end with it."""
        __tracebackhide__ = True
        if self.work is not None:
            raise BadOption(f"{self.work.name!r} is running; one piece of guarded work at a time")
        self.work = work
        with ExitStack() as undo:
            undo.callback(self._forget_work)
            undo.callback(self.memory.work_ended)
            self.memory.work_started(work.name)
            undo.callback(self.keepalive.work_ended)
            self.keepalive.work_started(work.name)
            self.show_panel()
            yield

    def request_stop(self, by: str = "magic") -> bool:
        """Ask the running work to stop at its next safe point; False when none runs."""
        if self.work is None:
            return False
        self.work.request_stop(by)
        return True

    def request_commit(self) -> bool:
        """Ask the running work for a snapshot at its next safe point; False when none runs."""
        if self.work is None:
            return False
        self.work.request_commit()
        return True

    def policy_factories(self, *, anew: bool = False) -> list[PolicyFactory]:
        """What decides about loops: the sweep's policy. `anew`: nothing counts as done."""
        return [_sweeps().policy_factory(self.bus, self.reclaim, anew)]

    def reclaim(self) -> None:
        """Free what nothing needs between two models, and say what that gave."""
        freed = importlib.import_module("colab_guard.memory").reclaim(self.shell)
        self.bus.post(
            MemoryReclaimed(
                name=self.work.name if self.work is not None else "",
                host_before=freed.host_before,
                host_after=freed.host_after,
                gpu_before=freed.gpu_before,
                gpu_after=freed.gpu_after,
                holders=freed.holders,
            )
        )

    def library_loops(self) -> list[LibraryLoop]:
        """The loops inside libraries that can be resumed."""
        loops: list[LibraryLoop] = list(importlib.import_module("colab_guard.training").default_loops(self._step_done))
        return loops

    def _step_done(self, step: int, total: int | None, loss: float | None) -> None:
        name = self.work.name if self.work is not None else ""
        self.bus.post(StepDone(name=name, step=step, total=total, loss=loss))

    def adopt(self, units: Sequence[UnitRecord], store: Path) -> None:
        """Tell the sweeps, those too that a restore will make, which of their runs are committed in `store`."""
        _sweeps().adopt(units, store)

    def unfinished_units(self, groups: Sequence[str]) -> bool:
        """Whether a live sweep among `groups` has runs that are neither done nor failed."""
        return bool(_sweeps().unfinished(groups))

    # the panel's time

    def show_panel(self) -> bool:
        """Draw the panel in the running cell's output; False where there is none."""
        panel = self.panel
        if panel is None:
            return False
        with self.aside():
            panel.show()
        self._panel_shown = True
        return True

    @contextmanager
    def panelled(self) -> Iterator[None]:
        """The panel listens before the first event is posted, and is frozen after the last one."""
        __tracebackhide__ = True
        self._panel_shown = False
        panel = self.panel
        try:
            yield
            if panel is not None and not self._panel_shown:
                self.show_panel()  # a cell whose results were restored at once has run nothing, and says so
        finally:
            self.bus.flush()
            if panel is not None and self._panel_shown:
                panel.freeze()

    # the end

    def close(self) -> None:
        """Take back everything, the newest first: limits, heartbeat, panel, threads. Safe to call twice."""
        self.closed = True
        self.bus.flush()
        with ExitStack() as undo:  # goes on with the others where one fails
            for step in self._undo:
                undo.callback(step)
        self._undo.clear()
        self._keepalive = self._memory = self._panel = None

    def _forget_work(self) -> None:
        self.work = None

    def _stop_workers(self) -> None:
        for name in self.workers.stop():
            self.failures.append(f"the thread {name} did not end in time and is left behind")

    def failed(self, who: str, error: BaseException) -> None:
        """Something that must not stop the work has failed: `%guard status` and the panel tell it."""
        self.failures.append(f"{who}: {type(error).__name__}: {error}")
        del self.failures[:-20]
        self.bus.post(ListenerFailed(who=who, error=f"{type(error).__name__}: {error}"))


def _clean(event: Event) -> Event:
    """`event` without secrets in its texts; nothing is looked at before the first guarded work has loaded what looks."""
    state = sys.modules.get("colab_guard.state")
    if state is None or isinstance(event, StepDone):
        return event
    texts = {f.name: getattr(event, f.name) for f in dataclasses.fields(event)}
    changed = {name: new for name, old in texts.items() if (new := _scrubbed(state, old)) is not old and new != old}
    return dataclasses.replace(event, **changed) if changed else event


def _scrubbed(state: Any, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_scrubbed(state, part) for part in value)
    return state.scrubbed(value) if isinstance(value, str) else value


def _sweeps() -> Any:
    """The room of sweeps, loaded by the first guarded work: a cell may make its first sweep itself."""
    return importlib.import_module("colab_guard.sweep")


_current: Session | None = None


def current(shell: Any = None) -> Session:
    """The session of this kernel (or of `shell`); made when there is none yet."""
    global _current
    if shell is None:
        ipython = sys.modules.get("IPython")
        shell = ipython.get_ipython() if ipython is not None else None
    if _current is None or _current.closed or _current.shell is not shell:
        if _current is not None and not _current.closed:
            _current.close()
        _current = Session(shell)
    return _current


def loaded() -> Session | None:
    """The session that exists already, or None; makes none."""
    return _current if _current is not None and not _current.closed else None
