"""The claim kind for object storage that speaks the S3 protocol: Bucket."""

from __future__ import annotations

from collections.abc import Mapping, Set
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import Field

from conductor_model.claims import Claim, ClaimSpec
from conductor_model.connection import Connectable, ConnectionFormat, ConnectionKey
from conductor_model.kind import Column, claim_kind, v1alpha1

BUCKET = v1alpha1("storage.conductor.io", "Bucket", "buckets")

VERSIONING, ENCRYPTION = "versioning", "encryption"
"""The features that a claim may demand, and a concrete resource must then have."""
ACCESS_KEY_ID, SECRET_ACCESS_KEY = "access-key-id", "secret-access-key"
"""Keys of the connection, and of the credentials Secret of a concrete resource."""


class Versioning(StrEnum):
    """Values of the feature ``versioning``."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class EncryptionKey(StrEnum):
    """Whose key a bucket is encrypted with: values of the feature ``encryption``."""

    PROVIDER = "ProviderKey"
    CUSTOMER = "CustomerKey"


class BucketSpec(ClaimSpec):
    """The wish for a bucket."""

    versioning: bool | None = Field(
        None, description="Whether overwritten and deleted objects are kept. Absent: either will do."
    )
    encryption: EncryptionKey | None = Field(
        None,
        description="Whose key objects are encrypted with: ProviderKey, or CustomerKey, one that the administrator "
        "manages. Absent: either will do.",
    )


def _values(source: Connectable) -> Mapping[str, str]:
    bucket = source.fact("bucket")
    return {
        "bucket": bucket,
        "region": source.fact("region"),
        "endpoint": source.fact("endpoint"),
        "uri": f"s3://{bucket}",
        ACCESS_KEY_ID: source.credential(ACCESS_KEY_ID),
        SECRET_ACCESS_KEY: source.credential(SECRET_ACCESS_KEY),
    }


class Bucket(Claim):
    """A claim for a bucket of object storage, bound to a concrete resource that is offered or provisioned."""

    spec: BucketSpec = Field(default_factory=BucketSpec)

    connection_format: ClassVar[ConnectionFormat] = ConnectionFormat(
        "s3",
        (
            ConnectionKey("bucket", "The bucket's name."),
            ConnectionKey("region", "The region to sign requests for."),
            ConnectionKey("endpoint", "The URL of the S3 API that serves the bucket."),
            ConnectionKey("uri", "s3://bucket"),
            ConnectionKey(ACCESS_KEY_ID, "The key to sign requests with.", secret=True),
            ConnectionKey(SECRET_ACCESS_KEY, "The key's secret.", secret=True),
        ),
        _values,
    )

    @property
    def demands(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        if self.spec.versioning is not None:
            found[VERSIONING] = Versioning.ENABLED if self.spec.versioning else Versioning.DISABLED
        if self.spec.encryption is not None:
            found[ENCRYPTION] = self.spec.encryption
        return found

    def overrides(self, said: Set[str]) -> Mapping[str, Any]:
        """Versioning, where the template leaves it open."""
        if self.spec.versioning is None or "versioning" in said:
            return {}
        return {"versioning": self.spec.versioning}


KIND = claim_kind(
    BUCKET,
    Bucket,
    "bkt",
    Column("Versioning", ".spec.versioning", "boolean", priority=1),
    Column("Encryption", ".spec.encryption", priority=1),
)
