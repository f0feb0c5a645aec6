"""A top-level `await` in a thread and an event loop of its own; an interrupt of the waiting thread ends it."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from colab_guard.errors import HostMemoryPressure

CANCEL_S = 2.0
"""For a coroutine that waits to end after it was cancelled; one that computes is interrupted where it is then."""
END_S = 10.0


def in_thread_of_its_own(coroutine: Coroutine[Any, Any, Any], begins: Callable[[], None]) -> None:
    """Run `coroutine` to its end; `begins` is called in its thread first. Its errors are raised here."""
    __tracebackhide__ = True
    failure: list[BaseException] = []
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []
    over = threading.Event()

    async def whole() -> None:
        __tracebackhide__ = True
        task = asyncio.current_task()
        assert task is not None
        running.append((asyncio.get_running_loop(), task))
        await coroutine

    def run() -> None:
        __tracebackhide__ = True
        begins()
        try:
            asyncio.run(whole())
        except BaseException as error:
            failure.append(error)
        finally:
            over.set()

    thread = threading.Thread(target=run, name="colab_guard-cell")
    thread.start()
    try:
        over.wait()  # a `join` that is interrupted takes a running thread for ended (Python 3.11)
    except (KeyboardInterrupt, HostMemoryPressure):
        _end(thread, running, over)
        raise
    if failure:
        raise failure[0]


def _end(
    thread: threading.Thread, running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]], over: threading.Event
) -> None:
    if running and not over.is_set():
        loop, task = running[0]
        loop.call_soon_threadsafe(task.cancel)
        over.wait(CANCEL_S)
    if not over.is_set() and thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt))
        over.wait(END_S)
