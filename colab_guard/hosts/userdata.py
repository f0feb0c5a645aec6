"""Colab's user data (its "Secrets"): read once, limited in time, and remembered.

`google.colab.userdata.get` asks the browser's page. It needs an open tab, has no time limit of its own, and may be called
in the main thread alone; an alarm ends it there. Elsewhere, and in other threads, nothing is asked.
"""

from __future__ import annotations

import functools
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ANSWER_S = 10.0
"""A page that is open answers within a second."""
_read: dict[str, str | None] = {}
_page = [True]
"""Empty where nobody can be asked."""


class NoAnswer(Exception):
    """The page did not answer in time; a tab may not be open."""


def user_data(name: str, limit_s: float = ANSWER_S) -> str | None:
    """The value of `name`, or None where there is none or it is not allowed; NoAnswer where the page is silent.

    Asks once in each kernel: what was found, and that nothing was, is remembered. A page that was silent is not asked again.
    """
    if name in _read or not _page:
        return _read.get(name)
    userdata: Any = sys.modules.get("google.colab.userdata") or _imported()
    if userdata is None or threading.current_thread() is not threading.main_thread():
        return None
    _read[name] = None
    _read[name] = _asked(userdata.get, name, limit_s)
    return _read[name]


def without_page() -> None:
    """This process has no page that it could ask: nothing of the user data is there from now on."""
    _page.clear()


@contextmanager
def heard_user_data(tell: Callable[[str, str], None]) -> Iterator[None]:
    """Meanwhile, what anybody reads of the user data is told: its name and value. Nothing is asked for."""
    userdata: Any = sys.modules.get("google.colab.userdata") or _imported()
    if userdata is None:
        yield
        return
    get = userdata.get

    @functools.wraps(get)
    def told(key: str, *more: Any, **words: Any) -> Any:
        found = get(key, *more, **words)
        if isinstance(found, str):
            _read[key] = found
            tell(key, found)
        return found

    userdata.get = told
    try:
        yield
    finally:
        if userdata.get is told:
            userdata.get = get


def forget_user_data() -> None:
    """Ask anew; for tests."""
    _read.clear()


def _imported() -> Any:
    if "google.colab" not in sys.modules:
        return None
    try:
        return __import__("google.colab.userdata", fromlist=["get"])
    except ImportError:
        return None


def _asked(get: Callable[[str], Any], name: str, limit_s: float) -> str | None:
    def late(number: int, frame: FrameType | None) -> None:
        raise NoAnswer(f"Colab's page did not answer within {limit_s:g} s; keep its tab open")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        found = get(name)
    except NoAnswer:
        raise
    except Exception:  # Colab's own errors: there is no such secret, or this notebook may not read it
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return found if isinstance(found, str) and found else None
