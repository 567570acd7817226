"""The watcher as processes: one leads, a standby takes over, and readiness means something."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.integration

_LEADS = "conductor_watcher_leading 1.0"


def leads(process: Any) -> bool:
    return process.http_url is not None and _LEADS in process.metrics()


def readiness(process: Any) -> int:
    if process.http_url is None:
        return 0
    return requests.get(f"{process.http_url}/readyz", timeout=5).status_code


async def test_a_standby_takes_over_after_a_sigkill(
    replica: Any, claims: Any, stream: Any, until: Any
) -> None:
    first = replica(0)
    first.wait_ready()
    await until(lambda: leads(first))
    second = replica(1)
    second.wait_ready()
    assert not leads(second)
    await claims.create("before")
    await until(lambda: _same(claims, stream))
    first.kill()
    await claims.create("meanwhile")
    await claims.delete("before")
    await until(lambda: leads(second))
    await until(lambda: _same(claims, stream))
    assert (await stream.messages())["before"].deleted


async def test_a_standby_takes_over_at_once_when_the_leader_is_asked_to_stop(
    replica: Any, claims: Any, stream: Any, until: Any
) -> None:
    first = replica(0)
    first.wait_ready()
    await until(lambda: leads(first))
    second = replica(1)
    second.wait_ready()
    first.terminate()
    await until(lambda: leads(second))
    await claims.create("c")
    await until(lambda: _same(claims, stream))


async def test_a_leader_that_slept_through_its_lease_does_no_harm_when_it_wakes(
    replica: Any, claims: Any, stream: Any, until: Any
) -> None:
    first = replica(0)
    first.wait_ready()
    await until(lambda: leads(first))
    await claims.create("c")
    await until(lambda: _same(claims, stream))
    second = replica(1)
    second.wait_ready()
    os.kill(first.pid, signal.SIGSTOP)
    await claims.change("c", "us")
    await until(lambda: leads(second))
    await claims.change("c", "asia")
    await claims.create("d")
    await claims.delete("d")
    os.kill(first.pid, signal.SIGCONT)
    await until(lambda: not leads(first))
    await until(lambda: _same(claims, stream))
    assert leads(second)


async def test_it_is_not_ready_before_the_stream_shows_what_the_api_holds(
    replica: Any, claims: Any, stream: Any, nats_server: Any, until: Any
) -> None:
    await claims.create("c")
    nats_server.kill()
    process = replica(0)
    await until(lambda: readiness(process) == 503)
    nats_server.start()
    await until(lambda: leads(process) and readiness(process) == 200)
    assert await _same(claims, stream)


async def _same(claims: Any, stream: Any) -> bool:
    return bool(await stream.versions() == await claims.versions())
