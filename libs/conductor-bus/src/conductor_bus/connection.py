"""The one connection to the broker that everything in a process shares.

Promises: it is made however long the broker takes to appear, and made again for ever, also after the broker closed
it for good (nats-py gives up then). Each new connection is a new ``epoch``; whoever holds something that lives on
the broker's side of a connection listens for it. What nats-py raises leaves this module as our own errors.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext, api

from conductor_bus.cancellation import cancellable, cancelled, ended
from conductor_bus.config import BusConfig
from conductor_bus.credentials import Credentials
from conductor_bus.errors import BusError, Refused, TooLarge, Unavailable

_log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_COMPLAIN_EVERY = 30.0
_LONGEST_CLOSE = 1.0
"""A broker that reads nothing any more would keep a connection with unsent data open for ever."""
_RECONNECT_PAUSE: Any = 0.25
"""nats-py annotates an int, but only sleeps so long."""
_NAME_TAKEN = 10058
_WRONG_LAST_SEQUENCE = (10071, 10164)
"""JetStream's codes for a failed expectation about a subject's last message."""


class NotThere(BusError):
    """The stream, consumer or message asked for does not exist. Callers turn it into what it means to them."""


class Unserved(Unavailable):
    """Nobody listens to the request: what it is about does not exist, or a broker has just started."""


class NameTaken(Refused):
    """There is, or is about to be, a stream of that name which is configured otherwise."""


class WrongLastSequence(BusError):
    """The subject's last message is another one."""

    def __init__(self, actual: int | None) -> None:
        super().__init__(f"the subject's last sequence is {actual}")
        self.actual = actual


class Connection:
    """Requests to the broker, and word of each reconnect."""

    def __init__(self, url: str, name: str, config: BusConfig, credentials: Credentials) -> None:
        self._url = url
        self._name = name
        self._credentials = credentials
        self._client: Client | None = None
        self._closing = False
        self._last_complaint = float("-inf")
        self._reopening: asyncio.Task[None] | None = None
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._listeners: set[Callable[[], None]] = set()
        self.config = config
        self.subjects = config.subjects
        self.epoch = 0

    @property
    def client(self) -> Client:
        if self._client is None:
            raise Unavailable("using the connection", "not connected yet")
        return self._client

    @property
    def jetstream(self) -> JetStreamContext:
        context: JetStreamContext = self.client.jetstream(timeout=self.config.request_timeout)
        return context

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.is_connected

    async def open(self) -> None:
        """Returns once connected."""
        pause = _FIRST_PAUSE
        while True:
            try:
                self._client = await self._connect()
            except (OSError, nats.errors.Error, TimeoutError) as error:
                await self._on_error(error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self._announce()
                return

    async def close(self) -> None:
        """Flushes what was published and closes; if cancelled, it still closes."""
        self._closing = True
        if self._reopening is not None:
            await cancelled(self._reopening)
        if self._client is not None and not self._client.is_closed:
            try:
                await self.flush()
            finally:
                await self._close(self._client)

    async def flush(self) -> None:
        """Sends what is pending and a ping; returns at its answer, or a second later if there is none."""
        try:
            await cancellable(self.client.flush(timeout=1))
        except (nats.errors.Error, OSError, TimeoutError):
            _log.debug("not flushed: the broker does not answer")

    def on_reconnect(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls the listener, which must not block, after each (re)connect; returns how to stop that."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    async def publish(self, subject: str, payload: bytes, headers: dict[str, str] | None = None) -> int:
        """Stores a message and returns its sequence.

        Raises:
            WrongLastSequence: an expectation in the headers failed.
            NotThere: no stream takes this subject.
            Unavailable, Refused, TooLarge
        """
        if len(payload) + _header_bytes(headers or {}) > self.client.max_payload:
            # The broker counts the headers in, and closes the connection of whoever sends more; nats-py does not.
            raise TooLarge(f"publishing to {subject}", "larger than the broker's max_payload")
        request = self.jetstream.publish(subject, payload, headers=headers)
        ack = await self._ask(f"publishing to {subject}", request)
        return int(ack.seq)

    async def last_message(self, stream: str, subject: str) -> api.RawStreamMsg:
        """The stream's last message of a subject.

        Of a stream on one server by direct get; of one on several from its leader: any of them may answer a direct get,
        also one that has not heard of what another has just delivered.

        Raises:
            NotThere: the subject has none.
            Unserved: also when there is no such stream.
            Unavailable
        """
        direct = self.config.replicas == 1
        request = self.jetstream.get_last_msg(stream, subject, direct=direct)
        return await self._ask(f"reading {subject}", request)

    async def delete_message(self, stream: str, sequence: int) -> None:
        await self._ask(
            f"deleting message {sequence} of {stream}",
            self._call(f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": True}),
        )

    async def account_info(self) -> api.AccountInfo:
        return await self._ask("asking for the account", self.jetstream.account_info())

    async def stream_info(self, stream: str) -> api.StreamInfo:
        return await self._ask(f"asking for stream {stream}", self.jetstream.stream_info(stream))

    async def add_stream(self, config: api.StreamConfig) -> None:
        await self._ask(f"creating stream {config.name}", self.jetstream.add_stream(config))

    async def update_stream(self, config: api.StreamConfig) -> None:
        await self._ask(f"updating stream {config.name}", self.jetstream.update_stream(config))

    async def consumer_info(self, stream: str, consumer: str) -> api.ConsumerInfo:
        info: api.ConsumerInfo = await self._ask(
            f"asking for consumer {consumer}", self.jetstream.consumer_info(stream, consumer)
        )
        return info

    async def add_consumer(self, stream: str, config: api.ConsumerConfig) -> api.ConsumerInfo:
        return await self._ask(
            f"creating consumer {config.name}", self.jetstream.add_consumer(stream, config)
        )

    async def delete_consumer(self, stream: str, consumer: str) -> None:
        await self._ask(f"deleting consumer {consumer}", self.jetstream.delete_consumer(stream, consumer))

    async def _call(self, operation: str, body: dict[str, Any]) -> None:
        """A JetStream API call that nats-py does not know in full."""
        message = await self.client.request(
            f"{api.DEFAULT_PREFIX}.{operation}",
            json.dumps(body).encode(),
            timeout=self.config.request_timeout,
        )
        answer = json.loads(message.data)
        if "error" in answer:
            raise nats.js.errors.APIError.from_error(answer["error"])

    async def _ask(self, what: str, request: Coroutine[Any, Any, Answer]) -> Answer:
        """Waits for an answer, but not for one that cannot come any more because the connection was lost."""
        task = asyncio.create_task(request)
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)
        await ended(task)
        if task.cancelled():
            raise Unavailable(what, "the connection was lost meanwhile")
        with translated(what):
            return task.result()

    async def _connect(self) -> Client:
        client = Client()
        try:
            await cancellable(self._establish(client))
        except asyncio.CancelledError:
            # It may have connected at the last moment, and nobody would know of it.
            await self._close(client)
            raise
        return client

    async def _establish(self, client: Client) -> None:
        credentials = self._credentials
        await client.connect(
            self._url.split(","),
            name=self._name,
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_RECONNECT_PAUSE,
            connect_timeout=2,
            ping_interval=5,
            max_outstanding_pings=2,
            user=credentials.user,
            password=credentials.password(),
            user_credentials=str(credentials.creds_file) if credentials.creds_file else None,
            nkeys_seed=str(credentials.nkey_seed_file) if credentials.nkey_seed_file else None,
            tls=credentials.tls(),
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
            closed_cb=self._on_closed,
        )

    async def _close(self, client: Client) -> None:
        if client.is_closed:
            return
        # nats-py cancels its attempts to reconnect once. One that loses that goes on for ever, unless it has no server.
        client.set_server_pool([])
        closing = asyncio.create_task(client.close())
        try:
            await asyncio.wait({closing}, timeout=_LONGEST_CLOSE)
        except asyncio.CancelledError:
            # Closed by half it would leave its tasks behind.
            await asyncio.wait({closing}, timeout=_LONGEST_CLOSE)
            raise
        finally:
            await cancelled(closing)
            if closing.cancelled() or closing.exception() is not None:
                _log.debug("the connection was not closed in order")

    def _announce(self) -> None:
        self.epoch += 1
        for listener in list(self._listeners):
            listener()

    async def _on_error(self, error: Exception) -> None:
        # Only the type: nats-py's texts may quote the URL, which may hold a password.
        now = time.monotonic()
        if not self.connected and now - self._last_complaint > _COMPLAIN_EVERY:
            self._last_complaint = now
            _log.warning("the broker cannot be reached, or does not let us in: %s", type(error).__name__)

    async def _on_disconnected(self) -> None:
        if not self._closing:
            _log.warning("connection to the broker lost")
        for request in tuple(self._in_flight):
            request.cancel()

    async def _on_reconnected(self) -> None:
        _log.info("connected to the broker again")
        self._announce()

    async def _on_closed(self) -> None:
        if not self._closing and self._client is not None:
            _log.warning("the broker closed the connection; opening another")
            self._reopening = asyncio.create_task(self.open())


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Our errors for nats-py's. Order matters: nats-py's classes overlap."""
    try:
        yield
    except nats.js.errors.NoStreamResponseError as error:
        raise NotThere(f"{what}: no stream takes it") from error
    except nats.js.errors.NotFoundError as error:
        raise NotThere(f"{what}: {error.description or 'not found'}") from error
    except (nats.js.errors.ServiceUnavailableError, nats.js.errors.ServerError) as error:
        raise Unavailable(what, error.description or type(error).__name__) from error
    except nats.js.errors.APIError as error:
        if error.err_code in _WRONG_LAST_SEQUENCE:
            raise WrongLastSequence(_sequence_in(error.description)) from error
        if error.err_code == _NAME_TAKEN:
            raise NameTaken(what, error.description or type(error).__name__) from error
        raise Refused(what, error.description or type(error).__name__) from error
    except nats.errors.NoRespondersError as error:
        raise Unserved(what, "nobody serves it") from error
    except nats.errors.MaxPayloadError as error:
        raise TooLarge(what, "larger than the broker's max_payload") from error
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise Unavailable(what, type(error).__name__) from error


def _sequence_in(description: str | None) -> int | None:
    """The number in JetStream's ``wrong last sequence: 14``, where it names one."""
    _, _, number = (description or "").rpartition(": ")
    return int(number) if number.isdigit() else None


def created(info: api.StreamInfo) -> datetime:
    """When the stream was made: what tells it from one of the same name that came after it."""
    if info.created is None:
        raise Refused("asking for a stream", "the answer does not say when it was created")
    return info.created


def _header_bytes(headers: Mapping[str, str]) -> int:
    """What headers take on the wire: a version line, a line for each, an empty line (NATS' ADR-4)."""
    lines = sum(len(name.encode()) + len(value.encode()) + len(": \r\n") for name, value in headers.items())
    return len("NATS/1.0\r\n\r\n") + lines if headers else 0
