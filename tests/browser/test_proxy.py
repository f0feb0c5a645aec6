"""The proxy itself: a test of a cut that cuts nothing would pass."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.browser.proxy import Proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that gives back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(100):
                connection.sendall(data)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    made = Proxy(echo)
    yield made
    made.close()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(proxy.url.rsplit(":", 1)[1])), timeout=10)


def after(connection: socket.socket) -> bytes:
    """What still comes: nothing of what was cut."""
    try:
        return connection.recv(4)
    except ConnectionResetError:
        return b""


def echoed(connection: socket.socket, word: bytes) -> bytes:
    """What comes back of `word`."""
    connection.sendall(word)
    return connection.recv(len(word))


def test_it_passes_bytes_both_ways(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert echoed(connection, b"word") == b"word"


def test_cut_it_resets_what_is_open_and_refuses_what_is_new_until_it_is_restored(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert echoed(connection, b"word") == b"word"
        proxy.cut()
        assert after(connection) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.restore()
    with connect(proxy) as connection:
        assert echoed(connection, b"more") == b"more"


def test_held_it_keeps_connections_and_bytes_and_passes_them_on_later(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert echoed(connection, b"1") == b"1"
        proxy.hold()
        connection.sendall(b"2")
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        proxy.restore()
        assert connection.recv(1) == b"2"
