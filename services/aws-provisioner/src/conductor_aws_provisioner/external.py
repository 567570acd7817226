"""DB instances as decisions are made about them: what is there, and what is wanted. Nothing here knows of boto3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from conductor_model.concrete import Endpoint


@dataclass(frozen=True, slots=True)
class MasterCredentials:
    """The administrative user of a DB instance. Its repr does not show the password."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What can be modified in place. ``None``: not asked for, or, of an observation, not told."""

    instance_type: str | None = None
    allocated_storage: int | None = None
    multizone: bool | None = None
    backup_retention_period: int | None = None
    deletion_protection: bool | None = None
    security_groups: frozenset[str] | None = None
    parameter_group: str | None = None
    publicly_accessible: bool | None = None
    storage_type: str | None = None
    iops: int | None = None
    engine_version: str | None = None

    def overlaid_by(self, other: Configuration) -> Configuration:
        """With the other's values wherever it has one."""
        return Configuration(
            **{name: theirs if theirs is not None else ours for name, ours, theirs in self._beside(other)}
        )

    def differing_from(self, other: Configuration) -> Configuration:
        """Only what is asked for here and is otherwise there."""
        return Configuration(
            **{
                name: ours if ours is not None and ours != theirs else None
                for name, ours, theirs in self._beside(other)
            }
        )

    @property
    def asked_for(self) -> Mapping[str, Any]:
        """The fields that have a value."""
        return {name: value for name, value, _ in self._beside(self) if value is not None}

    def _beside(self, other: Configuration) -> tuple[tuple[str, Any, Any], ...]:
        return tuple(
            (each.name, getattr(self, each.name), getattr(other, each.name)) for each in fields(self)
        )


NOTHING = Configuration()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInstance:
    """A DB instance to be created."""

    identifier: str
    engine: str
    configuration: Configuration
    storage_encrypted: bool
    tags: Mapping[str, str]
    subnet_group: str | None = None
    kms_key_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A DB instance that exists."""

    identifier: str
    arn: str
    status: str
    engine: str
    master_username: str
    tags: Mapping[str, str]
    endpoint: Endpoint | None
    storage_encrypted: bool
    subnet_group: str | None
    current: Configuration
    pending: Configuration = NOTHING
    """What a modification under way will make of it."""

    @property
    def expected(self) -> Configuration:
        """What it will be when nobody asks for anything more."""
        return self.current.overlaid_by(self.pending)


@dataclass(frozen=True, slots=True)
class FinalSnapshot:
    """The snapshot that is taken before an instance is deleted."""

    identifier: str
