"""What may be configured, with the default and its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from conductor_bus.subjects import Subjects


@dataclass(frozen=True, slots=True)
class WorkPolicy:
    """How a work queue retries, gives up and shuts down. Times in seconds."""

    hold: float = 5.0
    """How long after its worker died an object may be taken up by another. Refreshed three times as often."""
    backoff_base: float = 0.5
    backoff_cap: float = 60.0
    """A provider that was down for an hour is tried within a minute of coming back."""
    dead_letter_after: int = 10
    """Unexpected exceptions on the same message before it is set aside."""
    drain: float = 5.0
    """What running handlers get to finish after a stop; a pod has 30 in all by default."""
    busy_elsewhere: float = 0.1
    """First pause before an object that another replica works on is looked at again; doubles up to a second."""
    settle_after_reconnect: float = 1.0
    """No lock is taken this long after a reconnect: a broker that lost its locks gets them back from holders first."""


@dataclass(frozen=True, slots=True)
class BusConfig:
    """One installation's names and limits on the broker."""

    stream: str = "CONDUCTOR_OBJECTS"
    dead_letter_stream: str = "CONDUCTOR_DEAD_LETTERS"
    lock_stream: str = "CONDUCTOR_LOCKS"
    prefix: str = "conductor"
    partitions: int = 16
    replicas: int = 1
    tombstone_ttl: timedelta = timedelta(hours=24)
    wake_ttl: timedelta = timedelta(days=30)
    """A wake that no worker has taken for so long is of an object that is gone."""
    dead_letter_ttl: timedelta = timedelta(days=30)
    request_timeout: float = 2.5
    """What a request that was under way when the broker died costs; a healthy broker answers in milliseconds."""
    work: WorkPolicy = field(default_factory=WorkPolicy)

    @property
    def subjects(self) -> Subjects:
        return Subjects(self.prefix, self.partitions)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> BusConfig:
        """``CONDUCTOR_BUS_PREFIX`` (streams are named after it in capitals), ``CONDUCTOR_BUS_REPLICAS``, and in seconds
        ``CONDUCTOR_BUS_TOMBSTONE_TTL`` and ``CONDUCTOR_BUS_WAKE_TTL``.
        """
        prefix = environment.get("CONDUCTOR_BUS_PREFIX", "conductor")
        stem = prefix.upper().replace(".", "_")
        return cls(
            stream=f"{stem}_OBJECTS",
            dead_letter_stream=f"{stem}_DEAD_LETTERS",
            lock_stream=f"{stem}_LOCKS",
            prefix=prefix,
            replicas=int(environment.get("CONDUCTOR_BUS_REPLICAS", "1")),
            tombstone_ttl=_seconds(environment, "CONDUCTOR_BUS_TOMBSTONE_TTL", cls().tombstone_ttl),
            wake_ttl=_seconds(environment, "CONDUCTOR_BUS_WAKE_TTL", cls().wake_ttl),
        )


def _seconds(environment: Mapping[str, str], name: str, default: timedelta) -> timedelta:
    given = environment.get(name)
    return timedelta(seconds=int(given)) if given else default
