"""What a replica sees while another leads: enough to explain by, and nothing to decide by.

It believes the bus alone, and asks the API server nothing: what an earlier bus told and a new one does not tell is dropped.
It does not know what only the leader knows: for whom room is kept, and what the API server has refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

from pydantic import ValidationError

from conductor_bus import CaughtUp, ObjectMessage, Restarted
from conductor_scheduler.policy import Policy
from conductor_scheduler.view import View

log = logging.getLogger(__name__)
_AGAIN = 1.0


class Bystander:
    """The world as the bus tells it, for whoever asks a replica that stands by."""

    def __init__(self, policy: Callable[[], Policy]) -> None:
        self.view = View()
        self.caught_up = False
        self._policy = policy

    @property
    def leading(self) -> bool:
        return False

    @property
    def policy(self) -> Policy:
        return self._policy()

    async def follow(self, messages: AsyncIterator[ObjectMessage | CaughtUp | Restarted]) -> None:
        """Until cancelled. While the bus tells everything anew, what was known before is still shown."""
        told = View()
        async for message in messages:
            match message:
                case ObjectMessage():
                    try:
                        hear(told, message)
                    except ValidationError as error:
                        log.error("%s cannot be read at all: %d errors", message.key, error.error_count())
                    told.catalog.changes()  # Nobody waits here for what changed, so that it is not kept.
                case Restarted():
                    told = View()
                case CaughtUp():
                    self.view, self.caught_up = told, True


class StandingBy:
    """Has a bystander follow the bus between ``begin`` and ``end``, and shows it to whoever explains."""

    def __init__(
        self,
        messages: Callable[[], AsyncIterator[ObjectMessage | CaughtUp | Restarted]],
        policy: Callable[[], Policy],
        show: Callable[[Bystander], None],
    ) -> None:
        self._messages = messages
        self._policy = policy
        self._show = show
        self._watch: asyncio.Task[None] | None = None

    def begin(self) -> None:
        bystander = Bystander(self._policy)
        self._show(bystander)
        self._watch = asyncio.create_task(self._follow(bystander), name="stand-by")

    async def end(self) -> None:
        """What was seen is given up: a leader looks for itself."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})
            self._watch = None

    async def _follow(self, bystander: Bystander) -> None:
        """Nothing depends on a bystander: whatever happens to it, it tries again."""
        while True:
            try:
                await bystander.follow(self._messages())
            except Exception:
                log.exception("standing by: the bus cannot be followed, again in %.0f s", _AGAIN)
            await asyncio.sleep(_AGAIN)


def hear(view: View, message: ObjectMessage) -> None:
    """Take in what the bus tells. Raises ValidationError for what is no object at all."""
    key = message.key
    if not message.deleted:
        view.observe(key, message.data)
        return
    held = view.get(key)
    if held is not None and held.uid == message.uid:
        view.forget(key)
