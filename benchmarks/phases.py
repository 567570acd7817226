"""What is done to Conductor in a run, one function for each thing that is measured."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Iterator
from functools import partial

from benchmarks import ceiling, procfs
from benchmarks.claims import NAMESPACE, PATIENCE, SYSTEM, Watch, create, create_all, delete_all, is_ready
from benchmarks.figures import Alone, Arrivals, Burst, Ceiling, Deletion, Idle, Latency, Many
from benchmarks.meter import measuring, pids
from benchmarks.stage import Stage
from conductor_dev.environment import Environment
from conductor_kube import KubeClient
from conductor_kube.builtin import CONFIG_MAPS, SECRETS, SERVICES
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE
from conductor_model.refs import ResourceType

PATTERN = "pattern"
"""The claim whose writes the raw ceiling repeats."""
QUIET_SECONDS = 5.0
_LOOK_EVERY = 0.5


async def alone(client: KubeClient, watch: Watch, claims: int) -> Alone:
    """Claims that come one by one, each when the former is Ready; one more warms up and is not counted."""
    latencies = []
    for number in range(claims + 1):
        name = f"alone-{number}"
        sent = await create(client, name)
        await watch.wait_ready({name})
        latencies.append(watch.ready[name] - sent)
    return Alone(claims=claims, latency=Latency.of(latencies[1:], first=latencies[0]))


async def burst(stage: Stage, client: KubeClient, watch: Watch, claims: int) -> Burst:
    with measuring(stage.environment) as measured:
        sent = await create_all(client, [f"burst-{claims}-{number}" for number in range(claims)])
        await watch.wait_ready(sent)
    began, ready = min(sent.values()), [watch.ready[name] for name in sent]
    return Burst(
        claims=claims,
        seconds=max(ready) - began,
        latency=Latency.of([watch.ready[name] - sent[name] for name in sent], first=min(ready) - began),
        usage=measured.usage,
    )


async def pattern(stage: Stage, client: KubeClient) -> ceiling.Pattern:
    """Of a claim that is made for it, and is gone afterwards."""
    api = stage.environment.api
    await create(client, PATTERN)
    ready = partial(api.wait_for, MYSQL_INSTANCE, NAMESPACE, PATTERN, is_ready, timeout=PATIENCE)
    await asyncio.to_thread(ready)
    found = await asyncio.to_thread(ceiling.Pattern.of, api, PATTERN)
    await clear(stage.environment, client, [PATTERN])
    return found


async def raw_ceiling(stage: Stage, like: ceiling.Pattern, claims: int) -> Ceiling:
    """With the services stopped, and what was written gone before they are started anew. Nobody may be watching."""
    with stage.without_services():
        with measuring(stage.environment) as measured:
            names = [f"raw-{number}" for number in range(claims)]
            seconds = await ceiling.write_all(stage.kubeconfig, like, names)
        for type, namespace in ((MYSQL_INSTANCE, NAMESPACE), (RDS_INSTANCE, SYSTEM)):
            path = type.path(namespace)
            await asyncio.to_thread(stage.environment.api.request, "DELETE", path, timeout=PATIENCE)
        await _until_gone(stage.environment)
    return Ceiling(claims=claims, writes_per_claim=ceiling.WRITES, seconds=seconds, usage=measured.usage)


async def many(stage: Stage, like: ceiling.Pattern, claims: int) -> Many:
    """The claims were written by the plain client, and are as if the services had made them Ready."""
    with stage.without_services():
        names = [f"many-{number}" for number in range(claims)]
        await ceiling.write_all(stage.kubeconfig, like, names)
    with measuring(stage.environment) as measured:
        await _until_quiet(stage.environment)
    return Many(
        objects=2 * claims,
        writes=measured.usage.writes,
        memory={name: procfs.peak_memory(pid) for name, pid in pids(stage.environment).items()},
    )


async def idle(stage: Stage, claims: int, seconds: float) -> Idle:
    """From when nothing has been written for a while on."""
    await _until_quiet(stage.environment)
    with measuring(stage.environment) as measured:
        await asyncio.sleep(seconds)
    return Idle(claims=claims, usage=measured.usage)


async def deletion(
    stage: Stage, client: KubeClient, watch: Watch, resources: Watch, names: list[str]
) -> Deletion:
    with measuring(stage.environment) as measured:
        began = time.monotonic()
        await delete_all(client, names)
        await watch.wait_gone()
        await resources.wait_gone()
        claims_gone = time.monotonic() - began
        await _until_gone(stage.environment)
        all_gone = time.monotonic() - began
    return Deletion(claims=len(names), claims_gone=claims_gone, all_gone=all_gone, usage=measured.usage)


async def arrivals(stage: Stage, client: KubeClient, watch: Watch, rate: float, seconds: float) -> Arrivals:
    """Whether or not the former claims are Ready, the next one comes when it comes."""
    sent: dict[str, float] = {}

    async def arrive(name: str) -> None:
        sent[name] = await create(client, name)

    with measuring(stage.environment) as measured:
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, after in enumerate(poisson(rate, seconds)):
                await asyncio.sleep(began + after - time.monotonic())
                group.create_task(arrive(f"arrival-{rate:g}-{number}"))
        await watch.wait_ready(sent)
    ready = [watch.ready[name] for name in sent]
    return Arrivals(
        rate=rate,
        claims=len(sent),
        seconds=max(sent.values()) - began,
        drained=max(ready) - max(sent.values()),
        latency=Latency.of([watch.ready[name] - sent[name] for name in sent], first=min(ready) - began),
        usage=measured.usage,
    )


def poisson(rate: float, seconds: float, seed: int = 1) -> Iterator[float]:
    """The moments, in seconds from the beginning, of arrivals that know nothing of one another; at least one.

    The same in every run.
    """
    rng = random.Random(f"{seed} {rate}")
    at = rng.expovariate(rate)
    yield min(at, seconds)
    while (at := at + rng.expovariate(rate)) < seconds:
        yield at


async def clear(environment: Environment, client: KubeClient, names: Iterable[str]) -> None:
    """Deletes claims, and waits until nothing of them is left."""
    await delete_all(client, names)
    await _until_gone(environment)


async def _until_gone(environment: Environment) -> None:
    """Claims, resources, and the objects beside them, which the garbage collector removes."""
    kinds: list[tuple[ResourceType, str]] = [
        (MYSQL_INSTANCE, NAMESPACE),
        (RDS_INSTANCE, SYSTEM),
        *((type, NAMESPACE) for type in (SECRETS, CONFIG_MAPS, SERVICES)),
    ]
    for type, namespace in kinds:
        deadline = time.monotonic() + PATIENCE
        while left := await asyncio.to_thread(_left, environment, type, namespace):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{left} {type.plural} are left after {PATIENCE:.0f} s")
            await asyncio.sleep(_LOOK_EVERY)


def _left(environment: Environment, type: ResourceType, namespace: str) -> int:
    found = environment.api.list(type, namespace)
    # Each namespace has this one of Kubernetes' own.
    return sum(each["metadata"]["name"] != "kube-root-ca.crt" for each in found)


async def _until_quiet(environment: Environment) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with measuring(environment) as measured:
                await asyncio.sleep(QUIET_SECONDS)
            if not measured.usage.writes:
                return
