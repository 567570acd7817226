"""The scheduler's figures."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """Registered once per process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.attempts = Counter(
            "conductor_scheduling_attempts_total", "Decisions about claims.", ["result"], registry=registry
        )
        self.bound = Counter(
            "conductor_claims_bound_total", "Bindings committed, by the way.", ["way"], registry=registry
        )
        self.released = Counter(
            "conductor_resources_released_total", "Resources released.", ["policy"], registry=registry
        )
        self.waiting = Gauge(
            "conductor_claims_waiting", "Claims that fit nothing at present.", registry=registry
        )
        self.unexpected = Counter(
            "conductor_scheduler_unexpected_errors_total",
            "Failures that nobody foresaw: see the log.",
            registry=registry,
        )
        self.leading = Gauge("conductor_scheduler_leading", "1 while this replica leads.", registry=registry)
        self.config_reloads = Counter(
            "conductor_scheduler_config_reloads_total",
            "Changed configuration files: taken, or refused because of a mistake.",
            ["result"],
            registry=registry,
        )
        self.config_valid = Gauge(
            "conductor_scheduler_config_valid",
            "0 while the configuration file cannot be used and an earlier one is in force.",
            registry=registry,
        )
