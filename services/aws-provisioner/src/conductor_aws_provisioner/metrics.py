"""The service's own metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counts and durations, under fixed names."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "conductor_external_calls_total",
            "Calls to the cloud's API, by what they do and how they ended: OK, or the error's code.",
            ("action", "outcome"),
            registry=registry,
        )
        self._call_seconds = Histogram(
            "conductor_external_call_duration_seconds",
            "Time that a call to the cloud's API took, the wait for a thread included.",
            ("action",),
            registry=registry,
            buckets=_SECONDS,
        )
        self._reconciles = Counter(
            "conductor_reconciles_total",
            "Reconciliations, by how they ended: Done, Overtaken by a newer version, or the type of the error.",
            ("kind", "result"),
            registry=registry,
        )
        self._reconcile_seconds = Histogram(
            "conductor_reconcile_duration_seconds",
            "Time that a reconciliation took.",
            ("kind",),
            registry=registry,
            buckets=_SECONDS,
        )

    def external_call(self, action: str, outcome: str, seconds: float) -> None:
        self._calls.labels(action, outcome).inc()
        self._call_seconds.labels(action).observe(seconds)

    def reconcile(self, kind: str, result: str, seconds: float) -> None:
        self._reconciles.labels(kind, result).inc()
        self._reconcile_seconds.labels(kind).observe(seconds)
