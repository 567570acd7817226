"""Dead letters: messages that a consumer gave up on, kept apart so that they block nobody.

A person lists and reads them, mends what was wrong, and replays them: the object is handed to the consumer again in
its *present* state. A dead letter's payload is the message's as it was.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime

from nats.aio.msg import Msg
from nats.js import api

from conductor_bus.connection import Connection, NotThere
from conductor_bus.errors import MalformedMessage, StreamLost
from conductor_bus.pull import PullSession
from conductor_bus.subjects import WakeSubject
from conductor_model.redaction import redact
from conductor_model.refs import ObjectKey

_SUBJECT = "Conductor-Subject"
_CONSUMER = "Conductor-Consumer"
_KEY_SUBJECT = "Conductor-Object-Subject"
_ERROR = "Conductor-Error"
_ERROR_TEXT = "Conductor-Error-Text"
_DELIVERIES = "Conductor-Deliveries"
_FAILED_AT = "Conductor-Failed-At"
_TEXT_LIMIT = 500


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that was set aside."""

    consumer: str
    key: ObjectKey | None
    """The object it was handled for; None if the message named none."""
    subject: str
    error: str
    """The exception's class."""
    text: str
    """Its text, redacted and shortened."""
    deliveries: int
    failed_at: str
    data: bytes
    sequence: int


def headers_of(
    message: Msg, consumer: str, key_subject: str | None, error: BaseException, deliveries: int
) -> dict[str, str]:
    """What is added to the message's own headers, of which JetStream's control headers are left out."""
    own = {
        name: value for name, value in (message.headers or {}).items() if not name.lower().startswith("nats-")
    }
    text = redact(str(error)).replace("\r", " ").replace("\n", " ")
    added = {
        _SUBJECT: message.subject,
        _CONSUMER: consumer,
        _ERROR: type(error).__qualname__,
        _ERROR_TEXT: text[:_TEXT_LIMIT],
        _DELIVERIES: str(deliveries),
        _FAILED_AT: datetime.now(UTC).isoformat(),
    }
    if key_subject is not None:
        added[_KEY_SUBJECT] = key_subject
    return own | added


async def bury(
    connection: Connection, consumer: str, message: Msg, key: ObjectKey | None, error: BaseException
) -> None:
    """Stores the message among the dead letters; the newest of each subject and consumer is kept."""
    subjects = connection.subjects
    key_subject = subjects.object(key) if key is not None else None
    headers = headers_of(message, consumer, key_subject, error, message.metadata.num_delivered)
    try:
        await connection.publish(subjects.dead_letter(consumer, message.subject), message.data, headers)
    except NotThere as gone:
        raise StreamLost(connection.config.dead_letter_stream, "it does not exist") from gone


async def dead_letters(
    connection: Connection, consumer: str | None = None
) -> AsyncGenerator[DeadLetter, None]:
    """Those of one consumer or of all, oldest first."""
    subjects = connection.subjects
    stream = connection.config.dead_letter_stream
    wanted = subjects.all_dead_letters() if consumer is None else subjects.dead_letters_of(consumer)
    config = api.ConsumerConfig(
        name=f"dead-{connection.client.new_inbox().rpartition('.')[2]}",
        deliver_policy=api.DeliverPolicy.ALL,
        ack_policy=api.AckPolicy.NONE,
        filter_subjects=[wanted],
        inactive_threshold=60,
        mem_storage=True,
        num_replicas=1,
    )
    try:
        info = await connection.add_consumer(stream, config)
    except NotThere as error:
        raise StreamLost(stream, "it does not exist") from error
    left = info.num_pending or 0
    async with PullSession(connection, stream, str(config.name)) as session:
        while left > 0:
            if session.drained:
                await session.request(min(left, 256))
            message = await session.receive()
            if message is not None:
                yield _read(connection, message)
                left = message.metadata.num_pending
    await connection.delete_consumer(stream, str(config.name))


async def replay(connection: Connection, letter: DeadLetter) -> None:
    """Has the consumer look at the letter's object again, and removes the letter.

    Raises:
        MalformedMessage: it names no object; all that can be done is to `discard` it.
    """
    if letter.key is None:
        raise MalformedMessage(f"dead letter {letter.sequence} of {letter.consumer} names no object")
    await connection.publish(connection.subjects.wake(letter.consumer, letter.key), b"")
    await discard(connection, letter)


async def discard(connection: Connection, letter: DeadLetter) -> None:
    """Removes the letter."""
    await connection.delete_message(connection.config.dead_letter_stream, letter.sequence)


def _read(connection: Connection, message: Msg) -> DeadLetter:
    headers = message.headers or {}
    key_subject = headers.get(_KEY_SUBJECT)
    named = connection.subjects.parse(key_subject) if key_subject else None
    return DeadLetter(
        consumer=headers.get(_CONSUMER, ""),
        key=named.key if isinstance(named, WakeSubject) else named,
        subject=headers.get(_SUBJECT, ""),
        error=headers.get(_ERROR, ""),
        text=headers.get(_ERROR_TEXT, ""),
        deliveries=int(headers.get(_DELIVERIES, "0")),
        failed_at=headers.get(_FAILED_AT, ""),
        data=message.data,
        sequence=message.metadata.sequence.stream,
    )
