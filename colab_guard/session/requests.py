"""Words from outside the kernel: `colab-guard stop NAME` leaves a file that running work looks for."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from colab_guard import hosts
from colab_guard.workers import Worker

if TYPE_CHECKING:
    from colab_guard.session import Session

LOOK_EVERY_S = 1.0


class Stoppable(Protocol):
    name: str

    def request_stop(self, by: str) -> None: ...

    def request_commit(self) -> None: ...


def request_folder(name: str) -> Path:
    """Where requests for the work `name` are left: a file `stop` or `commit`."""
    return hosts.home() / f"{name}.requests"


class RequestFolder:
    """Looks for requests while work runs, and takes them."""

    def __init__(self, work: Stoppable, session: Session) -> None:
        self._work = work
        self._workers = session.workers
        self._folder = request_folder(work.name)
        self._worker: Worker | None = None

    def __enter__(self) -> RequestFolder:
        for word in ("stop", "commit"):
            (self._folder / word).unlink(missing_ok=True)
        self._worker = self._workers.periodic("requests", LOOK_EVERY_S, self._look)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._worker is not None and self._worker.thread is not threading.current_thread():
            self._workers.stop_one(self._worker)

    def _look(self) -> None:
        if self._take("stop"):
            self._work.request_stop("cli")
        if self._take("commit"):
            self._work.request_commit()

    def _take(self, word: str) -> bool:
        path = self._folder / word
        if not path.exists():
            return False
        path.unlink(missing_ok=True)
        return True
