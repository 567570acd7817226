"""The figures of a run as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.figures import Figures, Latency, Usage
from benchmarks.goals import verdicts

_MEGABYTE = 1024 * 1024


def lines(figures: Figures) -> Iterator[str]:
    machine = figures.machine
    yield f"{machine.cores} cores of {machine.cpu}, {machine.memory / 2**30:.0f} GiB, everything on it; {machine.began}"
    yield f"commit {machine.commit}; " + ", ".join(f"{name} {at}" for name, at in machine.versions.items())
    yield f"cloud: {figures.cloud}"
    if figures.alone:
        yield ""
        yield f"one claim alone ({figures.alone.claims} times)     {_latency(figures.alone.latency)}"
    if figures.bursts:
        yield ""
        yield f"{'burst':>8}{'claims/s':>10}{'first':>9}{'p50':>9}{'p90':>9}{'p99':>9}{'writes':>9}{'cores':>7}{'others':>8}"
        for each in figures.bursts:
            latency, usage = each.latency, each.usage
            times = "".join(
                f"{1000 * at:>9.0f}" for at in (latency.first, latency.p50, latency.p90, latency.p99)
            )
            writes = sum(usage.writes.values()) / each.claims
            yield f"{each.claims:>8}{each.per_second:>10.1f}{times}{writes:>9.2f}{_cores(usage)}"
    if figures.ceiling:
        found = figures.ceiling
        yield (
            f"{'raw':>4}{found.claims:>4}{found.per_second:>10.1f}{'':>36}"
            f"{found.writes_per_claim:>9.2f}{_cores(found.usage)}"
        )
        for each in figures.bursts:
            if each.claims == found.claims:
                yield (
                    f"    burst of {each.claims} against it: {each.per_second / found.per_second:.2f} by the clock, "
                    f"{_cpu(found.usage) / _cpu(each.usage):.2f} by the CPU that each claim takes"
                )
    for each in figures.bursts:
        yield ""
        yield f"per claim, burst of {each.claims}"
        yield from _costs(each.usage, each.claims)
    if figures.ceiling:
        yield ""
        yield "per claim, raw ceiling"
        yield from _costs(figures.ceiling.usage, figures.ceiling.claims)
    for arrivals in figures.arrivals:
        yield ""
        yield (
            f"arrivals, {arrivals.rate:g}/s: {arrivals.claims} in {arrivals.seconds:.0f} s, "
            f"the last one Ready {arrivals.drained:.1f} s later     {_latency(arrivals.latency)}"
        )
        yield from _costs(arrivals.usage, arrivals.claims)
    if figures.idle:
        yield ""
        usage = figures.idle.usage
        yield f"idle with {figures.idle.claims} claims, {usage.seconds:.0f} s"
        yield f"    API writes: {_counts(usage.writes)}; others: {_counts(usage.reads)}"
        for name, seconds in _largest(usage.cpu):
            memory = usage.peak_memory[name] / _MEGABYTE
            yield f"    {name:<28}{100 * seconds / usage.seconds:>7.2f} % of a core{memory:>8.0f} MB"
    if figures.deletion:
        found = figures.deletion
        yield ""
        yield (
            f"deletion of {found.claims} claims: they and their resources are gone after {found.claims_gone:.1f} s, "
            f"all objects beside them after {found.all_gone:.1f} s"
        )
        yield from _costs(found.usage, found.claims)
    yield ""
    yield "goals"
    for verdict in verdicts(figures):
        yield f"    {verdict.goal:<64}{verdict.measured:>22}   {verdict.outcome}"


def _latency(latency: Latency) -> str:
    return (
        f"p50 {1000 * latency.p50:.0f} ms, p90 {1000 * latency.p90:.0f} ms, p99 {1000 * latency.p99:.0f} ms"
    )


def _cores(usage: Usage) -> str:
    return f"{usage.busy:>7.2f}{max(0.0, usage.busy - usage.ours):>8.2f}"


def _costs(usage: Usage, claims: int) -> Iterator[str]:
    for name, count in usage.writes.items():
        yield f"    {name:<34}{count / claims:>8.2f}"
    for name, seconds in _largest(usage.cpu):
        memory = usage.peak_memory[name] / _MEGABYTE
        yield f"    {name:<34}{1000 * seconds / claims:>8.1f} ms CPU{memory:>8.0f} MB at most"
    yield f"    {'all':<34}{1000 * _cpu(usage) / claims:>8.1f} ms CPU"


def _cpu(usage: Usage) -> float:
    return sum(usage.cpu.values())


def _counts(requests: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in requests.items()) or "none"


def _largest(cpu: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(((name, seconds) for name, seconds in cpu.items() if seconds), key=lambda each: -each[1])
