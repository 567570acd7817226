"""What an operator can set of any provisioner, with its defaults and the environment variables that set it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from conductor_provisioner.duration import parse_duration
from conductor_provisioner.gate import Limits
from conductor_provisioner.pacing import PENDING_SECONDS, SETTLED_SECONDS, PollIntervals

CREATE_SECONDS = 40.0
"""Within which, after the API server has confirmed an object, the last call that creates for it begins."""
CALL_SECONDS = 35.0
"""Within which a driver's call ends that was begun, unless the driver says otherwise, see ``driver.SlowCalls``."""
SETTLE_DELETED_SECONDS = CREATE_SECONDS + CALL_SECONDS + 15.0
"""The margin is for the clocks."""
SWEEP_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A provisioner's configuration; the cloud's own is read by its driver."""

    nats_url: str
    cluster_id: str | None = None
    """Absent: the uid of the namespace kube-system, which is as old and as unique as the cluster; of an installation that
    does not see all namespaces, of the one it runs in."""
    poll: PollIntervals = field(default_factory=PollIntervals)
    settle_deleted: float = SETTLE_DELETED_SECONDS
    """Seconds after a deletion in which a create decided upon before it may still have its effect; more for a driver
    whose calls take longer than others."""
    limits: Limits = field(default_factory=Limits)
    sweep: float = SWEEP_SECONDS
    """Seconds between two sweeps for orphans."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], provider: str) -> Settings:
        """With variables ``CONDUCTOR_<PROVIDER>_…``. Raises ValueError that names the variable."""
        prefix = f"CONDUCTOR_{provider.upper().replace('-', '_')}"
        limits = Limits()
        return cls(
            nats_url=environ.get("NATS_URL") or "nats://127.0.0.1:4222",
            cluster_id=environ.get("CONDUCTOR_CLUSTER_ID") or None,
            poll=PollIntervals(
                pending=_duration(environ, f"{prefix}_POLL_PENDING", PENDING_SECONDS),
                settled=_duration(environ, f"{prefix}_POLL_SETTLED", SETTLED_SECONDS),
            ),
            settle_deleted=_duration(environ, f"{prefix}_SETTLE_DELETED", SETTLE_DELETED_SECONDS),
            limits=Limits(
                concurrency=int(_number(environ, f"{prefix}_CONCURRENCY", limits.concurrency)),
                rate=_number(environ, f"{prefix}_RATE", limits.rate),
                burst=int(_number(environ, f"{prefix}_BURST", limits.burst)),
            ),
            sweep=_duration(environ, f"{prefix}_SWEEP", SWEEP_SECONDS),
        )


def _duration(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name)
    if not text:
        return default
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name)
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if number < 1:
        raise ValueError(f"{name}: {text!r} is not a number of at least 1")
    return number
