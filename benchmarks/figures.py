"""What the benchmark measures, as it is written to JSON and read back for the documents. Seconds and bytes throughout."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(_Frozen):
    """Where a run took place, and of what."""

    cores: int
    cpu: str
    memory: int
    system: str
    versions: Mapping[str, str]
    commit: str
    """``+`` behind it: with changes that are in no commit."""
    command: str
    began: str
    """UTC, ISO 8601."""


class Latency(_Frozen):
    """Of a number of claims, from the moment before its creation was sent to the news of its readiness."""

    first: float
    """From the first creation of all to the first readiness of all."""
    p50: float
    p90: float
    p99: float
    longest: float

    @classmethod
    def of(cls, seconds: Sequence[float], *, first: float) -> Self:
        """Raises ValueError without any."""
        if not seconds:
            raise ValueError("no latency of nothing")
        return cls(
            first=first,
            p50=percentile(seconds, 50),
            p90=percentile(seconds, 90),
            p99=percentile(seconds, 99),
            longest=max(seconds),
        )


class Usage(_Frozen):
    """What was used between two moments, in all."""

    seconds: float
    writes: Mapping[str, int]
    """API requests that change something, by ``VERB resource``, leases apart."""
    reads: Mapping[str, int]
    cpu: Mapping[str, float]
    """Of each part, and of the benchmark's own process, which creates and watches."""
    peak_memory: Mapping[str, int]
    """The most that each had resident since the beginning of the phase."""
    busy: float
    """Cores of the machine that were busy, with whatever."""

    @property
    def all_cpu(self) -> float:
        return sum(self.cpu.values())

    @property
    def others(self) -> float:
        """Cores that were busy with what is none of the parts, nor the benchmark itself."""
        return max(0.0, self.busy - self.all_cpu / self.seconds)


class Alone(_Frozen):
    claims: int
    latency: Latency


class Burst(_Frozen):
    claims: int
    seconds: float
    """From the first creation to the last readiness."""
    latency: Latency
    usage: Usage

    @property
    def per_second(self) -> float:
        return self.claims / self.seconds

    @property
    def cpu_per_claim(self) -> float:
        """Of all parts and the benchmark's client together."""
        return self.usage.all_cpu / self.claims


class Ceiling(_Frozen):
    """The writes of a claim's life by one plain client, and nothing else."""

    claims: int
    writes_per_claim: int
    seconds: float
    usage: Usage

    @property
    def per_second(self) -> float:
        return self.claims / self.seconds

    @property
    def cpu_per_claim(self) -> float:
        """Of all parts and the benchmark's client together."""
        return self.usage.all_cpu / self.claims


class Arrivals(_Frozen):
    """Claims that come at random, independent of how the former ones fare."""

    rate: float
    claims: int
    seconds: float
    """Until the last arrival."""
    drained: float
    """From the last arrival to the last readiness."""
    latency: Latency
    usage: Usage


class Idle(_Frozen):
    claims: int
    usage: Usage


class Deletion(_Frozen):
    """From the first request until claims, resources and connection objects are gone."""

    claims: int
    claims_gone: float
    all_gone: float
    usage: Usage


class Many(_Frozen):
    """The services are started where claims exist already, all of them Ready, and have nothing to do."""

    objects: int
    """Claims and resources."""
    writes: Mapping[str, int]
    """Until they had come to rest."""
    memory: Mapping[str, int]
    """The most that each part had resident since it was started."""


class Figures(_Frozen):
    machine: Machine
    cloud: str
    alone: Alone | None = None
    bursts: tuple[Burst, ...] = ()
    ceiling: Ceiling | None = None
    idle: Idle | None = None
    deletion: Deletion | None = None
    arrivals: tuple[Arrivals, ...] = ()
    many: Many | None = None

    def burst(self, claims: int) -> Burst | None:
        return next((each for each in self.bursts if each.claims == claims), None)


class Round(_Frozen):
    """Resources that replicas of one provisioner made."""

    replicas: int
    resources: int
    seconds: float
    """From the first creation to the last readiness."""
    per_second: float
    """In the middle of the round, when all replicas had work."""
    usage: Usage


class ProvisionerFigures(_Frozen):
    machine: Machine
    call_seconds: float
    rounds: tuple[Round, ...]
    at_once: int
    memory: int
    """The most that one replica had resident while ``at_once`` resources were being created."""
    threads: int

    def speedup(self, of: Round) -> float:
        """Against one replica."""
        [one] = [each for each in self.rounds if each.replicas == 1]
        return of.per_second / one.per_second


class Decisions(_Frozen):
    """The scheduler's, in processor time."""

    candidates: int
    offers: int
    """How many of the candidates differ in what they offer."""
    classes: int
    per_second: float
    p50: float
    p99: float


class SchedulerFigures(_Frozen):
    machine: Machine
    decisions: tuple[Decisions, ...] = ()
    objects: int = 0
    memory_before: int = 0
    """Of a process that has no objects yet."""
    memory: int = 0
    waiting: int = 0
    """Claims that wait when a resource appears that fits one of them."""
    bound_p50: float = 0
    """From the news that the resource is Ready to the news that the claim is Bound."""
    bound_longest: float = 0


def percentile(values: Sequence[float], percent: int) -> float:
    """With interpolation between neighbours; never outside of what was measured."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
