"""Measures the scheduler: decisions per second, memory, and how soon a claim has what has just appeared.

``python -m benchmarks.scheduler [--only decisions|memory|appears] [--waiting N]``. Decisions are made by the scheduler's own
code over a view in memory, each followed by the change that it makes, and are timed in processor
time; memory is that of a process that holds the view; the last figure is taken on real parts, from the moment in which a
watch hears that the resource is ready.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import machine, results
from benchmarks.figures import Decisions, SchedulerFigures, percentile
from conductor_dev.environment import Environment
from conductor_dev.progress import Progress
from conductor_kube import Changed, KubeClient, Reflector, Synced
from conductor_model.claims import Claim
from conductor_model.conditions import Condition, is_true
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS
from conductor_model.meta import KubeObject, Model
from conductor_model.refs import GroupVersionKind, ObjectKey, ResourceType
from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.decide import Bind, committed, decide
from conductor_scheduler.policy import Policy
from conductor_scheduler.view import View

CANDIDATES = 1000
CLASSES = 50
DECISIONS = 3000
OBJECTS = 10_000
NAMESPACE, SYSTEM = "benchmark", "conductor-system"
CREATORS = 16


def manifest(type: ResourceType, namespace: str, name: str, **content: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": type.gvk.api_version, "kind": type.gvk.kind, "metadata": metadata, **content}


def stored(found: dict[str, Any], uid: str) -> dict[str, Any]:
    """As the API server would show it."""
    more = {"uid": uid, "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {**found, "metadata": {**found["metadata"], **more}}


def rds(number: int, *, offers: int) -> dict[str, Any]:
    """One of so many different offers."""
    capabilities = {
        "capacity": {"storage": f"{20 + number % offers}Gi"},
        "region": ("us-east-1", "eu-west-1")[number % 2],
        "cost": ("low", "medium", "high")[number % 3],
    }
    spec = {"engine": "mysql", "version": "8.0", "instance-type": "db.t3.micro", "capabilities": capabilities}
    ready = {"conditions": [{"type": "Ready", "status": "True", "reason": "Available", "message": ""}]}
    return manifest(RDS_INSTANCE, SYSTEM, f"rds-{number:05}", spec=spec, status=ready)


def resource_class(number: int) -> dict[str, Any]:
    template = {
        "apiVersion": RDS_INSTANCE.gvk.api_version,
        "kind": "RDSInstance",
        "spec": {"engine": "mysql", "version": "8.0", "instance-type": "db.t3.micro"},
    }
    offered = {"capacity": {"storage": f"{20 + number}Gi"}, "region": "us-east-1", "cost": "high"}
    return manifest(RESOURCE_CLASS, SYSTEM, f"class-{number:02}", capabilities=offered, template=template)


def claim(number: int) -> dict[str, Any]:
    asked = {
        "capacity": {"storage": f"{20 + number % 40}Gi"},
        "region": ("north-america", "eu-west-1")[number % 2],
        "cost": ("medium", "high")[number % 2],
    }
    return manifest(
        MYSQL_INSTANCE, NAMESPACE, f"claim-{number:05}", spec={"version": ">= 5.7", "requirements": asked}
    )


def put(view: View, type: ResourceType, found: dict[str, Any], uid: str) -> ObjectKey:
    key = ObjectKey(type.group_kind, found["metadata"]["namespace"], found["metadata"]["name"])
    view.observe(key, json.dumps(stored(found, uid)).encode())
    return key


def decisions(offers: int) -> list[float]:
    """Seconds of processor time of each decision about a claim of its own, the change that follows from it included.

    Not of the clock: others may be using the machine.

    What was bound is free again after a hundred further decisions, so that the candidates never run out.
    """
    view, policy = View(), Policy(SchedulerConfig(regions={"north-america": ("us-east-1",)}))
    for number in range(CANDIDATES):
        put(view, RDS_INSTANCE, rds(number, offers=offers), f"rds-{number}")
    for number in range(CLASSES):
        put(view, RESOURCE_CLASS, resource_class(number), f"class-{number}")
    claims: list[Claim] = []
    for number in range(DECISIONS):
        claims.append(view.claims[put(view, MYSQL_INSTANCE, claim(number), f"claim-{number}")])
    bound, seconds = [], []
    for each in claims:
        began = time.thread_time()
        decision = decide(each, view, policy)
        assert isinstance(decision, Bind), decision
        view.put(decision.concrete.key, committed(each, decision.concrete))
        seconds.append(time.thread_time() - began)
        bound.append(decision.concrete)
        if len(bound) > 100:
            view.put(bound[0].key, bound.pop(0))
    return seconds


def remembered(pipe: Any) -> None:
    """Megabytes that a process has before and after it takes up the objects; in a process of its own."""

    def megabytes() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    before, view = megabytes(), View()
    for number in range(OBJECTS // 2):
        put(view, RDS_INSTANCE, rds(number, offers=50), f"rds-{number}")
        put(view, MYSQL_INSTANCE, claim(number), f"claim-{number}")
    view.catalog.changes()
    pipe.send((before, megabytes()))


def memory() -> tuple[float, float]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=remembered, args=(theirs,))
    process.start()
    before, after = ours.recv()
    process.join()
    return before, after


class _Status(Model):
    conditions: tuple[Condition, ...] = ()


class _Conditioned(KubeObject):
    """Claims and resources have conditions alike, and phases of their own."""

    status: _Status = _Status()


class Heard:
    """The moments in which a watch heard of what was waited for."""

    def __init__(self, client: KubeClient, type: ResourceType, condition: str) -> None:
        self.at: dict[str, float] = {}
        self.seen = 0
        self._news = asyncio.Condition()
        self._task = asyncio.create_task(self._follow(client, type, condition))

    async def until(self, holds: Any) -> None:
        async with self._news:
            await self._news.wait_for(holds)

    def close(self) -> None:
        self._task.cancel()

    async def _follow(self, client: KubeClient, type: ResourceType, condition: str) -> None:
        names: set[str] = set()
        async for event in Reflector(client, type):
            if isinstance(event, Synced) or not isinstance(event, Changed):
                continue
            found = _Conditioned.model_validate_json(event.raw)
            name = found.metadata.name
            if found.status.conditions:
                names.add(name)
            if is_true(found.status.conditions, condition):
                self.at.setdefault(name, time.monotonic())
            async with self._news:
                self.seen = len(names)
                self._news.notify_all()


async def appears(environment: Environment, waiting: int) -> list[float]:
    """Seconds from a resource's readiness to the binding of the one waiting claim that it fits, a few times over."""
    api = environment.api
    namespaces = ResourceType(GroupVersionKind("", "v1", "Namespace"), "namespaces", namespaced=False)
    api.create(namespaces, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    kubeconfig = str(environment.control_plane.kubeconfig)
    seconds = []
    async with await KubeClient.open(user_agent="benchmark", kubeconfig=kubeconfig) as client:
        claims, resources = Heard(client, MYSQL_INSTANCE, "Bound"), Heard(client, RDS_INSTANCE, "Ready")
        numbers = iter(range(waiting))

        async def creator() -> None:
            for number in numbers:
                # The larger its number the more it asks for; only the last few ask for little enough.
                asked = {"capacity": {"storage": f"{waiting - number}Ti"}}
                name = f"claim-{number:05}"
                body = manifest(MYSQL_INSTANCE, NAMESPACE, name, spec={"requirements": asked})
                await client.create(MYSQL_INSTANCE, NAMESPACE, body, field_manager="benchmark")

        await asyncio.gather(*(creator() for _ in range(CREATORS)))
        await claims.until(lambda: claims.seen >= waiting)
        for size in range(1, 6):
            name, fitting = f"appears-{size}", f"claim-{waiting - size:05}"
            offered = {"capacity": {"storage": f"{size}Ti"}}
            spec = {
                "engine": "mysql",
                "version": "8.0",
                "instance-type": "db.t3.micro",
                "capabilities": offered,
            }
            body = manifest(RDS_INSTANCE, SYSTEM, name, spec=spec)
            await client.create(RDS_INSTANCE, SYSTEM, body, field_manager="benchmark")
            await claims.until(lambda fitting=fitting: fitting in claims.at)
            await resources.until(lambda name=name: name in resources.at)
            seconds.append(claims.at[fitting] - resources.at[name])
        claims.close()
        resources.close()
    return seconds


def measured(only: str | None, waiting: int) -> SchedulerFigures:
    figures = SchedulerFigures(machine=machine.here())
    if only in {None, "decisions"}:
        found = tuple(_decisions(offers) for offers in (CLASSES, CANDIDATES))
        figures = figures.model_copy(update={"decisions": found})
    if only in {None, "memory"}:
        before, after = memory()
        sizes = {"objects": OBJECTS, "memory_before": round(before * 2**20), "memory": round(after * 2**20)}
        figures = figures.model_copy(update=sizes)
    if only in {None, "appears"}:
        with (
            tempfile.TemporaryDirectory(prefix="conductor-bench-") as folder,
            Environment.start(Path(folder), rds_delay=0, fsync=True, progress=Progress()) as environment,
        ):
            environment.start_services({"CONDUCTOR_LOG_LEVEL": "warning"})
            seconds = asyncio.run(appears(environment, waiting))
        times = {
            "waiting": waiting,
            "bound_p50": statistics.median(seconds),
            "bound_longest": max(seconds),
        }
        figures = figures.model_copy(update=times)
    return figures


def _decisions(offers: int) -> Decisions:
    seconds = decisions(offers)
    return Decisions(
        candidates=CANDIDATES,
        offers=offers,
        classes=CLASSES,
        per_second=len(seconds) / sum(seconds),
        p50=percentile(seconds, 50),
        p99=percentile(seconds, 99),
    )


def lines(figures: SchedulerFigures) -> Iterator[str]:
    for each in figures.decisions:
        called = "all different" if each.offers == each.candidates else f"{each.offers} different offers"
        yield (
            f"{each.candidates} candidates ({called}) and {each.classes} classes: {each.per_second:,.0f} decisions/s, "
            f"p50 {1000 * each.p50:.2f} ms, p99 {1000 * each.p99:.2f} ms"
        )
    if figures.objects:
        before, after = figures.memory_before / 2**20, figures.memory / 2**20
        yield f"{figures.objects:,} objects: {after:.0f} MB, of which {before:.0f} MB without any"
    if figures.waiting:
        yield (
            f"{figures.waiting} claims wait, a resource that fits one appears: Bound after "
            f"p50 {1000 * figures.bound_p50:.0f} ms, at most {1000 * figures.bound_longest:.0f} ms"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scheduler", description=__doc__)
    parser.add_argument("--only", choices=("decisions", "memory", "appears"))
    parser.add_argument("--waiting", type=int, default=1000, help="claims that wait (default: 1000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file, too")
    options = parser.parse_args()
    figures = measured(options.only, options.waiting)
    for line in lines(figures):
        print(line)
    if options.json:
        results.write(options.json, figures)


if __name__ == "__main__":
    main()
