"""CloudSQLInstance: a database instance in Google Cloud SQL.

Source of the cloud's fields and limits: Cloud SQL Admin API v1, DatabaseInstance and Settings.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, StringConstraints

from conductor_model.admission import (
    Rule,
    Text,
    UserName,
    Word,
    immutable,
    immutable_once_set,
    list_map,
    rules,
)
from conductor_model.concrete import Concrete, ConcreteSpec, ConcreteStatus
from conductor_model.databases import MYSQL_INSTANCE, POSTGRESQL_INSTANCE
from conductor_model.kind import Column, concrete_kind, v1alpha1
from conductor_model.meta import Model
from conductor_model.refs import GroupKind
from conductor_model.version import EngineVersion

CLOUDSQL_INSTANCE = v1alpha1("database.gcp.conductor.io", "CloudSQLInstance", "cloudsqlinstances")
MYSQL = MYSQL_INSTANCE.group_kind
POSTGRESQL = POSTGRESQL_INSTANCE.group_kind

MAX_LABELS = 60
"""Google takes 64 labels of a resource; the rest are Conductor's own."""
_LABEL_KEY = r"^[a-z][a-z0-9_-]{0,62}$"
_LABEL_RULE = Rule(
    f"self.all(key, key.matches(r'{_LABEL_KEY}'))",
    "keys of labels are up to 63 lower-case letters, digits, '_' and '-', and start with a letter",
)


class DatabaseEngine(StrEnum):
    """The engines that Conductor provisions in Cloud SQL: what a ``databaseVersion`` begins with."""

    MYSQL = "MYSQL"
    POSTGRES = "POSTGRES"


class CloudSQLStorageType(StrEnum):
    """Google's types of data disks."""

    SSD = "PD_SSD"
    HDD = "PD_HDD"
    HYPERDISK_BALANCED = "HYPERDISK_BALANCED"


class Edition(StrEnum):
    """Google's editions of Cloud SQL; they differ in tiers and limits."""

    ENTERPRISE = "ENTERPRISE"
    ENTERPRISE_PLUS = "ENTERPRISE_PLUS"


class AvailabilityType(StrEnum):
    """ZONAL: in one zone. REGIONAL: with a standby in a second one, to which it fails over."""

    ZONAL = "ZONAL"
    REGIONAL = "REGIONAL"


class SslMode(StrEnum):
    """What connections must be."""

    ANY = "ALLOW_UNENCRYPTED_AND_ENCRYPTED"
    ENCRYPTED = "ENCRYPTED_ONLY"
    CLIENT_CERTIFICATE = "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"


class UpdateTrack(StrEnum):
    """When an announced maintenance comes: early, later, or five weeks after the announcement."""

    CANARY = "canary"
    STABLE = "stable"
    WEEK5 = "week5"


def _label_keys(labels: dict[str, str]) -> dict[str, str]:
    for key in labels:
        if not re.fullmatch(_LABEL_KEY, key):
            raise ValueError(f"{key[:64]!r}: {_LABEL_RULE.message}")
    return labels


DatabaseVersion = Annotated[
    str,
    StringConstraints(
        max_length=32,
        pattern=r"^(MYSQL_[0-9]{1,2}_[0-9]{1,2}(_[0-9]{1,3})?|POSTGRES_[0-9]{1,2}(_[0-9]{1,2})?)$",
    ),
]
GoogleLabelValue = Annotated[str, StringConstraints(max_length=63, pattern=r"^[a-z0-9_-]*$")]
GoogleLabels = Annotated[
    dict[str, GoogleLabelValue],
    Field(max_length=MAX_LABELS, json_schema_extra=rules(_LABEL_RULE)),
    AfterValidator(_label_keys),
]
TimeOfDay = Annotated[str, StringConstraints(max_length=5, pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Cidr = Annotated[str, StringConstraints(max_length=43, pattern=r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$")]


class DatabaseFlag(Model):
    """A flag of the database server."""

    name: str = Field(max_length=63, pattern=r"^[A-Za-z][A-Za-z0-9_.]*$", description="The flag's name.")
    value: Text = Field("", description="Its value: text, a number, or on and off.")


class AuthorizedNetwork(Model):
    """An external network whose machines may connect to the public address."""

    value: Cidr = Field(description="An address or a range in CIDR notation: 203.0.113.0/24.")
    name: Word | None = Field(None, description="What it is, for people.")


class BackupConfiguration(Model):
    """Daily backups, and recovery to any point in time between them."""

    admission_rules = (
        Rule(
            "!has(self.pointInTimeRecovery) || !self.pointInTimeRecovery || !has(self.enabled) || self.enabled",
            "pointInTimeRecovery needs backups that are enabled",
        ),
    )

    enabled: bool = Field(True, description="Make a backup each day.")
    start_time: TimeOfDay | None = Field(None, description="When the daily backup may begin, HH:MM in UTC.")
    location: Word | None = Field(None, description="Where backups are kept: a region, or us, eu, asia.")
    retained_backups: int | None = Field(None, ge=1, le=365, description="How many backups are kept.")
    point_in_time_recovery: bool | None = Field(
        None, description="Keep logs, so that any moment can be restored. MySQL: the binary log."
    )
    transaction_log_retention_days: int | None = Field(
        None, ge=1, le=35, description="Days that these logs are kept."
    )


class IpConfiguration(Model):
    """From where it can be reached, and how."""

    admission_rules = (
        Rule(
            "!has(self.ipv4Enabled) || self.ipv4Enabled || has(self.privateNetwork)",
            "without a public address (ipv4Enabled: false) it needs a privateNetwork to be reached from",
        ),
        Rule(
            "!has(self.allocatedIpRange) || has(self.privateNetwork)", "allocatedIpRange needs privateNetwork"
        ),
    )

    ipv4_enabled: bool | None = Field(
        None, description="Give it a public address. Absent: Google's default, which is to."
    )
    private_network: str | None = Field(
        None,
        max_length=255,
        pattern=r"^(https://[a-z.]+/compute/v1/)?projects/[^/]+/global/networks/[^/]+$",
        description="The VPC network of its private address: projects/<project>/global/networks/<network>. "
        "Connections then use that address.",
    )
    allocated_ip_range: Word | None = Field(
        None, description="The allocated range that the private address is taken from."
    )
    ssl_mode: SslMode | None = Field(None, description="Whether connections must be encrypted.")
    authorized_networks: tuple[AuthorizedNetwork, ...] | None = Field(
        None,
        max_length=100,
        json_schema_extra=list_map("value"),
        description="Networks that may connect to the public address. Absent: left as it is.",
    )


class MaintenanceWindow(Model):
    """When it may be restarted for maintenance."""

    day: int = Field(ge=1, le=7, description="Day of the week; 1 is Monday.")
    hour: int = Field(ge=0, le=23, description="Hour of the day in UTC.")
    update_track: UpdateTrack | None = Field(None, description="How soon after its announcement.")


class CloudSQLInstanceSpec(ConcreteSpec):
    """The desired database instance."""

    admission_rules = (
        immutable("region"),
        immutable("masterUsername"),
        immutable_once_set("storageType"),
        Rule(
            "self.databaseVersion.split('_')[0] == oldSelf.databaseVersion.split('_')[0]",
            "databaseVersion cannot change from one engine to another; make another resource",
        ),
        Rule(
            "!has(oldSelf.diskSize) || !has(self.diskSize) || self.diskSize >= oldSelf.diskSize",
            "diskSize cannot shrink: Cloud SQL only grows a disk",
        ),
        Rule(
            "!has(self.availabilityType) || self.availabilityType != 'REGIONAL' || !has(self.backup)"
            " || (self.backup.enabled && has(self.backup.pointInTimeRecovery) && self.backup.pointInTimeRecovery)",
            "availabilityType REGIONAL needs a backup that is enabled, with pointInTimeRecovery: "
            "the standby is made from it",
        ),
        Rule(
            "!has(self.diskAutoresizeLimit) || !has(self.diskAutoresize) || self.diskAutoresize",
            "diskAutoresizeLimit needs diskAutoresize",
        ),
    )

    database_version: DatabaseVersion = Field(
        description="Engine and version in Google's words: MYSQL_5_7, POSTGRES_16."
    )
    tier: str = Field(
        max_length=63,
        pattern=r"^db-[a-z0-9-]+$",
        description="Machine type, such as db-n1-standard-1 or db-custom-2-7680.",
    )
    region: str = Field(
        max_length=63, pattern=r"^[a-z]+[a-z0-9-]*$", description="Google's name of the region."
    )
    storage_type: CloudSQLStorageType | None = Field(None, description="Type of the disk. Absent: PD_SSD.")
    master_username: UserName | None = Field(
        None, description='Name of the administrative user; absent: "conductor".'
    )
    edition: Edition | None = Field(None, description="Cloud SQL's edition. Absent: Google's default.")
    availability_type: AvailabilityType | None = Field(
        None,
        description="ZONAL, or REGIONAL with a standby in another zone. Absent: Google's default, ZONAL.",
    )
    disk_size: int | None = Field(
        None,
        ge=10,
        le=65536,
        description="Size of the disk in GB. Absent: capabilities.capacity.storage, rounded up.",
    )
    disk_autoresize: bool = Field(True, description="Let Google grow the disk when it fills up.")
    disk_autoresize_limit: int | None = Field(
        None, ge=0, le=65536, description="GB up to which it is grown by itself; 0 is Google's own limit."
    )
    backup: BackupConfiguration | None = Field(None, description="Backups. Absent: left as they are.")
    ip_configuration: IpConfiguration = Field(
        default_factory=IpConfiguration, description="Addresses, networks, encryption."
    )
    database_flags: tuple[DatabaseFlag, ...] | None = Field(
        None,
        max_length=100,
        json_schema_extra=list_map("name"),
        description="Flags of the database server. Absent: left as they are.",
    )
    labels: GoogleLabels = Field(default_factory=dict, description="Labels of yours, beside Conductor's own.")
    maintenance_window: MaintenanceWindow | None = Field(
        None, description="When it may be restarted. Absent: left as it is."
    )
    deletion_protection: bool = Field(False, description="Google refuses to delete it while this is true.")
    final_backup_retention_days: int | None = Field(
        None,
        ge=1,
        le=365,
        description="Take a last backup when it is deleted, and keep it for so many days. Absent: none is taken.",
    )

    @property
    def engine(self) -> DatabaseEngine:
        return DatabaseEngine(self.database_version.partition("_")[0])


class CloudSQLInstanceStatus(ConcreteStatus):
    """The observed database instance."""

    instance_state: Text | None = Field(None, description="Its state in Google's words.")
    project: Text | None = Field(None, description="The project that it was made in.")
    connection_name: Text | None = Field(
        None, description="What Google's connectors and the Auth Proxy call it: project:region:name."
    )
    operation: Text | None = Field(None, description="The operation under way, by Google's name of it.")
    operation_error: Text | None = Field(
        None, description="Why the last operation failed, in Google's words."
    )


class CloudSQLInstance(Concrete):
    """A database instance in Google Cloud SQL that claims can be bound to."""

    spec: CloudSQLInstanceSpec
    status: CloudSQLInstanceStatus = Field(default_factory=CloudSQLInstanceStatus)

    provider: ClassVar[str] = "gcp"

    @property
    def implements(self) -> frozenset[GroupKind]:
        return frozenset({MYSQL if self.spec.engine is DatabaseEngine.MYSQL else POSTGRESQL})

    @property
    def offered_version(self) -> EngineVersion | None:
        observed = super().offered_version
        return observed if observed is not None else EngineVersion.parse(self.spec.database_version)

    @property
    def master_username(self) -> str | None:
        return self.spec.master_username


KIND = concrete_kind(
    CLOUDSQL_INSTANCE,
    CloudSQLInstance,
    "cloudsql",
    "gcp",
    Column("Version", ".spec.databaseVersion"),
    Column("Running", ".status.engineVersion"),
    Column("Tier", ".spec.tier"),
    Column("Region", ".spec.region", priority=1),
)
