"""``/healthz``, ``/readyz`` and ``/metrics`` of a service, and pages of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

ReadyCheck = Callable[[], bool]
Page = Callable[[], object]
"""What it returns is shown as JSON."""


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
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host.strip("[]") or None, int(port)).start()
    if address_file is not None:
        bound_host, bound_port = runner.addresses[0][:2]
        partial = address_file.with_suffix(".partial")
        partial.write_text(f"{bound_host}:{bound_port}\n", encoding="utf-8")
        os.replace(partial, address_file)  # noqa: PTH105
    return runner
