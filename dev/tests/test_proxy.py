"""The proxy does to connections what networks do, and nothing else."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from conductor_dev.proxy import TcpProxy

PATIENCE = 30
MOMENT = 0.2


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        received: list[bytes] = self.server.received  # type: ignore[attr-defined]
        while data := self.request.recv(1024):
            received.append(data)
            self.request.sendall(data.upper())


@pytest.fixture
def echo() -> Iterator[socketserver.ThreadingTCPServer]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        server.received = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(echo: socketserver.ThreadingTCPServer) -> Iterator[TcpProxy]:
    with TcpProxy("127.0.0.1", echo.server_address[1]) as proxy:
        yield proxy


def connect(proxy: TcpProxy) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
    client.settimeout(PATIENCE)
    return client


def ask(client: socket.socket, question: bytes) -> bytes:
    client.sendall(question)
    return client.recv(1024)


def ends(client: socket.socket) -> bool:
    try:
        return client.recv(1024) == b""
    except ConnectionError:
        return True


def test_without_a_fault_everything_passes(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        assert ask(client, b"one") == b"ONE"
        assert ask(client, b"two") == b"TWO"


def test_what_is_stalled_arrives_after_healing(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        assert ask(client, b"one") == b"ONE"
        proxy.stall()
        client.sendall(b"two")
        client.settimeout(MOMENT)
        with pytest.raises(TimeoutError):
            client.recv(1024)
        proxy.heal()
        client.settimeout(PATIENCE)
        assert client.recv(1024) == b"TWO"


def test_a_reset_ends_what_is_open_and_nothing_more(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        assert ask(client, b"one") == b"ONE"
        proxy.reset()
        assert ends(client)
    with connect(proxy) as client:
        assert ask(client, b"two") == b"TWO"


def test_nobody_connects_while_it_refuses(proxy: TcpProxy) -> None:
    proxy.refuse()
    with connect(proxy) as client:
        assert ends(client)
    proxy.heal()
    with connect(proxy) as client:
        assert ask(client, b"one") == b"ONE"


def test_a_lost_answer_had_its_effect(proxy: TcpProxy, echo: socketserver.ThreadingTCPServer) -> None:
    proxy.lose_answers()
    with connect(proxy) as client:
        client.sendall(b"pay")
        assert ends(client)
    assert echo.received == [b"pay"]  # type: ignore[attr-defined]
    proxy.heal()


def test_a_target_that_is_not_there_looks_like_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()[1]
    with TcpProxy("127.0.0.1", nobody) as dead, connect(dead) as client:
        assert ends(client)
