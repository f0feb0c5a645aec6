"""The process that is killed: a store's work, told step by step; and the kill at a file operation of its own."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from colab_guard.store import Store
from tests.store.kills.content import ME, draft
from tests.store.kills.places import fetch, mirror_of

Phase = Literal["fetch", "open", "commit", "collection", "mirror", "close"]
PHASES: tuple[Phase, ...] = ("fetch", "open", "commit", "collection", "mirror", "close")
OPERATIONS = ("open", "write", "fsync", "rename", "replace", "unlink", "mkdir")
MOST_COMMITS = 4
SEND_S = 30.0


@dataclass(frozen=True, slots=True)
class AtCall:
    """Killed at the file operation `number` (from 0) of a phase: "before" it, "after" it, or a "half" written."""

    phase: Phase
    number: int
    way: Literal["before", "after", "half"]


class Child:
    """One process's work on the store below `root`; `first` is the number of its first commit."""

    def __init__(self, root: Path, first: int, seed: int, pipe: int, kill: AtCall | None) -> None:
        self.root = root
        self.first = first
        self.random = random.Random(seed)
        self._pipe = pipe
        self._kill = kill
        self._phase: Phase = "fetch"
        self._calls = itertools.count()
        self._numbers: dict[str, int] = {}
        self._told = threading.Lock()

    def run(self) -> None:
        self._watch_calls()
        local, far = self.root / "local", self.root / "far"
        self._enter("fetch")
        fetch(far, local)
        self._say("fetched")
        self._enter("open")
        store = self._watched(Store.open(local, ME))
        loaded, _ = store.newest()
        self._say("opened", 0 if loaded is None else int(loaded.parts["graph"]))
        mirror = mirror_of(store, far, self._durable)
        for number in range(self.first, self.first + self.random.randint(1, MOST_COMMITS)):
            self._commit(store, number)
            mirror.nudge()
            if self.random.random() < 0.4:
                self._enter("mirror")
                self._sent(mirror.flush(SEND_S), mirror.status.reason)
        self._enter("mirror")
        self._sent(mirror.flush(SEND_S), mirror.status.reason)
        self._enter("close")
        mirror.close(SEND_S)
        store.close()
        self._say("done")

    def _commit(self, store: Store, number: int) -> None:
        self._say("began", number)
        self._enter("commit")
        scratch = self.root / "adapter.bin"
        record = store.commit(draft(number, scratch))
        # the mirror may have sent it before `commit` returned
        with self._told:
            self._numbers[record.id] = number
        self._say("saved", number)

    def _durable(self, commit: str) -> None:
        with self._told:
            number = self._numbers.get(commit)
        if number is not None:
            self._say("durable", number)

    def _sent(self, sent: bool, reason: str) -> None:
        if not sent:
            raise AssertionError(f"the mirror did not take it: {reason}")

    # what is told, and where it is killed

    def _say(self, what: str, *numbers: int) -> None:
        _write(self._pipe, f"{what} {' '.join(map(str, numbers))}\n".encode())

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._calls = itertools.count()
        self._say(f"phase {phase}")

    def _watched(self, store: Store) -> Store:
        collect = store._collect

        def collecting(*arguments: Any, **options: Any) -> None:
            self._enter("collection")
            collect(*arguments, **options)

        store._collect = collecting  # type: ignore[method-assign]
        return store

    def _watch_calls(self) -> None:
        for name in OPERATIONS:
            setattr(os, name, self._counted(name, getattr(os, name)))

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            plan = self._kill
            if plan is None or plan.phase != self._phase or next(self._calls) != plan.number:
                return real(*arguments, **options)
            if plan.way == "half" and name == "write":
                real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            if plan.way == "after":
                real(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)
            return None

        return call


_write = os.write


def forked(root: Path, first: int, seed: int, kill: AtCall | None) -> tuple[int, int]:
    """Start a `Child` in a process of its own; its id, and the pipe's end on which it tells."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    try:
        os.close(reading)
        Child(root, first, seed, writing, kill).run()
    except BaseException as error:
        _write(writing, f"error {type(error).__name__}: {error}\n".encode().replace(b"\n", b" ") + b"\n")
    finally:
        os._exit(0)


__all__ = ["AtCall", "Child", "PHASES", "Phase", "forked"]
