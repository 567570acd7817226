"""Whoever can reach the port can neither keep it from others nor take memory without end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from conductor_telemetry import http

PATIENCE = 30


@pytest.fixture
async def port() -> AsyncIterator[int]:
    runner = await http.serve("127.0.0.1:0", CollectorRegistry(), {}, {}, address_file=None)
    yield runner.addresses[0][1]
    await runner.cleanup()


async def hung_up(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(PATIENCE):
        with suppress(ConnectionError):
            return await reader.read() == b""
    return True


async def is_healthy(port: int) -> bool:
    limit = aiohttp.ClientTimeout(total=PATIENCE)
    async with (
        aiohttp.ClientSession(timeout=limit) as session,
        session.get(f"http://127.0.0.1:{port}/healthz") as answer,
    ):
        return answer.status == 200


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_who_sends_nothing_or_half_a_request_is_hung_up_on(
    port: int, sent: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(http, "LONGEST_CONNECTION", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    assert await hung_up(reader)
    writer.close()


async def test_connections_without_end_leave_room_for_a_probe(port: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http, "MOST_CONNECTIONS", 5)
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
    assert await is_healthy(port)
    assert all([await hung_up(reader) for reader, _ in idle[:15]])
    for _, writer in idle:
        writer.close()


@pytest.mark.parametrize(
    "headers",
    [
        b"X: " + b"x" * 20_000,
        b"".join(b"X-%d: x\r\n" % number for number in range(500)),
        b"X" * 20_000,
    ],
)
async def test_headers_without_end_are_refused(port: int, headers: bytes):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        assert b" 400 " in await reader.readline()
    writer.close()
    assert await is_healthy(port)
