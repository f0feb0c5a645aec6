"""`--notify`: a real server on 127.0.0.1 hears of it; what is no address is refused; the address is never shown."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from colab_guard import state
from colab_guard.clock import SystemClock
from colab_guard.errors import BadOption
from colab_guard.events import EventBus, LongUnsaved, MirrorChanged
from colab_guard.hosts.rules import RULES
from colab_guard.keepalive import KeepAlive, address, notify
from colab_guard.keepalive.messages import Messages
from colab_guard.keepalive.notify import News, Notifier, NotSent, post
from colab_guard.workers import Workers

NEWS = News("done", "lora: done", "done after 2 h 05 min on Google Colab", "lora")


class Hearer(BaseHTTPRequestHandler):
    """Answers as its path says, and keeps what it was sent."""

    server: Any

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.path, dict(self.headers), data))
        if "hang" in self.path:
            self.server.released.wait(60)
        status = 403 if "refuses" in self.path else 302 if "leads-away" in self.path else 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, format: str, *args: Any) -> None: ...


class Server:
    def __init__(self) -> None:
        self.http: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hearer)
        self.http.heard, self.http.released = [], threading.Event()
        self.http.daemon_threads = True
        self.heard: list[tuple[str, dict[str, str], bytes]] = self.http.heard
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.http.released.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    made = Server()
    yield made
    made.close()


def keepalive(bus: EventBus, workers: Workers, kind: str = "jupyterlab") -> KeepAlive:
    rules = RULES[kind]  # type: ignore[index]
    host: Any = SimpleNamespace(kind=kind, label=rules.label, idle_rule=rules.idle.words, limits=rules.limits, rules=rules)
    return KeepAlive(None, bus, SystemClock(), workers, host)


def texts(server: Server) -> list[str]:
    return [json.loads(data)["text"] for _, _, data in server.heard]


def test_a_webhook_gets_json_with_the_text_under_the_names_that_chats_look_for(server: Server) -> None:
    post(address(f"{server.url}/services/T0/secret"), NEWS)
    path, headers, data = server.heard[0]
    assert path == "/services/T0/secret" and headers["Content-Type"].startswith("application/json")
    assert json.loads(data) == {
        "text": "lora: done: done after 2 h 05 min on Google Colab",
        "content": "lora: done: done after 2 h 05 min on Google Colab",
        "event": "done",
        "name": "lora",
    }


@pytest.mark.parametrize("url", ["https://ntfy.sh/topic", "http://ntfy.example.org/topic"])
def test_ntfy_gets_plain_text_with_a_title(url: str) -> None:
    data, headers = notify.body(address(url), News("failed", "lora: failed — so", "ValueError: 3 μ\nsecond line"))
    assert data.decode() == "ValueError: 3 μ second line"
    assert headers == {"Content-Type": "text/plain; charset=utf-8", "Title": "lora: failed ? so", "Tags": "x"}


@pytest.mark.parametrize(
    "url",
    ["", "ntfy.sh/topic", "ftp://x/y", "https://", "https://a b/c", "https://me:pw@host/x", "http://[::1", "file:///etc/passwd", "https://ä.org/x", "https://h:99999/"],
)
def test_what_is_no_address_is_refused_in_one_line_that_does_not_repeat_it(url: str) -> None:
    with pytest.raises(BadOption, match="nothing was changed") as caught:
        address(url)
    assert "\n" not in str(caught.value) and "https://ntfy.sh/YOUR-TOPIC" in str(caught.value)
    assert len(url) < 9 or url not in str(caught.value)


def test_an_address_is_shown_as_its_host_alone() -> None:
    found = address("https://hooks.slack.com/services/T0/B0/verysecret?key=alsosecret")
    assert str(found) == repr(found) == "Address(https://hooks.slack.com/…)"
    assert address("http://10.0.0.2:8080/x").shown == "http://10.0.0.2:8080/…"


@pytest.mark.parametrize(("path", "why"), [("/refuses/secret", "it answered 403"), ("/leads-away/secret", "it answered 302")])
def test_what_the_other_side_does_not_take_is_said_without_the_address(server: Server, path: str, why: str) -> None:
    with pytest.raises(NotSent, match=why) as caught:
        post(address(server.url + path), NEWS)
    assert "secret" not in str(caught.value)
    assert [heard for heard, _, _ in server.heard] == [path], "a redirect is not followed"


def test_a_port_that_nobody_listens_at_is_said(server: Server) -> None:
    server.close()
    with pytest.raises(NotSent, match="refused"):
        post(address(f"{server.url}/secret"), NEWS)


def test_a_name_that_no_name_service_takes_is_said_and_ends_no_thread() -> None:
    with pytest.raises(NotSent, match="label"):
        post(address(f"http://{'a' * 64}.org/secret"), NEWS)


def test_while_the_other_side_has_not_answered_that_is_said() -> None:
    workers, gate = Workers(), threading.Event()
    notifier = Notifier(address("https://ntfy.sh/x"), workers, lambda to, news: gate.wait(60) and None)
    notifier.say(NEWS)
    assert not notifier.wait(0.01)
    assert str(notifier) == "notifies https://ntfy.sh/… (0 sent; no answer yet)"
    gate.set()
    assert notifier.wait(30) and str(notifier) == "notifies https://ntfy.sh/… (1 sent)"
    workers.stop()


def test_a_page_that_takes_no_news_keeps_no_message_back() -> None:
    class Page:
        def news(self, title: str, text: str) -> None:
            raise RuntimeError("the comm is gone")

    workers, sent = Workers(), []
    messages = Messages(EventBus(workers, synchronous=True), workers, Page)
    messages.notifier = Notifier(address("https://ntfy.sh/x"), workers, lambda to, news: sent.append(news))
    with pytest.raises(RuntimeError):
        messages.say(NEWS, wait=True)
    assert sent == [NEWS]
    workers.stop()


def test_an_address_that_hangs_is_left_behind_in_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "LIMIT_S", 0.3)
    monkeypatch.setattr(notify, "AGAIN_S", 0.01)
    workers = Workers()
    notifier = Notifier(address(f"{server.url}/hang"), workers)
    notifier.say(NEWS)
    assert notifier.wait(30)
    assert notifier.sent == 0 and notifier.trouble == "no answer within 0.3 s"
    assert "the last did not arrive: no answer" in str(notifier)
    workers.stop()


def test_saying_returns_at_once_and_a_second_try_is_made() -> None:
    tries: list[News] = []

    def send(to: object, news: News) -> None:
        tries.append(news)
        if len(tries) == 1:
            raise NotSent("it answered 502")

    workers = Workers()
    notifier = Notifier(address("https://ntfy.sh/x"), workers, send)
    before = notify.AGAIN_S
    notify.AGAIN_S = 0.01
    try:
        notifier.say(NEWS)
        assert notifier.wait(30) and (len(tries), notifier.sent, notifier.trouble) == (2, 1, "")
    finally:
        notify.AGAIN_S = before
    workers.stop()


def test_done_failed_and_needs_you_are_told_and_a_first_message_shows_that_the_address_works(server: Server) -> None:
    workers = Workers()
    bus = EventBus(workers, synchronous=True)
    alive = keepalive(bus, workers)
    alive.on(notify=address(f"{server.url}/hook/secret"))
    assert "notifies http://127.0.0.1" in str(alive.status()) and "secret" not in str(alive.status())
    assert texts(server) == ["colab_guard: will write here from JupyterLab: done, failed, needs you"]
    alive.work_started("lora")
    bus.post(MirrorChanged(name="lora", state="degraded", reason="quota is full"))
    bus.post(MirrorChanged(name="lora", state="degraded", reason="quota is full still"))
    bus.post(LongUnsaved(name="lora", seconds=660.0, refused=3, reasons=("a live graph (3 times)",)))
    alive.work_ended(ValueError("no such column"))
    alive.work_started("lora")
    alive.work_ended()
    alive.needs_you("lora", "InputChanged: rate: 0.1 → 0.2", wait=True)
    until = time.monotonic() + 30
    while len(server.heard) < 6 and time.monotonic() < until:
        time.sleep(0.01)
    assert sorted(re.sub(r"after \d+ s", "after N s", text) for text in texts(server)[1:]) == sorted(
        [
            "lora needs you: the mirror is degraded: quota is full",
            "lora needs you: NOT SAVED for 11 min: a live graph (3 times)",
            "lora: failed: failed after N s on JupyterLab: ValueError: no such column",
            "lora: done: done after N s on JupyterLab",
            "lora needs you: InputChanged: rate: 0.1 → 0.2",
        ]
    )
    alive.off()
    alive.work_started("lora")
    alive.work_ended()
    alive.needs_you("lora", "nobody hears this", wait=True)
    assert len(server.heard) == 6, "after off nothing is told"
    workers.stop()


def test_secrets_are_taken_out_and_the_address_counts_as_one(server: Server) -> None:
    workers = Workers()
    alive = keepalive(EventBus(workers, synchronous=True), workers)
    url = f"{server.url}/hook/a-topic-of-mine"
    alive.on(notify=address(url))
    alive.work_started("lora")
    alive.work_ended(RuntimeError(f"401 for hf_{'a' * 34} at {url}"))
    assert "401 for (secret) at (secret)" in texts(server)[-1]
    assert state.scrubbed(f"%keepalive --notify {url}") == "%keepalive --notify (secret)"
    workers.stop()


FRESH = """
import sys
from colab_guard.events import EventBus
from colab_guard.keepalive.messages import Messages
from colab_guard.keepalive.notify import News
from colab_guard.workers import Workers

class Page:
    def news(self, title, text):
        print(title, text)

token = "hf_" + "a" * 34
workers = Workers()
Messages(EventBus(workers, synchronous=True), workers, Page).say(News("failed", f"{token}: failed", f"401 for {token}", token))
assert "torch" not in sys.modules
"""


def test_secrets_are_taken_out_of_messages_in_a_process_that_has_saved_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "(secret): failed 401 for (secret)\n"), done.stderr
