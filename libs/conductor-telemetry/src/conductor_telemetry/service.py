"""A service's frame: what every service does around its own work.

| variable | meaning | default |
|---|---|---|
| ``CONDUCTOR_HTTP_ADDRESS`` | where the health and metrics endpoints listen; port 0 is a free one | ``0.0.0.0:8080`` |
| ``CONDUCTOR_HTTP_ADDRESS_FILE`` | a file to write the bound address to | |
| ``CONDUCTOR_LOG_FORMAT`` | ``console`` or ``json`` | ``console`` |
| ``CONDUCTOR_LOG_LEVEL`` | ``debug``, ``info``, ``warning``, ``error`` | ``info`` |
| ``OTEL_EXPORTER_OTLP_ENDPOINT`` | an OTLP/HTTP endpoint for spans; absent: no tracing | |

The samplers and limits of the OpenTelemetry SDK are configured by its own ``OTEL_*`` variables.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opentelemetry import trace
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from conductor_telemetry import http, logs, tracing
from conductor_telemetry.http import Page, ReadyCheck

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """What a service gets from its frame."""

    name: str
    tracer: trace.Tracer
    registry: CollectorRegistry
    stop: asyncio.Event
    """Set by SIGTERM or SIGINT: finish what is in hand and return."""
    _checks: dict[str, ReadyCheck] = field(default_factory=dict)
    _pages: dict[str, Page] = field(default_factory=dict)

    def ready(self, name: str, check: ReadyCheck) -> None:
        """``/readyz`` answers 503, naming the check, until it returns True."""
        self._checks[name] = check

    def page(self, path: str, content: Page) -> None:
        """``path``, such as ``/orphans``, answers with what ``content`` returns, as JSON."""
        self._pages[path] = content

    async def until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` until it ends, or cancel it when the service is to stop. Raises what ``work`` raises.

        It is cancelled once, and has the time that it takes to wind down: locks and leases are given back then.
        """
        task = asyncio.create_task(work)
        stopped = asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            ended_by_itself = task.done()
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.result()
        elif ended_by_itself:
            raise asyncio.CancelledError


@asynccontextmanager
async def service(name: str, *, version: str) -> AsyncIterator[Service]:
    """Logs, metrics, tracing, health endpoints and signals, for as long as the block runs."""
    logs.configure(
        name,
        form=os.environ.get("CONDUCTOR_LOG_FORMAT") or "console",
        level=os.environ.get("CONDUCTOR_LOG_LEVEL") or "info",
    )
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    stop_tracing = tracing.start(name, version)
    here = Service(name, trace.get_tracer(f"conductor-{name}", version), registry, asyncio.Event())

    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, here.stop.set)
    address_file = os.environ.get("CONDUCTOR_HTTP_ADDRESS_FILE")
    runner = await http.serve(
        os.environ.get("CONDUCTOR_HTTP_ADDRESS") or "0.0.0.0:8080",
        registry,
        here._checks,
        here._pages,
        address_file=Path(address_file) if address_file else None,
    )
    log.info("%s %s started", name, version)
    try:
        yield here
    finally:
        await tracing.stop_in_time(stop_tracing)
        await runner.cleanup()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)
        log.info("%s stopped", name)
