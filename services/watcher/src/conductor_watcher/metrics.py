"""The watcher's figures."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """Registered once per process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "conductor_watch_events_total", "Changes heard of.", ["kind", "type"], registry=registry
        )
        self.published = Counter(
            "conductor_messages_published_total", "Messages published.", ["kind", "type"], registry=registry
        )
        self.publish_seconds = Histogram(
            "conductor_publish_seconds",
            "From hearing of a change to the broker's acknowledgement.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=registry,
        )
        self.resyncs = Counter(
            "conductor_stream_resyncs_total",
            "Times that the stream was compared with the API.",
            registry=registry,
        )
        self.refused = Counter(
            "conductor_messages_refused_total", "Objects too large for the bus.", ["kind"], registry=registry
        )
        self.leading = Gauge("conductor_watcher_leading", "1 while this replica leads.", registry=registry)
