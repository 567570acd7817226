"""The listener that explanations are served by: encrypted or of this machine alone, and bounded whoever asks.

The scheduler decides on the same processor: who asks too much is told to come back, and keeps no claim waiting.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
RELOAD_EVERY = 30.0
"""Seconds between two looks at the certificate."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of all callers together."""

    per_second: float = 10.0
    burst: int = 20
    at_once: int = 8
    seconds: float = 10.0
    """For one request, its body and the reviews included."""


def limited(
    limits: Limits, clock: Callable[[], float] = time.monotonic
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Middleware that refuses what is too much before anything is asked or read for it."""
    left, filled_at, under_way = float(limits.burst), clock(), 0

    @web.middleware
    async def bounded(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal left, filled_at, under_way
        now = clock()
        left, filled_at = min(limits.burst, left + (now - filled_at) * limits.per_second), now
        if left < 1 or under_way >= limits.at_once:
            raise problem(
                web.HTTPTooManyRequests, "too many explanations are asked for", {"Retry-After": "1"}
            )
        left, under_way = left - 1, under_way + 1
        try:
            async with asyncio.timeout(limits.seconds):
                return await handler(request)
        except TimeoutError:
            raise problem(web.HTTPRequestTimeout, f"not answered within {limits.seconds:g} s") from None
        finally:
            under_way -= 1

    return bounded


async def serve(
    app: web.Application, address: str, certificate: ssl.SSLContext | None = None
) -> web.AppRunner:
    """Listen on ``host:port``; port 0 is a free one.

    Raises ValueError for an address that is none, or that others could listen in on, and OSError.
    """
    host, separator, port = address.rpartition(":")
    host = host.strip("[]")
    if not separator or not port.isdigit():
        raise ValueError(f"CONDUCTOR_EXPLAIN_ADDRESS is {address!r}; it must be host:port")
    if certificate is None and not is_loopback(host):
        raise ValueError(
            f"CONDUCTOR_EXPLAIN_ADDRESS is {address!r}: callers send tokens, so without CONDUCTOR_EXPLAIN_TLS_DIR it must "
            "be a loopback address, such as 127.0.0.1:8081"
        )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host or None, int(port), ssl_context=certificate).start()
    return runner


def is_loopback(host: str) -> bool:
    """Whether only this machine, in a pod its containers, can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Certificate:
    """``tls.crt`` and ``tls.key`` of a folder, as a mounted Secret has them. Raises OSError and ssl.SSLError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._loaded = self._files()
        self._load()

    async def follow(self, *, every: float = RELOAD_EVERY) -> None:
        """Use a renewed one for new connections, until cancelled."""
        while True:
            await asyncio.sleep(every)
            self.look()

    def look(self) -> None:
        """Use what is there now. One that cannot be used, half written or gone, changes nothing."""
        try:
            found = self._files()
            if found != self._loaded:
                self._load()
                self._loaded = found
        except (OSError, ssl.SSLError) as error:
            log.warning("the certificate in %s cannot be used: %s", self._folder, error)

    def _files(self) -> tuple[bytes, bytes]:
        return (self._folder / "tls.crt").read_bytes(), (self._folder / "tls.key").read_bytes()

    def _load(self) -> None:
        files = self._folder / "tls.crt", self._folder / "tls.key"
        # Tried elsewhere first: where a certificate and a key do not belong together, the old key is lost.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*files)
        self.context.load_cert_chain(*files)


def problem(
    kind: type[web.HTTPException], error: str, headers: dict[str, str] | None = None
) -> web.HTTPException:
    return kind(text=json.dumps({"error": error}), content_type="application/json", headers=headers)
