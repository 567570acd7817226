"""Delays grow to a limit, are spread, and begin anew after a success."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conductor_kube.backoff import Backoff


def test_delays_double_up_to_the_limit_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(first=1, limit=5, spread=lambda: 0.0)
    assert [backoff.next() for _ in range(5)] == [1, 2, 4, 5, 5]
    backoff.reset()
    assert backoff.next() == 1


@given(st.floats(0.01, 10), st.floats(10, 100), st.floats(0, 1, exclude_max=True), st.integers(1, 40))
def test_jitter_takes_at_most_half_and_adds_nothing(
    first: float, limit: float, spread: float, times: int
) -> None:
    jittered, plain = Backoff(first, limit, lambda: spread), Backoff(first, limit, lambda: 0.0)
    for _ in range(times):
        full = plain.next()
        assert full / 2 <= jittered.next() <= full <= limit
