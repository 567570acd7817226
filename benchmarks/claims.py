"""The claims that are measured: how one is written, created and deleted, and a watch that times what becomes of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from conductor_kube import Changed, Deleted, KubeClient, Reflector, Synced
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS
from conductor_model.refs import ResourceType

NAMESPACE = "benchmark"
SYSTEM = "conductor-system"
CLASS = "benchmark"
CREATORS = 16
MANAGER = "benchmark"
PATIENCE = 900.0
"""Seconds. What takes longer has come to a halt."""

RESOURCE_CLASS_MANIFEST = {
    "apiVersion": RESOURCE_CLASS.gvk.api_version,
    "kind": RESOURCE_CLASS.gvk.kind,
    "metadata": {"name": CLASS, "namespace": SYSTEM},
    "capabilities": {"capacity": {"storage": "20Gi"}},
    "rebindPolicy": "Delete",
    "template": {
        "apiVersion": RDS_INSTANCE.gvk.api_version,
        "kind": RDS_INSTANCE.gvk.kind,
        "spec": {
            "engine": "mysql",
            "version": "8.0",
            "instance-type": "db.t3.micro",
            "skipFinalSnapshot": True,
        },
    },
}


def manifest(name: str) -> dict[str, Any]:
    """A claim that is provisioned anew from the benchmark's class."""
    return {
        "apiVersion": MYSQL_INSTANCE.gvk.api_version,
        "kind": MYSQL_INSTANCE.gvk.kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"resourceClass": CLASS, "requirements": {"capacity": {"storage": "20Gi"}}},
    }


async def create(client: KubeClient, name: str) -> float:
    """The moment before its creation was sent."""
    body = manifest(name)
    sent = time.monotonic()
    await client.create(MYSQL_INSTANCE, NAMESPACE, body, field_manager=MANAGER)
    return sent


async def create_all(client: KubeClient, names: Iterable[str]) -> dict[str, float]:
    """By `CREATORS` at once, each of which creates its next claim when its last one was accepted."""
    sent: dict[str, float] = {}
    left = iter(list(names))

    async def creator() -> None:
        for name in left:
            sent[name] = await create(client, name)

    await asyncio.gather(*(creator() for _ in range(CREATORS)))
    return sent


async def delete_all(client: KubeClient, names: Iterable[str]) -> None:
    left = iter(list(names))

    async def deleter() -> None:
        for name in left:
            await client.delete(MYSQL_INSTANCE, NAMESPACE, name)

    await asyncio.gather(*(deleter() for _ in range(CREATORS)))


class Watch:
    """Of all objects of a kind: which there are, and when each was first heard of as Ready."""

    def __init__(self, client: KubeClient, type: ResourceType) -> None:
        self.present: set[str] = set()
        self.ready: dict[str, float] = {}
        self._news = asyncio.Condition()
        self._synced = asyncio.Event()
        self._task = asyncio.create_task(self._follow(client, type))

    async def start(self) -> None:
        await self._until(self._synced.wait())

    async def wait_ready(self, names: Iterable[str]) -> None:
        missing = set(names)

        def all_ready() -> bool:
            missing.difference_update(self.ready)
            return not missing

        await self._until(self._hear(all_ready))

    async def wait_gone(self) -> None:
        await self._until(self._hear(lambda: not self.present))

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _until(self, waiting: Any) -> None:
        """Raises what ended the watch, and TimeoutError after `PATIENCE`."""
        waiter = asyncio.ensure_future(waiting)
        await asyncio.wait({waiter, self._task}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if waiter.done():
            await waiter
            return
        waiter.cancel()
        if self._task.done():
            self._task.result()
        raise TimeoutError(f"not so after {PATIENCE:.0f} s: see the logs of the services")

    async def _hear(self, holds: Callable[[], bool]) -> None:
        async with self._news:
            await self._news.wait_for(holds)

    async def _follow(self, client: KubeClient, type: ResourceType) -> None:
        async for event in Reflector(client, type):
            heard = time.monotonic()
            match event:
                case Synced():
                    self._synced.set()
                    continue
                case Changed(key, raw=raw):
                    self.present.add(key.name)
                    if key.name in self.ready or not is_ready(json.loads(raw)):
                        continue
                    self.ready[key.name] = heard
                case Deleted(key):
                    self.present.discard(key.name)
                    self.ready.pop(key.name, None)
                case _:
                    continue
            async with self._news:
                self._news.notify_all()


def is_ready(found: Mapping[str, Any]) -> bool:
    conditions = found.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
