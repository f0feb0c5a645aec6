"""Running a compiled cell in the user's namespace: from its start, or from a snapshot.

An error leaves with its own traceback; `__tracebackhide__` asks IPython to pass over the project's frames, so that the
user sees the cell's lines. A rolled-back cell is restored from the newest snapshot and entered again; so is one whose
error `recovery` says to be undone that way.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from types import CodeType, FrameType
from typing import Any

from colab_guard import state
from colab_guard.cells.ahead import NOT_RUNNING, Ahead
from colab_guard.cells.arrivals import when_imported
from colab_guard.cells.generators import Generators
from colab_guard.cells.inthread import in_thread_of_its_own
from colab_guard.cells.plainer import HIDDEN
from colab_guard.cells.protocols import LibraryLoop, PolicyFactory, Recovery, WayBack
from colab_guard.cells.resuming import Resumer
from colab_guard.cells.rewrite import BARE, PREFIX, RESUMER, RUNTIME, VALUE
from colab_guard.cells.runtime import Idle, RollBack, Runtime, noting
from colab_guard.cells.scope import Scope, local_variables
from colab_guard.cells.short import OFF
from colab_guard.cells.source import CompiledCell
from colab_guard.errors import CannotResume
from colab_guard.snapshots import Engine, Leaving, Position, Stopped, UnitRecord
from colab_guard.store import Loaded

NO_VALUE = object()
WATCHES = 20
"""How often in an interval a loop that has become slow may be noticed."""


def try_capture(cell: CompiledCell, scope: Scope, names: Mapping[str, Any]) -> state.Trial:
    """What a capture of `names` as they are now says: how much, and what could not be kept. Nothing is kept of it."""
    functions = cell.functions
    live = replace(scope.live, code_id=functions.id_of, generators=Generators(functions, scope.namespace))
    return state.trial(names, live)


@dataclass(slots=True)
class Execution:
    """One run of one cell. `newest` gives the newest commit's state, for a roll-back; `say` is told what may not be exact.

    `readable` says whether `newest` would find one, and takes no memory for it.
    """

    cell: CompiledCell
    scope: Scope
    engine: Engine
    now: Callable[[], float]
    policies: Sequence[PolicyFactory] = ()
    loops: Sequence[LibraryLoop] = ()
    units: Sequence[UnitRecord] = ()
    newest: Callable[[], Loaded | None] = lambda: None
    readable: Callable[[], bool] = lambda: True
    say: Callable[[str], None] = lambda why: None
    way_back: WayBack | None = None
    recovery: Recovery | None = None
    _ahead: Ahead | None = field(default=None, init=False)
    _begun_at: str | None = field(default=None, init=False)
    _was_read: bool = field(default=False, init=False)

    def none_ahead(self, frame: FrameType | None) -> str | None:
        """Why no safe point lies ahead of what runs now (`frame`, in the main thread); None where one does."""
        return NOT_RUNNING if self._ahead is None else self._ahead.none(frame)

    def restore_finished(self, loaded: Loaded) -> Any:
        """The cell was done: put its results back and give the value of its last expression."""
        functions = self.cell.functions
        runtime = Runtime(functions, self.cell.info, self.scope, self.engine, self.now)
        generators = self._let_code_travel(runtime)
        needed, kept = self._restore(loaded)
        self.scope.set_names(needed, kept)
        generators.start()
        functions.swap()()
        self._set_outside(needed, kept)
        self._arrive(needed)
        self._forget_hidden_names(runtime)  # generators that come back run rewritten code
        return self._take_value()

    def run(self, loaded: Loaded | None) -> Any:
        """Run the cell, from `loaded`'s position if given; the value of its last expression, or None.

        What `loaded` holds is let go of when it is restored: it is as much memory as the state itself. Raises `Stopped` when
        that was asked for and the cell is saved.
        """
        __tracebackhide__ = True
        self._begun_at = loaded.record.id if loaded is not None else None
        while True:
            try:
                return self._run(loaded)
            except RollBack as wish:
                if self.recovery is not None:
                    self.recovery.let_go(wish)
            except Leaving as leaving:
                raise Stopped(str(leaving)) from None
            except Exception as error:
                if not self._goes_back(error):
                    raise
            # outside of the handlers, which hold what was running
            loaded = None
            loaded = self._go_back()

    def _goes_back(self, error: Exception) -> bool:
        """Whether going back to the newest snapshot may undo `error`."""
        if self.recovery is None:
            return False
        self.engine.wait()
        saved = self.engine.saved
        self._was_read = self.recovery.goes_back(error, saved.id if saved is not None else self._begun_at, self.readable)
        return self._was_read

    def _go_back(self) -> Loaded:
        """The newest snapshot, for which room was made: what it brings back is let go of before it is loaded.

        Not before it is known that one can be: what lives here may be all that there is.
        """
        self.engine.wait()
        if self.recovery is not None:
            if not self._was_read and not self.readable():
                raise CannotResume("no snapshot to go back to can be read; what was there before is as it was")
            self._was_read = False
            self.scope.let_go()
            self.recovery.clear()
        loaded = self.newest()
        if loaded is None:
            raise CannotResume("there is no snapshot to go back to")
        if self.recovery is not None:
            self.recovery.gone_back(str(loaded.record.position.get("text", "its last snapshot")))
        return loaded

    def _run(self, loaded: Loaded | None) -> Any:
        __tracebackhide__ = True
        namespace, functions = self.scope.namespace, self.cell.functions
        runtime = Runtime(
            functions,
            self.cell.info,
            self.scope,
            self.engine,
            self.now,
            policies=self.policies,
            units=self.units,
            say=self.say,
            goes_back=self._goes_back,
        )
        # what goes back needs a snapshot to go back to
        runtime.first_in_library = self.recovery is not None and loaded is None and self.engine.saved is None
        runtime.first_wanted = runtime.first_in_library and self.scope.live.differentiates
        generators = self._let_code_travel(runtime)
        code = self.cell.code
        with ExitStack() as undo:
            undo.callback(self._forget_hidden_names, runtime)
            for loop in self.loops:
                hook = partial(_hook_into, loop, runtime, undo)
                if loop.available():
                    hook()
                else:
                    undo.enter_context(when_imported(loop.module, hook))
            undo.callback(state.track_dataloaders())
            undo.callback(self.engine.periodically("watch", self.engine.schedule.every_s / WATCHES, runtime.watch))
            undo.callback(functions.swap())
            namespace[RUNTIME] = runtime
            namespace[BARE] = functions.bare
            if loaded is not None:
                code = self.cell.program.resume_code()
                functions.codes[code] = self.cell.info
                namespace[RESUMER] = self._take_up(loaded, runtime, generators)
                loaded.parts.clear()
                loaded.buffers.clear()
            self._ahead = Ahead(functions.codes, lambda: runtime.thread)
            undo.callback(setattr, self, "_ahead", None)
            self._execute(code, namespace, runtime)
            self._finish()
            return self._take_value()

    def _let_code_travel(self, runtime: Runtime) -> Generators:
        """Functions whose code is known travel by its id, and generators by their places."""
        functions, scope = self.cell.functions, self.scope
        generators = Generators(functions, scope.namespace)
        generators.runtime, runtime.is_pending = runtime, generators.is_pending
        scope.live = replace(
            scope.live, code_id=functions.id_of, code_for=lambda name: runtime.function(name).running, generators=generators
        )
        return generators

    def _take_up(self, loaded: Loaded, runtime: Runtime, generators: Generators) -> Resumer:
        needed, kept = self._restore(loaded)

        def set_names() -> None:
            self.scope.set_names(needed, kept)

        set_names()
        entries = needed["frames"]
        self.scope.namespace.update(entries[0].locals)
        generators.start(entries)
        self._set_outside(needed, kept)

        def arrive() -> None:
            self.scope.outside.set_switches()
            self._arrive(needed)

        return runtime.resume(entries, needed.get("library"), set_names, arrive)

    def _restore(self, loaded: Loaded) -> tuple[dict[str, Any], dict[str, Any]]:
        if self.way_back is not None:
            self.way_back.begin()
        self.scope.outside.set_early(loaded.parts)
        needed, kept = state.restore(loaded.parts, loaded.buffers, self.scope.live)
        if state.ORDERS not in loaded.parts:
            return needed, kept
        everything = {**kept["names"], **needed["names"], **local_variables(needed.get("frames", ()))}
        lost = state.put_in_order(bytes(loaded.parts[state.ORDERS]), everything)
        read = {path: why for path, why in lost.items() if path.partition("[")[0].partition(".")[0] not in kept["names"]}
        for why in sorted(set(read.values())):
            paths = [path for path in read if read[path] == why]
            self.engine.name_inexact(f"sets that may iterate in another order: {', '.join(paths[:5])} ({why})")
        return needed, kept

    def _set_outside(self, needed: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
        for failure in self.scope.outside.set_things(needed, kept):
            self.engine.name_loss(failure, "could not be put back here; the code goes on without it")

    def _arrive(self, needed: Mapping[str, Any]) -> None:
        """The position is reached; random state is set last."""
        state.set_random_state(needed["random"])
        if self.way_back is not None:
            self.way_back.end()

    def _execute(self, code: CodeType, namespace: dict[str, Any], runtime: Runtime) -> None:
        __tracebackhide__ = True
        if not code.co_flags & inspect.CO_COROUTINE:
            exec(code, namespace)
            return
        # the kernel's own event loop is running this cell: a top-level `await` gets one of its own
        coroutine = eval(code, namespace)
        assert self._ahead is not None
        self._ahead.coroutine = coroutine

        def here() -> None:
            runtime.thread, runtime.own_loop = threading.get_ident(), True

        in_thread_of_its_own(coroutine, here)

    def _finish(self) -> None:
        """The commit at the end of the cell: results only, no position."""
        position = Position("the end of the cell", 0, None, self.cell.info.signature())
        self.engine.take("cell", position, noting(self.cell.functions, position, lambda: self.scope.capture(None)))

    def _take_value(self) -> Any:
        value = self.scope.namespace.pop(VALUE, NO_VALUE)
        return value if self.cell.shows_value and value is not NO_VALUE else None

    def _forget_hidden_names(self, runtime: Runtime) -> None:
        runtime.over = True
        namespace = self.scope.namespace
        for name in [n for n in namespace if n.startswith((PREFIX, HIDDEN)) and n != VALUE]:
            del namespace[name]
        namespace[RUNTIME] = Idle()
        namespace[BARE] = [OFF] * len(runtime.short_loops.bare)


def _hook_into(loop: LibraryLoop, runtime: Runtime, undo: ExitStack) -> None:
    undo.callback(loop.install(runtime))
