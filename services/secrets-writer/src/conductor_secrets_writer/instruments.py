"""What the service measures."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Histogram

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200, 3600)
"""From an instant cloud to a database that takes an hour."""


class Outcome(StrEnum):
    """What became of one write."""

    CREATED = "created"
    PATCHED = "patched"
    DELETED = "deleted"
    REFUSED = "refused"


class Instruments:
    """The service's metrics in a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._writes = Counter(
            "conductor_connection_writes",
            "Writes of connection objects and claim statuses.",
            ["kind", "outcome"],
            registry=registry,
        )
        self._time_to_ready = Histogram(
            "conductor_claim_time_to_ready_seconds",
            "From a claim's creation to its first Ready.",
            ["kind"],
            buckets=_SECONDS,
            registry=registry,
        )

    def wrote(self, kind: str, outcome: Outcome) -> None:
        self._writes.labels(kind, outcome).inc()

    def became_ready(self, claim_kind: str, seconds: float) -> None:
        self._time_to_ready.labels(claim_kind).observe(seconds)
