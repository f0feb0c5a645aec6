"""A TCP proxy between a page and its server, whose cable can be cut, and dug up in the middle."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

HOST = "127.0.0.1"
CHUNK = 65536
LIMIT_S = 10


class Proxy:
    """Passes bytes to `port` of this machine; a thread of its own drives it, so that tests may block.

    cut      every connection is reset, new ones are refused: a server that is gone, a network that is down
    hold     connections stay and are accepted, and no byte passes: a network that swallows everything
    restore  as in the beginning; what was held passes
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._streams: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._port = 0
        self._do(self._listen())

    @property
    def url(self) -> str:
        """Where the page goes instead of to the server."""
        return f"http://{HOST}:{self._port}"

    def cut(self) -> None:
        """Reset all connections and refuse new ones."""
        self._do(self._stop())

    def hold(self) -> None:
        """Let no byte pass, and say so to nobody."""
        self._do(self._set(False))

    def restore(self) -> None:
        """Listen again, and let bytes pass."""
        self._do(self._listen())
        self._do(self._set(True))

    def close(self) -> None:
        """End all connections and the thread."""
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_S)
        self._loop.close()

    def _do(self, step: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result(LIMIT_S)

    async def _set(self, passing: bool) -> None:
        if passing:
            self._passing.set()
        else:
            self._passing.clear()

    async def _listen(self) -> None:
        if self._listener is None:
            # the port of before, so that the page finds it again
            self._listener = await asyncio.start_server(self._connected, HOST, self._port, reuse_address=True)
            self._port = self._listener.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for stream in tuple(self._streams):
            stream.transport.abort()

    async def _connected(self, page: asyncio.StreamReader, to_page: asyncio.StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_connection(HOST, self._target)
        except OSError:
            to_page.transport.abort()
            return
        both = {to_page, to_server}
        self._streams |= both
        try:
            await asyncio.gather(self._pass(page, to_server), self._pass(server, to_page))
        finally:
            self._streams -= both
            for stream in both:
                stream.close()

    async def _pass(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        """Until one side ends, which ends the other."""
        try:
            while data := await source.read(CHUNK):
                await self._passing.wait()
                to.write(data)
                await to.drain()
        except ConnectionError:
            pass  # reset by one side, or cut here: told on by closing the other
        finally:
            to.close()
