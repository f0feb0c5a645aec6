"""What is told to somebody who is away: by `--notify`, and by the browser where the user has allowed it.

Told are the end of guarded work (done, failed, stopped) and what needs a person: a decision, the host's limit, a mirror that is
degraded, state that has not been saved for long, a machine that `--release` keeps. The mirror and unsaved state once for each
piece of work.

The browser hears it through the connection widget. A decision is asked for before work begins, and a machine is kept after it:
then there is at most the widget that the work before has left, which a page may show no longer. Those two only `--notify` is sure
to tell.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Protocol

from colab_guard.events import Event, EventBus, LongUnsaved, MirrorChanged
from colab_guard.keepalive.limits import spoken
from colab_guard.keepalive.notify import Address, News, Notifier
from colab_guard.workers import Workers

HELLO_S = 8.0
"""Less than one try may take: what has not answered by then may still."""


class Page(Protocol):
    """The connection widget, which can have the browser notify."""

    def news(self, title: str, text: str) -> None: ...


class Messages:
    """Takes news to whoever asked for them. `page` gives the widget that there is now, or None."""

    def __init__(self, bus: EventBus, workers: Workers, page: Callable[[], Page | None]) -> None:
        self._bus = bus
        self._workers = workers
        self._page = page
        self._unhear: Callable[[], None] | None = None
        self._told: set[str] = set()
        self.notifier: Notifier | None = None

    def open(self, to: Address, hello: str) -> None:
        """Send to `to` from now on. `hello` goes there at once, so that a wrong address is known now; seconds at most."""
        self.notifier = Notifier(to, self._workers)
        self.hide_address()
        self.notifier.say(News("hello", "colab_guard", hello))
        self.notifier.wait(HELLO_S)

    def listen(self) -> None:
        """Guarded work begins: hear what happens to it."""
        self.hide_address()
        self._told.clear()
        if self._unhear is None:
            self._unhear = self._bus.subscribe(self._on_event, MirrorChanged, LongUnsaved)

    def close(self) -> None:
        """Tell nothing any more."""
        self.notifier = None
        unhear, self._unhear = self._unhear, None
        if unhear is not None:
            unhear()

    def say(self, news: News, *, wait: bool = False) -> None:
        """Tell `news`, without secrets; with `wait`, until it has arrived or failed, seconds at most."""
        page = self._page()
        if page is None and self.notifier is None:
            return
        clean: Any = importlib.import_module("colab_guard.state").scrubbed
        told = News(news.kind, str(clean(news.title)), str(clean(news.text)), str(clean(news.name)))
        if self.notifier is not None:
            self.notifier.say(told)
        try:
            if page is not None:
                page.news(told.title, told.text)
        finally:
            if wait and self.notifier is not None:
                self.notifier.wait()

    def needs_you(self, name: str, words: str, *, wait: bool = False) -> None:
        """Tell that a person has to decide or look."""
        self.say(News("needs you", f"{name or 'colab_guard'} needs you", words, name), wait=wait)

    def hide_address(self) -> None:
        """Have it taken out of all texts that are kept."""
        if self.notifier is not None:
            tokens: Any = importlib.import_module("colab_guard.state.tokens")
            tokens.remember(self.notifier.to.url, "the address of --notify")

    def _on_event(self, event: Event, at: float) -> None:
        if isinstance(event, MirrorChanged) and event.state == "degraded":
            self._once("mirror", event.name, f"the mirror is degraded: {event.reason}")
        elif isinstance(event, LongUnsaved):
            self._once("unsaved", event.name, f"NOT SAVED for {spoken(event.seconds)}: {'; '.join(event.reasons)}")

    def _once(self, what: str, name: str, words: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self.needs_you(name, words)
