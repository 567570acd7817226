"""What a service does until it is told to stop."""

from __future__ import annotations

import asyncio

from opentelemetry import trace
from prometheus_client import CollectorRegistry

from conductor_telemetry import Service


async def test_work_is_cancelled_when_the_service_stops_and_winds_down_first() -> None:
    here = Service("test", trace.get_tracer("test"), CollectorRegistry(), asyncio.Event())
    wound_down = False

    async def work() -> None:
        nonlocal wound_down
        try:
            await asyncio.Event().wait()
        finally:
            for _turn in range(10):
                await asyncio.sleep(0)
            wound_down = True

    here.stop.set()
    async with asyncio.timeout(10):
        await here.until_stopped(work())

    assert wound_down
