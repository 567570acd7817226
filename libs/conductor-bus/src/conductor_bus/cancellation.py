"""Waiting for what may lose a cancellation, without losing it.

nats-py waits by ``asyncio.wait_for``, which up to Python 3.11 returns as if nothing had happened when a cancellation
arrives in the same turn of the event loop as what it waits for (python/cpython#86296), and nats-py itself passes over
cancellations in places. Every call of nats-py that waits is therefore awaited through this module. It promises: whoever
is cancelled in `cancellable` or `ended` is left with `asyncio.CancelledError`, after the call has come to its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")

_CANCEL_AGAIN = 0.05


async def cancellable(call: Coroutine[Any, Any, Answer]) -> Answer:
    """What the call returns or raises. If the caller is cancelled, what the call has still come to is dropped."""
    task = asyncio.create_task(call)
    await ended(task)
    return task.result()


async def ended(task: asyncio.Task[Any]) -> None:
    """Returns when the task has ended, however it did. It is cancelled with the caller, as often as it takes."""
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        await cancelled(task)
        raise


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Ends the task, and returns when it has ended. What it failed with, if it did, concerns nobody any more."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_AGAIN)
    if not task.cancelled():
        task.exception()
