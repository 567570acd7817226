"""Everything that can go wrong on the bus, as types.

    BusError
    ├── Unavailable        broker not reachable or not answering: try again
    ├── StreamLost         the stream is gone or is another one: rebuild it from the API, then go on
    ├── Superseded         compare-and-publish lost: somebody stored a newer message for that object
    ├── Refused            the broker refused a request for good: rights, limits, configuration
    │   ├── ServerTooOld   the broker lacks message schedules or per-message TTLs
    │   └── TooLarge       the message is larger than the broker takes
    ├── MalformedMessage   a message that no retry will make readable
    └── Retry              raised by a handler: hand me this object again
        ├── Transient      with exponential backoff
        └── Throttled      after the delay that the other side asked for

Whether it is worth trying again is the type's ``retryable``. No error's text holds a message's payload or a URL.
"""

from __future__ import annotations

from typing import ClassVar

from conductor_model.refs import ObjectKey


class BusError(Exception):
    """The base of all errors of this library."""

    retryable: ClassVar[bool] = False


class Unavailable(BusError):
    """The broker did not answer; what was asked for may or may not have happened."""

    retryable = True

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: the broker did not answer ({reason})")


class StreamLost(BusError):
    """The stream is not there, or not the one that was there before: its messages are gone."""

    retryable = True

    def __init__(self, stream: str, reason: str) -> None:
        super().__init__(f"stream {stream} was lost: {reason}")
        self.stream = stream


class Superseded(BusError):
    """The object's last message is not the one that the caller expected."""

    def __init__(self, key: ObjectKey, expected: int, actual: int | None) -> None:
        seen = "another" if actual is None else str(actual)
        super().__init__(f"{key}: expected last sequence {expected}, the stream has {seen}")
        self.key = key
        self.expected = expected
        self.actual = actual


class Refused(BusError):
    """The broker refused; asking again will not help until somebody changes its configuration."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: refused by the broker: {reason}")


class ServerTooOld(Refused):
    """The broker lacks a feature that the bus is built on."""


class TooLarge(Refused):
    """The message exceeds the broker's max_payload."""


class MalformedMessage(BusError):
    """A message that does not follow the envelope; it goes to the dead letters at once."""


class Retry(BusError):
    """Raised by a handler that wants the object handed to it again; nothing is wrong with the handler."""

    retryable = True


class Transient(Retry):
    """Again with exponential backoff and jitter."""


class Throttled(Retry):
    """Again after the delay, in seconds, that the other side asked for."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
