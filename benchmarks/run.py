"""One run of the benchmark: its phases in an order in which none disturbs the next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine, phases
from benchmarks.claims import Watch
from benchmarks.figures import Arrivals, Burst, Figures
from benchmarks.stage import Cloud, Stage
from conductor_dev.progress import Progress
from conductor_kube import KubeClient
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE

PHASES = ("ceiling", "alone", "burst", "idle", "deletion", "arrivals", "many")
BY_DEFAULT = frozenset(PHASES) - {"many"}
"""Within ten minutes."""


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    only: frozenset[str] = BY_DEFAULT
    alone: int = 20
    claims: tuple[int, ...] = (50, 100, 300, 1000)
    raw_claims: int = 300
    rates: tuple[float, ...] = (1, 10, 30)
    seconds: float = 60
    """Of each rate, and of idleness."""
    many: int = 5000
    """Claims, and as many resources."""
    create_seconds: float = 0
    cloud: Cloud = Cloud.NOOP


async def run(folder: Path, plan: Plan) -> Figures:
    progress, facts = Progress(), machine.here()
    with Stage.set(folder, plan.cloud, plan.create_seconds, progress) as stage:
        async with await KubeClient.open(user_agent="benchmark", kubeconfig=stage.kubeconfig) as client:
            found: dict[str, Any] = {}
            like = await phases.pattern(stage, client)
            if "ceiling" in plan.only:
                with progress.step(f"the writes of {plan.raw_claims} claims by a plain client"):
                    found["ceiling"] = await phases.raw_ceiling(stage, like, plan.raw_claims)
            watch, resources = Watch(client, MYSQL_INSTANCE), Watch(client, RDS_INSTANCE)
            await watch.start()
            await resources.start()
            found |= await _measure(stage, client, watch, resources, plan, progress)
            left = sorted(watch.present)
            await watch.close()
            await resources.close()
            if "many" in plan.only:
                with progress.step(f"{plan.many} claims that exist already"):
                    await phases.clear(stage.environment, client, left)
                    found["many"] = await phases.many(stage, like, plan.many)
    return Figures(machine=facts, cloud=_described(plan), **found)


async def _measure(
    stage: Stage, client: KubeClient, watch: Watch, resources: Watch, plan: Plan, progress: Progress
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "alone" in plan.only:
        with progress.step(f"{plan.alone} claims, one after the other"):
            found["alone"] = await phases.alone(client, watch, plan.alone)
            await phases.clear(stage.environment, client, sorted(watch.present))
    bursts: list[Burst] = []
    if plan.only & {"burst", "idle", "deletion"}:
        for claims in plan.claims if "burst" in plan.only else plan.claims[-1:]:
            if watch.present:
                with progress.step(f"deleting {len(watch.present)} claims"):
                    await phases.clear(stage.environment, client, sorted(watch.present))
            with progress.step(f"a burst of {claims} claims"):
                bursts.append(await phases.burst(stage, client, watch, claims))
            progress.say(f"    {bursts[-1].per_second:.1f} claims/s")
        found["bursts"] = tuple(bursts)
    if "idle" in plan.only:
        with progress.step(f"idle with {len(watch.present)} claims for {plan.seconds:g} s"):
            found["idle"] = await phases.idle(stage, len(watch.present), plan.seconds)
    if "deletion" in plan.only:
        with progress.step(f"deletion of {len(watch.present)} claims"):
            found["deletion"] = await phases.deletion(stage, client, watch, resources, sorted(watch.present))
    arrivals: list[Arrivals] = []
    for rate in plan.rates if "arrivals" in plan.only else ():
        with progress.step(f"{rate:g} claims a second for {plan.seconds:g} s"):
            arrivals.append(await phases.arrivals(stage, client, watch, rate, plan.seconds))
    return {**found, "arrivals": tuple(arrivals)}


def _described(plan: Plan) -> str:
    names = {
        Cloud.NOOP: "a driver without a cloud",
        Cloud.MOTO: "the aws-provisioner with the AWS stand-in",
    }
    after = f"after {plan.create_seconds:g} s" if plan.create_seconds else "at once"
    return f"{names[plan.cloud]}, resources ready {after}"
