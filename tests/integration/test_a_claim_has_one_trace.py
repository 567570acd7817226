from __future__ import annotations

from itertools import groupby

import pytest
from stage import Stage

from conductor_dev.waiting import wait_until
from conductor_telemetry import claim_trace_id, root_span_id
from conductor_telemetry.testing import CollectedSpan, SpanCollector

pytestmark = pytest.mark.integration

SERVICES = {
    "conductor-watcher",
    "conductor-scheduler",
    "conductor-aws-provisioner",
    "conductor-secrets-writer",
}
WANTED = {"aws CreateDBInstance", "publish connection MySQLInstance"}


def test_from_the_claim_to_its_secret_all_spans_are_one_trace(stage: Stage, spans: SpanCollector) -> None:
    claim = stage.claim("db", resourceClass=stage.offer_class())
    stage.wait_ready("db")
    trace_id = f"{claim_trace_id(claim['metadata']['uid']):032x}"

    def complete() -> list[CollectedSpan] | None:
        found = spans.spans(trace_id)
        names = {span.name for span in found}
        everyone = {span.service for span in found} >= SERVICES
        by_id = {span.span_id: span for span in found}
        # Each service sends in batches: a child may arrive before its parent.
        whole = all(not _way_up(span, by_id)[-1].parent_id for span in found)
        return found if everyone and whole and names >= WANTED else None

    found = wait_until("all four services' spans hang together", complete, timeout=30)
    [root] = [span for span in found if not span.parent_id]
    assert root.span_id == f"{root_span_id(claim['metadata']['uid']):016x}"
    assert root.name == "claim MySQLInstance"
    assert _services_up_from("aws CreateDBInstance", found) == [
        "conductor-aws-provisioner",
        "conductor-watcher",
        "conductor-scheduler",
        "conductor-watcher",
    ]
    assert _services_up_from("publish connection MySQLInstance", found)[:2] == [
        "conductor-secrets-writer",
        "conductor-watcher",
    ]


def _services_up_from(name: str, spans: list[CollectedSpan]) -> list[str]:
    """The services that a span's way up to the root leads through."""
    by_id = {span.span_id: span for span in spans}
    span = next(span for span in spans if span.name == name)
    return [service for service, _ in groupby(each.service for each in _way_up(span, by_id))]


def _way_up(span: CollectedSpan, by_id: dict[str, CollectedSpan]) -> list[CollectedSpan]:
    way = [span]
    while way[-1].parent_id in by_id:
        way.append(by_id[way[-1].parent_id])
    return way
