"""S3Bucket: a bucket in Amazon S3, and an IAM user who may use this bucket and nothing else.

Source of the cloud's fields and limits: Amazon S3 API reference (CreateBucket, PutBucketEncryption,
PutBucketLifecycleConfiguration, PutPublicAccessBlock) and "General purpose bucket naming rules" in the user guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from conductor_model.admission import AMAZONS_OWN_TAGS, Rule, Text, immutable, list_map, rules
from conductor_model.bucket import BUCKET, ENCRYPTION, VERSIONING, EncryptionKey, Versioning
from conductor_model.concrete import Concrete, ConcreteSpec, ConcreteStatus
from conductor_model.kind import Column, concrete_kind, v1alpha1
from conductor_model.meta import Model
from conductor_model.refs import GroupKind

S3_BUCKET = v1alpha1("storage.aws.conductor.io", "S3Bucket", "s3buckets")

BucketName = Annotated[
    str, StringConstraints(min_length=3, max_length=63, pattern=r"^[a-z0-9][a-z0-9-]*[a-z0-9]$")
]
"""Without dots, which S3 allows and TLS does not match."""
Region = Annotated[str, StringConstraints(max_length=32, pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]+$")]
KeyArn = Annotated[
    str,
    StringConstraints(max_length=256, pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$"),
]
RuleId = Annotated[str, StringConstraints(min_length=1, max_length=255)]
TagValue = Annotated[str, StringConstraints(max_length=256)]
Days = Annotated[int, Field(ge=1, le=36500)]


class Encryption(StrEnum):
    """How objects are encrypted where a request does not say."""

    SSE_S3 = "SSE-S3"
    SSE_KMS = "SSE-KMS"


class StorageClass(StrEnum):
    """Where objects may be moved to, by Amazon's names."""

    STANDARD_IA = "STANDARD_IA"
    ONEZONE_IA = "ONEZONE_IA"
    INTELLIGENT_TIERING = "INTELLIGENT_TIERING"
    GLACIER_IR = "GLACIER_IR"
    GLACIER = "GLACIER"
    DEEP_ARCHIVE = "DEEP_ARCHIVE"


class Transition(Model):
    """A move to a cheaper storage class."""

    admission_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(self.storageClass in ['STANDARD_IA', 'ONEZONE_IA']) || self.days >= 30",
            "S3 moves nothing to STANDARD_IA or ONEZONE_IA in its first 30 days",
        ),
    )

    days: Days = Field(description="Days after an object was made.")
    storage_class: StorageClass = Field(description="The class to move it to.")


class LifecycleRule(Model):
    """What becomes of objects in the course of time."""

    admission_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.expirationDays) || has(self.noncurrentExpirationDays)"
            " || has(self.abortIncompleteUploadDays) || (has(self.transitions) && size(self.transitions) > 0)",
            "a rule needs expirationDays, noncurrentExpirationDays, abortIncompleteUploadDays or transitions",
        ),
        Rule(
            "!has(self.expirationDays) || !has(self.transitions)"
            " || self.transitions.all(move, move.days < self.expirationDays)",
            "an object is moved before it expires: transitions need fewer days than expirationDays",
        ),
    )

    id: RuleId = Field(description="The rule's name.")
    prefix: Text = Field("", description="Of the keys that it is about; absent: of all.")
    enabled: bool = Field(True, description="Whether it is obeyed.")
    expiration_days: Days | None = Field(None, description="Days after which an object is deleted.")
    noncurrent_expiration_days: Days | None = Field(
        None, description="Days after which an earlier version is deleted."
    )
    abort_incomplete_upload_days: Days | None = Field(
        None, description="Days after which an upload that was never completed is given up."
    )
    transitions: tuple[Transition, ...] = Field((), max_length=6, description="Moves to cheaper classes.")


class S3BucketSpec(ConcreteSpec):
    """The desired bucket."""

    admission_rules: ClassVar[tuple[Rule, ...]] = (
        immutable("bucketName"),
        immutable("region"),
        Rule(
            "!has(self.kmsKeyArn) || (has(self.encryption) && self.encryption == 'SSE-KMS')",
            "kmsKeyArn needs encryption: SSE-KMS",
        ),
        Rule(
            "!has(self.kmsKeyArn) || !has(self.region) || self.kmsKeyArn.split(':')[3] == self.region",
            "kmsKeyArn is a key of another region than the bucket's",
        ),
        Rule(
            "!has(self.credentialsSecretRef)",
            "credentialsSecretRef cannot be set: Amazon issues a bucket's access key",
        ),
    )

    bucket_name: BucketName | None = Field(
        None,
        description="Its name in S3, where names are global. Absent: conductor- and a hash of the cluster and this "
        "object. One that exists is adopted by the annotation conductor.io/external-name only.",
    )
    region: Region | None = Field(None, description="Where it is. Absent: the region of its account.")
    versioning: bool | None = Field(
        None,
        description="Keep overwritten and deleted objects. Absent: left as it is; a new bucket keeps none.",
    )
    encryption: Encryption = Field(
        Encryption.SSE_S3, description="How objects are encrypted where a request does not say."
    )
    kms_key_arn: KeyArn | None = Field(
        None, description="ARN of the KMS key for SSE-KMS; absent: the account's aws/s3 key."
    )
    bucket_key: bool = Field(
        True, description="With SSE-KMS: use a key of the bucket's own, which spares requests to KMS."
    )
    block_public_access: bool = Field(
        True, description="Refuse public access, whatever policies and ACLs say."
    )
    lifecycle_rules: tuple[LifecycleRule, ...] | None = Field(
        None,
        max_length=50,
        json_schema_extra=list_map("id"),
        description="What becomes of objects in the course of time. Absent: left as it is; empty: nothing.",
    )
    force_destroy: bool = Field(
        False,
        description="Delete the bucket's objects, all versions of them, when the bucket is deleted. Without this, a "
        "bucket that holds anything stays, and Synced says BucketNotEmpty.",
    )
    tags: dict[str, TagValue] = Field(
        default_factory=dict,
        max_length=40,
        json_schema_extra=rules(AMAZONS_OWN_TAGS),
        description="Tags of yours, beside Conductor's own.",
    )


class S3BucketStatus(ConcreteStatus):
    """The observed bucket."""

    region: Text | None = Field(None, description="Where it is.")
    arn: Text | None = Field(None, description="The bucket's ARN.")
    endpoint_url: Text | None = Field(None, description="The URL of the S3 API that serves it.")
    user_arn: Text | None = Field(None, description="The IAM user whose access key claims get.")


class S3Bucket(Concrete):
    """A bucket in Amazon S3 that claims can be bound to."""

    spec: S3BucketSpec = Field(default_factory=S3BucketSpec)
    status: S3BucketStatus = Field(default_factory=S3BucketStatus)

    provider: ClassVar[str] = "aws"

    @property
    def implements(self) -> frozenset[GroupKind]:
        return frozenset({BUCKET.group_kind})

    @property
    def features(self) -> Mapping[str, frozenset[str]]:
        keys = {EncryptionKey.PROVIDER}
        if self.spec.kms_key_arn is not None:
            # Whoever asks for encryption as such is served by a customer's key too.
            keys.add(EncryptionKey.CUSTOMER)
        return {
            VERSIONING: frozenset({Versioning.ENABLED if self.spec.versioning else Versioning.DISABLED}),
            ENCRYPTION: frozenset(keys),
        }

    @property
    def connection_facts(self) -> Mapping[str, str]:
        status = self.status
        facts = {"bucket": status.external_name, "region": status.region, "endpoint": status.endpoint_url}
        return {key: value for key, value in facts.items() if value is not None}


KIND = concrete_kind(
    S3_BUCKET,
    S3Bucket,
    "s3",
    "aws",
    Column("Region", ".status.region"),
    Column("Bucket", ".status.externalName"),
    Column("Versioning", ".spec.versioning", "boolean", priority=1),
    Column("Encryption", ".spec.encryption", priority=1),
)
