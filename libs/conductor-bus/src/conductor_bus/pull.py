"""A pull consumer's messages as they arrive, never more than were asked for.

nats-py's ``fetch`` waits until a batch is full or its time is over, which would delay a lone message by seconds. Here
a request for many stays open on the broker and each message is handed on when it comes; the caller asks for more as
it gets room (the pull requests and their statuses are JetStream's ADR-13).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from types import TracebackType

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import api

from conductor_bus.cancellation import cancellable
from conductor_bus.connection import Connection, translated
from conductor_bus.errors import BusError

_HEARTBEAT = 5.0
_EXPIRES = 60.0
_SILENT = 2.5 * _HEARTBEAT

_IDLE_HEARTBEAT = "100"
_NO_RESPONDERS = "503"
_CONFLICT = "409"


class ConsumerLost(BusError):
    """The consumer is gone, or the connection through which its messages came: open a new session."""

    retryable = True


class PullSession:
    """One consumer's deliveries over one connection. `receive` raises `ConsumerLost` once when it is over."""

    def __init__(
        self,
        connection: Connection,
        stream: str,
        consumer: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._next_subject = f"{api.DEFAULT_PREFIX}.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._lost: str | None = None
        self._clock = clock
        self._last_heard = clock()
        self._forget_listener: Callable[[], None] = lambda: None
        self._coming = 0
        self.buffered = 0
        """How many messages have arrived and were not received yet."""
        self.received = 0
        """How many messages `receive` has returned."""

    async def __aenter__(self) -> PullSession:
        client = self._connection.client
        self._inbox = client.new_inbox()
        self._forget_listener = self._connection.on_reconnect(lambda: self.end("reconnected"))
        with translated("subscribing"):
            self._subscription = await cancellable(
                client.subscribe(
                    self._inbox, cb=self._on_message, pending_msgs_limit=-1, pending_bytes_limit=-1
                )
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget_listener()
        if self._subscription is not None and not self._connection.client.is_closed:
            try:
                with translated("unsubscribing"):
                    await cancellable(self._subscription.unsubscribe())
            except BusError:
                # The broker forgets the subscription with the connection.
                pass

    @property
    def outstanding(self) -> int:
        """How many messages may still be received without asking for more."""
        return self._coming + self.buffered

    @property
    def drained(self) -> bool:
        """Whether all that was asked for was received, or was answered with there being no more."""
        return self.outstanding == 0

    async def request(self, batch: int, *, wait: bool = True) -> None:
        """Asks for that many more messages; without ``wait`` only for those that are there already."""
        body: dict[str, int | bool] = {"batch": batch}
        if wait:
            body["expires"] = int(_EXPIRES * 1e9)
            body["idle_heartbeat"] = int(_HEARTBEAT * 1e9)
        else:
            body["no_wait"] = True
        self._coming += batch
        self._last_heard = self._clock()
        with translated("pulling messages"):
            await cancellable(
                self._connection.client.publish(
                    self._next_subject, json.dumps(body).encode(), reply=self._inbox
                )
            )

    def nudge(self) -> None:
        """Makes `receive` return None, so that its caller looks at its own state again."""
        self._arrived.put_nowait(None)

    async def receive(self) -> Msg | None:
        """The next message; None after a nudge, or when a request has ended.

        Raises:
            ConsumerLost: nothing more will come.
        """
        while self._lost is None:
            try:
                async with asyncio.timeout(_HEARTBEAT):
                    return self._received(await self._arrived.get())
            except TimeoutError:
                if self._coming > 0 and self._clock() - self._last_heard > _SILENT:
                    self.end("the broker has fallen silent")
        if not self._arrived.empty():
            return self._received(self._arrived.get_nowait())
        raise ConsumerLost(self._lost)

    def _received(self, message: Msg | None) -> Msg | None:
        if message is not None:
            self.buffered -= 1
            self.received += 1
        return message

    def end(self, reason: str) -> None:
        """Makes `receive` raise `ConsumerLost` once what has arrived was received."""
        self._lost = self._lost or reason
        self.nudge()

    async def _on_message(self, message: Msg) -> None:
        self._last_heard = self._clock()
        headers = message.headers or {}
        status = headers.get(api.Header.STATUS)
        if status is None or message.data:
            self._coming = max(0, self._coming - 1)
            self.buffered += 1
            self._arrived.put_nowait(message)
        elif status == _NO_RESPONDERS:
            self.end("no such consumer")
        elif status == _CONFLICT and "Deleted" in headers.get(api.Header.DESCRIPTION, ""):
            self.end("the consumer was deleted")
        elif status != _IDLE_HEARTBEAT:
            # Any other status ends a request: expired, nothing there, the consumer moved to another server.
            unfulfilled = int(headers.get("Nats-Pending-Messages", self._coming))
            self._coming = max(0, self._coming - unfulfilled)
            self.nudge()
