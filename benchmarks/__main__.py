"""Measures the main job: one claim alone, a burst, API writes per claim. ``python -m benchmarks [--claims N]``.

``python -m benchmarks provisioner`` measures the provisioner library instead.

Starts an environment of its own: kube-apiserver and etcd (with fsync), NATS, a moto server that makes instances available
at once, and the four services. Everything shares this machine's cores. Creation is timed where the client sends it,
readiness where a watch hears of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import provisioner
from conductor_dev.aws import Moto
from conductor_dev.broker import BinaryNats
from conductor_dev.controlplane import EmbeddedControlPlane
from conductor_dev.environment import Environment
from conductor_dev.progress import Progress
from conductor_kube import Changed, KubeClient, Reflector, Synced
from conductor_model.conditions import is_true
from conductor_model.databases import MySQLInstance
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS
from conductor_model.refs import GroupVersionKind, ResourceType

NAMESPACE = "benchmark"
SYSTEM = "conductor-system"
CLASS = "benchmark"
CREATORS = 16
ALONE = 20
WRITE_VERBS = {"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"}
_REQUESTS = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<count>[0-9.e+]+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Figures:
    """What is printed, and written as JSON."""

    machine: str
    alone_ms_p50: float
    alone_ms_p90: float
    burst_claims: int
    burst_claims_per_second: float
    burst_ready_ms_p50: float
    burst_ready_ms_p99: float
    writes_per_claim: float
    writes_by_kind: dict[str, float]
    cpu_ms_per_claim: dict[str, float]
    """Of each part, in the burst."""


class ReadyWatch:
    """Notes when each claim was first heard of as Ready."""

    def __init__(self, client: KubeClient) -> None:
        self.ready: dict[str, float] = {}
        self._news = asyncio.Condition()
        self._synced = asyncio.Event()
        self._task = asyncio.create_task(self._follow(client))

    async def start(self) -> None:
        await self._synced.wait()

    async def wait(self, names: set[str]) -> None:
        async with self._news:
            await self._news.wait_for(lambda: names <= self.ready.keys())

    def close(self) -> None:
        self._task.cancel()

    async def _follow(self, client: KubeClient) -> None:
        async for event in Reflector(client, MYSQL_INSTANCE, namespace=NAMESPACE):
            if isinstance(event, Synced):
                self._synced.set()
            elif isinstance(event, Changed):
                claim = MySQLInstance.model_validate_json(event.raw)
                if is_true(claim.status.conditions, "Ready") and claim.metadata.name not in self.ready:
                    self.ready[claim.metadata.name] = time.monotonic()
                    async with self._news:
                        self._news.notify_all()


async def create(client: KubeClient, name: str) -> float:
    """Create a claim; the moment before it was sent."""
    sent = time.monotonic()
    await client.create(
        MYSQL_INSTANCE,
        NAMESPACE,
        {
            "apiVersion": MYSQL_INSTANCE.gvk.api_version,
            "kind": "MySQLInstance",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"resourceClass": CLASS, "requirements": {"capacity": {"storage": "20Gi"}}},
        },
        field_manager="benchmark",
    )
    return sent


async def measure_alone(client: KubeClient, watch: ReadyWatch) -> list[float]:
    """Milliseconds from create to Ready of claims that come one by one; the first warms up and is not counted."""
    times = []
    for number in range(ALONE + 1):
        name = f"alone-{number}"
        sent = await create(client, name)
        await watch.wait({name})
        times.append((watch.ready[name] - sent) * 1000)
    return times[1:]


async def measure_burst(client: KubeClient, watch: ReadyWatch, count: int) -> tuple[float, list[float]]:
    """Claims per second, and milliseconds from create to Ready of each."""
    names = iter([f"burst-{number}" for number in range(count)])
    sent: dict[str, float] = {}

    async def creator() -> None:
        for name in names:
            sent[name] = await create(client, name)

    began = time.monotonic()
    await asyncio.gather(*(creator() for _ in range(CREATORS)))
    await watch.wait(set(sent))
    ended = max(watch.ready[name] for name in sent)
    return count / (ended - began), [(watch.ready[name] - sent[name]) * 1000 for name in sent]


def writes(metrics: str) -> Counter[str]:
    """The API server's successful and failed writes so far, by resource; leases are the leaders' own heartbeat."""
    found: Counter[str] = Counter()
    for line in metrics.splitlines():
        match = _REQUESTS.match(line)
        if match is None:
            continue
        labels = dict(_LABEL.findall(match["labels"]))
        if labels["verb"] in WRITE_VERBS and labels["resource"] not in {"leases", "tokenreviews", ""}:
            resource = "/".join(part for part in (labels["resource"], labels["subresource"]) if part)
            found[f"{labels['verb']} {resource}"] += round(float(match["count"]))
    return found


def cpu_seconds(environment: Environment) -> dict[str, float]:
    """What each part's process has used so far, user and system, as the kernel counts it."""
    tick = os.sysconf("SC_CLK_TCK")
    used = {}
    for name, pid in pids(environment).items():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used[name] = (int(fields[11]) + int(fields[12])) / tick
    return used


def pids(environment: Environment) -> dict[str, int]:
    """The parts that run on this machine as processes of this environment."""
    parts = {service.service.name: service.pid for service in environment.services}
    if isinstance(environment.control_plane, EmbeddedControlPlane):
        parts |= {part.name: part.pid for part in environment.control_plane.parts}
    if isinstance(environment.nats, BinaryNats):
        parts["nats-server"] = environment.nats.part.pid
    if isinstance(environment.aws, Moto):
        parts["moto (the cloud)"] = environment.aws.part.pid
    return {name: pid for name, pid in parts.items() if pid is not None}


async def run(environment: Environment, count: int) -> Figures:
    api = environment.api
    api.create(
        ResourceType(GroupVersionKind("", "v1", "Namespace"), "namespaces", namespaced=False),
        None,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
    )
    api.create(
        RESOURCE_CLASS,
        SYSTEM,
        {
            "apiVersion": RESOURCE_CLASS.gvk.api_version,
            "kind": "ResourceClass",
            "metadata": {"name": CLASS, "namespace": SYSTEM},
            "capabilities": {"capacity": {"storage": "20Gi"}},
            "template": {
                "apiVersion": RDS_INSTANCE.gvk.api_version,
                "kind": "RDSInstance",
                "spec": {"engine": "mysql", "version": "8.0", "instance-type": "db.t3.micro"},
            },
        },
    )
    kubeconfig = str(environment.control_plane.kubeconfig)
    async with await KubeClient.open(user_agent="benchmark", kubeconfig=kubeconfig) as client:
        watch = ReadyWatch(client)
        await watch.start()
        alone = await measure_alone(client, watch)
        before, idle = api.request("GET", "/metrics").decode(), cpu_seconds(environment)
        rate, latencies = await measure_burst(client, watch, count)
        after, busy = api.request("GET", "/metrics").decode(), cpu_seconds(environment)
        watch.close()
    by_kind = writes(after) - writes(before)
    return Figures(
        machine=f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        alone_ms_p50=statistics.median(alone),
        alone_ms_p90=statistics.quantiles(alone, n=10)[-1],
        burst_claims=count,
        burst_claims_per_second=rate,
        burst_ready_ms_p50=statistics.median(latencies),
        burst_ready_ms_p99=statistics.quantiles(latencies, n=100)[-1],
        writes_per_claim=by_kind.total() / count,
        writes_by_kind={kind: number / count for kind, number in sorted(by_kind.items())},
        cpu_ms_per_claim={name: (busy[name] - idle[name]) * 1000 / count for name in busy},
    )


def show(figures: Figures) -> None:
    print(f"\nmachine: {figures.machine}, all parts on it; cloud that answers at once")
    print(f"one claim alone, create to Ready     p50 {figures.alone_ms_p50:7.0f} ms")
    print(f"                                     p90 {figures.alone_ms_p90:7.0f} ms")
    print(
        f"burst of {figures.burst_claims} from {CREATORS} creators    {figures.burst_claims_per_second:11.1f} claims/s"
    )
    print(f"          create to Ready            p50 {figures.burst_ready_ms_p50:7.0f} ms")
    print(f"                                     p99 {figures.burst_ready_ms_p99:7.0f} ms")
    print(f"API writes per claim                {figures.writes_per_claim:12.2f}")
    for kind, number in figures.writes_by_kind.items():
        print(f"    {kind:<32}{number:12.2f}")
    print("CPU per claim of the burst")
    for name, milliseconds in sorted(figures.cpu_ms_per_claim.items(), key=lambda each: -each[1]):
        print(f"    {name:<32}{milliseconds:9.1f} ms")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--claims", type=int, default=100, help="size of the burst (default: 100)")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="conductor-bench-") as folder:
        progress = Progress()
        with Environment.start(Path(folder), rds_delay=0, fsync=True, progress=progress) as environment:
            environment.start_services({"CONDUCTOR_LOG_LEVEL": "warning"})
            figures = asyncio.run(run(environment, options.claims))
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(asdict(figures), indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["provisioner"]:
        sys.exit(provisioner.main(sys.argv[2:]))
    sys.exit(main())
