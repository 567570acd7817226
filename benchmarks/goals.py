"""What Conductor is to reach, and whether a run reached it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.figures import Figures, ProvisionerFigures, SchedulerFigures

BURST = 300
FLAT = (100, 1000)
BENCHMARK_CLAIMS = 1000
SERVICES = ("watcher", "scheduler", "noop-provisioner", "aws-provisioner", "secrets-writer")


@dataclass(frozen=True)
class Verdict:
    goal: str
    measured: str
    reached: bool

    @property
    def outcome(self) -> str:
        return "reached" if self.reached else "MISSED"


def verdicts(figures: Figures) -> Iterator[Verdict]:
    """On each goal that this run measured."""
    burst = figures.burst(BURST)
    if burst:
        yield Verdict(
            f"burst of {BURST}: >= 40 claims/s", f"{burst.per_second:.1f} claims/s", burst.per_second >= 40
        )
        if figures.ceiling:
            ratio = burst.per_second / figures.ceiling.per_second
            yield Verdict(f"burst of {BURST}: >= 0.5 of the raw ceiling", f"{ratio:.2f}", ratio >= 0.5)
        yield Verdict(
            f"burst of {BURST}: create to Ready p50 <= 4 s",
            f"{burst.latency.p50:.2f} s",
            burst.latency.p50 <= 4,
        )
        writes = sum(burst.usage.writes.values()) / burst.claims
        yield Verdict("API writes per claim <= 10", f"{writes:.2f}", writes <= 10)
        server = burst.usage.cpu.get("kube-apiserver")
        if server is not None:
            each = server / burst.claims
            yield Verdict("kube-apiserver CPU per claim <= 0.03 s", f"{each:.4f} s", each <= 0.03)
    few, many = (figures.burst(claims) for claims in FLAT)
    if few and many:
        change = many.per_second / few.per_second - 1
        yield Verdict(
            f"flat cost: claims/s at {FLAT[1]} within 20 % of {FLAT[0]}", f"{change:+.0%}", abs(change) <= 0.2
        )
    if figures.alone:
        alone = figures.alone.latency.p50
        yield Verdict(
            "one claim alone, create to Ready p50 <= 150 ms", f"{1000 * alone:.0f} ms", alone <= 0.15
        )
    if figures.idle and figures.idle.claims >= BENCHMARK_CLAIMS:
        usage = figures.idle.usage
        count = sum(usage.writes.values())
        yield Verdict("idle with 1,000 claims: no API writes", str(count), count == 0)
        busiest = max((usage.cpu[name], name) for name in SERVICES if name in usage.cpu)
        share = busiest[0] / usage.seconds
        yield Verdict(
            "idle with 1,000 claims: each service < 1 % CPU",
            f"{100 * share:.2f} % ({busiest[1]})",
            share < 0.01,
        )
        yield _memory("memory of each service, idle with 1,000 claims", usage.peak_memory, 100)
    if figures.many:
        count = sum(figures.many.writes.values())
        yield Verdict(
            f"started where {figures.many.objects:,} objects are as they should be: no API writes",
            str(count),
            count == 0,
        )
        yield _memory(
            f"memory of each service with {figures.many.objects:,} objects", figures.many.memory, 300
        )


def of_scheduler(figures: SchedulerFigures) -> Iterator[Verdict]:
    """On decisions about many candidates with a few dozen different offers, as those of an installation are."""
    for each in figures.decisions:
        if each.offers < each.candidates:
            yield Verdict(
                f"scheduler: >= 1,000 decisions/s with {each.candidates:,} candidates",
                f"{each.per_second:,.0f}/s",
                each.per_second >= 1000,
            )
    if figures.waiting >= BENCHMARK_CLAIMS:
        yield Verdict(
            f"a resource appears that fits one of {figures.waiting:,} waiting claims: Bound within 0.5 s",
            f"{1000 * figures.bound_longest:.0f} ms",
            figures.bound_longest <= 0.5,
        )
    if figures.objects:
        megabytes = figures.memory / 2**20
        yield Verdict(
            f"scheduler's memory with {figures.objects:,} objects <= 300 MB",
            f"{megabytes:.0f} MB",
            megabytes <= 300,
        )


def of_provisioner(figures: ProvisionerFigures) -> Iterator[Verdict]:
    for each in figures.rounds:
        if each.replicas == 4:
            speedup = figures.speedup(each)
            yield Verdict(
                f"provisioner replicas 1 -> 4 with {figures.call_seconds:g} s cloud calls: >= 3.5 x",
                f"{speedup:.2f} x ({each.per_second / speedup:.1f} -> {each.per_second:.1f}/s)",
                speedup >= 3.5,
            )


def _memory(what: str, memory: Mapping[str, int], megabytes: int) -> Verdict:
    most, service = max((memory[name], name) for name in SERVICES if name in memory)
    found = most / 2**20
    return Verdict(f"{what} <= {megabytes} MB", f"{found:.0f} MB ({service})", found <= megabytes)
