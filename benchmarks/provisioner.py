"""Measures the provisioner library: ``python -m benchmarks provisioner [--resources N] [--json FILE]``.

Two questions, on a real API server and broker, with a cloud that only takes time:

1. How much more do 2 and 4 replicas provision than one, when every call to the cloud takes a second? Each replica makes
   16 calls of an account at once, as by default. Timed from the first resource's creation to the last one's Ready.
2. What does one replica need while 1,000 resources are being created at once: memory, threads?
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
_PATIENCE = 900


@dataclass(frozen=True)
class Figures:
    """What is printed, and written as JSON."""

    machine: str
    resources: int
    per_second: dict[int, float]
    """Resources that became Ready a second, by the number of replicas."""
    speedup: dict[int, float]
    at_once: int
    memory_mb: float
    """The most that the replica ever had resident, while ``at_once`` resources were being created."""
    threads: int


class States:
    """How far the resources of the present round are, by a watch."""

    def __init__(self, client: KubeClient) -> None:
        self.creating: set[str] = set()
        self.ready: set[str] = set()
        self._news = asyncio.Condition()
        self._task = asyncio.create_task(self._follow(client))

    async def wait(self, what: str, names: set[str]) -> None:
        """Until all of them are ``creating`` (or further), or ``ready``."""
        async with asyncio.timeout(_PATIENCE), self._news:
            await self._news.wait_for(lambda: names <= getattr(self, what))

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
                    self.ready.add(found.metadata.name)
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


async def measure_throughput(
    environment: Environment, client: KubeClient, states: States, resources: int
) -> dict[int, float]:
    per_second: dict[int, float] = {}
    for replicas in REPLICAS:
        variables = settings(call=CALL_SECONDS, create=0)
        started = [environment.start_service(SERVICE, number, variables) for number in range(replicas)]
        for process in started:
            await asyncio.to_thread(process.wait_ready)
        names = [f"with-{replicas}-{number}" for number in range(resources)]
        began = time.monotonic()
        await create_all(client, names)
        await states.wait("ready", set(names))
        per_second[replicas] = resources / (time.monotonic() - began)
        await stop(environment)
    return per_second


async def measure_at_once(environment: Environment, client: KubeClient, states: States) -> tuple[float, int]:
    """Memory in MB and threads of a replica that has so many under way."""
    process = environment.start_service(SERVICE, 0, settings(call=0.05, create=60))
    await asyncio.to_thread(process.wait_ready)
    names = {f"at-once-{number}" for number in range(AT_ONCE)}
    await create_all(client, sorted(names))
    await states.wait("creating", names)
    status = process_status(process.pid)
    await states.wait("ready", names)
    await stop(environment)
    return int(status["VmHWM"].split()[0]) / 1024, int(status["Threads"])


def process_status(pid: int | None) -> dict[str, str]:
    """What the kernel says of a process, by its words."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return dict(line.split(":", 1) for line in lines)


def settings(*, call: float, create: float) -> dict[str, str]:
    return {
        "BENCHMARK_CALL_SECONDS": str(call),
        "BENCHMARK_CREATE_SECONDS": str(create),
        "CONDUCTOR_AWS_RATE": "1000",
        "CONDUCTOR_AWS_BURST": "1000",
        "CONDUCTOR_LOG_LEVEL": "warning",
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
    }


async def stop(environment: Environment) -> None:
    ours = [each for each in environment.services if each.service == SERVICE]
    for process in ours:
        await asyncio.to_thread(process.terminate)
        environment.services.remove(process)


async def run(environment: Environment, resources: int) -> Figures:
    watcher = environment.start_service("watcher", extra_env={"CONDUCTOR_LOG_LEVEL": "warning"})
    await asyncio.to_thread(watcher.wait_ready)
    kubeconfig = str(environment.control_plane.kubeconfig)
    async with await KubeClient.open(user_agent="benchmark", kubeconfig=kubeconfig) as client:
        states = States(client)
        memory, threads = await measure_at_once(environment, client, states)
        per_second = await measure_throughput(environment, client, states, resources)
        states.close()
    return Figures(
        machine=f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        resources=resources,
        per_second=per_second,
        speedup={replicas: rate / per_second[1] for replicas, rate in per_second.items()},
        at_once=AT_ONCE,
        memory_mb=memory,
        threads=threads,
    )


def show(figures: Figures) -> None:
    print(
        f"\nmachine: {figures.machine}, all parts on it; every call to the cloud takes {CALL_SECONDS:.0f} s"
    )
    for replicas, rate in figures.per_second.items():
        print(
            f"{replicas} replicas, {figures.resources} resources   {rate:7.1f} a second"
            f"   {figures.speedup[replicas]:5.2f} x"
        )
    print(
        f"{figures.at_once} being created in one replica   {figures.memory_mb:7.0f} MB at most"
        f"   {figures.threads} threads"
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks provisioner", description=__doc__)
    parser.add_argument("--resources", type=int, default=480, help="in each round (default: 480)")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="conductor-bench-") as folder:
        progress = Progress()
        with Environment.start(Path(folder), rds_delay=0, fsync=True, progress=progress) as environment:
            figures = asyncio.run(run(environment, options.resources))
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(asdict(figures), indent=2) + "\n", encoding="utf-8")
    return 0
