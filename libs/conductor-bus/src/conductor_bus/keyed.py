"""A queue in which each object is once, and is handed out to one worker at a time. Pure state, no I/O.

Flows take turns (see `conductor_bus.flows`). What arrives for an object that waits is added to it; what arrives for one
that is being worked on waits until that is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from conductor_bus.flows import Turns
from conductor_model.refs import ObjectKey

Item = TypeVar("Item")


@dataclass(slots=True)
class Batch(Generic[Item]):
    """What has come in for one object, oldest first; never empty."""

    key: ObjectKey
    flow: str = ""
    items: list[Item] = field(default_factory=list)


class KeyedQueue(Generic[Item]):
    """Objects with what came in for them, flow by flow, and within a flow in order of arrival."""

    def __init__(self) -> None:
        self._waiting: dict[ObjectKey, Batch[Item]] = {}
        self._ready: Turns[ObjectKey] = Turns()
        self._active: set[ObjectKey] = set()

    @property
    def active(self) -> int:
        """How many objects are being worked on."""
        return len(self._active)

    def add(self, key: ObjectKey, item: Item, flow: str = "") -> None:
        """The object is of the flow that its first item waiting is of."""
        batch = self._waiting.get(key)
        if batch is None:
            self._waiting[key] = batch = Batch(key, flow)
            if key not in self._active:
                self._ready.push(flow, key)
        batch.items.append(item)

    def take(self) -> Batch[Item] | None:
        """The next object that nobody works on; it is worked on from now. None if there is none."""
        key = self._ready.pop()
        if key is None:
            return None
        self._active.add(key)
        return self._waiting.pop(key)

    def take_more(self, key: ObjectKey) -> Batch[Item] | None:
        """What came in for an object while it was worked on, to go on with it."""
        return self._waiting.pop(key, None)

    def release(self, key: ObjectKey) -> None:
        """The object is no longer worked on."""
        self._active.discard(key)
        if key in self._waiting:
            self._ready.push(self._waiting[key].flow, key)

    def drain(self) -> list[Batch[Item]]:
        """Everything that waits; the queue forgets it."""
        batches = list(self._waiting.values())
        self._waiting.clear()
        self._ready = Turns()
        return batches
