"""Kernels of a real server, started and asked over its own interface, without a page."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

import websocket

ANSWER_S = 120


class NoKernel(Exception):
    """The server says that there is no such kernel (any more)."""


class Client:
    """A server's interface at `url`, which ends with the path of the server; `token` where it wants one."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"token {token}"} if token else {}

    def ask(self, path: str, method: str = "GET", body: object = None) -> Any:
        """The JSON that `path` answers; None where it answers nothing."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data, self._headers, method=method)
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def quietly(self, path: str) -> Any:
        """As `ask`, but so that the server does not take it as activity."""
        return self.ask(f"{path}?no_track_activity=1")

    def kernel(self) -> Kernel:
        """Start one of this Python's, in the folder that the server serves."""
        made: dict[str, str] = self.ask("api/kernels", "POST", {"name": "python3", "path": ""})
        return Kernel(self, made["id"])

    def open(self, path: str) -> websocket.WebSocket:
        """A websocket to `path`."""
        headers = [f"{name}: {value}" for name, value in self._headers.items()]
        return websocket.create_connection(f"ws{self.url.removeprefix('http')}/{path}", timeout=ANSWER_S, header=headers)


class Kernel:
    """One kernel of a server; nobody is connected to it between two calls."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self.name = name

    def run(self, code: str, wait_for: str | None = None) -> str:
        """Execute `code` and give what it prints; with `wait_for` only until that is printed, and leave it running."""
        channels = self._client.open(f"api/kernels/{self.name}/channels")
        asked = uuid.uuid4().hex
        header = {"msg_id": asked, "msg_type": "execute_request", "session": uuid.uuid4().hex, "username": "", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
        message = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}
        channels.send(json.dumps(message))
        printed = ""
        try:
            while wait_for is None or wait_for not in printed:
                heard = json.loads(channels.recv())
                if heard["parent_header"].get("msg_id") != asked:
                    continue
                kind, content = heard["msg_type"], heard["content"]
                assert kind != "error", "\n".join(content["traceback"])
                if kind == "stream":
                    printed += content["text"]
                if kind == "status" and content["execution_state"] == "idle":
                    return printed
        finally:
            channels.close()
        return printed

    def model(self) -> dict[str, Any]:
        """What the server knows of it; asking is no activity."""
        try:
            made: dict[str, Any] = self._client.quietly(f"api/kernels/{self.name}")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise NoKernel(self.name) from None
            raise
        return made

    @property
    def alive(self) -> bool:
        """Whether the server still has it."""
        try:
            self.model()
        except NoKernel:
            return False
        return True

    def wait_until_culled(self, limit_s: float) -> float:
        """Seconds until the server has it no more."""
        began = time.monotonic()
        while self.alive:
            waited = time.monotonic() - began
            assert waited < limit_s, f"it still lives after {waited:.0f} s: {self.model()}"
            time.sleep(0.5)
        return time.monotonic() - began
