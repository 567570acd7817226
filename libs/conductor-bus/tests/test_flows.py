"""Turns and shares: what is one flow's does not hold up another's."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from conductor_bus.flows import Share, Turns

FLOWS = st.sampled_from("abc")


def test_a_flow_that_comes_late_has_the_turn_after_the_next():
    turns: Turns[str] = Turns()
    for number in range(10_000):
        turns.push("large", f"large-{number}")
    assert turns.pop() == "large-0"
    turns.push("small", "small-0")
    assert [turns.pop(), turns.pop()] == ["large-1", "small-0"]


@given(st.lists(st.tuples(FLOWS, st.integers(0, 3))))
def test_everything_has_its_turn_once_and_a_flow_by_rank_and_arrival(arrivals: list[tuple[str, int]]):
    turns: Turns[tuple[str, int, int]] = Turns()
    for number, (flow, rank) in enumerate(arrivals):
        turns.push(flow, (flow, rank, number), (rank,))
    assert len(turns) == len(arrivals)
    popped = [item for _ in arrivals if (item := turns.pop()) is not None]
    assert turns.pop() is None
    for flow in "abc":
        expected = sorted((rank, number) for number, (of, rank) in enumerate(arrivals) if of == flow)
        assert [(rank, number) for of, rank, number in popped if of == flow] == expected


@given(st.lists(FLOWS))
def test_nobody_has_two_turns_while_another_waits_for_one(arrivals: list[str]):
    turns: Turns[str] = Turns()
    for flow in arrivals:
        turns.push(flow, flow)
    waiting = Counter(arrivals)
    before = ""
    while (flow := turns.pop()) is not None:
        assert flow != before or set(+waiting) == {flow}
        waiting[flow] -= 1
        before = flow


def busy(places: int = 8, seconds: float = 1.0) -> tuple[Share, float]:
    """A worker whose places are all taken by one flow, each free after so many seconds."""
    share, now = Share(places), 0.0
    for _ in range(20):
        now += seconds
        share.finished(now)
    for _ in range(places):
        share.took("large")
    return share, now


def test_a_full_worker_takes_no_more_of_the_flow_that_fills_it_but_of_another():
    share, now = busy()
    assert not share.fits("large", now)
    for _ in range(4):
        assert share.fits("small", now)
        share.took("small")
    assert not share.fits("small", now)


def test_a_worker_takes_no_more_than_three_times_what_it_has_places_for():
    share, now = busy()
    for flow in range(16):
        assert share.fits(f"small-{flow}", now)
        share.took(f"small-{flow}")
    assert not share.fits("small-16", now)


def test_a_fast_worker_takes_what_it_will_come_to_in_a_moment():
    share, now = busy(seconds=0.01)
    for _ in range(8):
        assert share.fits("large", now)
        share.took("large")
    assert not share.fits("large", now)
    assert share.fits("small", now)


def test_what_is_given_back_makes_room():
    share, now = busy()
    share.gave("large")
    assert share.fits("large", now)


def test_messages_are_put_off_in_their_order_and_come_back_before_their_turn():
    share, now = busy(seconds=1.0)
    delays = [share.put_off("large", now) for _ in range(40)]
    assert delays == sorted(delays)
    for number, delay in enumerate(delays):
        assert 0.5 <= delay <= 8 + number


def test_nothing_is_put_off_for_longer_than_half_a_minute():
    share, now = busy(seconds=10.0)
    assert max(share.put_off("large", now) for _ in range(1000)) == 30.0


def test_what_has_come_back_is_forgotten():
    share, now = busy()
    first = share.put_off("large", now)
    share.forget(now + 60)
    assert not share._due
    assert share.put_off("large", now + 60) >= first
