"""The listener alone: who asks too much waits, who is slow is let go, and tokens are never sent in clear."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from conductor_dev.certificates import make_certificates
from conductor_scheduler.explain_server import Certificate, Limits, limited, serve

ANY_PORT = "127.0.0.1:0"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def listening(limits=None, *, clock=None, certificate=None, handler=None):
    """The URL of a listener that answers everything, and a session to ask it with."""

    async def answer(request):
        if handler is not None:
            await handler(request)
        return web.json_response({})

    app = web.Application(middlewares=[limited(limits or Limits(), clock or Clock())])
    app.add_routes([web.route("*", "/", answer)])
    runner = await serve(app, ANY_PORT, certificate)
    scheme, port = "https" if certificate else "http", runner.addresses[0][1]
    async with aiohttp.ClientSession() as session:
        try:
            yield session, f"{scheme}://127.0.0.1:{port}/"
        finally:
            await runner.cleanup()


async def status(session, url, **how):
    async with session.get(url, **how) as answer:
        return answer.status


async def test_who_asks_too_often_is_told_to_come_back_and_may():
    clock = Clock()
    async with listening(Limits(per_second=2, burst=3), clock=clock) as (session, url):
        assert [await status(session, url) for _ in range(5)] == [200, 200, 200, 429, 429]
        clock.now += 1
        assert [await status(session, url) for _ in range(3)] == [200, 200, 429]
        clock.now += 3600
        assert [await status(session, url) for _ in range(4)] == [200, 200, 200, 429]
        async with session.get(url) as refused:
            assert refused.headers["Retry-After"] == "1"
            assert "too many" in (await refused.json())["error"]


async def test_only_so_many_are_answered_at_once():
    begun, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def wait(_):
        begun.release()
        await go_on.wait()

    async with listening(Limits(at_once=2), handler=wait) as (session, url):
        slow = [asyncio.create_task(status(session, url)) for _ in range(2)]
        for _ in slow:
            await begun.acquire()
        assert await status(session, url) == 429
        go_on.set()
        assert await asyncio.gather(*slow) == [200, 200]
        assert await status(session, url) == 200


async def test_a_request_whose_body_does_not_come_ends():
    async def read(request):
        await request.read()

    async def for_ever():
        yield b"{"
        await asyncio.Event().wait()

    async with listening(Limits(seconds=0.2, at_once=1), handler=read) as (session, url):
        async with session.post(url, data=for_ever()) as answer:
            assert answer.status == 408
        assert await status(session, url) != 429


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "example.com:0"])
async def test_tokens_are_not_taken_in_clear_from_a_network(address):
    with pytest.raises(ValueError, match="CONDUCTOR_EXPLAIN_TLS_DIR"):
        await serve(web.Application(), address)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:http"])
async def test_an_address_that_is_none_is_said(address):
    with pytest.raises(ValueError, match="must be host:port"):
        await serve(web.Application(), address)


def mounted(folder, secret):
    """A certificate as a mounted Secret has it; the authority that signed it."""
    made = make_certificates(folder / secret)
    for name, file in (("tls.crt", made.server_certificate), ("tls.key", made.server_key)):
        (folder / name).write_bytes(file.read_bytes())
    return made.authority


async def test_a_renewed_certificate_is_used_without_a_restart_and_a_broken_one_is_not(tmp_path):
    first = mounted(tmp_path, "first")
    certificate = Certificate(tmp_path)
    async with listening(certificate=certificate.context) as (_, url):

        async def trusts(authority):
            trusted = ssl.create_default_context(cafile=authority)
            async with aiohttp.ClientSession() as session:
                try:
                    return await status(session, url, ssl=trusted) == 200
                except aiohttp.ClientConnectorCertificateError:
                    return False

        assert await trusts(first)
        second = mounted(tmp_path, "second")
        certificate.look()
        assert (await trusts(second), await trusts(first)) == (True, False)
        (tmp_path / "of-the-second").write_bytes((tmp_path / "tls.key").read_bytes())
        (tmp_path / "tls.key").write_text("half of a k")
        certificate.look()
        (tmp_path / "tls.crt").unlink()
        certificate.look()
        assert await trusts(second)
        mounted(tmp_path, "third")
        (tmp_path / "tls.key").write_bytes((tmp_path / "of-the-second").read_bytes())
        certificate.look()
        assert await trusts(second), "a key that is not the certificate's was taken"
