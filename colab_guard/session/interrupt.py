"""The interrupt button while a guarded cell runs: once = finish the step, commit, stop; twice = now."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import FrameType, TracebackType
from typing import Any

from colab_guard.clock import Clock
from colab_guard.snapshots import Engine

PATIENCE_S = 10.0


class Interrupts:
    """Installs the handler on entry and puts the old one back on exit; does nothing outside the main thread."""

    def __init__(
        self, engine: Engine, clock: Clock, aside: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        self._engine = engine
        self._aside = aside
        self._clock = clock
        self._before: Any = None
        self._installed = False
        self._asked = False
        self._reminder: threading.Timer | None = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._on_interrupt)
            self._installed = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._before)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt("stopped at once; what was saved before stays")
        self._asked = True
        self._engine.request_stop("interrupt")
        with self._aside():
            print(
                "Finishing the step, then saving and stopping. Where that takes long: interrupt again to stop at once.",
                file=sys.stderr,
                flush=True,
            )
