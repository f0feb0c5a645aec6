"""Running a compiled cell in the user's namespace: from its start, or from a snapshot.

An error leaves with its own traceback; `__tracebackhide__` asks IPython to pass over the project's frames, so that the
user sees the cell's lines. A rolled-back cell is restored from the newest snapshot and entered again.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import CodeType
from typing import Any

from colab_guard import state
from colab_guard.cells.generators import Generators
from colab_guard.cells.plainer import HIDDEN
from colab_guard.cells.protocols import LibraryLoop, PolicyFactory
from colab_guard.cells.resuming import Resumer
from colab_guard.cells.rewrite import BARE, PREFIX, RESUMER, RUNTIME, VALUE
from colab_guard.cells.runtime import Idle, RollBack, Runtime
from colab_guard.cells.scope import Scope
from colab_guard.cells.short import OFF
from colab_guard.cells.source import CompiledCell
from colab_guard.errors import CannotResume
from colab_guard.snapshots import Engine, Position, UnitRecord
from colab_guard.store import Loaded

NO_VALUE = object()
WATCHES = 20
"""How often in an interval a loop that has become slow may be noticed."""


@dataclass(slots=True)
class Execution:
    """One run of one cell. `newest` gives the newest commit's state, for a roll-back."""

    cell: CompiledCell
    scope: Scope
    engine: Engine
    now: Callable[[], float]
    policies: Sequence[PolicyFactory] = ()
    loops: Sequence[LibraryLoop] = ()
    units: Sequence[UnitRecord] = ()
    newest: Callable[[], Loaded | None] = lambda: None

    def restore_finished(self, loaded: Loaded) -> Any:
        """The cell was done: put its results back and give the value of its last expression."""
        functions = self.cell.functions
        runtime = Runtime(functions, self.cell.info, self.scope, self.engine, self.now)
        generators = self._let_code_travel(runtime)
        needed, kept = state.restore(loaded.parts, loaded.buffers, self.scope.live)
        self.scope.set_names(needed, kept)
        generators.start()
        functions.swap()()
        state.set_random_state(needed["random"])
        return self._take_value()

    def run(self, loaded: Loaded | None) -> Any:
        """Run the cell, from `loaded`'s position if given; the value of its last expression, or None."""
        __tracebackhide__ = True
        while True:
            try:
                return self._run(loaded)
            except RollBack as wish:
                loaded = self.newest()
                if loaded is None:
                    raise CannotResume("there is no snapshot to go back to") from wish.__cause__

    def _run(self, loaded: Loaded | None) -> Any:
        __tracebackhide__ = True
        namespace, functions = self.scope.namespace, self.cell.functions
        runtime = Runtime(
            functions, self.cell.info, self.scope, self.engine, self.now, policies=self.policies, units=self.units
        )
        generators = self._let_code_travel(runtime)
        code = self.cell.code
        with ExitStack() as undo:
            undo.callback(self._forget_hidden_names, runtime)
            for loop in self.loops:
                if loop.available():
                    undo.callback(loop.install(runtime))
            undo.callback(state.track_dataloaders())
            undo.callback(self.engine.periodically("watch", self.engine.schedule.every_s / WATCHES, runtime.watch))
            undo.callback(functions.swap())
            namespace[RUNTIME] = runtime
            namespace[BARE] = functions.bare
            if loaded is not None:
                code = self.cell.program.resume_code()
                functions.codes[code] = self.cell.info
                namespace[RESUMER] = self._take_up(loaded, runtime, generators)
            self._execute(code, namespace, runtime)
            self._finish()
            return self._take_value()

    def _let_code_travel(self, runtime: Runtime) -> Generators:
        """Functions whose code is known travel by its id, and generators by their places."""
        functions, scope = self.cell.functions, self.scope

        def code_id(code: CodeType) -> str | None:
            found = functions.by_code.get(code)
            return found.id if found is not None else None

        generators = Generators(functions, scope.namespace)
        generators.runtime, runtime.is_pending = runtime, generators.is_pending
        scope.live = replace(
            scope.live, code_id=code_id, code_for=lambda name: runtime.function(name).running, generators=generators
        )
        return generators

    def _take_up(self, loaded: Loaded, runtime: Runtime, generators: Generators) -> Resumer:
        needed, kept = state.restore(loaded.parts, loaded.buffers, self.scope.live)

        def set_names() -> None:
            self.scope.set_names(needed, kept)

        set_names()
        entries = needed["frames"]
        self.scope.namespace.update(entries[0].locals)
        generators.start()
        return runtime.resume(
            entries, needed.get("library"), set_names, lambda: state.set_random_state(needed["random"])
        )

    def _execute(self, code: CodeType, namespace: dict[str, Any], runtime: Runtime) -> None:
        __tracebackhide__ = True
        if not code.co_flags & inspect.CO_COROUTINE:
            exec(code, namespace)
            return
        # the kernel's own event loop is running this cell: a top-level `await` gets one of its own
        failure: list[BaseException] = []

        def run() -> None:
            runtime.thread = threading.get_ident()
            try:
                asyncio.run(eval(code, namespace))
            except BaseException as error:
                failure.append(error)

        thread = threading.Thread(target=run, name="colab_guard-cell")
        thread.start()
        thread.join()
        if failure:
            raise failure[0]

    def _finish(self) -> None:
        """The commit at the end of the cell: results only, no position."""
        position = Position("the end of the cell", 0, None, self.cell.info.signature())
        self.engine.take("cell", position, lambda: self.scope.capture(None))

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
