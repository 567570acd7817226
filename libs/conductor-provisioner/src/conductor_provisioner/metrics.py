"""The metrics of a provisioner, under fixed names."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counts and durations. ``account`` is a ProviderConfig's namespace/name, or ``ambient``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "conductor_external_calls_total",
            "Calls to the cloud's API, by what they do and how they ended: OK, or the error's code.",
            ("account", "action", "outcome"),
            registry=registry,
        )
        self._call_seconds = Histogram(
            "conductor_external_call_duration_seconds",
            "Time that a call to the cloud's API took, the wait for its turn not included.",
            ("action",),
            registry=registry,
            buckets=_SECONDS,
        )
        self._held_back = Counter(
            "conductor_external_calls_held_back_total",
            "Calls that were not made: the account is throttled or busy, or its cloud does not answer.",
            ("account", "why"),
            registry=registry,
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
        self._drift = Counter(
            "conductor_drift_repaired_total",
            "Fields of external resources that others had changed and that were changed back.",
            ("kind", "field"),
            registry=registry,
        )
        self._orphans = Gauge(
            "conductor_orphans",
            "External resources that carry our cluster's tag and that no concrete resource stands for.",
            ("account", "kind"),
            registry=registry,
        )

    def external_call(self, account: str, action: str, outcome: str, seconds: float) -> None:
        self._calls.labels(account, action, outcome).inc()
        self._call_seconds.labels(action).observe(seconds)

    def held_back(self, account: str, why: str) -> None:
        self._held_back.labels(account, why).inc()

    def reconcile(self, kind: str, result: str, seconds: float) -> None:
        self._reconciles.labels(kind, result).inc()
        self._reconcile_seconds.labels(kind).observe(seconds)

    def drift_repaired(self, kind: str, field: str) -> None:
        self._drift.labels(kind, field).inc()

    def orphans(self, account: str, kind: str, count: int) -> None:
        self._orphans.labels(account, kind).set(count)
