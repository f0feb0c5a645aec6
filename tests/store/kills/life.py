"""A store's life under many kills: start a process, kill it, look at what is there, and again."""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path

from colab_guard.errors import GuardError
from colab_guard.store import Store, verify
from tests.store.kills.child import PHASES, AtCall, Phase, forked
from tests.store.kills.content import ends_unit, wrong, wrong_units
from tests.store.kills.places import fetch

FIRST_GUESS_S = 0.01
LONGEST_S = 60.0
GONE_WITH_A_MACHINE = "its record is gone"
MOST_CALLS: dict[Phase, int] = {"fetch": 60, "open": 10, "commit": 20, "collection": 6, "mirror": 20, "close": 5}
VERIFY_EVERY = 10
KILLS_EACH = 50
"""For each store, before a new one begins."""


@dataclass
class Told:
    """What a process told before it ended. `phases` has how long each took that ended."""

    phase: Phase = "fetch"
    began: int = 0
    saved: int = 0
    durable: int = 0
    fetched: bool = False
    done: bool = False
    error: str = ""


@dataclass
class Tally:
    """Kills by phase and way, and what was found wrong."""

    kills: Counter[Phase] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)
    from_mirror: int = 0
    commits: int = 0
    oldest: int = 0
    durations: dict[Phase, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque([FIRST_GUESS_S], 20)))

    @property
    def count(self) -> int:
        return self.kills.total()


class Life:
    """One store below `root`, and what must be in it: local and mirror know different numbers."""

    def __init__(self, root: Path, seed: int, tally: Tally) -> None:
        self.root = root
        self.random = random.Random(seed)
        self.tally = tally
        self.number = 1
        self.saved = self.durable = 0
        self.units_here: set[int] = set()
        self.units_there: set[int] = set()
        self.killed = 0
        root.mkdir(parents=True)

    @property
    def local(self) -> Path:
        return self.root / "local"

    def go_on(self, phase: Phase) -> None:
        """Start a process, kill it in `phase` (or where it then is), and judge what it leaves."""
        plan, delay = self._plan(phase)
        pid, pipe = forked(self.root, self.number, self.random.getrandbits(30), plan)
        told = Told()
        try:
            self._hear(pid, pipe, told, phase if plan is None else None, delay)
        finally:
            os.close(pipe)
        killed = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        self._take(told)
        if killed:
            self.killed += 1
            self.tally.kills[told.phase] += 1
        elif not told.done or told.error:
            self._lost(told, f"the process ended with {told.error or 'nothing said'}")
        self._judge(told)
        if self.random.random() < 0.5:
            self._lose_the_machine(told)

    def _plan(self, phase: Phase) -> tuple[AtCall | None, float]:
        if self.random.random() < 0.5:
            calls = MOST_CALLS[phase]
            return AtCall(phase, self.random.randrange(calls), self.random.choice(["before", "after", "half"])), 0.0
        recent = self.tally.durations[phase]
        return None, self.random.uniform(0, 1.1 * sorted(recent)[len(recent) // 2])

    def _hear(self, pid: int, pipe: int, told: Told, phase: Phase | None, delay: float) -> None:
        """Read what the process tells; kill it `delay` seconds after it says that it entered `phase`."""
        until, kill_at, entered = time.monotonic() + LONGEST_S, float("inf"), time.monotonic()
        occurrence = self.random.randint(0, 2)
        rest = b""
        while True:
            wait = min(kill_at, until) - time.monotonic()
            if wait <= 0 or not select.select([pipe], [], [], wait)[0]:
                if kill_at == float("inf"):
                    told.error = f"it hung in phase {told.phase}"
                os.kill(pid, signal.SIGKILL)
                kill_at, until = float("inf"), time.monotonic() + LONGEST_S
                continue
            data = os.read(pipe, 65536)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                word, _, value = line.decode().partition(" ")
                if word == "phase":
                    now = time.monotonic()
                    self.tally.durations[told.phase].append(now - entered)
                    entered, told.phase = now, value.strip()  # type: ignore[assignment]
                    if told.phase == phase and kill_at == float("inf"):
                        kill_at = now + delay if occurrence == 0 or phase in ("fetch", "open", "close") else kill_at
                        occurrence -= 1
                elif word == "error":
                    told.error = value
                elif word in ("began", "saved", "durable"):
                    setattr(told, word, int(value))
                elif word in ("fetched", "done"):
                    setattr(told, word, True)

    def _take(self, told: Told) -> None:
        before = self.number
        self.number = max(self.number, told.began + 1)
        self.saved = max(self.saved, told.saved)
        self.durable = max(self.durable, told.durable)
        self.units_here |= {n for n in range(before, told.saved + 1) if ends_unit(n)}
        self.units_there |= {n for n in self.units_here if n <= told.durable}
        self.tally.commits += max(0, told.saved - before + 1) if told.saved else 0

    def _judge(self, told: Told) -> None:
        """The local store, as it was left."""
        if self.saved:
            self._opens(told, self.local, self.saved, self.units_here, "saved")

    def _lose_the_machine(self, told: Told) -> None:
        """The local disk is gone: what is durable comes back to another folder; the next process finds no local store."""
        shutil.rmtree(self.local, ignore_errors=True)
        self.saved, self.units_here = 0, set()
        if not self.durable:
            return
        other = self.root / "other"
        fetch(self.root / "far", other)
        self._opens(told, other, self.durable, self.units_there, "durable")
        shutil.rmtree(other, ignore_errors=True)
        self.units_here = set(self.units_there)
        self.tally.from_mirror += 1

    def _opens(self, told: Told, path: Path, least: int, units: set[int], word: str) -> None:
        try:
            view = Store.view(path)
            loaded, passed = view.newest()
            number = 0 if loaded is None else int(loaded.parts["graph"])
            if loaded is None or number < least:
                self._lost(told, f"commit {least} was reported {word}, and {number} is the newest; {passed}")
                return
            said = wrong(loaded) or wrong_units(view, units)
            if not said and self.killed % VERIFY_EVERY == 0:
                # that a commit went with a machine is told by the lease that came after it: no damage
                said = "; ".join(line for line in verify(path) if not line.endswith(GONE_WITH_A_MACHINE))
        except GuardError as error:
            said = f"{type(error).__name__}: {error}"
        if said:
            self._lost(told, said)
        self.tally.oldest = max(self.tally.oldest, len(view.units()))

    def _lost(self, told: Told, what: str) -> None:
        self.tally.losses.append(f"{self.root.name}, kill {self.killed}, in {told.phase}: {what}")


def memory_folder() -> str | None:
    """A folder in memory where there is one: no SIGKILL tells it from a disk, and it is faster."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def lives(folder: Path, count: int, seed: int, kills_each: int = KILLS_EACH) -> Tally:
    """`count` kills, `kills_each` for each store; the phases take turns."""
    tally, chosen = Tally(), random.Random(seed)
    number = 0
    while tally.count < count:
        number += 1
        life = Life(folder / f"store {number}", chosen.getrandbits(30), tally)
        while life.killed < kills_each and tally.count < count and len(tally.losses) < 20:
            rarest = min(PHASES, key=lambda phase: (tally.kills[phase], chosen.random()))
            life.go_on(rarest)
        shutil.rmtree(life.root, ignore_errors=True)
        if len(tally.losses) >= 20:
            break
    return tally
