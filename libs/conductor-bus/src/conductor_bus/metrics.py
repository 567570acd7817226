"""A work queue's figures for Prometheus: ``registry.register(WorkMetrics(queue))``.

They are this replica's own. The group's lag, by which replicas are scaled, is the broker's to tell (``num_pending`` and
``num_ack_pending`` of the consumer named after the group).
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from conductor_bus.workqueue import WorkQueue


class WorkMetrics(Collector):
    """Reads the queue's statistics whenever they are asked for."""

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue

    def collect(self) -> Iterator[Metric]:
        done = self._queue.statistics
        counters = {
            "handled": ("Objects whose handler has answered", done.handled),
            "requeued": ("Answers that asked to be called again later", done.requeued),
            "retried": ("Failures that were to be expected, each tried again", done.retried),
            "unexpected_failures": ("Exceptions that no handler should raise", done.unexpected),
            "dead_letters": ("Messages set aside because they could not be handled", done.dead_letters),
            "busy_elsewhere": (
                "Objects handed back because another replica works on them",
                done.busy_elsewhere,
            ),
            "put_off": ("Messages given back because others are to have their turns", done.put_off),
            "locks_lost": ("Handlers cancelled because their object's lock was lost", done.locks_lost),
        }
        for name, (meaning, value) in counters.items():
            family = CounterMetricFamily(f"conductor_work_{name}", meaning, labels=["group"])
            family.add_metric([self._queue.group], value)
            yield family
        active = GaugeMetricFamily("conductor_work_active", "Handlers that run now", labels=["group"])
        active.add_metric([self._queue.group], done.active)
        yield active
