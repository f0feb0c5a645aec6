"""Runs a cell to its end, and again killed at each of its safe points in turn and resumed, in one process."""

from __future__ import annotations

import atexit
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from colab_guard import state
from colab_guard.cells import Execution, PolicyFactory, Scope, compile_cell
from colab_guard.snapshots import Position, UnitRecord
from colab_guard.store import CommitRecord, Loaded


class Killed(BaseException):
    """Stands for SIGKILL at a safe point."""


def _nothing(place: object) -> None:
    """Every safe point is tried, whatever happened there before."""


@dataclass
class FakeEngine:
    """Every safe point is due; at the `kill_at`-th one that could be captured, everything ends."""

    kill_at: int | None = None
    captured: state.Captured | None = None
    position: Position | None = None
    kind: str = ""
    seen: list[Position] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    inexact: list[str] = field(default_factory=list)
    schedule: Any = field(
        default_factory=lambda: SimpleNamespace(every_s=0.0, safe_s=0.0, refused_at=_nothing, taken_at=_nothing)
    )
    units: list[UnitRecord] = field(default_factory=list)

    def due(self) -> bool:
        return True

    def overdue(self) -> bool:
        return True

    def may(self, place: object) -> bool:
        return True

    def periodically(self, name: str, every_s: float, action: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    def name_inexact(self, reason: str) -> None:
        self.inexact.append(reason)

    def name_loss(self, what: str, why: str) -> None:
        self.inexact.append(f"{what}: {why}")

    def refuse(self, position: Position, reason: str, unit: UnitRecord | None = None) -> None:
        self.refused.append(reason)

    def take(
        self, kind: str, position: Position, capture: Callable[[], state.Captured], unit: UnitRecord | None = None
    ) -> bool:
        try:
            captured = capture()
        except state.SnapshotRefused as refusal:
            self.refused.append(str(refusal))
            return False
        if unit is not None:
            self.units.append(unit)
        self.seen.append(position)
        if self.kill_at is not None and len(self.seen) > self.kill_at:
            self.captured, self.position, self.kind = captured, position, kind
            raise Killed
        return True


def fresh_shell() -> InteractiveShell:
    InteractiveShell.clear_instance()
    # without a history there is no thread for it, of which hundreds would outlive the tests
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    atexit.unregister(shell.atexit_operations)  # hundreds of shells would each collect garbage at the end
    shell.user_ns["__name__"] = "__main__"
    return shell


def loaded(captured: state.Captured, kind: str = "step") -> Loaded:
    record = CommitRecord("1-1-x", 1, 1, kind, 0.0, None, {}, {}, None, {})  # type: ignore[arg-type]
    buffers = {b.key: bytearray(b.data) for b in captured.buffers}
    return Loaded(record, {k: bytes(v) for k, v in captured.parts.items()}, buffers)


def run(
    setup: str,
    source: str,
    engine: FakeEngine,
    start: Loaded | None = None,
    policies: Sequence[PolicyFactory] = (),
    units: Sequence[UnitRecord] = (),
) -> tuple[dict[str, Any], Any]:
    """Run `setup` plainly and `source` guarded; the names afterwards, and the last value."""
    shell = fresh_shell()
    random.seed(1)
    # as the shell runs an earlier cell: its source stays at hand
    exec(compile(setup, shell.compile.cache(setup, 0), "exec", dont_inherit=True), shell.user_ns)
    cell = compile_cell(shell, source, {"train"})
    scope = Scope(shell.user_ns, cell.original)
    execution = Execution(cell, scope, engine, time.perf_counter, policies=policies, units=units)  # type: ignore[arg-type]
    if start is not None and start.record.kind == "cell":
        value = execution.restore_finished(start)
    else:
        value = execution.run(start)
    return shell.user_ns, value


def results(names: dict[str, Any]) -> dict[str, Any]:
    hidden = {"In", "Out", "get_ipython", "exit", "quit", "open"}
    return {k: v for k, v in names.items() if not k.startswith("_") and k not in hidden}


def killed_at(setup: str, source: str, number: int) -> tuple[FakeEngine, dict[str, Any], Any, FakeEngine]:
    """Kill at safe point `number`, resume; both engines, the names and the value after the resume."""
    first = FakeEngine(kill_at=number)
    try:
        run(setup, source, first)
    except Killed:
        pass
    assert first.captured is not None, "the kill did not come"
    random.seed(999)
    second = FakeEngine()
    names, value = run(setup, source, second, loaded(first.captured, first.kind))
    return first, names, value, second
