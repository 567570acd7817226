"""Measures the provisioner library: ``python -m benchmarks provisioner [--resources N] [--json FILE]``.

Two questions, on a real API server and broker, with a cloud that only takes time:

1. How much more do 2 and 4 replicas provision than one, when every call to the cloud takes a second? Each replica makes
   16 calls of an account at once, as by default, and a resource needs two: 8 resources a second and replica are the most
   that there can be. Each replica has as many resources to make, and the pace is that of the middle of the round: how
   soon the first ones come, and how the last ones leave replicas without work, is told apart from it.
2. What does one replica need while 1,000 resources are being created at once: memory, threads?
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, procfs, results
from benchmarks.figures import ProvisionerFigures, Round
from benchmarks.meter import measuring
from benchmarks.stage import noop_settings
from conductor_dev.environment import Environment
from conductor_dev.progress import Progress
from conductor_dev.services import Service
from conductor_kube import Changed, KubeClient, Reflector
from conductor_model.annotations import PROVISIONER_FINALIZER
from conductor_model.conditions import is_true
from conductor_model.kinds import RDS_INSTANCE
from conductor_model.rds import RDSInstance

NAMESPACE = "conductor-system"
SERVICE = Service("aws-provisioner", "benchmarks.noop_provisioner", "conductor-aws-provisioner")
REPLICAS = (1, 2, 4)
AT_ONCE = 1000
CREATORS = 16
CALL_SECONDS = 1.0
MIDDLE = (0.2, 0.8)
"""Of the resources of a round: where its pace is measured."""
_PATIENCE = 600


class States:
    """How far the resources of the present round are, by a watch."""

    def __init__(self, client: KubeClient) -> None:
        self.creating: set[str] = set()
        self.ready: dict[str, float] = {}
        """And when that was heard of."""
        self._news = asyncio.Condition()
        self._task = asyncio.create_task(self._follow(client))

    async def wait(self, what: str, names: set[str]) -> None:
        """Until all of them are ``creating`` (or further), or ``ready``."""
        async with asyncio.timeout(_PATIENCE), self._news:
            await self._news.wait_for(lambda: names <= set(getattr(self, what)))

    def close(self) -> None:
        self._task.cancel()

    async def _follow(self, client: KubeClient) -> None:
        async for event in Reflector(client, RDS_INSTANCE):
            if not isinstance(event, Changed):
                continue
            found = RDSInstance.model_validate_json(event.raw)
            async with self._news:
                if found.status.instance_status is not None:
                    self.creating.add(found.metadata.name)
                if is_true(found.status.conditions, "Ready"):
                    self.ready.setdefault(found.metadata.name, time.monotonic())
                self._news.notify_all()


async def create_all(client: KubeClient, names: list[str]) -> None:
    waiting = iter(names)

    async def creator() -> None:
        for name in waiting:
            body: dict[str, Any] = {
                "apiVersion": RDS_INSTANCE.gvk.api_version,
                "kind": RDS_INSTANCE.gvk.kind,
                # As the scheduler makes one for a claim.
                "metadata": {"name": name, "namespace": NAMESPACE, "finalizers": [PROVISIONER_FINALIZER]},
                "spec": {"engine": "mysql", "instance-type": "db.t3.micro", "allocatedStorage": 20},
            }
            await client.create(RDS_INSTANCE, NAMESPACE, body, field_manager="benchmark")

    await asyncio.gather(*(creator() for _ in range(CREATORS)))


async def measure_round(
    environment: Environment, client: KubeClient, states: States, replicas: int, resources: int
) -> Round:
    """So many resources for each of the replicas."""
    variables = noop_settings(call=CALL_SECONDS)
    started = [environment.start_service(SERVICE, number, variables) for number in range(replicas)]
    for process in started:
        await asyncio.to_thread(process.wait_ready)
    names = [f"with-{replicas}-{number}" for number in range(resources * replicas)]
    with measuring(environment) as measured:
        began = time.monotonic()
        await create_all(client, names)
        await states.wait("ready", set(names))
    await stop(environment)
    ready = sorted(states.ready[name] for name in names)
    return Round(
        replicas=replicas,
        resources=len(names),
        seconds=ready[-1] - began,
        per_second=pace(ready),
        usage=measured.usage,
    )


def pace(moments: Sequence[float]) -> float:
    """Events a second in the middle of a round: the slope of their count over time.

    Not their number by the time between the first and the last of them: they come in batches.
    """
    begin, end = (round(len(moments) * share) for share in MIDDLE)
    return statistics.linear_regression(moments[begin:end], range(begin, end)).slope


async def measure_at_once(environment: Environment, client: KubeClient, states: States) -> tuple[int, int]:
    """Memory in bytes and threads of a replica that has so many under way."""
    process = environment.start_service(SERVICE, 0, noop_settings(call=0.05, create=60))
    await asyncio.to_thread(process.wait_ready)
    names = {f"at-once-{number}" for number in range(AT_ONCE)}
    await create_all(client, sorted(names))
    await states.wait("creating", names)
    assert process.pid is not None
    memory, threads = procfs.peak_memory(process.pid), int(procfs.status(process.pid)["Threads"])
    await states.wait("ready", names)
    await stop(environment)
    return memory, threads


async def stop(environment: Environment) -> None:
    ours = [each for each in environment.services if each.service == SERVICE]
    for process in ours:
        await asyncio.to_thread(process.terminate)
        environment.services.remove(process)


async def run(environment: Environment, resources: int, progress: Progress) -> ProvisionerFigures:
    facts = machine.here()
    watcher = environment.start_service("watcher", extra_env={"CONDUCTOR_LOG_LEVEL": "warning"})
    await asyncio.to_thread(watcher.wait_ready)
    kubeconfig = str(environment.control_plane.kubeconfig)
    rounds = []
    async with await KubeClient.open(user_agent="benchmark", kubeconfig=kubeconfig) as client:
        states = States(client)
        with progress.step(f"{AT_ONCE} resources being created at once by one replica"):
            memory, threads = await measure_at_once(environment, client, states)
        for replicas in REPLICAS:
            with progress.step(f"{resources * replicas} resources, replicas: {replicas}"):
                rounds.append(await measure_round(environment, client, states, replicas, resources))
        states.close()
    return ProvisionerFigures(
        machine=facts,
        call_seconds=CALL_SECONDS,
        rounds=tuple(rounds),
        at_once=AT_ONCE,
        memory=memory,
        threads=threads,
    )


def lines(figures: ProvisionerFigures) -> Iterator[str]:
    yield f"every call to the cloud takes {figures.call_seconds:g} s; resources a second in the middle of a round"
    for each in figures.rounds:
        yield (
            f"replicas: {each.replicas}   {each.per_second:6.1f} a second   {figures.speedup(each):5.2f} x   "
            f"({each.resources / each.seconds:.1f} from the first creation to the last one Ready; "
            f"cores busy {each.usage.busy:.2f}, of them with others {each.usage.others:.2f})"
        )
    yield (
        f"{figures.at_once} being created in one replica: {figures.memory / 2**20:.0f} MB at most, "
        f"{figures.threads} threads"
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks provisioner", description=__doc__)
    parser.add_argument(
        "--resources", type=int, default=320, help="for each replica in each round (default: 320)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file, too")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="conductor-bench-") as folder:
        progress = Progress()
        with Environment.start(Path(folder), rds_delay=0, fsync=True, progress=progress) as environment:
            figures = asyncio.run(run(environment, options.resources, progress))
    for line in lines(figures):
        print(line)
    if options.json:
        results.write(options.json, figures)
    return 0
