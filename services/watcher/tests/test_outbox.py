"""Publication: one at a time per object, the newest state wins, nothing older is put over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from conductor_bus import Bus, ObjectPublisher, Published, Superseded, Unavailable
from conductor_model.kinds import MYSQL_INSTANCE
from conductor_model.refs import ObjectKey
from conductor_watcher.decide import Absent, Present
from conductor_watcher.metrics import Metrics
from conductor_watcher.outbox import Outbox

IN_FLIGHT = 64


def key(name: str = "x") -> ObjectKey:
    return ObjectKey(MYSQL_INSTANCE.group_kind, "a", name)


def present(version: int, name: str = "x", uid: str = "u1", data: bytes = b"{}") -> Present:
    return Present(key(name), uid, str(version), data)


class Gate:
    """The real publisher behind a gate that a test may close, and that lets failures in."""

    def __init__(self, real: ObjectPublisher) -> None:
        self._real = real
        self._open = asyncio.Event()
        self._open.set()
        self._under_way: set[ObjectKey] = set()
        self.attempts: list[tuple[str, str]] = []
        self.failures: list[Exception] = []
        self.most_at_once = 0

    def close(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    async def publish(self, key: ObjectKey, uid: str, version: str, data: bytes, **how: Any) -> int:
        assert key not in self._under_way, "two publications of one object at once"
        self._under_way.add(key)
        self.most_at_once = max(self.most_at_once, len(self._under_way))
        self.attempts.append((key.name, version))
        try:
            await self._open.wait()
            if self.failures:
                raise self.failures.pop(0)
            return await self._real.publish(key, uid, version, data, **how)
        finally:
            self._under_way.discard(key)

    async def tombstone(self, key: ObjectKey, uid: str, version: str, **how: Any) -> int:
        return await self._real.tombstone(key, uid, version, **how)


@pytest.fixture
async def bus(nats_server: Any) -> AsyncIterator[Bus]:
    bus = await Bus.connect(nats_server.url, name="t")
    await bus.ensure()
    yield bus
    await bus.close()


@pytest.fixture
def gate(bus: Bus) -> Gate:
    return Gate(bus.publisher("/ours"))


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


class Term:
    """One leadership."""

    in_doubt = False
    asked = 0

    def leading(self) -> bool:
        self.asked += 1
        return not self.in_doubt


@pytest.fixture
def term() -> Term:
    return Term()


@pytest.fixture
async def outbox(bus: Bus, gate: Any, registry: CollectorRegistry, term: Term) -> AsyncIterator[Outbox]:
    outbox = Outbox(bus, gate, {}, Metrics(registry), lambda: datetime.now(UTC), leading=term.leading)
    running = asyncio.create_task(outbox.run())
    yield outbox
    gate.open()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def shown(bus: Bus, name: str = "x") -> tuple[str, bool]:
    message = await bus.latest(key(name))
    assert message is not None
    return message.resource_version, message.deleted


async def test_news_that_waits_is_replaced_by_newer_news(
    outbox: Outbox, gate: Gate, bus: Bus, until: Any
) -> None:
    gate.close()
    outbox.put(present(1))
    await until(lambda: gate.attempts)
    for version in (2, 3, 4):
        outbox.put(present(version))
    gate.open()
    await outbox.catch_up()
    assert gate.attempts == [("x", "1"), ("x", "4")]
    assert await shown(bus) == ("4", False)


async def test_what_is_heard_twice_is_published_once(outbox: Outbox, gate: Gate, until: Any) -> None:
    gate.close()
    outbox.put(present(1))
    await until(lambda: gate.attempts)
    outbox.put(present(1))
    gate.open()
    await outbox.catch_up()
    outbox.put(present(1))
    await outbox.catch_up()
    assert gate.attempts == [("x", "1")]


async def test_a_publication_that_fails_is_tried_again(outbox: Outbox, gate: Gate, bus: Bus) -> None:
    gate.failures = [Unavailable("publishing", "no answer")]
    outbox.put(present(1))
    await outbox.catch_up()
    assert gate.attempts == [("x", "1"), ("x", "1")]
    assert await shown(bus) == ("1", False)


async def test_a_publication_that_fails_is_not_tried_again_once_there_is_newer_news(
    outbox: Outbox, gate: Gate, bus: Bus, until: Any
) -> None:
    gate.failures = [Unavailable("publishing", "no answer")]
    gate.close()
    outbox.put(present(1))
    await until(lambda: gate.attempts)
    outbox.put(present(2))
    gate.open()
    await outbox.catch_up()
    assert gate.attempts == [("x", "1"), ("x", "2")]
    assert await shown(bus) == ("2", False)


async def test_catching_up_is_to_wait_for_what_was_put_before(
    outbox: Outbox, gate: Gate, bus: Bus, until: Any
) -> None:
    await asyncio.wait_for(outbox.catch_up(), 1)
    gate.close()
    outbox.put(present(1))
    outbox.put(present(1, "y"))
    caught_up = asyncio.create_task(outbox.catch_up())
    await until(lambda: len(gate.attempts) == 2)
    assert not caught_up.done()
    gate.open()
    await caught_up
    assert await shown(bus) == await shown(bus, "y") == ("1", False)


async def test_many_objects_are_on_their_way_at_once_but_not_all(
    outbox: Outbox, gate: Gate, until: Any
) -> None:
    gate.close()
    for number in range(3 * IN_FLIGHT):
        outbox.put(present(1, f"x{number}"))
    await until(lambda: len(gate.attempts) == IN_FLIGHT)
    gate.open()
    await outbox.catch_up()
    assert len(gate.attempts) == 3 * IN_FLIGHT
    assert gate.most_at_once == IN_FLIGHT


async def test_older_state_is_not_put_over_what_another_watcher_published(outbox: Outbox, bus: Bus) -> None:
    other = bus.publisher("/other")
    await other.publish(key(), "u1", "9", b"{}", expected_sequence=0)
    outbox.put(present(7))
    await outbox.catch_up()
    assert await shown(bus) == ("9", False)
    outbox.put(present(10))
    await outbox.catch_up()
    assert await shown(bus) == ("10", False)


async def test_an_object_that_another_watcher_buried_is_not_raised_by_older_news(
    outbox: Outbox, bus: Bus
) -> None:
    other = bus.publisher("/other")
    api_version = MYSQL_INSTANCE.gvk.api_version
    sequence = await other.publish(key(), "u1", "5", b"{}", expected_sequence=0)
    await other.tombstone(key(), "u1", "9", api_version=api_version, expected_sequence=sequence)
    outbox.put(present(7))
    await outbox.catch_up()
    assert await shown(bus) == ("9", True)
    outbox.put(present(12, uid="u2"))
    await outbox.catch_up()
    assert await shown(bus) == ("12", False)


async def test_the_end_of_one_object_is_no_news_once_the_next_is_there(outbox: Outbox, bus: Bus) -> None:
    outbox.put(present(1))
    await outbox.catch_up()
    other = bus.publisher("/other")
    await other.publish(key(), "u2", "9", b"{}", expected_sequence=None)
    outbox.put(Absent(key(), "u1", "8"))
    await outbox.catch_up()
    assert await shown(bus) == ("9", False)


async def test_a_message_that_aged_out_is_no_obstacle(outbox: Outbox, bus: Bus) -> None:
    outbox.stream[key()] = Published("u0", "1", 17, deleted=True)
    outbox.put(present(5))
    await outbox.catch_up()
    assert await shown(bus) == ("5", False)


async def test_an_object_that_is_too_large_for_the_bus_holds_up_no_other(
    outbox: Outbox, bus: Bus, registry: CollectorRegistry
) -> None:
    outbox.put(present(1, "huge", data=b" " * (9 * 2**20)))
    outbox.put(present(1))
    await outbox.catch_up()
    assert await shown(bus) == ("1", False)
    assert await bus.latest(key("huge")) is None
    assert registry.get_sample_value("conductor_messages_refused_total", {"kind": "MySQLInstance"}) == 1


async def test_who_may_no_longer_lead_publishes_nothing(
    outbox: Outbox, gate: Gate, term: Term, until: Any
) -> None:
    term.in_doubt = True
    outbox.put(present(1))
    await until(lambda: term.asked > 2)
    assert gate.attempts == []


async def test_what_was_heard_while_the_lease_was_in_doubt_is_published_when_it_is_renewed(
    outbox: Outbox, bus: Bus, term: Term, until: Any
) -> None:
    term.in_doubt = True
    outbox.put(present(1))
    await until(lambda: term.asked > 0)
    term.in_doubt = False
    await outbox.catch_up()
    assert await shown(bus) == ("1", False)


async def test_an_object_that_came_and_went_unseen_leaves_a_tombstone_against_late_writes(
    outbox: Outbox, bus: Bus
) -> None:
    outbox.put(Absent(key("x"), "u1", "2"))
    await outbox.catch_up()
    assert await shown(bus) == ("2", True)
    with pytest.raises(Superseded):
        await bus.publisher("/deposed").publish(key("x"), "u1", "1", b"{}", expected_sequence=0)


async def test_one_namespaces_initial_list_does_not_hold_up_another_namespaces_change(
    outbox: Outbox, gate: Gate, until: Any
) -> None:
    gate.close()
    for number in range(10 * IN_FLIGHT):
        outbox.put(present(1, f"large-{number}"))
    await until(lambda: len(gate.attempts) == IN_FLIGHT)
    late = ObjectKey(MYSQL_INSTANCE.group_kind, "another", "late")
    outbox.put(Present(late, "u2", "1", b"{}"))
    gate.open()
    await until(lambda: len(gate.attempts) == 10 * IN_FLIGHT + 1)
    assert [name for name, _ in gate.attempts].index("late") <= IN_FLIGHT + 2
