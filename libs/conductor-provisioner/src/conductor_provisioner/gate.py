"""When an account is left alone, and how fast it is called: pure state over a clock, one for each account.

Promises: while a cloud asks for quiet, no call leaves. When nothing but failures comes back, one call at a time tries it
out, at growing intervals, so that an outage costs a few calls a minute however many resources there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from conductor_provisioner.errors import NotLetIn, ProviderError, Retryable, Throttled, Transient


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much an account is called by one replica."""

    concurrency: int = 16
    """Calls under way at once."""
    rate: float = 100.0
    """Calls a second in the long run. Clouds do not say what they allow; they throttle, and that is obeyed."""
    burst: int = 200
    """Calls that may come at once after a quiet time."""
    longest_wait: float = 5.0
    """Seconds that a call waits for its turn. More would make a create leave long after it was decided upon, when its
    object may have been deleted, see ``settings.SETTLE_DELETED_SECONDS``."""
    outage_after: int = 8
    """Failures in a row, over all resources, after which the cloud counts as down."""
    first_pause: float = 1.0
    longest_pause: float = 60.0
    """Seconds between two tries of a cloud that is down. A work queue's longest backoff is as long."""
    locked_out_pause: float = 30.0
    """Seconds between two tries with credentials that were not accepted. New ones are tried at once."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The leave to make a call."""

    wait: float
    """Seconds until then."""
    tries: bool
    """Whether it is the one call that tries out a cloud that is down."""


class Gate:
    """Raises instead of letting a call go."""

    def __init__(self, limits: Limits, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._random = random
        self._tokens = float(limits.burst)
        self._counted_at = clock()
        self._quiet_until = 0.0
        self._quiet_words: Throttled | None = None
        self._failures = 0
        self._down_until = 0.0
        self._pause = 0.0
        self._last: Transient | None = None
        self._trying = False
        self._locked_out_until = 0.0
        self._locked_out: NotLetIn | None = None

    def check(self, action: str, target: str) -> None:
        """Raises Throttled or Transient while the account is left alone. Takes nothing."""
        now = self._clock()
        if now < self._quiet_until and (said := self._quiet_words) is not None:
            left = self._quiet_until - now
            raise Throttled(action, target, said.code, said.message, retry_after=left)
        if self._last is not None and (now < self._down_until or self._trying):
            raise Outage(self._last, retry_after=max(self._down_until - now, self._pause))

    def take(self, action: str, target: str) -> Turn:
        """A call is going to be made, after a while. Raises as ``check`` does."""
        self.check(action, target)
        now = self._clock()
        if now < self._locked_out_until and (refusal := self._locked_out) is not None:
            raise NotLetIn(
                refusal.action, refusal.target, refusal.code, refusal.message, reason=refusal.reason
            )
        earned = (now - self._counted_at) * self._limits.rate
        self._tokens = min(float(self._limits.burst), self._tokens + earned)
        self._counted_at = now
        wait = max(0.0, (1.0 - self._tokens) / self._limits.rate)
        if wait > self._limits.longest_wait:
            raise NoTurn(action, target)
        self._tokens -= 1.0
        self._trying = self._last is not None
        return Turn(wait, tries=self._trying)

    def check_again(self, turn: Turn, action: str, target: str) -> None:
        """After the wait of a turn: others have had their answers meanwhile. Raises as ``check`` does."""
        mine = turn.tries and self._trying
        self._trying = self._trying and not mine
        self.check(action, target)
        self._trying = self._trying or mine

    def ended(self, error: ProviderError | None) -> None:
        """How a call went; anything but a Transient is an answer of a cloud that works."""
        self._trying = False
        if isinstance(error, Transient):
            self._failures += 1
            if self._failures >= self._limits.outage_after:
                self._pause = min(self._limits.longest_pause, self._pause * 2 or self._limits.first_pause)
                self._down_until = self._clock() + self._pause * (0.5 + self._random() / 2)
                self._last = error
            return
        self._failures, self._pause, self._down_until, self._last = 0, 0.0, 0.0, None
        if isinstance(error, NotLetIn):
            self._locked_out = error
            self._locked_out_until = self._clock() + self._limits.locked_out_pause
        if isinstance(error, Throttled):
            self._quiet_until = max(self._quiet_until, self._clock() + error.retry_after)
            self._quiet_words = error

    def renewed(self) -> None:
        """Other credentials are used from now on."""
        self._locked_out = None

    def abandoned(self, turn: Turn) -> None:
        """A call was cancelled: it tells nothing."""
        if turn.tries:
            self._trying = False


class NoTurn(Retryable):
    """Others were before it for too long; nothing is wrong."""

    retry_after = 2.0

    def __init__(self, action: str, target: str) -> None:
        super().__init__(action, target, "NoTurn", "the account's other calls were before it")


class Outage(Transient):
    """The cloud does not answer, as the last call that was made found out; this one was not made."""

    def __init__(self, last: Transient, *, retry_after: float) -> None:
        super().__init__(last.action, last.target, last.code, last.message)
        self.retry_after = retry_after
