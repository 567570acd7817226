"""Whatever happens to the watcher and to the broker, the stream shows what the API holds in the end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import nats
import pytest

from conductor_bus import Bus, ObjectPublisher
from conductor_bus.subjects import Subjects
from conductor_model.kinds import MYSQL_INSTANCE
from conductor_model.refs import GroupVersionKind, ObjectKey, ResourceType

pytestmark = pytest.mark.integration


@pytest.fixture
def same(claims: Any, stream: Any) -> Any:
    """Whether stream and API agree on every claim."""

    async def agree() -> bool:
        return bool(await stream.versions() == await claims.versions())

    return agree


async def test_what_exists_and_every_change_is_published(
    watching: Any, claims: Any, stream: Any, until: Any
) -> None:
    before = await claims.create("before")
    async with watching():
        assert await stream.versions() == {"before": before}
        after = await claims.create("after")
        await until(lambda: _shows(stream, {"before": before, "after": after}))
        changed = await claims.change("before", "us")
        await until(lambda: _shows(stream, {"before": changed, "after": after}))
        whole = json.loads((await stream.messages())["before"].data)
        assert whole["spec"]["requirements"]["region"] == "us"
        assert "managedFields" not in whole["metadata"]
        await claims.delete("before")
        await until(lambda: _shows(stream, {"after": after}))
        assert (await stream.messages())["before"].deleted


async def _shows(stream: Any, versions: dict[str, str]) -> bool:
    return bool(await stream.versions() == versions)


async def test_it_is_in_sync_when_the_broker_has_what_was_listed_and_not_before(
    watching: Any, claims: Any, stream: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, broker_takes, trying = ObjectPublisher.publish, asyncio.Event(), asyncio.Event()

    async def slow(self: ObjectPublisher, *what: Any, **how: Any) -> int:
        trying.set()
        await broker_takes.wait()
        return await real(self, *what, **how)

    monkeypatch.setattr(ObjectPublisher, "publish", slow)
    await claims.create("c")
    running = watching()
    in_sync = asyncio.create_task(running.__aenter__())
    await trying.wait()
    for _ in range(10):
        assert await stream.versions() == {}
    assert not in_sync.done()
    broker_takes.set()
    await in_sync
    assert await stream.versions() == await claims.versions()
    await running.__aexit__(None, None, None)


async def test_what_happened_while_no_watcher_ran_is_made_up_for_and_the_rest_is_left_alone(
    watching: Any, claims: Any, stream: Any, until: Any
) -> None:
    for name in ("stays", "goes", "changes", "is-replaced"):
        await claims.create(name)
    async with watching():
        pass
    before = await stream.messages()
    await claims.delete("goes")
    await claims.delete("is-replaced")
    await claims.create("is-replaced")
    await claims.change("changes", "us")
    await claims.create("comes")
    async with watching():
        after = await stream.messages()
        assert await stream.versions() == await claims.versions()
        assert after["goes"].deleted
        assert after["goes"].uid == before["goes"].uid
        assert not after["is-replaced"].deleted
        assert after["is-replaced"].uid != before["is-replaced"].uid
        assert after["stays"].sequence == before["stays"].sequence, "nothing changed, nothing is published"


async def test_a_stream_that_was_wiped_is_made_right_again(
    watching: Any, claims: Any, nats_server: Any, until: Any, same: Any
) -> None:
    for number in range(20):
        await claims.create(f"c{number}")
    async with watching() as running:
        nats_server.kill()
        await claims.delete("c0")
        await claims.create("while-away")
        nats_server.wipe()
        await until(same)
        assert running.resyncs() >= 2
        await claims.create("afterwards")
        await until(same)


async def test_a_stream_that_was_wiped_while_nothing_changes_is_made_right_again(
    watching: Any, claims: Any, nats_server: Any, until: Any, same: Any
) -> None:
    await claims.create("c")
    async with watching():
        nats_server.wipe()
        await until(same)


async def test_a_stream_that_was_deleted_under_a_running_broker_is_made_again(
    watching: Any, claims: Any, nats_server: Any, until: Any, same: Any
) -> None:
    await claims.create("c")
    async with watching():
        client = await nats.connect(nats_server.url)
        await client.jetstream().delete_stream("CONDUCTOR_OBJECTS")
        await client.close()
        await claims.create("afterwards")
        await until(same)


async def test_a_broker_that_was_away_for_a_while_misses_nothing(
    watching: Any, claims: Any, nats_server: Any, until: Any, same: Any
) -> None:
    await claims.create("c")
    await claims.create("goes")
    async with watching():
        nats_server.kill()
        await claims.change("c", "us")
        await claims.delete("goes")
        await claims.create("while-away")
        nats_server.start()
        await until(same)


async def test_a_burst_of_changes_ends_in_the_newest_state(
    watching: Any, claims: Any, until: Any, same: Any
) -> None:
    async def life(number: int) -> None:
        name = f"c{number}"
        await claims.create(name)
        for region in ("us", "asia", "eu"):
            await claims.change(name, region)
            assert running.watcher.synced, "work in hand is no reason to be unready"
        if number % 3 == 0:
            await claims.delete(name)

    async with watching() as running:
        await asyncio.gather(*(life(number) for number in range(90)))
        await until(same)


async def test_objects_of_other_namespaces_are_neither_published_nor_buried(
    watching: Any, claims: Any, stream: Any, nats_server: Any
) -> None:
    elsewhere = ObjectKey(MYSQL_INSTANCE.group_kind, "somebody-elses", "c")
    bus = await Bus.connect(nats_server.url, name="t")
    await bus.ensure()
    await bus.publisher("/elsewhere").publish(elsewhere, "uid", "1", b"{}", expected_sequence=None)
    await claims.create("ours")
    async with watching():
        assert set(await stream.versions()) == {"ours", "c"}
    await bus.close()


async def test_what_somebody_else_put_in_an_objects_place_is_replaced(
    watching: Any, claims: Any, nats_server: Any, until: Any, same: Any
) -> None:
    async with watching():
        client = await nats.connect(nats_server.url)
        subject = Subjects().object(claims.key("c"))
        await client.jetstream().publish(subject, b"garbage")
        await client.close()
        await claims.create("c")
        await until(same)


async def test_a_deposed_watcher_does_not_put_older_state_over_newer(
    watching: Any, claims: Any, stream: Any, until: Any, same: Any
) -> None:
    # Both lead, as they may for the moment in which one of them does not know yet that it no longer does.
    async with watching(), watching():
        for name in ("a", "b", "c"):
            await claims.create(name)
            for region in ("us", "asia", "eu"):
                await claims.change(name, region)
        await claims.delete("c")
        await until(same)
        sequences = {name: message.sequence for name, message in (await stream.messages()).items()}
        await claims.create("afterwards")
        await until(same)
        after = await stream.messages()
        assert {name: after[name].sequence for name in sequences} == sequences


async def test_a_kind_that_is_not_installed_holds_up_none_of_the_others(
    watching: Any, claims: Any, until: Any, same: Any
) -> None:
    absent = ResourceType(GroupVersionKind("not.installed.conductor.io", "v1alpha1", "Nothing"), "nothings")
    async with watching([absent, MYSQL_INSTANCE]) as running:
        await claims.create("c")
        await until(same)
        assert running.resyncs() == 1


async def test_what_a_deposed_watcher_sends_late_does_not_stay(
    watching: Any, nats_server: Any, claims: Any, stream: Any, until: Any, namespace: str
) -> None:
    """It saw an object come, and never that it went; whoever leads now has heard of neither."""
    bus = await Bus.connect(nats_server.url, name="deposed")
    gone = ObjectKey(MYSQL_INSTANCE.group_kind, namespace, "gone")
    try:
        async with watching(look_for_others_after=0.1) as running:
            await bus.publisher("/deposed").publish(gone, "u1", "1", b"{}", expected_sequence=0)
            assert await stream.versions() == {"gone": "1"}
            await until(lambda: _shows(stream, {}))
            assert running.resyncs() == 2
            shown = await claims.create("c")
            await until(lambda: _shows(stream, {"c": shown}))
    finally:
        await bus.close()


@pytest.mark.parametrize("when", ["while it runs", "while none runs"])
async def test_what_is_no_message_does_not_hide_an_object_for_long(
    watching: Any, nats_server: Any, claims: Any, stream: Any, until: Any, namespace: str, when: str
) -> None:
    """Put there by hand, in the place of an object that exists and of one that does not."""

    async def rubbish() -> None:
        async with await nats.connect(nats_server.url) as client:
            for name in ("c", "nothing"):
                subject = Subjects().object(ObjectKey(MYSQL_INSTANCE.group_kind, namespace, name))
                await client.jetstream().publish(subject, b"rubbish")
        assert await stream.messages() == {} or when == "while it runs"

    async def mended() -> bool:
        messages = await stream.messages()
        deleted = {name: message.deleted for name, message in messages.items()}
        return deleted == {"c": False, "nothing": True} and messages["c"].resource_version == shown

    async with watching(look_for_others_after=0.1):
        shown = await claims.create("c")
        await until(lambda: _shows(stream, {"c": shown}))
        if when == "while it runs":
            await rubbish()
            await until(mended)
    if when == "while none runs":
        await rubbish()
        async with watching():
            await until(mended)
