"""Clearing memory between models: what it is compared with, and the event that tells of it."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colab_guard.memory import Figures, Reclaimed
    from colab_guard.session.session import Session


SHARE = 0.05
"""Of the time of a run that its clearing may take where memory has hardly grown."""
GROWN_BYTES = 16 * 2**20


class Clearing:
    """One session's. `begin` notes the figures that later ones are compared with."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.baseline: Figures | None = None
        self._shown: frozenset[int] = frozenset()
        """Numbers of the outputs that were there when guarded work began: its code may read them."""
        self._cleared: tuple[Reclaimed, float] | None = None
        """The last clearing between runs, and when it was over."""

    def begin(self) -> None:
        """Guarded work begins: what is in use now is the user's own."""
        memory = _memory()
        self.baseline = memory.figures(memory.SystemProbe())
        self._cleared = None
        shell = self._session.shell
        self._shown = frozenset(shell.user_ns.get("_oh", ())) if shell is not None else frozenset()

    def between_runs(self) -> None:
        """`reclaim`; not after runs so short that it would take longer than they, until they have left something behind."""
        memory = _memory()
        if self._cleared is not None:
            last, at = self._cleared
            grown = memory.figures(memory.SystemProbe()).over(last.after) > GROWN_BYTES
            if not grown and (time.monotonic() - at) * SHARE < last.seconds:
                return
        self._cleared = self.reclaim(), time.monotonic()

    def reclaim(self, forgotten: tuple[str, ...] = (), *, outputs: bool = True) -> Reclaimed:
        """Free what nothing needs, and say what that gave."""
        session = self._session
        freed: Reclaimed = _memory().reclaim(
            session.shell, baseline=self.baseline, shown=(self._shown if session.work is not None else ()) if outputs else None
        )
        session.bus.post(freed.event(session.work.name if session.work is not None else "", forgotten))
        return freed

    def words(self) -> str:
        """Clear, and tell it: one line, and one for each holder."""
        session, kept = self._session, self.baseline
        self.baseline = None if session.work is None else kept  # without work nothing is the user's own that counts
        try:
            freed = self.reclaim()
        finally:
            self.baseline = kept
        before, after = freed.before, freed.after
        told = [f"memory cleared: this kernel has {_gib(after.rss)} of host RAM ({_gib(before.rss)} before)"]
        if before.allocated is not None and after.allocated is not None and after.reserved is not None:
            told.append(f"GPU {_gib(after.allocated)} in use ({_gib(before.allocated)} before), {_gib(after.reserved)} reserved")
        return "\n".join(["; ".join(told), *(f"held by {holder}" for holder in freed.holders)])

    def forget(self, names: frozenset[str]) -> None:
        """Let go what only `names` hold, which the next model binds anew; what they held is given back at once."""
        if self._session.shell is None or not names:
            return
        forgotten = _memory().forget(self._session.shell.user_ns, names)
        if forgotten:
            self.reclaim(forgotten)


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"


def _memory() -> Any:
    return importlib.import_module("colab_guard.memory")
