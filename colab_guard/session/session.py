"""`Session`: the one guard of a kernel."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colab_guard.clock import Clock, SystemClock
from colab_guard.errors import BadOption, HostMemoryPressure, NeedsDecision
from colab_guard.events import Event, EventBus, ListenerFailed, StepDone
from colab_guard.session.clearing import Clearing
from colab_guard.session.options import CheckpointOptions
from colab_guard.session.seams import GuardedWork, MemoryGuard, Panel, PanelFactory
from colab_guard.workers import Workers

if TYPE_CHECKING:
    from colab_guard.cells import GridChange, LibraryLoop, PolicyFactory
    from colab_guard.hosts import Host
    from colab_guard.keepalive import KeepAlive
    from colab_guard.memory.recovery import Recovery
    from colab_guard.session.inputs import Input, Left
    from colab_guard.snapshots import UnitRecord


CLEAR_AFTER_S = 1.0
"""After a cell was ended for want of memory: time to show its error."""


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
        self._aside: Callable[[], AbstractContextManager[None]] = nullcontext
        """Around what is shown while a cell is recorded and is not the cell's own output."""
        self.begun: dict[str, Mapping[str, Input]] = {}
        """By NAME: the inputs of its cell when it last began from its start in this kernel."""
        self.allowed: frozenset[str] | None = None
        """What may be changed where memory runs out, beside how a batch is cut; None where the user has not said."""
        self.ended = ""
        """How the work before ended, in one line."""
        self.closed = False
        self.clearing = Clearing(self)
        self._host: Host | None = None
        self._keepalive: KeepAlive | None = None
        self._memory: MemoryGuard | None = None
        self._recovery: Recovery | None = None
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

            self._keepalive = KeepAlive(
                self.shell, self.bus, self.clock, self.workers, self.host, commit=self.request_commit
            )
            self._undo.append(self._keepalive.off)
        return self._keepalive

    @property
    def memory(self) -> MemoryGuard:
        """The memory guard; made when first asked for, without a limit until one is set."""
        if self._memory is None:
            made: MemoryGuard = importlib.import_module("colab_guard.memory").MemoryGuard(
                bus=self.bus, clock=self.clock, workers=self.workers, notebook=_notebook(self.shell)
            )
            made.on_pressure.append(self._short_of_memory)
            self._memory = made
            self._undo.append(made.close)
        return self._memory

    @property
    def recovery(self) -> Recovery:
        """What is done when memory runs out; made when first asked for."""
        if self._recovery is None:
            room = importlib.import_module("colab_guard.memory.recovery")
            self._recovery = room.Recovery(
                self.bus.post,
                self.reclaim,
                self._plan_changed,
                lambda: self.work.name if self.work is not None else "",
                lambda: self.allowed,
            )
            room.settle(self._recovery)
        assert self._recovery is not None
        return self._recovery

    def after_error(self, error: BaseException) -> None:
        """A cell has ended with `error`, and that is shown: where memory had run out, what the error holds is freed."""
        for note in _unshown(error):
            print(note, file=sys.stderr)
        if importlib.import_module("colab_guard.memory.recognise").shortage_in(error, hidden=True) is not None:
            importlib.import_module("colab_guard.memory.letgo").let_go(error)
            self.clearing.reclaim(outputs=False)

    def _plan_changed(self, what: str) -> None:
        """Something runs otherwise than it was written, so that memory suffices: said by results and commits."""
        _sweeps().note_change(what)
        if self.work is not None:
            self.work.plan_changed(what)

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
            try:
                return checkpointing.run(self, name, source, options)
            except NeedsDecision as decision:
                self.keepalive.needs_you(name, str(decision), wait=True)
                raise

    def explain(self, name: str, source: str, options: CheckpointOptions) -> str:
        """What running `source` as guarded work `name` would mean; runs nothing and writes nothing."""
        told: str = importlib.import_module("colab_guard.session.explain").explain(self, name, source, options)
        return told

    @contextmanager
    def guarded(self, work: GuardedWork, first: Event | None = None) -> Iterator[None]:
        """The time of guarded work: signs of life, memory watch and panel begin with it and end with it.

        `first` is posted before all that they tell.
        """
        __tracebackhide__ = True
        if self.work is not None:
            raise BadOption(f"{self.work.name!r} is running; one piece of guarded work at a time")
        self.work = work
        if first is not None:
            self.bus.post(first)
        with ExitStack() as undo:
            undo.callback(self._forget_work)
            undo.callback(_end_plans)
            self.clearing.begin()
            undo.callback(self.memory.work_ended)
            self.memory.work_started(work.name)
            undo.push(lambda kind, error, trace: self.keepalive.work_ended(error, work.only_here))
            self.keepalive.work_started(work.name, saves=work.saves, cannot_prove=work.cannot_prove())
            self.show_panel()
            try:
                yield
            except HostMemoryPressure:
                # what the error's frames hold is free only when they are cleared, and the cell has not ended yet
                self.workers.start("clear", self._clear_after_pressure)
                raise

    def _short_of_memory(self, level: str) -> None:
        if level == "hard" and self.work is not None:
            self.work.make_room()

    def _clear_after_pressure(self, stopping: threading.Event) -> None:
        if not self.clock.wait(stopping, CLEAR_AFTER_S) and self.work is None and self.memory.pressed:
            self.reclaim()

    def request_stop(self, by: str = "magic", *, after_unit: bool = False) -> bool:
        """Ask the running work to stop at its next safe point, or when its unit has ended; False when none runs."""
        if self.work is None:
            return False
        self.work.request_stop(by, after_unit=after_unit)
        return True

    def request_commit(self) -> bool:
        """Ask the running work for a snapshot at its next safe point; False when none runs."""
        if self.work is None:
            return False
        self.work.request_commit()
        return True

    def policy_factories(self, *, anew: bool = False) -> list[PolicyFactory]:
        """What decides about loops: the sweep's policy. `anew`: nothing counts as done."""
        _sweeps().watch_memory(self.memory.series)
        return [_sweeps().policy_factory(self.bus, self.clearing.between_runs, anew, self.clearing.forget)]

    def reclaim(self) -> None:
        """Free what nothing needs, and say what that gave."""
        self.clearing.reclaim()

    def library_loops(self) -> list[LibraryLoop]:
        """The loops inside libraries that can be resumed."""
        loops: list[LibraryLoop] = list(importlib.import_module("colab_guard.training").default_loops(self._step_done, self.recovery))
        return loops

    def _step_done(self, step: int, total: int | None, loss: float | None) -> None:
        name = self.work.name if self.work is not None else ""
        self.bus.post(StepDone(name=name, step=step, total=total, loss=loss))

    def adopt(self, units: Sequence[UnitRecord], store: Path) -> None:
        """Tell the sweeps, those too that a restore will make, which of their runs are committed in `store`."""
        _sweeps().adopt(units, store)

    def make_sweeps(self, changed: Sequence[GridChange]) -> list[object]:
        """Sweeps that a cell made from other grids, made from those that it has now, as if a cell above had made them."""
        library = importlib.import_module("colab_guard.cells").LIBRARY
        return [_sweeps().sweep_of(change.source, library) for change in changed]

    def went_back(self, units: Sequence[UnitRecord]) -> None:
        """The running cell goes back to a snapshot, at which `units` were done: what is not among them runs again."""
        _sweeps().went_back(units)

    def unfinished_units(self, groups: Sequence[str]) -> bool:
        """Whether a live sweep among `groups` has runs that are neither done nor failed."""
        return bool(_sweeps().unfinished(groups))

    # the panel's time

    def show_panel(self) -> bool:
        """Draw the panel in the running cell's output; False where there is none."""
        panel = self.panel
        if panel is None:
            return False
        with self._aside():
            panel.show(live=self.work is not None)
        self._panel_shown = True
        return True

    @contextmanager
    def output_aside(self, aside: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
        """While a cell's output is recorded, the panel is drawn in `aside()`, which keeps it out of the record."""
        self._aside = aside
        try:
            yield
        finally:
            self._aside = nullcontext

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
    """`event` without secrets in its texts; nothing is looked at before guarded work of any kind has loaded what looks."""
    state = sys.modules.get("colab_guard.state")
    if state is None or isinstance(event, StepDone):
        return event
    texts = {f.name: getattr(event, f.name) for f in dataclasses.fields(event)}
    changed = {name: new for name, old in texts.items() if (new := _scrubbed(state, old)) is not old and new != old}
    return dataclasses.replace(event, **changed) if changed else event


def _scrubbed(state: Any, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_scrubbed(state, part) for part in value)
    if isinstance(value, list):
        return [_scrubbed(state, part) for part in value]
    if isinstance(value, dict):
        return {_scrubbed(state, key): _scrubbed(state, part) for key, part in value.items()}
    return state.scrubbed(value) if isinstance(value, str) else value


def _notebook(shell: Any) -> str:
    told: str = importlib.import_module("colab_guard.hosts").kernel_notebook(shell)
    return told


def _end_plans() -> None:
    """Plans made from now on are no run's; where no run was under way, the room was not even loaded."""
    plan = sys.modules.get("colab_guard.plan")
    if plan is not None:
        plan.end_all()


def _unshown(error: BaseException) -> list[str]:
    """Notes of ours that this IPython does not show with the error: Colab's does not."""
    notes = [note for note in getattr(error, "__notes__", ()) if str(note).startswith("colab_guard: ")]
    return [] if not notes or "__notes__" in inspect.getsource(sys.modules["IPython.core.ultratb"]) else notes


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
