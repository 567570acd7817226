"""A cloud that is down, and many resources in it: few calls, its own words on each of them, and all go on afterwards."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

from opentelemetry import trace
from prometheus_client import CollectorRegistry

from conductor_bus import ObjectMessage, Work
from conductor_model.conditions import condition
from conductor_provisioner import Account, Retryable, Transient
from conductor_provisioner.accounts import Accounts, ProviderConfigs
from conductor_provisioner.calls import thread_pool
from conductor_provisioner.gate import Limits
from conductor_provisioner.managed import ManagedReconciler
from conductor_provisioner.metrics import Metrics
from conductor_provisioner.pacing import PollIntervals

BOXES = 25
ROUNDS = 8


class DownFactory:
    """Opens the world's driver with calls that fail while the cloud is down."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self.down = True
        self.made = 0

    async def open(self, account: Account) -> Any:
        cloud, calls = self._world.cloud, account.calls
        factory = self

        class Calls:
            async def awaiting(self, action: str, target: str, call: Any) -> Any:
                async def request() -> Any:
                    factory.made += 1
                    if factory.down:
                        raise Transient(action, target, "503", "the region is on fire")
                    return await call()

                return await calls.awaiting(action, target, request)

        cloud.calls = Calls()
        return self._world.driver

    async def close(self, driver: Any) -> None:
        return None


async def test_an_outage_makes_backoff_not_a_storm_and_is_told_in_the_clouds_words(
    world: Any, build: Any
) -> None:
    factory, configs, threads = DownFactory(world), ProviderConfigs(), thread_pool()
    configs.put()
    world.cloud.answers_at_once = True
    metrics = Metrics(CollectorRegistry())
    boxes = [build() for _ in range(BOXES)]
    for number, box in enumerate(boxes):
        metadata = {"name": f"box-{number}", "uid": f"uid-{number}"}
        boxes[number] = world.cluster.put(box, **metadata)
    accounts = Accounts(
        "unknown",
        {boxes[0].gvk.group_kind: factory},
        configs,
        lambda namespace, name: None,  # type: ignore[arg-type, return-value]
        finalizer="x",
        limits=Limits(),
        threads=threads,
        metrics=metrics,
        tracer=trace.get_tracer("test"),
        monotonic=world.seconds,
        random=random.random,
    )
    reconciler = ManagedReconciler(
        type(boxes[0]),
        world.cluster,
        accounts,
        cluster_id="cluster",
        poll=PollIntervals(),
        settle_deleted=60,
        metrics=metrics,
        now=lambda: world.time,
        monotonic=world.seconds,
        random=random.random,
        new_password=lambda: "generated",
    )

    async def all_are_handled(deliveries: int) -> None:
        for key in [box.key for box in boxes]:
            now = world.cluster.objects[key]
            message = ObjectMessage(
                key=key,
                uid=now.uid,
                resource_version=now.metadata.resource_version,
                deleted=False,
                data=now.model_dump_json(by_alias=True, exclude_none=True).encode(),
                sequence=1,
                time=world.time,
                traceparent=None,
                deliveries=deliveries,
            )
            with suppress(Retryable):
                await reconciler.handle(Work(key, message, message))

    for deliveries in range(1, ROUNDS + 1):
        await all_are_handled(deliveries)
        world.time = world.time.replace(second=deliveries)

    assert factory.made < BOXES, f"{factory.made} calls for {BOXES * ROUNDS} handlings"
    for box in world.cluster.objects.values():
        synced = condition(box.status.conditions, "Synced")
        assert synced is not None
        assert (synced.status, synced.reason) == ("False", "ReconcileError")
        assert "503: the region is on fire" in synced.message

    factory.down = False
    world.time = world.time.replace(minute=5)
    for _ in range(3):
        await all_are_handled(1)
    ready = [condition(box.status.conditions, "Ready") for box in world.cluster.objects.values()]
    assert [each.status for each in ready if each is not None] == ["True"] * BOXES
    threads.shutdown(wait=False)
