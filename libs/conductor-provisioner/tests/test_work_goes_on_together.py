"""What a provisioner's process does beside its work ends with it, and does not fail unnoticed."""

from __future__ import annotations

import asyncio

import pytest

from conductor_provisioner.provisioner import work_beside


async def test_what_goes_on_beside_the_work_ends_with_it() -> None:
    ended: list[str] = []

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("beside")

    async def work() -> None:
        await asyncio.sleep(0)

    await work_beside(work(), for_ever())

    assert ended == ["beside"]


async def test_the_work_does_not_go_on_alone_when_what_is_beside_it_fails() -> None:
    ended: list[str] = []

    async def fails() -> None:
        raise LookupError("the stream cannot be read")

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    with pytest.raises(ExceptionGroup) as raised:
        await work_beside(work(), fails())

    assert raised.group_contains(LookupError)
    assert ended == ["work"]
