"""The streams behind the bus, and making them right: created where they are missing, updated where they differ.

``ensure`` may be called by any service at any time, concurrently too.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from nats.js import api

from conductor_bus.config import BusConfig
from conductor_bus.connection import Connection, NameTaken, NotThere
from conductor_bus.errors import ServerTooOld, Unavailable

REQUIRED_API_LEVEL = 2
"""JetStream's level that has message schedules (nats-server 2.12); per-message TTLs came with 1."""


def objects_stream(config: BusConfig) -> api.StreamConfig:
    """Each object's last message, wakes and timers."""
    return api.StreamConfig(
        name=config.stream,
        description="Last state of each Conductor object; wakes and timers of its consumers",
        subjects=config.subjects.all_of_stream(),
        retention=api.RetentionPolicy.LIMITS,
        discard=api.DiscardPolicy.OLD,
        storage=api.StorageType.FILE,
        num_replicas=config.replicas,
        max_msgs_per_subject=1,
        allow_direct=True,
        allow_msg_ttl=True,
        allow_msg_schedules=True,
    )


def dead_letter_stream(config: BusConfig) -> api.StreamConfig:
    """What consumers gave up on, until a person has read it."""
    return api.StreamConfig(
        name=config.dead_letter_stream,
        description="Messages that Conductor's consumers could not handle",
        subjects=[config.subjects.all_dead_letters()],
        retention=api.RetentionPolicy.LIMITS,
        discard=api.DiscardPolicy.OLD,
        storage=api.StorageType.FILE,
        num_replicas=config.replicas,
        max_msgs_per_subject=1,
        max_age=config.dead_letter_ttl.total_seconds(),
        allow_direct=True,
    )


def lock_stream(config: BusConfig) -> api.StreamConfig:
    """Which worker holds which object. In memory, which a restart of a lone broker empties: the holders put
    their locks back, whereas on disk a lock that was just released could come back without a holder."""
    return api.StreamConfig(
        name=config.lock_stream,
        description="Objects that Conductor's workers hold at this moment",
        subjects=[config.subjects.all_locks()],
        retention=api.RetentionPolicy.LIMITS,
        discard=api.DiscardPolicy.OLD,
        storage=api.StorageType.MEMORY,
        num_replicas=config.replicas,
        max_msgs_per_subject=1,
        allow_direct=True,
        allow_msg_ttl=True,
    )


async def ensure_streams(
    connection: Connection, *, first_sequence: Callable[[], int] = lambda: time.time_ns() // 1000
) -> None:
    """Makes all three streams what the configuration says.

    A stream that is made anew goes on with sequences that its predecessor cannot have used (microseconds since the
    epoch). Otherwise what somebody still knows of the predecessor would hold in the new one by accident: a late
    acknowledgement would settle another message, an expectation would be met that should fail.

    Raises:
        ServerTooOld: the broker lacks message schedules.
        Unavailable, Refused
    """
    account = await connection.account_info()
    level = account.api.level or 0
    if level < REQUIRED_API_LEVEL:
        version = connection.client.connected_server_version
        raise ServerTooOld(
            "preparing the streams",
            f"message schedules need JetStream API level {REQUIRED_API_LEVEL} (nats-server 2.12 or newer), "
            f"this is nats-server {version} with level {level}",
        )
    config = connection.config
    for wanted in (objects_stream(config), dead_letter_stream(config), lock_stream(config)):
        await _ensure_stream(connection, wanted, first_sequence())


async def _ensure_stream(connection: Connection, wanted: api.StreamConfig, first_sequence: int) -> None:
    name = str(wanted.name)
    present = await _config_of(connection, name)
    if present is None:
        try:
            await connection.add_stream(wanted.evolve(first_seq=first_sequence))
            return
        except NameTaken as error:
            # Somebody else has made it meanwhile, with a first sequence of theirs.
            present = await _config_of(connection, name)
            if present is None:
                # A cluster knows of a stream a moment before any of its servers serves it.
                raise Unavailable(f"preparing stream {name}", "it is being made") from error
    if not _satisfied(present, wanted):
        await connection.update_stream(wanted.evolve(first_seq=present.first_seq))


async def _config_of(connection: Connection, name: str) -> api.StreamConfig | None:
    try:
        return (await connection.stream_info(name)).config
    except NotThere:
        return None


def _satisfied(present: api.StreamConfig, wanted: api.StreamConfig) -> bool:
    """Whether every field that we set is as we set it; the broker fills in the others."""
    mine = wanted.as_dict()
    theirs = present.as_dict()
    return all(theirs.get(name) == value for name, value in mine.items() if value not in (None, 0, -1, False))
