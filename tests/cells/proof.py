"""Proves that a cell, killed at its safe points and resumed, ends as if nothing had happened; see `alike` for how much."""

from __future__ import annotations

import ast
import os
import random
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from colab_guard import state
from colab_guard.snapshots import Position
from tests.cells.alike import differences
from tests.cells.harness import FakeEngine, Killed, loaded, results, run

FEW = 5
"""Safe points at which a cell with many is killed."""
COUNT = "_calls_of_tick"
"""Where `sys` counts the calls of `tick()`: the state of modules beside the notebook comes back with a snapshot."""


@dataclass
class LateEngine(FakeEngine):
    """Captures at safe point `kill_at`, and ends everything only at the next one: what is done in between is lost."""

    late: bool = False
    folder: Path | None = None
    files: dict[Path, bytes] = field(default_factory=dict)
    reasons: list[tuple[str, str]] = field(default_factory=list)

    def refuse(self, position: Position, reason: str) -> None:
        super().refuse(position, reason)
        self.reasons.append((position.text, reason))

    def take(self, kind: str, position: Position, capture: Any, unit: Any = None) -> bool:
        if self.captured is not None:
            raise Killed
        if self.kill_at is None or not self.late or len(self.seen) < self.kill_at:
            return self._take(kind, position, capture, unit)
        try:
            self.captured = capture()
        except state.SnapshotRefused:
            return False
        self.seen.append(position)
        self.position, self.kind = position, kind
        if self.folder is not None:
            self.files = {p: p.read_bytes() for p in self.folder.rglob("*") if p.is_file()}
        if kind == "cell":
            raise Killed
        return True

    def _take(self, kind: str, position: Position, capture: Any, unit: Any) -> bool:
        taken = super().take(kind, position, capture, unit)
        if not taken:
            self.reasons.append((position.text, self.refused[-1]))
        return taken


def prove(setup: str, source: str, folder: Path, *, late: bool = True, depth: int = 1, few: int = FEW) -> LateEngine:
    """Run `source` whole, then killed at its safe points in turn and resumed; fail on the first difference."""
    folder.joinpath("whole").mkdir()
    os.chdir(folder / "whole")
    reset()
    whole = LateEngine()
    names, want_value = run(setup, source, whole)
    want, want_random, want_files = results(names), state.random_state(), files(folder / "whole")
    assert max((p.depth for p in whole.seen), default=0) >= depth, f"no safe point inside: {whole.reasons[:5]}"
    for number in chosen(whole, few):
        place = folder / str(number)
        place.mkdir()
        os.chdir(place)
        reset()
        first = LateEngine(kill_at=number, late=late, folder=place)
        try:
            run(setup, source, first)
        except Killed:
            pass
        assert first.captured is not None
        for path, content in first.files.items():
            path.write_bytes(content)  # as the session brings files back before it resumes
        disturb()
        second = LateEngine()
        got, value = run(setup, source, second, loaded(first.captured, first.kind))
        where = f"killed at {first.position.text if first.position else ''} ({number} of {len(whole.seen)})"
        found = differences(want | {"the value": want_value}, results(got) | {"the value": value})
        found += differences({"random": want_random}, {"random": state.random_state()})
        found += differences({"files": want_files}, {"files": files(place)})
        assert not found, "\n".join([where, *found])
        left = len(whole.seen) - number - 1
        assert len(second.seen) == left, f"{where}: {len(second.seen)} safe points instead of {left}; {second.reasons[:3]}"
    return whole


@dataclass
class TickEngine(LateEngine):
    """Takes one snapshot, at the first safe point after `at` ticks that can be saved; ends everything three ticks later."""

    at: int | None = None
    ticks: int = 0

    def due(self) -> bool:
        if self.captured is not None and ticks_so_far() > self.ticks + 2:
            raise Killed
        return self.captured is None and self.at is not None and ticks_so_far() >= self.at

    def take(self, kind: str, position: Position, capture: Any, unit: Any = None) -> bool:
        if self.captured is not None:
            raise Killed  # the cell came to its end before
        if kind == "cell" or self.at is None:
            return True
        try:
            self.captured = capture()
        except state.SnapshotRefused as refusal:
            self.reasons.append((position.text, str(refusal)))
            return False
        self.position, self.kind, self.ticks = position, kind, ticks_so_far()
        if self.folder is not None:
            self.files = {p: p.read_bytes() for p in self.folder.rglob("*") if p.is_file()}
        return True


def prove_by_ticks(setup: str, source: str, folder: Path, *, kills: int) -> list[TickEngine]:
    """Run `source` whole, then killed after some of its calls of `tick()` and resumed: none is made twice, none left out."""
    folder.joinpath("whole").mkdir()
    os.chdir(folder / "whole")
    reset()
    names, want_value = run(setup, source, TickEngine())
    want, want_random, want_files = results(names), state.random_state(), files(folder / "whole")
    ticks = ticks_so_far()
    done = []
    for at in sorted(random.Random(ticks).sample(range(1, ticks - 5), kills)):
        place = folder / str(at)
        place.mkdir()
        os.chdir(place)
        reset()
        first = TickEngine(at=at, folder=place)
        try:
            run(setup, source, first)
        except Killed:
            pass
        assert first.captured is not None and first.position is not None, f"no snapshot after tick {at}: {first.reasons[:3]}"
        for path, content in first.files.items():
            path.write_bytes(content)
        disturb()
        got, value = run(setup, source, TickEngine(), loaded(first.captured, first.kind))
        where = f"killed after tick {first.ticks} of {ticks}, at {first.position.text}"
        assert first.position.depth > 0, where
        found = differences(want | {"the value": want_value}, results(got) | {"the value": value})
        found += differences({"random": want_random}, {"random": state.random_state()})
        found += differences({"files": want_files}, {"files": files(place)})
        assert not found, "\n".join([where, *found])
        assert ticks - first.ticks == ticks_so_far(), f"{where}: {ticks_so_far()} ticks were left"
        done.append(first)
    return done


def ticks_so_far() -> int:
    return int(getattr(sys, COUNT, 0))


def tick(*things: object) -> None:
    setattr(sys, COUNT, ticks_so_far() + 1)


def chosen(whole: FakeEngine, few: int) -> list[int]:
    """The first, the last and some safe points in between, those inside loops and functions first."""
    count = len(whole.seen)
    if count <= few:
        return list(range(count))
    deep = [n for n, position in enumerate(whole.seen) if position.depth > 0]
    pick = random.Random(count).sample(deep, min(few - 2, len(deep)))
    return sorted({*pick, deep[-1], count - 1})


def reset() -> None:
    setattr(sys, COUNT, 0)
    random.seed(1)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(1)
    if "torch" in sys.modules:
        import torch.utils.hooks

        torch.manual_seed(1)
        torch.utils.hooks.RemovableHandle.next_id = 0
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def disturb() -> None:
    setattr(sys, COUNT, 0)
    random.seed(999)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(999)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(999)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def files(folder: Path) -> dict[str, Any]:
    """Files by name, with their content where that is text; what torch, numpy and pickle write by name alone."""
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    binary = (".pt", ".pth", ".npz", ".pkl", ".png")
    return {str(p.relative_to(folder)): p.suffix if p.suffix in binary else p.read_bytes() for p in found}


def in_a_function(source: str) -> str:
    """The cell's code as the body of a function that gives back all it made; the cell calls it."""
    tree = ast.parse(source)
    # a name that a loop, a definition or an import binds may be unbound or of no interest
    made = [t.id for node in tree.body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)]
    gone = {t.id for node in ast.walk(tree) if isinstance(node, ast.Delete) for t in node.targets if isinstance(t, ast.Name)}
    kept = sorted(set(made) - gone)
    body = textwrap.indent(source.strip(), "    ")
    return f"def main():\n{body}\n    return {{{', '.join(f'{n!r}: {n}' for n in kept)}}}\nresult = main()"
