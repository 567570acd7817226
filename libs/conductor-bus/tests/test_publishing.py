"""Publishing: compare-and-publish, tombstones, and noticing that the stream is another one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import nats
import pytest

from conductor_bus import Bus, BusConfig, Published, StreamLost, Superseded, TooLarge, Unavailable
from conductor_model.refs import GroupKind, ObjectKey

CLAIMS = GroupKind("storage.conductor.io", "MySQLInstance")
CONCRETES = GroupKind("database.aws.conductor.io", "RDSInstance")
DB = ObjectKey(CLAIMS, "team-a", "db")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_an_object_is_read_back_as_published(bus: Bus) -> None:
    publisher = bus.publisher("/conductor/watcher")
    sequence = await publisher.publish(
        DB, "uid-1", "17", b'{"spec":{}}', expected_sequence=0, traceparent=TRACEPARENT
    )
    message = await bus.latest(DB)
    assert message is not None
    assert (message.key, message.uid, message.resource_version) == (DB, "uid-1", "17")
    assert (message.data, message.deleted, message.sequence) == (b'{"spec":{}}', False, sequence)
    assert message.traceparent == TRACEPARENT


async def test_the_last_message_of_an_object_that_was_never_published_is_none(bus: Bus) -> None:
    assert await bus.latest(DB) is None


async def test_only_the_last_message_of_an_object_is_kept(bus: Bus) -> None:
    publisher = bus.publisher("/w")
    for version in range(1, 4):
        await publisher.publish(DB, "uid-1", str(version), b"{}", expected_sequence=None)
    assert [message.resource_version async for message in bus.snapshot([CLAIMS])] == ["3"]


async def test_a_message_is_a_cloudevent_in_binary_mode(bus: Bus, broker: Any) -> None:
    await bus.publisher("/conductor/watcher").publish(DB, "uid-1", "17", b"{}", expected_sequence=0)
    client = await nats.connect(broker.url)
    raw = await client.jetstream().get_last_msg("CONDUCTOR_OBJECTS", bus_subject(DB))
    await client.close()
    headers = raw.headers or {}
    assert headers["ce-specversion"] == "1.0"
    assert headers["ce-id"] == "uid-1/17"
    assert headers["ce-source"] == "/conductor/watcher"
    assert headers["ce-type"] == "io.conductor.object.changed"
    assert headers["ce-subject"] == "team-a/db"
    assert headers["ce-time"].endswith("Z")
    assert headers["content-type"] == "application/json"
    assert "Nats-Msg-Id" not in headers


def bus_subject(key: ObjectKey) -> str:
    return BusConfig().subjects.object(key)


async def test_an_expectation_that_no_longer_holds_is_superseded(bus: Bus) -> None:
    publisher = bus.publisher("/w")
    first = await publisher.publish(DB, "uid-1", "1", b"{}", expected_sequence=0)
    second = await publisher.publish(DB, "uid-1", "2", b"{}", expected_sequence=first)
    with pytest.raises(Superseded) as caught:
        await publisher.publish(DB, "uid-1", "3", b"{}", expected_sequence=first)
    assert caught.value.actual == second
    message = await bus.latest(DB)
    assert message is not None
    assert message.resource_version == "2"


async def test_a_retry_of_a_publication_that_had_arrived_succeeds_with_its_sequence(bus: Bus) -> None:
    publisher = bus.publisher("/w")
    sequence = await publisher.publish(DB, "uid-1", "1", b"{}", expected_sequence=0)
    assert await publisher.publish(DB, "uid-1", "1", b"{}", expected_sequence=0) == sequence


async def test_an_object_may_be_published_again_after_a_tombstone_that_was_wrong(bus: Bus) -> None:
    publisher = bus.publisher("/w")
    first = await publisher.publish(DB, "uid-1", "1", b"{}", expected_sequence=0)
    dead = await publisher.tombstone(DB, "uid-1", "1", api_version="v1", expected_sequence=first)
    await publisher.publish(DB, "uid-1", "1", b"{}", expected_sequence=dead)
    message = await bus.latest(DB)
    assert message is not None
    assert not message.deleted


async def test_a_tombstone_names_the_object_and_holds_no_more(bus: Bus) -> None:
    publisher = bus.publisher("/w")
    api_version = "storage.conductor.io/v1alpha1"
    await publisher.tombstone(DB, "uid-1", "9", api_version=api_version, expected_sequence=None)
    message = await bus.latest(DB)
    assert message is not None
    assert message.deleted
    assert json.loads(message.data) == {
        "apiVersion": api_version,
        "kind": "MySQLInstance",
        "metadata": {"name": "db", "namespace": "team-a", "uid": "uid-1"},
    }


async def test_a_tombstone_ages_out(connect: Callable[..., Awaitable[Bus]]) -> None:
    bus = await connect(replace(BusConfig(), tombstone_ttl=timedelta(seconds=1)))
    await bus.ensure()
    await bus.publisher("/w").tombstone(DB, "uid-1", "9", api_version="v1", expected_sequence=None)
    async with asyncio.timeout(10):
        while await bus.latest(DB) is not None:  # noqa: ASYNC110  # nobody is told when a message ages out
            await asyncio.sleep(0.05)


async def test_state_says_what_the_stream_holds_of_each_object(bus: Bus) -> None:
    publisher = bus.publisher("/w")
    rds = ObjectKey(CONCRETES, "conductor-system", "rds-1")
    elsewhere = ObjectKey(GroupKind("core.conductor.io", "ResourceClass"), "", "gold")
    first = await publisher.publish(DB, "uid-1", "1", b"{}" * 100, expected_sequence=0)
    second = await publisher.tombstone(rds, "uid-2", "2", api_version="v1", expected_sequence=0)
    await publisher.publish(elsewhere, "uid-3", "3", b"{}", expected_sequence=0)
    assert await publisher.state([CLAIMS, CONCRETES]) == {
        DB: Published("uid-1", "1", first, deleted=False),
        rds: Published("uid-2", "2", second, deleted=True),
    }


async def test_a_snapshot_is_complete_whatever_its_size(bus: Bus) -> None:
    publisher = bus.publisher("/w")
    keys = {ObjectKey(CLAIMS, "team-a", f"db-{number}") for number in range(700)}
    await asyncio.gather(*(publisher.publish(key, "u", "1", b"{}", expected_sequence=0) for key in keys))
    assert {message.key async for message in bus.snapshot([CLAIMS])} == keys


async def test_a_snapshot_of_nothing_ends(bus: Bus) -> None:
    assert [message async for message in bus.snapshot([CLAIMS])] == []


async def test_a_headers_only_snapshot_has_no_payloads(bus: Bus) -> None:
    await bus.publisher("/w").publish(DB, "uid-1", "1", b"{}", expected_sequence=0)
    assert [message.data async for message in bus.snapshot([CLAIMS], headers_only=True)] == [b""]


async def test_publishing_to_a_wiped_broker_says_that_the_stream_is_lost(bus: Bus, broker: Any) -> None:
    publisher = bus.publisher("/w")
    await publisher.publish(DB, "uid-1", "1", b"{}", expected_sequence=0)
    broker.wipe()
    with pytest.raises(StreamLost):
        await until_answered(lambda: publisher.publish(DB, "uid-1", "2", b"{}", expected_sequence=None))


async def test_a_stream_that_somebody_made_anew_is_not_taken_for_the_old_one(bus: Bus, broker: Any) -> None:
    publisher = bus.publisher("/w")
    await publisher.state([CLAIMS])
    first = await publisher.publish(DB, "uid-1", "1", b"{}", expected_sequence=0)
    broker.wipe()
    await until_answered(bus.ensure)
    with pytest.raises(StreamLost):
        await publisher.publish(DB, "uid-1", "2", b"{}", expected_sequence=first)


@pytest.mark.parametrize("made_anew", [False, True])
async def test_a_wipe_is_reported_once(bus: Bus, broker: Any, made_anew: bool) -> None:
    publisher = bus.publisher("/w")
    await publisher.state([CLAIMS])
    losses = publisher.watch_for_loss()
    broker.wipe()
    if made_anew:
        await until_answered(bus.ensure)
    async with asyncio.timeout(30):
        assert isinstance(await anext(losses), StreamLost)
    await until_answered(bus.ensure)
    await publisher.state([CLAIMS])
    again = asyncio.ensure_future(anext(losses))
    broker.restart()
    await until_answered(lambda: publisher.publish(DB, "uid-1", "1", b"{}", expected_sequence=None))
    assert not again.done()
    again.cancel()


async def until_answered(action: Callable[[], Awaitable[object]]) -> None:
    """Does it, again while the broker is not there yet."""
    async with asyncio.timeout(30):
        while True:
            try:
                await action()
                return
            except Unavailable:
                await asyncio.sleep(0.05)


async def test_a_broker_that_restarts_loses_nothing(bus: Bus, broker: Any) -> None:
    publisher = bus.publisher("/w")
    await publisher.publish(DB, "uid-1", "1", b"{}", expected_sequence=0)
    broker.restart()
    found: list[object] = []

    async def read() -> None:
        found.append(await bus.latest(DB))

    await until_answered(read)
    assert found[-1] is not None


async def test_ensure_mends_a_stream_that_was_configured_otherwise(
    connect: Callable[..., Awaitable[Bus]], broker: Any
) -> None:
    bus = await connect()
    client = await nats.connect(broker.url)
    await client.jetstream().add_stream(name="CONDUCTOR_OBJECTS", subjects=["conductor.objects.>"])
    await bus.ensure()
    config = (await client.jetstream().stream_info("CONDUCTOR_OBJECTS")).config
    await client.close()
    assert config.max_msgs_per_subject == 1
    assert config.allow_msg_schedules
    assert set(config.subjects or []) == set(BusConfig().subjects.all_of_stream())


async def test_many_may_ensure_at_once(connect: Callable[..., Awaitable[Bus]]) -> None:
    buses = [await connect() for _ in range(4)]
    await asyncio.gather(*(bus.ensure() for bus in buses))


async def test_two_installations_share_a_broker(connect: Callable[..., Awaitable[Bus]]) -> None:
    here = await connect(BusConfig.from_environment({}))
    there = await connect(BusConfig.from_environment({"CONDUCTOR_BUS_PREFIX": "other"}))
    await asyncio.gather(here.ensure(), there.ensure())
    await here.publisher("/w").publish(DB, "uid-1", "1", b"{}", expected_sequence=0)
    assert await there.latest(DB) is None


async def test_a_message_beyond_the_brokers_limit_is_refused_for_good(bus: Bus) -> None:
    with pytest.raises(TooLarge):
        await bus.publisher("/w").publish(DB, "uid-1", "1", b"x" * 2_000_000, expected_sequence=0)
    assert not TooLarge.retryable


async def test_a_tombstone_may_not_know_the_last_version(bus: Bus) -> None:
    await bus.publisher("/w").tombstone(DB, "uid-1", "", api_version="v1", expected_sequence=0)
    message = await bus.latest(DB)
    assert message is not None
    assert (message.resource_version, message.deleted) == ("", True)


async def test_a_request_is_not_waited_for_when_its_connection_is_lost(
    connect: Callable[..., Awaitable[Bus]], broker: Any, eventually: Callable[..., Awaitable[None]]
) -> None:
    bus = await connect(replace(BusConfig(), request_timeout=60.0))
    await bus.ensure()
    broker.pause()
    statistics = bus._connection.client.stats
    sent = statistics["out_msgs"]
    request = asyncio.create_task(bus.latest(DB))
    await eventually(lambda: statistics["out_msgs"] > sent)
    broker.kill()
    with pytest.raises(Unavailable):
        async with asyncio.timeout(10):
            await request


async def test_a_stream_that_is_made_anew_uses_no_sequence_of_its_predecessor(bus: Bus, broker: Any) -> None:
    """Or else an acknowledgement from before a wipe would settle a message from after it."""
    before = [
        await bus.publisher("/w").publish(DB, "uid-1", str(version), b"{}", expected_sequence=None)
        for version in range(1, 20)
    ]
    broker.wipe()
    await until_answered(bus.ensure)
    after = await bus.publisher("/w").publish(DB, "uid-1", "20", b"{}", expected_sequence=0)
    assert after > max(before)
