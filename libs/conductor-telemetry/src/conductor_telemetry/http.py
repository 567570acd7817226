"""``/healthz``, ``/readyz`` and ``/metrics`` of a service, and pages of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, cast

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

MOST_CONNECTIONS = 256
LONGEST_CONNECTION = 60.0
"""Seconds. What is being answered then is answered; who is still sending headers, or nothing, is hung up on."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ReadyCheck = Callable[[], bool]
Page = Callable[[], object]
"""What it returns is shown as JSON."""


class _Bounded(web.AppRunner):
    """Whoever connects without end, or sends without end, takes the place of others like him and not of a probe."""

    def __init__(self, app: web.Application, **settings: Any) -> None:
        self._answering: set[Any] = set()
        app.middlewares.append(self._answer)
        super().__init__(app, **settings)

    @property
    def server(self) -> Any:
        """What makes the protocol of each connection."""
        return self._connected

    def _connected(self) -> asyncio.Protocol:
        server: Any = super().server
        open_ = server.connections  # the oldest first
        for oldest in open_[: max(0, len(open_) + 1 - MOST_CONNECTIONS)]:
            oldest.force_close()
        protocol: Any = server()
        asyncio.get_running_loop().call_later(LONGEST_CONNECTION, self._hang_up, protocol)
        return cast(asyncio.Protocol, protocol)

    def _hang_up(self, protocol: Any) -> None:
        protocol.close()
        if protocol not in self._answering:
            protocol.force_close()

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._answering.add(request.protocol)
        try:
            async with asyncio.timeout(LONGEST_CONNECTION):
                return await handler(request)
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        finally:
            self._answering.discard(request.protocol)


async def listen(app: web.Application, host: str, port: int) -> web.AppRunner:
    """Serve the application; port 0 is a free one. Connections are bounded in number and time. Raises OSError."""
    runner = _Bounded(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host.strip("[]") or None, port).start()
    return runner


async def serve(
    address: str,
    registry: CollectorRegistry,
    checks: Mapping[str, ReadyCheck],
    pages: Mapping[str, Page],
    *,
    address_file: Path | None,
) -> web.AppRunner:
    """Listen on ``host:port`` (port 0: a free one) and, if asked, write the address that was bound to a file.

    Raises ValueError for an address that is none, OSError when it cannot be bound.
    """
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit():
        raise ValueError(f"CONDUCTOR_HTTP_ADDRESS is {address!r}; it must be host:port")

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        # A service that has not said yet what it waits for still starts: it may be waiting for the broker.
        failing = [name for name, check in checks.items() if not check()] if checks else ["starting"]
        if failing:
            return web.Response(status=503, text="".join(f"not ready: {name}\n" for name in failing))
        return web.Response(text="ok\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def page(request: web.Request) -> web.Response:
        content = pages.get(request.path)
        if content is None:
            raise web.HTTPNotFound
        return web.json_response(content())

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    # What a service shows is known only after it listens, and then no route can be added.
    app.add_routes([web.get("/{page}", page)])
    runner = await listen(app, host, int(port))
    if address_file is not None:
        bound_host, bound_port = runner.addresses[0][:2]
        partial = address_file.with_suffix(".partial")
        partial.write_text(f"{bound_host}:{bound_port}\n", encoding="utf-8")
        os.replace(partial, address_file)  # noqa: PTH105
    return runner
