"""Recognising the messages that our own status writes cause, so that they cost no look at the cloud.

A memory of one process: what it has forgotten, or another replica wrote, is looked at again, and that is harmless.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from conductor_bus import Done, ObjectMessage, RequeueAfter
from conductor_model.meta import ObjectMeta

CAPACITY = 10_000


@dataclass(frozen=True, slots=True)
class _Written:
    resource_version: str
    due: float | None


def same_wish(handled: ObjectMeta, written: ObjectMeta) -> bool:
    """Whether nothing but our status has changed since the version that was handled.

    A status write may land on a version with a deletion, a new claim or an annotation in it that nobody has looked at
    yet: the message that it causes has news then, and is no echo.
    """
    return (handled.generation, handled.deletion_timestamp, handled.annotations, handled.finalizers) == (
        written.generation,
        written.deletion_timestamp,
        written.annotations,
        written.finalizers,
    )


class Echoes:
    """The last status write of each of the objects written last."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._written: OrderedDict[str, _Written] = OrderedDict()

    def remember(self, uid: str, resource_version: str, delay: float | None) -> None:
        """That this version is ours, and in how many seconds the next look is due, if one is."""
        due = None if delay is None else self._clock() + delay
        self._written[uid] = _Written(resource_version, due)
        self._written.move_to_end(uid)
        if len(self._written) > CAPACITY:
            self._written.popitem(last=False)

    def answer_to(self, message: ObjectMessage) -> Done | RequeueAfter | None:
        """What was decided when this version was written; None when the message has news, or a look is due."""
        written = self._written.get(message.uid)
        if written is None or written.resource_version != message.resource_version:
            return None
        if written.due is None:
            return Done()
        left = written.due - self._clock()
        return RequeueAfter(left) if left > 0 else None
