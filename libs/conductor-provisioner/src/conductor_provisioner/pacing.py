"""When to look at an external resource again: pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from conductor_model.annotations import POLL_INTERVAL
from conductor_model.concrete import Concrete
from conductor_provisioner.driver import Observation
from conductor_provisioner.duration import parse_duration

PENDING_SECONDS = 10.0
SETTLED_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PollIntervals:
    """Seconds between two looks at an external resource."""

    pending: float = PENDING_SECONDS
    """While something is under way. A database takes minutes for anything, and a cloud allows only some calls a second."""
    settled: float = SETTLED_SECONDS
    """When nothing is: notices what others did to it, and rotated credentials."""
    jitter: float = 0.1
    """Part of ``settled`` by which looks are spread, so that objects made together are not polled together."""


class Look(Enum):
    """When to look at the external resource again, where no number of seconds is known."""

    SOON = auto()
    LATER = auto()
    NEVER = auto()
    """Not before the object changes."""


def next_look(observed: Observation[Any]) -> Look | float:
    """When what is now so, and about which nothing is to be done, is looked at again."""
    if observed.poll_after is not None:
        return observed.poll_after
    under_way = observed.busy or not (observed.ready or observed.failed)
    return Look.SOON if under_way else Look.LATER


def seconds_until(look: Look | float, concrete: Concrete, poll: PollIntervals, random: float) -> float | None:
    """The delay of the next look; ``random`` in [0, 1). The object's own interval replaces the settled one."""
    if look is Look.NEVER:
        return None
    if look is Look.SOON:
        return poll.pending
    own = own_poll_interval(concrete)
    settled = (own if isinstance(own, float) else poll.settled) * (1 + poll.jitter * (2 * random - 1))
    if look is Look.LATER:
        return max(poll.pending, settled)
    return min(look, max(poll.pending, settled))


def own_poll_interval(concrete: Concrete) -> float | ValueError | None:
    """Seconds by the object's annotation; the error where that cannot be read, and is not obeyed."""
    text = concrete.metadata.annotations.get(POLL_INTERVAL)
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        return error
