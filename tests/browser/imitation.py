"""A page that imitates Colab's: the Connect button in a shadow root, outputs in frames of another origin. Two ports, so two origins."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import colab_guard

STATIC = Path(colab_guard.__file__).parent / "static"

# #connect is there in every state; its text tells which (stackoverflow.com/questions/57113226, and scripts in use)
PAGE = """<!doctype html><title>imitation</title><body>
<script>
window.pressed = 0; window.moved = 0;
document.addEventListener("mousemove", () => { window.moved += 1; });
customElements.define("colab-connect-button", class extends HTMLElement {
  connectedCallback() {
    this.attachShadow({ mode: "open" }).innerHTML = '<div id="connect" style="cursor:pointer"></div>';
    this.show("Reconnect");
    this.shadowRoot.querySelector("#connect").addEventListener("click", () => { window.pressed += 1; });
  }
  show(text) { this.shadowRoot.querySelector("#connect").textContent = text; }
});
customElements.define("colab-shell", class extends HTMLElement {
  connectedCallback() { this.attachShadow({ mode: "open" }); }
});
window.connection = (text) => document.querySelector("colab-connect-button").show(text);
</script>
<div id="top-toolbar"><colab-connect-button></colab-connect-button></div><colab-shell></colab-shell>
"""

# a widget's output: the real bundle with a model that the test moves
FRAME = """<!doctype html><title>output</title><body><div id="out"></div>
<script type="module">
import connection from "/connection.js";
const calls = {};
window.model = {
  sent: [], traits: Object.assign({ active: true, every_s: 60, beat_s: 10, last_heartbeat: Date.now() / 1000, beats: 1, status: "",
    resume: "", kernel_id: "" }, JSON.parse(decodeURIComponent(location.hash.slice(1) || "%7B%7D"))),
  get(name) { return this.traits[name]; },
  set(name, value) { this.traits[name] = value; this.emit("change:" + name); },
  on(event, call) { (calls[event] ??= []).push(call); },
  off(event, call) { calls[event] = (calls[event] ?? []).filter((known) => known !== call); },
  emit(event, ...values) { for (const call of calls[event] ?? []) call(...values); },
  send(content) { this.sent.push({ ...content, came: performance.now() }); },
  beat() { this.traits.beats += 1; this.set("last_heartbeat", Date.now() / 1000); },
};
window.away = connection.render({ model: window.model, el: document.getElementById("out") });
</script>
"""


class Handler(BaseHTTPRequestHandler):
    """`/page`, `/frame`, `/frame-without-workers`, and the real bundle."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path == "/connection.js":
            return self._send((STATIC / "connection.js").read_text(encoding="utf-8"), "text/javascript")
        if path == "/page":
            return self._send(PAGE, "text/html")
        if path in ("/frame", "/frame-without-workers"):
            forbidden = {"Content-Security-Policy": "worker-src 'none'"} if path.endswith("workers") else {}
            return self._send(FRAME, "text/html", forbidden)
        self.send_error(404)
        return None

    def _send(self, text: str, kind: str, headers: dict[str, str] | None = None) -> None:
        data = text.encode()
        self.send_response(200)
        for name, value in {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None: ...


class Origin:
    """One origin: a server on a port of its own."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
