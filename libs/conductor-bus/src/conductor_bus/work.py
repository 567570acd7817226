"""What a handler gets, and what it may answer.

A handler answers `Done` or `RequeueAfter`, or raises: `Transient`, `Throttled` or any exception whose ``retryable``
is True (``retry_after`` in seconds is obeyed where it has one) to have the object handed to it again; or
`MalformedMessage` for what no retry will make readable, which goes to the dead letters at once. Any other exception is
unexpected: retried likewise, but after some failures on the same message set aside as a dead letter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from conductor_bus.envelope import ObjectMessage
from conductor_model.refs import ObjectKey


@dataclass(frozen=True, slots=True)
class Wake:
    """A timer that a handler had set for the object has come due, or somebody replayed a dead letter."""

    key: ObjectKey
    sequence: int
    deliveries: int
    traceparent: str | None
    claim_namespace: str | None = None

    @property
    def flow(self) -> str:
        """Whose work it is, see `ObjectMessage.flow`."""
        return self.claim_namespace or self.key.namespace


Cause: TypeAlias = ObjectMessage | Wake


@dataclass(frozen=True, slots=True)
class Work:
    """One object to look at. Nobody else works on ``key`` for this consumer while the handler runs."""

    key: ObjectKey
    message: ObjectMessage | None
    """The last message of ``key``, read after the object was locked; None if the stream has none.

    None says nothing about whether the object exists: ask the API.
    """
    cause: Cause
    """What brought this about; of several the newest."""


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more to do until the object changes. A timer that was set for it is cancelled."""


@dataclass(frozen=True, slots=True)
class RequeueAfter:
    """Look at the object again then, whatever crashes meanwhile. Replaces a timer that was set before."""

    seconds: float


Result: TypeAlias = Done | RequeueAfter
Handler: TypeAlias = Callable[[Work], Awaitable[Result]]
Related: TypeAlias = Callable[[ObjectMessage], Iterable[ObjectKey]]
"""Which objects a message is about, for a service that handles other objects than those it gets messages of."""


def itself(message: ObjectMessage) -> tuple[ObjectKey]:
    return (message.key,)
