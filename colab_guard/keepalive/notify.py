"""`%keepalive --notify URL`: a short message to an address of the user's, when work is done, has failed, or needs a person.

An address of ntfy gets plain text with a title (docs.ntfy.sh/publish), any other JSON with the text under the names that chat
services look for ("text": Slack, Mattermost, Teams; "content": Discord). The address itself is a secret of the user's: whoever
knows it may write there. It is never shown, only its host is.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from colab_guard.errors import BadOption
from colab_guard.keepalive.wording import one_line
from colab_guard.workers import Abandoned, Workers

LIMIT_S = 10.0
"""For one request, all in all; an address that hangs is left behind."""
TRIES = 2
AGAIN_S = 3.0
LONGEST = 500
EXAMPLE = "--notify https://ntfy.sh/YOUR-TOPIC, or a webhook's address"


@dataclass(frozen=True, slots=True)
class Address:
    """Where messages go. `shown` is all of it that may be shown."""

    url: str
    shown: str
    plain: bool

    def __repr__(self) -> str:
        return f"Address({self.shown})"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class News:
    """One message: `kind` is "done", "failed", "stopped", "needs you" or "hello"."""

    kind: str
    title: str
    text: str
    name: str = ""


def address(url: str) -> Address:
    """Read what `--notify` was given; BadOption in one line where nothing could be sent there."""
    if not url or any(char.isspace() or not char.isprintable() for char in url):
        raise BadOption(f"--notify needs an address without blanks, and nothing was changed; type {EXAMPLE}")
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadOption(f"--notify: that is no address ({one_line(str(error))}), and nothing was changed; type {EXAMPLE}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise BadOption(f"--notify takes an address that begins with https:// or http://, and nothing was changed; type {EXAMPLE}")
    if parts.username or parts.password:
        raise BadOption(f"--notify: a name and password in an address are not sent, and nothing was changed; type {EXAMPLE}")
    if not url.isascii():
        raise BadOption(f"--notify: an address has plain letters only (others as %XX), and nothing was changed; type {EXAMPLE}")
    shown = f"{parts.scheme}://{host}{f':{port}' if port else ''}/…"
    return Address(url, shown, "ntfy" in host.split("."))


def body(to: Address, news: News) -> tuple[bytes, dict[str, str]]:
    """What is sent, and its headers."""
    text = one_line(news.text)[:LONGEST]
    if to.plain:
        tag = {"done": "white_check_mark", "failed": "x", "needs you": "warning"}.get(news.kind)
        headers = {"Content-Type": "text/plain; charset=utf-8", "Title": _header(news.title)}
        return text.encode(), {**headers, **({"Tags": tag} if tag else {})}
    told = {"text": f"{news.title}: {text}", "content": f"{news.title}: {text}", "event": news.kind, "name": news.name}
    return json.dumps(told, ensure_ascii=False).encode(), {"Content-Type": "application/json; charset=utf-8"}


def post(to: Address, news: News, limit_s: float = LIMIT_S) -> None:
    """Send it; NotSent where the other side does not take it. Follows no redirect: it may lead anywhere."""
    data, headers = body(to, news)
    request = urllib.request.Request(to.url, data, {**headers, "User-Agent": "colab_guard"}, method="POST")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=limit_s) as answer:
            answer.read(1024)
    except urllib.error.HTTPError as refused:
        refused.close()
        raise NotSent(f"it answered {refused.code}") from None
    except (OSError, http.client.HTTPException, ssl.SSLError, ValueError) as error:  # ValueError: a name that is none (UnicodeError)
        reason: Any = getattr(error, "reason", error)
        raise NotSent(_without(to, one_line(f"{reason or type(error).__name__}"))) from None


class NotSent(Exception):
    """A message was not taken; the text says why, without the address."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *ignored: Any) -> None:
        return None


class Notifier:
    """Sends in threads of its own; `trouble` keeps why the last message did not arrive."""

    def __init__(self, to: Address, workers: Workers, send: Callable[[Address, News], None] = post) -> None:
        self.to = to
        self.sent = 0
        self.trouble = ""
        self._workers = workers
        self._send = send
        self._open: list[threading.Event] = []

    def say(self, news: News) -> None:
        """Begin to send; returns at once."""
        done = threading.Event()
        self._open = [one for one in self._open if not one.is_set()] + [done]

        def work(stopping: threading.Event) -> None:
            try:
                self._try(news, stopping)
            finally:
                done.set()

        self._workers.start("notify", work)

    def wait(self, limit_s: float = LIMIT_S) -> bool:
        """Wait for what is on its way, for at most so long; say whether all of it has arrived or failed."""
        until = time.monotonic() + limit_s
        return all(done.wait(max(0.0, until - time.monotonic())) for done in self._open)

    def __str__(self) -> str:
        trouble = f"; the last did not arrive: {self.trouble}" if self.trouble else ""
        if not trouble and any(not done.is_set() for done in self._open):
            trouble = "; no answer yet"
        return f"notifies {self.to.shown} ({self.sent} sent{trouble})"

    def _try(self, news: News, stopping: threading.Event) -> None:
        for attempt in range(TRIES):
            try:
                # a name service that hangs knows no time limit of a request
                self._workers.call("notify: send", lambda: self._send(self.to, news), LIMIT_S)
            except (NotSent, Abandoned) as error:
                self.trouble = str(error) if isinstance(error, NotSent) else f"no answer within {LIMIT_S:g} s"
            else:
                self.sent, self.trouble = self.sent + 1, ""
                return
            if attempt + 1 < TRIES and stopping.wait(AGAIN_S):
                return


def _without(to: Address, words: str) -> str:
    parts = urllib.parse.urlsplit(to.url)
    for secret in (to.url, parts.path, parts.query):
        if len(secret) > 1:
            words = words.replace(secret, "…")
    return words


def _header(text: str) -> str:
    # a header is Latin-1 at most; ntfy reads RFC 2047 too, and plain letters always arrive
    return text.encode("ascii", "replace").decode()
