"""Following: present state first, then changes, and a fresh start when what was read no longer holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from conductor_bus import Bus, CaughtUp, ObjectMessage, Restarted, StreamLost, Unavailable
from conductor_model.refs import GroupKind, ObjectKey

CLAIMS = GroupKind("storage.conductor.io", "MySQLInstance")

Read = ObjectMessage | CaughtUp | Restarted


def claim(name: str) -> ObjectKey:
    return ObjectKey(CLAIMS, "team-a", name)


async def publish(bus: Bus, name: str, version: str = "1") -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await bus.publisher("/w").publish(claim(name), "u", version, b"{}", expected_sequence=None)
                return
            except (Unavailable, StreamLost):
                await asyncio.sleep(0.05)


async def take_until(reader: AsyncGenerator[Read, None], wanted: Callable[[Read], bool]) -> list[Read]:
    taken: list[Read] = []
    async with asyncio.timeout(30):
        async for read in reader:
            taken.append(read)
            if wanted(read):
                return taken
    raise AssertionError("the reader ended")


def is_claim(name: str, version: str = "1") -> Callable[[Read], bool]:
    return lambda read: (
        isinstance(read, ObjectMessage) and read.key == claim(name) and read.resource_version == version
    )


def names(taken: list[Read]) -> list[str]:
    return [read.key.name for read in taken if isinstance(read, ObjectMessage)]


async def test_a_follower_gets_the_present_state_then_caught_up_then_changes(bus: Bus) -> None:
    for name in ("a", "b", "a"):
        await publish(bus, name)
    async with aclosing(bus.follow([CLAIMS])) as reader:
        taken = await take_until(reader, lambda read: isinstance(read, CaughtUp))
        assert names(taken) == ["b", "a"]
        await publish(bus, "c")
        assert names(await take_until(reader, is_claim("c"))) == ["c"]


async def test_a_follower_of_an_empty_stream_is_caught_up_at_once(bus: Bus) -> None:
    async with aclosing(bus.follow([CLAIMS])) as reader:
        assert await take_until(reader, lambda read: True) == [CaughtUp()]


async def test_a_follower_waits_for_a_stream_that_does_not_exist_yet(
    connect: Callable[..., Awaitable[Bus]],
) -> None:
    bus = await connect()
    async with aclosing(bus.follow([CLAIMS])) as reader:
        assert await take_until(reader, lambda read: True) == [CaughtUp()]


async def test_a_follower_resumes_after_a_restart_without_repeating_or_missing(bus: Bus, broker: Any) -> None:
    await publish(bus, "a")
    async with aclosing(bus.follow([CLAIMS])) as reader:
        await take_until(reader, lambda read: isinstance(read, CaughtUp))
        broker.restart()
        await publish(bus, "b")
        await publish(bus, "c")
        taken = await take_until(reader, is_claim("c"))
        assert names(taken) == ["b", "c"]
        assert not any(isinstance(read, Restarted) for read in taken)


async def test_a_follower_starts_over_when_the_stream_was_wiped(bus: Bus, broker: Any) -> None:
    await publish(bus, "a")
    async with aclosing(bus.follow([CLAIMS])) as reader:
        await take_until(reader, lambda read: isinstance(read, CaughtUp))
        broker.wipe()
        following = asyncio.create_task(take_until(reader, is_claim("b")))
        await publish(bus, "b")
        taken = await following
        assert isinstance(taken[0], Restarted)
        assert names(taken) == ["b"]
        await publish(bus, "c")
        assert names(await take_until(reader, is_claim("c"))) == ["c"]


async def test_a_follower_sees_deletions(bus: Bus) -> None:
    await publish(bus, "a")
    async with aclosing(bus.follow([CLAIMS])) as reader:
        await take_until(reader, lambda read: isinstance(read, CaughtUp))
        await bus.publisher("/w").tombstone(claim("a"), "u", "2", api_version="v1", expected_sequence=None)
        (last,) = await take_until(reader, is_claim("a", "2"))
        assert isinstance(last, ObjectMessage)
        assert last.deleted
