"""What an operator can set, with its defaults and the environment variables that set it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from conductor_aws_provisioner.duration import parse_duration

_PENDING_SECONDS = 10.0
_SETTLED_SECONDS = 600.0
_SETTLE_DELETED_SECONDS = 90.0
"""A look-up and a create one after the other, each up to its timeouts in ``rds.py``, and a margin for the clocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollIntervals:
    """Seconds between two looks at an external resource."""

    pending: float = _PENDING_SECONDS
    """While something is under way. RDS takes minutes for anything, and allows only some calls a second."""
    settled: float = _SETTLED_SECONDS
    """When nothing is: notices what others did to it, and rotated credentials."""
    jitter: float = 0.1
    """Part of ``settled`` by which looks are spread, so that objects made together are not polled together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The service's configuration. AWS's own (credentials, endpoint, profile) is read by boto3."""

    nats_url: str
    cluster_id: str | None = None
    """Absent: the uid of the namespace kube-system, which is as old and as unique as the cluster."""
    poll: PollIntervals = PollIntervals()
    settle_deleted: float = _SETTLE_DELETED_SECONDS
    """Seconds after a deletion in which a create decided upon before it may still have its effect."""
    region: str | None = None
    """``AWS_REGION``, the name that every other AWS SDK reads; boto3 itself reads ``AWS_DEFAULT_REGION`` only."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Raises ValueError that names the variable."""
        return cls(
            nats_url=environ.get("NATS_URL", "nats://127.0.0.1:4222"),
            cluster_id=environ.get("CONDUCTOR_CLUSTER_ID") or None,
            region=environ.get("AWS_REGION") or None,
            poll=PollIntervals(
                pending=_duration(environ, "CONDUCTOR_AWS_POLL_PENDING", _PENDING_SECONDS),
                settled=_duration(environ, "CONDUCTOR_AWS_POLL_SETTLED", _SETTLED_SECONDS),
            ),
            settle_deleted=_duration(environ, "CONDUCTOR_AWS_SETTLE_DELETED", _SETTLE_DELETED_SECONDS),
        )


def _duration(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name)
    if not text:
        return default
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
