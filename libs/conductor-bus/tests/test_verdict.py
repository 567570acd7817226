"""What becomes of a message after its handler raised."""

from hypothesis import given
from hypothesis import strategies as st

from conductor_bus import MalformedMessage, Throttled, Transient, WorkPolicy
from conductor_bus.verdict import Again, Failures, GiveUp, after_failure, backoff, is_retryable, judge

POLICY = WorkPolicy()
chances = st.floats(min_value=0, max_value=1, exclude_max=True)


class ApiConflict(Exception):
    """As another library's error says that it may be retried."""

    retryable = True


class ApiThrottled(ApiConflict):
    retry_after = 7.0


@given(st.integers(min_value=1, max_value=10_000), chances)
def test_a_backoff_is_never_longer_than_the_cap_nor_shorter_than_half_the_base(
    attempt: int, chance: float
) -> None:
    assert POLICY.backoff_base / 2 <= backoff(attempt, POLICY, chance) <= POLICY.backoff_cap


@given(st.integers(min_value=1, max_value=5), chances)
def test_the_backoff_grows_with_the_attempts(attempt: int, chance: float) -> None:
    assert backoff(attempt + 1, POLICY, chance) == 2 * backoff(attempt, POLICY, chance)


@given(st.integers(min_value=1, max_value=10_000), chances)
def test_retryable_errors_are_never_given_up(attempts: int, chance: float) -> None:
    failures = Failures(attempts, 0, 1)
    assert isinstance(judge(Transient("x"), failures, attempts, POLICY, chance), Again)


@given(chances)
def test_a_throttled_object_comes_back_after_the_delay_that_was_asked_for(chance: float) -> None:
    verdict = judge(Throttled("x", retry_after=30), Failures(1, 0, 1), 1, POLICY, chance)
    assert isinstance(verdict, Again)
    assert 30 <= verdict.delay <= 33


def test_another_librarys_delay_is_obeyed_too() -> None:
    assert judge(ApiThrottled(), Failures(1, 0, 1), 1, POLICY, 0.0) == Again(7.0)


def test_an_error_is_retryable_only_if_its_type_says_so() -> None:
    assert is_retryable(ApiConflict())
    assert is_retryable(Transient("x"))
    assert not is_retryable(ValueError("x"))


def test_unexpected_errors_on_one_message_are_given_up_after_the_limit() -> None:
    failures = Failures()
    verdicts = []
    for attempt in range(POLICY.dead_letter_after):
        failures = after_failure(failures, ValueError(), sequence=4)
        verdicts.append(judge(ValueError(), failures, attempt + 1, POLICY, 0.5))
    assert all(isinstance(verdict, Again) for verdict in verdicts[:-1])
    assert verdicts[-1] == GiveUp()


def test_a_newer_message_is_not_poison_because_an_older_one_was() -> None:
    failures = Failures(9, 9, sequence=4)
    assert after_failure(failures, ValueError(), sequence=5).unexpected == 1


def test_a_handler_whose_failures_bring_about_new_messages_still_backs_off() -> None:
    failures = Failures()
    for sequence in range(1, 6):
        failures = after_failure(failures, Transient("x"), sequence)
    assert judge(Transient("x"), failures, 1, POLICY, 0.0) == Again(backoff(5, POLICY, 0.0))


def test_what_a_handler_cannot_read_is_given_up_at_once() -> None:
    error = MalformedMessage("no such field")
    assert judge(error, after_failure(Failures(), error, 1), 1, POLICY, 0.5) == GiveUp()
