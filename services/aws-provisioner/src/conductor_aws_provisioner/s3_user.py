"""The IAM user beside a bucket: what it may do, and which of its access keys are to be. Pure functions.

The user is made before the bucket, and names it in a tag: a bucket that was made and not yet tagged is known by that.
It may use its one bucket and nothing else. AWS shows the secret of a key once, in the answer to its creation: a key
whose secret was not stored is of no use to anybody, so it is deleted and another one made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from conductor_aws_provisioner.names import ownership_of
from conductor_provisioner import Owner, Ownership
from conductor_provisioner.names import external_name

USER_PATH = "/conductor/"
POLICY_NAME = "bucket"
BUCKET_TAG = "conductor.io/bucket"
KEY_GRACE = timedelta(days=1)
"""For so long the key before a rotation goes on working: pods that read it at their start are restarted meanwhile."""

_ON_BUCKET = (
    "s3:GetBucketLocation",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
)
_ON_OBJECTS = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
)
_ON_KEY = ("kms:Decrypt", "kms:GenerateDataKey")

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key of the user, without its secret."""

    id: str
    created: datetime
    active: bool


@dataclass(frozen=True, slots=True)
class BucketUser:
    """The user as IAM has it."""

    arn: str
    tags: Mapping[str, str]
    policy: Document | None
    keys: tuple[AccessKey, ...]
    created: datetime


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """Which keys go, and then whether one is made. AWS allows a user two."""

    remove: tuple[str, ...] = ()
    issue: bool = False


NO_CHANGE = KeyPlan()


def user_name(owner: Owner) -> str:
    """Of the owner alone: a bucket that is adopted has a name that a user could not have."""
    return external_name(owner)


def user_tags(owner: Owner, bucket: str) -> Mapping[str, str]:
    return {**owner.tags, BUCKET_TAG: bucket}


def is_ours(owner: Owner, user: BucketUser | None) -> bool:
    return user is not None and ownership_of(owner, user.tags) is Ownership.OURS


def policy_of(bucket: str, partition: str, kms_key_arn: str | None) -> Document:
    """The policy document: this bucket and its objects, and the key that they are encrypted with."""
    arn = f"arn:{partition}:s3:::{bucket}"
    statements = [_allow(_ON_BUCKET, arn), _allow(_ON_OBJECTS, f"{arn}/*")]
    if kms_key_arn is not None:
        statements.append(_allow(_ON_KEY, kms_key_arn))
    return {"Version": "2012-10-17", "Statement": statements}


def plan_keys(keys: Sequence[AccessKey], stored: str | None, *, rotating: bool, now: datetime) -> KeyPlan:
    """``stored``: the id of the key whose secret we have; None: we have none."""
    current = next((each for each in keys if each.id == stored and each.active), None)
    others = tuple(each for each in keys if each is not current)
    if current is None or rotating:
        return KeyPlan(tuple(each.id for each in others), issue=True)
    settled = now - current.created >= KEY_GRACE
    return KeyPlan(tuple(each.id for each in others if settled or each.created > current.created))


def _allow(actions: Sequence[str], resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}
