"""RDSInstance: a database instance in Amazon RDS.

Source of the cloud's fields and limits: Amazon RDS API reference, CreateDBInstance and ModifyDBInstance.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from conductor_model.admission import AMAZONS_OWN_TAGS, Rule, Text, UserName, Word, immutable, rules
from conductor_model.concrete import Concrete, ConcreteSpec, ConcreteStatus
from conductor_model.databases import MYSQL_INSTANCE, POSTGRESQL_INSTANCE
from conductor_model.kind import Column, concrete_kind, v1alpha1
from conductor_model.refs import GroupKind
from conductor_model.version import MAX_LENGTH, VERSION_PATTERN, EngineVersion

RDS_INSTANCE = v1alpha1("database.aws.conductor.io", "RDSInstance", "rdsinstances")


class RDSEngine(StrEnum):
    """The engines that Conductor provisions in RDS, by Amazon's names."""

    MYSQL = "mysql"
    POSTGRES = "postgres"


class StorageType(StrEnum):
    """Amazon's storage types."""

    GP2 = "gp2"
    GP3 = "gp3"
    IO1 = "io1"
    IO2 = "io2"
    STANDARD = "standard"


def _version_text(value: object) -> object:
    """YAML reads an unquoted 5.9 as a number; nothing else but a string is a version."""
    if isinstance(value, bool):
        return value
    return str(value) if isinstance(value, int | float) else value


def _is_version(text: str) -> str:
    EngineVersion.parse(text)
    return text


VersionText = Annotated[
    str,
    BeforeValidator(_version_text),
    AfterValidator(_is_version),
    # A structural schema allows no union of number and string: without a type, the rest refuses what is neither.
    WithJsonSchema(
        {
            "x-kubernetes-preserve-unknown-fields": True,
            "maxLength": MAX_LENGTH,
            "pattern": VERSION_PATTERN,
            "maxItems": 0,
            "maxProperties": 0,
            "not": {"enum": [True, False]},
        }
    ),
]
RDSName = Annotated[str, StringConstraints(max_length=255, pattern=r"^[A-Za-z][A-Za-z0-9.-]*$")]
TagValue = Annotated[str, StringConstraints(max_length=256)]


class RDSInstanceSpec(ConcreteSpec):
    """The desired database instance."""

    admission_rules = (
        immutable("engine"),
        immutable("masterUsername"),
        immutable("kmsKeyId"),
        immutable("storageEncrypted"),
        Rule(
            "!has(oldSelf.allocatedStorage) || !has(self.allocatedStorage)"
            " || self.allocatedStorage >= oldSelf.allocatedStorage",
            "allocatedStorage cannot shrink: Amazon RDS only grows a database's storage",
        ),
        Rule(
            "!has(self.finalSnapshotIdentifier) || !has(self.skipFinalSnapshot) || !self.skipFinalSnapshot",
            "finalSnapshotIdentifier and skipFinalSnapshot: true exclude each other",
        ),
        Rule(
            "!has(self.iops) || (has(self.storageType) && self.storageType in ['gp3', 'io1', 'io2'])",
            "iops needs storageType gp3, io1 or io2",
        ),
        Rule(
            "!has(self.storageType) || !(self.storageType in ['io1', 'io2']) || has(self.iops)",
            "storageType io1 and io2 need iops",
        ),
        Rule(
            "!has(self.kmsKeyId) || (has(self.storageEncrypted) && self.storageEncrypted)",
            "kmsKeyId needs storageEncrypted: true",
        ),
    )

    engine: RDSEngine = Field(description="Database engine.")
    version: VersionText | None = Field(
        None,
        description="Engine version. Quote it: YAML reads 5.10 as the number 5.1. Absent: Amazon's default.",
    )
    master_username: UserName | None = Field(
        None, description='Name of the administrative user; absent: "conductor".'
    )
    instance_type: str = Field(
        alias="instance-type",
        max_length=63,
        pattern=r"^db\.[a-z0-9.-]+$",
        description="DB instance class, such as db.m4.xlarge.",
    )
    vpc: Word | None = Field(
        None,
        description="The VPC that it is meant for. Amazon places an instance by its subnet group: "
        "this field records the intent and is tagged on the instance.",
    )
    security_groups: tuple[Word, ...] = Field(
        (), max_length=32, description="VPC security groups. Duplicates are ignored."
    )
    multizone: bool = Field(False, description="Keep a standby in another availability zone.")
    allocated_storage: int | None = Field(
        None,
        ge=20,
        le=65536,
        description="Storage in GiB. Absent: capabilities.capacity.storage, rounded up.",
    )
    subnet_group: RDSName | None = Field(None, description="DB subnet group.")
    parameter_group: RDSName | None = Field(None, description="DB parameter group.")
    backup_retention_period: int | None = Field(
        None, ge=0, le=35, description="Days that automated backups are kept; 0 turns them off."
    )
    deletion_protection: bool = Field(False, description="Amazon refuses to delete it while this is true.")
    skip_final_snapshot: bool = Field(
        False,
        description="Delete without a last snapshot. By default one is taken, named <externalName>-final.",
    )
    final_snapshot_identifier: RDSName | None = Field(None, description="Name of the last snapshot.")
    publicly_accessible: bool = Field(False, description="Give it a public address.")
    storage_type: StorageType | None = Field(None, description="Amazon's storage type.")
    iops: int | None = Field(None, ge=1000, le=256000, description="Provisioned IOPS, for io1, io2 and gp3.")
    storage_encrypted: bool = Field(False, description="Encrypt the storage.")
    kms_key_id: Text | None = Field(
        None, description="KMS key for the storage; absent: the account's default key."
    )
    tags: dict[str, TagValue] = Field(
        default_factory=dict,
        max_length=40,
        json_schema_extra=rules(AMAZONS_OWN_TAGS),
        description="Tags of yours, beside Conductor's own.",
    )


class RDSInstanceStatus(ConcreteStatus):
    """The observed database instance."""

    instance_status: Text | None = Field(None, description="DBInstanceStatus in Amazon's words.")
    arn: Text | None = Field(None, description="The DB instance's ARN: its region, account and identifier.")


class RDSInstance(Concrete):
    """A database instance in Amazon RDS that claims can be bound to."""

    spec: RDSInstanceSpec
    status: RDSInstanceStatus = Field(default_factory=RDSInstanceStatus)

    provider: ClassVar[str] = "aws"

    @property
    def implements(self) -> frozenset[GroupKind]:
        claim = MYSQL_INSTANCE if self.spec.engine is RDSEngine.MYSQL else POSTGRESQL_INSTANCE
        return frozenset({claim.group_kind})

    @property
    def offered_version(self) -> EngineVersion | None:
        observed = super().offered_version
        if observed is not None or self.spec.version is None:
            return observed
        return EngineVersion.parse(self.spec.version)

    @property
    def master_username(self) -> str | None:
        return self.spec.master_username


KIND = concrete_kind(
    RDS_INSTANCE,
    RDSInstance,
    "rds",
    "aws",
    Column("Engine", ".spec.engine"),
    Column("Running", ".status.engineVersion"),
    Column("Type", ".spec.instance-type"),
)
