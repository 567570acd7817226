"""How often a cloud is called: in good times, when it throttles, and when it is down."""

from __future__ import annotations

import asyncio
import random
import threading
from heapq import heapify, heapreplace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from conductor_bus.config import WorkPolicy
from conductor_bus.verdict import Again, Failures, after_failure, judge
from conductor_provisioner import ProviderError, Terminal, Throttled, Transient
from conductor_provisioner.calls import THREADS, AccountCalls, beginning_within, thread_pool
from conductor_provisioner.gate import Gate, Limits, NoTurn, Outage
from conductor_provisioner.metrics import Metrics

DOWN = Transient("describe", "x", "503", "Service Unavailable")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def gate(clock: Clock, **limits: Any) -> Gate:
    return Gate(Limits(**limits), clock, lambda: 0.5)


def test_a_thousand_resources_cost_a_cloud_that_is_down_a_few_calls_a_minute() -> None:
    """Each comes back as the work queue says it does, for a quarter of an hour."""
    clock = Clock()
    door = gate(clock)
    chance = random.Random(7)
    due = [(chance.random() * 5, each) for each in range(1000)]
    heapify(due)
    failures = [Failures() for _ in due]
    made: list[float] = []
    while due[0][0] < 900:
        now, each = due[0]
        clock.now = now
        error: ProviderError
        try:
            door.take("describe", "x")
            made.append(now)
            door.ended(DOWN)
            error = DOWN
        except Transient as held_back:
            error = held_back
        failures[each] = after_failure(failures[each], error, 1)
        verdict = judge(error, failures[each], 1, WorkPolicy(), chance.random())
        assert isinstance(verdict, Again)
        heapreplace(due, (now + verdict.delay, each))

    assert len([at for at in made if at < 60]) <= 30
    assert len([at for at in made if at >= 60]) <= 2 * 15


def test_the_first_answer_ends_an_outage_for_all() -> None:
    clock = Clock()
    door = gate(clock, outage_after=3)
    for _ in range(3):
        door.take("describe", "x")
        door.ended(DOWN)
    with pytest.raises(Transient) as raised:
        door.take("describe", "y")
    assert "Service Unavailable" in str(raised.value), "in the cloud's own words"

    clock.now += 1
    door.take("describe", "y")
    with pytest.raises(Transient):
        door.take("describe", "z")
    door.ended(Terminal("describe", "y", "400", "no"))

    for _ in range(5):
        door.take("describe", "z")


def test_while_one_call_tries_it_out_the_others_do_not_keep_asking() -> None:
    """A try may take as long as a timeout: coming back every moment meanwhile would be a storm at home."""
    clock = Clock()
    door = gate(clock, outage_after=1)
    for _ in range(6):
        clock.now += 100
        door.take("describe", "x")
        door.ended(DOWN)
    clock.now += 100
    door.take("describe", "x")

    with pytest.raises(Outage) as raised:
        door.check("describe", "y")

    assert raised.value.retry_after >= 30


def test_failures_among_successes_are_no_outage() -> None:
    door = gate(Clock(), outage_after=3)
    for _ in range(20):
        for error in (DOWN, DOWN, None):
            door.take("describe", "x")
            door.ended(error)


def test_a_try_that_was_cancelled_lets_the_next_one_try() -> None:
    clock = Clock()
    door = gate(clock, outage_after=1)
    door.take("describe", "x")
    door.ended(DOWN)
    clock.now += 60
    door.abandoned(door.take("describe", "x"))

    door.take("describe", "y")


def test_a_throttled_account_is_quiet_for_as_long_as_it_was_told() -> None:
    clock = Clock()
    door = gate(clock)
    door.take("describe", "x")
    door.ended(Throttled("describe", "x", "Throttling", "slow down", retry_after=30))

    clock.now = 29
    with pytest.raises(Throttled) as raised:
        door.take("create", "y")
    clock.now = 30
    door.take("create", "y")

    assert raised.value.retry_after == pytest.approx(1)
    assert "slow down" in str(raised.value)


def test_a_call_that_was_cancelled_does_not_let_a_second_one_try() -> None:
    clock = Clock()
    door = gate(clock, outage_after=1)
    before = door.take("describe", "x")
    door.ended(DOWN)
    clock.now += 60
    door.take("describe", "x")
    door.abandoned(before)

    with pytest.raises(Outage):
        door.take("describe", "y")


@pytest.mark.parametrize(
    ("answer", "held_back"),
    [(Throttled("create", "x", "429", "slow", retry_after=30), Throttled), (DOWN, Outage)],
)
def test_what_waited_for_its_turn_does_not_leave_into_the_quiet_that_began_meanwhile(
    answer: ProviderError, held_back: type[ProviderError]
) -> None:
    clock = Clock()
    door = gate(clock, rate=1, burst=1, outage_after=1)
    door.take("create", "x")
    waiting = door.take("create", "y")
    assert waiting.wait > 0

    door.ended(answer)
    clock.now += min(waiting.wait, 0.1)

    with pytest.raises(held_back):
        door.check_again(waiting, "create", "y")


def test_the_one_try_of_a_cloud_that_is_down_leaves_after_its_wait() -> None:
    clock = Clock()
    door = gate(clock, rate=0.1, burst=1, longest_wait=60, outage_after=1)
    door.take("describe", "x")
    door.ended(DOWN)
    clock.now += 5
    turn = door.take("describe", "x")
    assert turn.tries
    assert turn.wait > 0

    clock.now += turn.wait
    door.check_again(turn, "describe", "x")

    with pytest.raises(Outage):
        door.take("describe", "y")


@given(st.lists(st.floats(0, 3), min_size=1, max_size=300))
def test_no_more_calls_leave_than_the_rate_and_the_burst_allow(pauses: list[float]) -> None:
    clock = Clock()
    door = gate(clock, rate=5, burst=10)
    left: list[float] = []
    for pause in pauses:
        clock.now += pause
        try:
            left.append(clock.now + door.take("describe", "x").wait)
        except NoTurn:
            continue

    for begin in left:
        within = [at for at in left if begin <= at < begin + 10]
        assert len(within) <= 10 + 5 * 10 + 1


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def open_calls(spans: InMemorySpanExporter, registry: CollectorRegistry) -> Any:
    threads = thread_pool()
    metrics = Metrics(registry)
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))

    def opened(account: str = "ns/one", **given: Any) -> AccountCalls:
        limits = Limits(**{"rate": 10_000, "burst": 10_000, **given})
        loop = asyncio.get_running_loop()
        door = Gate(limits, loop.time, random.random)
        tracer = provider.get_tracer("test")
        return AccountCalls(account, "box", door, limits, threads=threads, metrics=metrics, tracer=tracer)

    yield opened
    threads.shutdown(wait=False, cancel_futures=True)


async def test_at_most_so_many_calls_of_an_account_run_at_once(open_calls: Any) -> None:
    calls, other = open_calls(concurrency=3), open_calls("ns/two", concurrency=3)
    running = most = 0
    let_go, full = asyncio.Event(), asyncio.Event()

    async def call() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            full.set()
        await let_go.wait()
        running -= 1

    waiting = [asyncio.create_task(calls.awaiting("describe", "x", call)) for _ in range(20)]
    async with asyncio.timeout(20):
        await full.wait()
        await other.awaiting("describe", "y", lambda: asyncio.sleep(0))
    let_go.set()
    await asyncio.gather(*waiting)

    assert most == 3


async def test_a_call_does_not_wait_for_its_turn_for_longer_than_is_safe(
    open_calls: Any, registry: CollectorRegistry
) -> None:
    """A create that leaves long after it was decided upon could outlive its object."""
    calls = open_calls(concurrency=1, longest_wait=0.01)
    let_go = asyncio.Event()
    first = asyncio.create_task(calls.awaiting("create", "x", let_go.wait))
    await asyncio.sleep(0)

    with pytest.raises(NoTurn) as raised:
        await calls.awaiting("create", "y", let_go.wait)

    assert raised.value.retryable
    labels = {"account": "ns/one", "why": "busy"}
    assert registry.get_sample_value("conductor_external_calls_held_back_total", labels) == 1
    let_go.set()
    await first
    await calls.awaiting("create", "y", let_go.wait)


async def test_a_call_that_waits_for_the_rate_is_held_back_by_what_is_answered_meanwhile(
    open_calls: Any,
) -> None:
    calls = open_calls(rate=2, burst=1)
    left: list[str] = []

    async def throttled() -> None:
        left.append("x")
        raise Throttled("create", "x", "429", "slow down", retry_after=600)

    async def create() -> None:
        left.append("y")

    ended = await asyncio.gather(
        calls.awaiting("create", "x", throttled),
        calls.awaiting("create", "y", create),
        return_exceptions=True,
    )

    assert [type(each) for each in ended] == [Throttled, Throttled]
    assert left == ["x"]


async def test_no_call_begins_after_the_time_in_which_it_may(open_calls: Any) -> None:
    calls = open_calls()
    made: list[str] = []

    async def call() -> None:
        made.append("made")

    with beginning_within(600):
        await calls.awaiting("create", "x", call)
    with beginning_within(-1), pytest.raises(NoTurn):
        await calls.awaiting("create", "y", call)
    await calls.awaiting("create", "z", call)

    assert len(made) == 2


def test_calls_that_would_have_to_wait_too_long_for_the_rate_do_not_leave() -> None:
    door = gate(Clock(), rate=1, burst=1, longest_wait=2)

    waits = [door.take("describe", "x").wait for _ in range(3)]
    with pytest.raises(NoTurn):
        door.take("describe", "x")

    assert waits == [0, 1, 2]


async def test_calls_that_block_share_a_fixed_number_of_threads(open_calls: Any) -> None:
    accounts = [open_calls(f"ns/{n}", concurrency=1000) for n in range(4)]
    await asyncio.gather(
        *(calls.blocking("describe", "x", lambda: None) for calls in accounts for _ in range(250))
    )

    names = [each.name for each in threading.enumerate() if each.name.startswith("calls_")]
    assert 1 <= len(names) <= THREADS


async def test_a_call_is_a_span_and_is_counted_with_its_account(
    open_calls: Any, spans: InMemorySpanExporter, registry: CollectorRegistry
) -> None:
    calls = open_calls()

    async def refused() -> None:
        raise Terminal("create", "box-1", "NoSuchShape", "hexagon")

    await calls.blocking("describe", "box-1", lambda: None)
    with pytest.raises(Terminal):
        await calls.awaiting("create", "box-1", refused)

    good, bad = spans.get_finished_spans()
    assert (good.name, bad.name) == ("box describe", "box create")
    assert dict(good.attributes or {}) == {
        "conductor.account": "ns/one",
        "conductor.external.name": "box-1",
    }
    assert (bad.attributes or {})["error.type"] == "NoSuchShape"
    assert "hexagon" not in bad.to_json(), "what the cloud says may hold anything"
    labels = {"account": "ns/one", "action": "create", "outcome": "NoSuchShape"}
    assert registry.get_sample_value("conductor_external_calls_total", labels) == 1


async def test_calls_that_were_held_back_are_counted_and_not_made(
    open_calls: Any, registry: CollectorRegistry
) -> None:
    calls = open_calls(outage_after=2)
    made = 0

    async def down() -> None:
        nonlocal made
        made += 1
        raise DOWN

    for _ in range(10):
        with pytest.raises(Transient):
            await calls.awaiting("describe", "x", down)
    with pytest.raises(Transient):
        calls.check()

    assert made == 2
    labels = {"account": "ns/one", "why": "outage"}
    assert registry.get_sample_value("conductor_external_calls_held_back_total", labels) == 9
