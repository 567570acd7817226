"""What can befall the bus's streams and its disk, done by somebody who may do everything there."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import nats
import nats.errors
import nats.js.errors
from nats.js import JetStreamContext, api

from conductor_bus import BusConfig

FILLER = "SOMEBODY_ELSES"
_PIECE = 1_000_000
_CRUMB = 1_000
_TIMEOUT = 30
Answer = TypeVar("Answer")


def delete_streams(url: str) -> None:
    """Conductor's own, one after the other."""
    config = BusConfig()
    asyncio.run(
        _each(
            url,
            lambda js, name: js.delete_stream(name),
            config.stream,
            config.dead_letter_stream,
            config.lock_stream,
        )
    )


def fill(url: str) -> None:
    """Takes all that the broker may store, so that nothing can be published to any stream on disk."""
    asyncio.run(_with_jetstream(url, _fill))


def empty(url: str) -> None:
    """Gives it back."""
    asyncio.run(_each(url, lambda js, name: js.delete_stream(name), FILLER))


@contextmanager
def nothing_written(pid: int) -> Iterator[None]:
    """The process cannot write to any file: the kernel answers as a broken disk or one that is full would."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def stored(url: str) -> str:
    """Every message of every stream, with its headers, as text."""
    return asyncio.run(_with_jetstream(url, _stored))


async def _fill(jetstream: JetStreamContext) -> None:
    await jetstream.add_stream(api.StreamConfig(name=FILLER, subjects=[FILLER]))
    for size in (_PIECE, _CRUMB):
        while True:
            try:
                await jetstream.publish(FILLER, b"x" * size)
            except nats.js.errors.ServiceUnavailableError:
                break


async def _each(url: str, do: Callable[[JetStreamContext, str], Awaitable[object]], *streams: str) -> None:
    async def all_of_them(jetstream: JetStreamContext) -> None:
        for stream in streams:
            with contextlib.suppress(nats.js.errors.NotFoundError):
                await do(jetstream, stream)

    await _with_jetstream(url, all_of_them)


async def _stored(jetstream: JetStreamContext) -> str:
    told: list[str] = []
    for stream in await jetstream.streams_info():
        state, name = stream.state, stream.config.name or ""
        subscription = await jetstream.subscribe(">", stream=name, ordered_consumer=True)
        for _ in range(state.messages):
            try:
                message = await subscription.next_msg(timeout=1)
            except nats.errors.TimeoutError:
                # It aged out, or was replaced, since they were counted.
                break
            told.append(f"{message.subject} {message.headers} {message.data.decode(errors='replace')}")
        await subscription.unsubscribe()
    return "\n".join(told)


async def _with_jetstream(url: str, do: Callable[[JetStreamContext], Awaitable[Answer]]) -> Answer:
    client = await nats.connect(url, connect_timeout=_TIMEOUT)
    try:
        return await do(client.jetstream(timeout=_TIMEOUT))
    finally:
        await client.close()
