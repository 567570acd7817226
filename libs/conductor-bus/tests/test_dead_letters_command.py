"""``python -m conductor_bus dead-letters``: a person lists, reads, replays and discards what workers gave up on."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from conductor_bus import Bus, Done, Result, Work
from conductor_bus.config import BusConfig, WorkPolicy
from conductor_model.refs import GroupKind, ObjectKey

CLAIMS = GroupKind("storage.conductor.io", "MySQLInstance")
GROUP = "aws-provisioner"
BAD = ObjectKey(CLAIMS, "team-a", "bad")

Eventually = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Said:
    code: int | None
    out: str
    err: str


@pytest.fixture
def command(broker: object) -> Callable[..., Awaitable[Said]]:
    async def run(*arguments: str, url: str = broker.url) -> Said:  # type: ignore[attr-defined]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "conductor_bus", "dead-letters", *arguments),
            env={**os.environ, "NATS_URL": url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return Said(process.returncode, out.decode(), err.decode())

    return run


async def test_a_letter_is_listed_read_and_replayed(
    connect: Callable[..., Awaitable[Bus]], command: Callable[..., Awaitable[Said]], eventually: Eventually
) -> None:
    bus = await connect(BusConfig(work=WorkPolicy(backoff_base=0.02, dead_letter_after=2)))
    await bus.ensure()
    assert (await command("list")).out == "there are no dead letters\n"
    mended = False
    handled: list[ObjectKey] = []

    async def handle(work: Work) -> Result:
        if not mended:
            raise ValueError("cannot make sense of it")
        handled.append(work.key)
        return Done()

    queue, stop = bus.work_queue(GROUP, [CLAIMS]), asyncio.Event()
    running = asyncio.create_task(queue.run(handle, stop))
    try:
        await bus.publisher("/w").publish(BAD, "uid", "1", b'{"spec":1}', expected_sequence=None)
        await eventually(lambda: queue.statistics.dead_letters == 1)

        listed = await command("list", "--group", GROUP)
        [line] = listed.out.splitlines()[1:]
        assert re.search(
            rf"^\d+ +{GROUP} +{re.escape(str(BAD))} +2 .*ValueError: cannot make sense of it", line
        )
        number = line.split()[0]
        shown = await command("show", number)
        assert shown.out.endswith('\n\n{"spec":1}\n')

        mended = True
        replayed = await command("replay", number)
        assert (replayed.code, replayed.out) == (0, f"{number}: {GROUP} looks at {BAD} again\n")
        await eventually(lambda: handled == [BAD])
        assert (await command("list")).out == "there are no dead letters\n"
    finally:
        stop.set()
        await running


async def test_what_names_no_object_can_only_be_discarded(
    connect: Callable[..., Awaitable[Bus]], command: Callable[..., Awaitable[Said]], eventually: Eventually
) -> None:
    bus = await connect()
    await bus.ensure()

    async def handle(_: Work) -> Result:
        return Done()

    queue, stop = bus.work_queue(GROUP, [CLAIMS]), asyncio.Event()
    running = asyncio.create_task(queue.run(handle, stop))
    try:
        await eventually(lambda: queue.receiving)
        poison = BusConfig().subjects.object(BAD).rsplit(".", 1)[0] + ".%%%"
        await bus._connection.publish(poison, b"\xff\x00")
        await eventually(lambda: queue.statistics.dead_letters == 1)
        refused = await command("replay", "--all")
        assert refused.code == 1
        assert "can only be discarded" in refused.err
        discarded = await command("discard", "--all")
        assert (discarded.code, (await command("list")).out) == (0, "there are no dead letters\n")
    finally:
        stop.set()
        await running


async def test_a_number_that_is_no_letters_is_named(
    bus: Bus, command: Callable[..., Awaitable[Said]]
) -> None:
    said = await command("discard", "99")
    assert (said.code, said.err) == (1, "there is no dead letter 99\n")
    assert (await command("replay")).code == 2, "nothing is replayed that was not named"
