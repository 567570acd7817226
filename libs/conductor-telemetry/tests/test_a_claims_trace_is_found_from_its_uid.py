from __future__ import annotations

import random
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from conductor_telemetry import claim_root_context, claim_trace_id, context_from, root_span_id, traceparent_of

UID = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff"


def uuid4(source: random.Random) -> str:
    return str(UUID(int=source.getrandbits(128), version=4))


def test_the_trace_id_is_the_uid_with_its_halves_swapped():
    assert f"{claim_trace_id(UID):032x}" == "8695a4b3c2d1e0ff" + "0f1e2d3c4b5a4978"


def test_different_claims_have_different_traces_and_roots():
    source = random.Random(1)
    uids = [uuid4(source) for _ in range(1000)]
    assert len({claim_trace_id(uid) for uid in uids}) == 1000
    assert len({root_span_id(uid) for uid in uids}) == 1000


def test_what_is_no_uid_is_refused():
    with pytest.raises(ValueError, match="UUID"):
        claim_trace_id("banana")


def test_the_root_context_travels_as_a_traceparent():
    traceparent = traceparent_of(claim_root_context(UID))
    assert traceparent == f"00-{claim_trace_id(UID):032x}-{root_span_id(UID):016x}-01"
    assert traceparent_of(context_from(traceparent)) == traceparent


def test_a_malformed_traceparent_is_no_context():
    assert traceparent_of(context_from("00-banana")) is None


@pytest.mark.parametrize("ratio", [0.1, 0.5])
def test_ratio_samplers_take_their_share_of_claims(ratio):
    source = random.Random(2)
    sampler = TraceIdRatioBased(ratio)
    sampled = sum(
        sampler.should_sample(None, claim_trace_id(uuid4(source)), "claim").decision
        is Decision.RECORD_AND_SAMPLE
        for _ in range(2000)
    )
    assert abs(sampled / 2000 - ratio) < 0.05


def test_spans_below_the_root_context_are_its_children():
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    with tracer.start_as_current_span("child", context=claim_root_context(UID)) as span:
        assert span.get_span_context().trace_id == claim_trace_id(UID)
