"""Whose turn it is: what keeps one team's ten thousand claims from holding up another team's one. Pure state, no I/O.

A *flow* is all that is done for one namespace. Promises: of several flows that wait, each gets every n-th turn; and what a
worker does not take for one flow is put off for about as long as that flow's turns take, at most for half a minute.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

_AHEAD, _MOST = 2, 3
"""How many times its places a worker takes of one flow, and of all: there is room left for those that come late."""
_EARLY = 0.5
"""Part of the expected wait after which a message comes back: too early costs a delivery, too late an idle worker."""
_SHORTEST, _LONGEST = 0.5, 30.0
_REMEMBERED = 64


class Turns(Generic[Item]):
    """What waits, by flow: one of each flow in turn; within a flow the lowest rank first, then in order of arrival."""

    def __init__(self) -> None:
        self._flows: dict[str, list[tuple[tuple[Any, ...], int, Item]]] = {}
        self._order: deque[str] = deque()
        self._arrivals = count()
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def push(self, flow: str, item: Item, rank: tuple[Any, ...] = ()) -> None:
        waiting = self._flows.get(flow)
        if waiting is None:
            waiting = self._flows[flow] = []
            self._order.append(flow)
        heappush(waiting, (rank, next(self._arrivals), item))
        self._waiting += 1

    def pop(self) -> Item | None:
        """The next flow's first; None if nothing waits."""
        if not self._order:
            return None
        flow = self._order.popleft()
        waiting = self._flows[flow]
        item = heappop(waiting)[2]
        if waiting:
            self._order.append(flow)
        else:
            del self._flows[flow]
        self._waiting -= 1
        return item


@dataclass(slots=True)
class Share:
    """What a worker takes of which flow, and when what it does not take comes back.

    ``places`` is how many objects it works on at once; times are in seconds on any one clock.
    """

    places: int
    _in_hand: Counter[str] = field(default_factory=Counter)
    _due: dict[str, list[float]] = field(default_factory=dict)
    _finished: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def took(self, flow: str) -> None:
        """A message of the flow is in hand."""
        self._in_hand[flow] += 1

    def gave(self, flow: str) -> None:
        """A message of the flow is in hand no longer."""
        self._in_hand[flow] -= 1
        if self._in_hand[flow] <= 0:
            del self._in_hand[flow]

    def finished(self, now: float) -> None:
        """A place has become free."""
        self._finished.append(now)

    def fits(self, flow: str, now: float) -> bool:
        """Whether one more message of the flow is taken.

        Beyond its places a worker takes what it will come to in a moment, and what is of a flow that has less than its part.
        """
        total = self._in_hand.total()
        if total < self.places:
            return True
        if total >= _MOST * self.places:
            return False
        flows = len(self._in_hand) + (flow not in self._in_hand)
        if self._in_hand[flow] < max(1, self.places // flows):
            return True
        return total < _AHEAD * self.places and total * self._pace(now) < _SHORTEST

    def put_off(self, flow: str, now: float) -> float:
        """In how many seconds a message of the flow that is not taken is to be delivered again."""
        due = self._due.setdefault(flow, [])
        while due and due[0] <= now:
            heappop(due)
        ahead = len(due) + self._in_hand[flow]
        flows = max(1, len(self._in_hand))
        delay = min(_LONGEST, max(_SHORTEST, _EARLY * ahead * flows * self._pace(now)))
        heappush(due, now + delay)
        return delay

    def forget(self, now: float) -> None:
        """Let go of what is known of flows of which nothing is put off any more."""
        for flow in [flow for flow, due in self._due.items() if max(due, default=now) <= now]:
            del self._due[flow]

    def _pace(self, now: float) -> float:
        """Seconds from one place's becoming free to the next one's; 0 where nothing is known."""
        if len(self._finished) < 2:
            return 0.0
        return (now - self._finished[0]) / len(self._finished)
