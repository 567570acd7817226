"""A replica that dies between any two of its writes leaves nothing that the next one does not put right."""

from __future__ import annotations

from typing import Any

import pytest

from conductor_kube import KubeClient
from conductor_model.kinds import MYSQL_INSTANCE

pytestmark = pytest.mark.integration


class Died(BaseException):
    """The process is gone."""


class MortalClient(KubeClient):
    """Carries out so many writes; the next one never leaves the process."""

    def __init__(self, inner: KubeClient, writes: int) -> None:
        self._inner = inner
        self.left = writes

    def _spend(self) -> None:
        if self.left == 0:
            raise Died
        self.left -= 1

    async def get(self, *args: Any, **kwargs: Any) -> bytes:
        return await self._inner.get(*args, **kwargs)

    async def create(self, *args: Any, **kwargs: Any) -> bytes:
        self._spend()
        return await self._inner.create(*args, **kwargs)

    async def merge_patch(self, *args: Any, **kwargs: Any) -> bytes:
        self._spend()
        return await self._inner.merge_patch(*args, **kwargs)

    async def apply(self, *args: Any, **kwargs: Any) -> bytes:
        self._spend()
        return await self._inner.apply(*args, **kwargs)

    async def delete(self, *args: Any, **kwargs: Any) -> None:
        self._spend()
        await self._inner.delete(*args, **kwargs)


async def run_to_the_end_with_a_death_after(world, writes: int) -> bool:
    """False when the run needed no more than that many writes."""
    client = MortalClient(world.client, writes)
    world.handler = world.make_handler(client)
    try:
        await world.handle()
    except Died:
        world.restart()
        await world.handle()
        return True
    return False


@pytest.mark.parametrize("writes", range(5))
async def test_publishing_is_finished_by_the_next_replica(world, make_database, writes):
    database = make_database(host="10.1.2.3")
    world.bound_claim(database)

    assert await run_to_the_end_with_a_death_after(world, writes)

    assert world.connection_objects() == {
        ("Secret", "orders"),
        ("ConfigMap", "orders"),
        ("Service", "orders"),
        ("EndpointSlice", "orders-ipv4"),
    }
    assert world.secret()["password"] == database.password
    assert world.ready()["status"] == "True"


@pytest.mark.parametrize("writes", range(4))
async def test_a_new_endpoint_and_password_are_finished_by_the_next_replica(world, make_database, writes):
    database = make_database()
    world.bound_claim(database)
    await world.handle()
    database.host, database.password = "10.9.8.7", "rotated"
    world.write_credentials(database)
    world.write_database_status(database)

    assert await run_to_the_end_with_a_death_after(world, writes)

    assert (world.secret()["host"], world.secret()["password"]) == ("10.9.8.7", "rotated")
    assert world.config_map()["host"] == "10.9.8.7"
    assert world.service()["spec"]["clusterIP"] == "None"
    assert ("EndpointSlice", "orders-ipv4") in world.connection_objects()


@pytest.mark.parametrize("writes", range(8))
async def test_a_renaming_is_finished_by_the_next_replica(world, make_database, writes):
    world.bound_claim(make_database())
    await world.handle()
    names = {"secretName": "s", "configMapName": "c", "serviceName": "v"}
    world.api.merge_patch(MYSQL_INSTANCE, world.namespace, "orders", {"spec": {"connection": names}})

    assert await run_to_the_end_with_a_death_after(world, writes)

    assert world.connection_objects() == {("Secret", "s"), ("ConfigMap", "c"), ("Service", "v")}
    assert world.claim()["status"]["binding"] == {"name": "s"}
