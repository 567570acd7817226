"""The figures of a run as a person reads them: tables of plain text, milliseconds and megabytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.figures import Figures, Latency, Usage
from benchmarks.goals import verdicts

_MEGABYTE = 1024 * 1024
_LABEL = 30


def lines(figures: Figures) -> Iterator[str]:
    for section in (_where, _alone, _bursts, _bounds, _costs, _arrivals, _idle, _deletion, _many, _goals):
        found = list(section(figures))
        yield from found
        if found:
            yield ""


def _where(figures: Figures) -> Iterator[str]:
    machine = figures.machine
    yield f"{machine.cores} cores of {machine.cpu}, {machine.memory / 2**30:.0f} GiB, everything on it; {machine.began}"
    yield f"commit {machine.commit}; " + ", ".join(f"{name} {at}" for name, at in machine.versions.items())
    yield f"cloud: {figures.cloud}"


def _alone(figures: Figures) -> Iterator[str]:
    if figures.alone:
        yield f"one claim alone ({figures.alone.claims} times), create to Ready: {_latency(figures.alone.latency)}"


def _bursts(figures: Figures) -> Iterator[str]:
    """Of bursts and the raw ceiling. ``others``: cores that were busy with something else than this benchmark."""
    if not figures.bursts and not figures.ceiling:
        return
    yield _row("", ["claims/s", "first ms", "p50", "p90", "p99", "cores", "others"])
    for burst in figures.bursts:
        at, usage = burst.latency, burst.usage
        times = [f"{1000 * each:.0f}" for each in (at.first, at.p50, at.p90, at.p99)]
        cores = [f"{usage.busy:.2f}", f"{usage.others:.2f}"]
        yield _row(f"burst of {burst.claims}", [f"{burst.per_second:.1f}", *times, *cores])
    raw = figures.ceiling
    if raw:
        cores = [f"{raw.usage.busy:.2f}", f"{raw.usage.others:.2f}"]
        yield _row(f"raw ceiling, {raw.claims}", [f"{raw.per_second:.1f}", "", "", "", "", *cores])
        for burst in figures.bursts:
            yield _row(
                f"burst of {burst.claims} / ceiling",
                [f"{burst.per_second / raw.per_second:.2f}"],
                f"   {raw.cpu_per_claim / burst.cpu_per_claim:.2f} by the CPU that a claim takes",
            )


def _bounds(figures: Figures) -> Iterator[str]:
    """What the cores allow, were they nobody else's."""
    for burst in figures.bursts:
        cpu, server = burst.cpu_per_claim, burst.usage.cpu.get("kube-apiserver", 0) / burst.claims
        yield (
            f"burst of {burst.claims}: a claim takes {1000 * cpu:.1f} ms of CPU in all, {server / cpu:.0%} of it "
            f"kube-apiserver's: {figures.machine.cores} cores can make {figures.machine.cores / cpu:.0f} a second"
        )


def _costs(figures: Figures) -> Iterator[str]:
    """A column for each phase in which claims were made or deleted."""
    columns: dict[str, tuple[Usage, int]] = {
        f"burst {burst.claims}": (burst.usage, burst.claims) for burst in figures.bursts
    }
    if figures.ceiling:
        columns["raw"] = (figures.ceiling.usage, figures.ceiling.claims)
    columns |= {f"{each.rate:g}/s": (each.usage, each.claims) for each in figures.arrivals}
    if figures.deletion:
        columns["deletion"] = (figures.deletion.usage, figures.deletion.claims)
    if not columns:
        return
    yield _row("API writes per claim", list(columns))
    for write in sorted({write for usage, _ in columns.values() for write in usage.writes}):
        yield _row(write, [_per(usage.writes.get(write, 0), claims, 2) for usage, claims in columns.values()])
    yield _row("all", [_per(sum(usage.writes.values()), claims, 2) for usage, claims in columns.values()])
    yield ""
    yield _row("CPU per claim, ms", list(columns))
    for part in _parts(usage for usage, _ in columns.values()):
        yield _row(
            part, [_per(1000 * usage.cpu.get(part, 0), claims, 1) for usage, claims in columns.values()]
        )
    yield _row("all", [_per(1000 * usage.all_cpu, claims, 1) for usage, claims in columns.values()])
    yield ""
    yield _row("peak memory, MB", list(columns))
    for part in _parts(usage for usage, _ in columns.values()):
        yield _row(part, [_megabytes(usage.peak_memory.get(part)) for usage, _ in columns.values()])


def _arrivals(figures: Figures) -> Iterator[str]:
    for each in figures.arrivals:
        yield (
            f"{each.rate:g} claims/s at random, {each.claims} in {each.seconds:.0f} s: {_latency(each.latency)}; "
            f"the last was Ready {each.drained:.1f} s after it came; cores {each.usage.busy:.2f}, "
            f"others {each.usage.others:.2f}"
        )


def _idle(figures: Figures) -> Iterator[str]:
    if not figures.idle:
        return
    usage = figures.idle.usage
    yield f"idle with {figures.idle.claims} claims, {usage.seconds:.0f} s; API requests"
    yield f"    writes: {_counts(usage.writes)}"
    yield f"    others: {_counts(usage.reads)}"
    yield _row("", ["% of a core", "MB"])
    for part in _parts([usage]):
        cpu = usage.cpu.get(part, 0) / usage.seconds
        yield _row(part, [f"{100 * cpu:.2f}", _megabytes(usage.peak_memory.get(part))])


def _deletion(figures: Figures) -> Iterator[str]:
    found = figures.deletion
    if found:
        yield (
            f"deletion of {found.claims} claims: they and their resources are gone after {found.claims_gone:.1f} s, "
            f"all objects beside them after {found.all_gone:.1f} s"
        )


def _many(figures: Figures) -> Iterator[str]:
    found = figures.many
    if found:
        memory = ", ".join(f"{part} {_megabytes(size)}" for part, size in sorted(found.memory.items()))
        yield f"started with {found.objects:,} objects; API writes: {_counts(found.writes)}; MB: {memory}"


def _goals(figures: Figures) -> Iterator[str]:
    for verdict in verdicts(figures):
        yield f"{verdict.goal:<74}{verdict.measured:>26}   {verdict.outcome}"


def _latency(latency: Latency) -> str:
    return (
        f"p50 {1000 * latency.p50:.0f} ms, p90 {1000 * latency.p90:.0f} ms, p99 {1000 * latency.p99:.0f} ms"
    )


def _row(label: str, cells: Sequence[str], remark: str = "") -> str:
    return f"{label:<{_LABEL}}{''.join(f'{cell:>12}' for cell in cells)}{remark}".rstrip()


def _per(total: float, claims: int, digits: int) -> str:
    return f"{total / claims:.{digits}f}"


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / _MEGABYTE:.0f}"


def _parts(usages: Iterator[Usage] | Sequence[Usage]) -> list[str]:
    """Those that did anything, the busiest first."""
    total: dict[str, float] = {}
    for usage in usages:
        for part, seconds in usage.cpu.items():
            total[part] = total.get(part, 0) + seconds
    return [part for part, seconds in sorted(total.items(), key=lambda each: -each[1]) if seconds]


def _counts(requests: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in requests.items()) or "none"
