"""What of a bucket is not as its spec wants it: pure functions, and the words of the S3 API for what is wanted.

Source: Amazon S3 API reference, the actions named at each function.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeGuard

from conductor_aws_provisioner.names import ownership_of, tags_of
from conductor_aws_provisioner.s3_user import BUCKET_TAG, BucketUser, Document, is_ours
from conductor_model.s3bucket import Encryption, LifecycleRule, S3BucketSpec
from conductor_provisioner import Drift, Owner, Ownership

REGION_OF_OLD = "us-east-1"
"""Where a bucket is that was made without a location."""
CLOCKS = timedelta(seconds=5)
"""By which those of IAM and S3 may differ, the whole seconds in which they tell the time included."""
_SWITCHES = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_ALGORITHMS = {Encryption.SSE_S3: "AES256", Encryption.SSE_KMS: "aws:kms"}
_DEFAULT_KEY = "alias/aws/s3"

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BucketFound:
    """A bucket as S3 has it."""

    name: str
    region: str
    tags: Mapping[str, str]
    versioning: str
    """Enabled, Suspended, or empty: never enabled."""
    encryption: Json
    """Of GetBucketEncryption: ServerSideEncryptionConfiguration."""
    public_access: Json
    """Of GetPublicAccessBlock: PublicAccessBlockConfiguration."""
    lifecycle: Sequence[Json]
    """Of GetBucketLifecycleConfiguration: Rules."""
    created: datetime | None = None
    """By the list of all buckets, which is asked where nothing else tells whose it is."""


def ownership(owner: Owner, bucket: BucketFound, user: BucketUser | None) -> Ownership:
    """By the bucket's tags; before it has any, by our user, who was made for this very bucket before it was."""
    by_tags = ownership_of(owner, bucket.tags)
    if user is None or not known_by_user(owner, bucket.name, bucket.tags, user):
        return by_tags
    older = bucket.created is not None and bucket.created < user.created - CLOCKS
    return by_tags if older else Ownership.OURS


def known_by_user(
    owner: Owner, bucket: str, tags: Mapping[str, str], user: BucketUser | None
) -> TypeGuard[BucketUser]:
    """Whether nothing but our user can tell whose the bucket is."""
    if user is None or not is_ours(owner, user) or user.tags.get(BUCKET_TAG) != bucket:
        return False
    return ownership_of(owner, tags) is Ownership.NOBODYS


def drift_of(
    spec: S3BucketSpec, owner: Owner, bucket: BucketFound, user: BucketUser | None, policy: Document
) -> tuple[Drift, ...]:
    """Every field that differs. ``policy``: what the user is to be allowed; an absent user is no drift."""
    return tuple(_drift(spec, owner, bucket, user, policy))


def key_elsewhere(spec: S3BucketSpec, region: str) -> str | None:
    """Why the KMS key cannot encrypt a bucket of the region: known before there is one."""
    if spec.kms_key_arn is None:
        return None
    place = spec.kms_key_arn.split(":")[3]
    return None if place == region else f"kmsKeyArn is a key in {place}, and the bucket is to be in {region}"


def wanted_tags(spec: S3BucketSpec, owner: Owner) -> Mapping[str, str]:
    return tags_of(owner, vpc=None, wanted=spec.tags)


def wanted_encryption(spec: S3BucketSpec) -> dict[str, Any]:
    """For PutBucketEncryption."""
    default: dict[str, Any] = {"SSEAlgorithm": _ALGORITHMS[spec.encryption]}
    if spec.kms_key_arn is not None:
        default["KMSMasterKeyID"] = spec.kms_key_arn
    rule: dict[str, Any] = {"ApplyServerSideEncryptionByDefault": default}
    if spec.encryption is Encryption.SSE_KMS:
        rule["BucketKeyEnabled"] = spec.bucket_key
    return {"Rules": [rule]}


def wanted_public_access(spec: S3BucketSpec) -> dict[str, bool]:
    """For PutPublicAccessBlock."""
    return dict.fromkeys(_SWITCHES, spec.block_public_access)


def wanted_lifecycle(rules: Sequence[LifecycleRule]) -> list[dict[str, Any]]:
    """For PutBucketLifecycleConfiguration, in the order of the rules' names."""
    return [_rule(each) for each in sorted(rules, key=lambda rule: rule.id)]


def _drift(
    spec: S3BucketSpec, owner: Owner, bucket: BucketFound, user: BucketUser | None, policy: Document
) -> Iterator[Drift]:
    if spec.region is not None and spec.region != bucket.region:
        yield Drift(
            "region", spec.region, bucket.region, repairable=False, why="a bucket stays where it was made"
        )
    missing = {key: value for key, value in wanted_tags(spec, owner).items() if bucket.tags.get(key) != value}
    if missing:
        there = {key: bucket.tags[key] for key in missing if key in bucket.tags}
        yield Drift("tags", _pairs(missing), _pairs(there) or "absent")
    if spec.versioning is not None and spec.versioning != (bucket.versioning == "Enabled"):
        yield Drift("versioning", str(spec.versioning).lower(), bucket.versioning or "never enabled")
    yield from _encryption(spec, bucket)
    if any(bucket.public_access.get(each, False) is not spec.block_public_access for each in _SWITCHES):
        on = [each for each in _SWITCHES if bucket.public_access.get(each, False)]
        yield Drift("blockPublicAccess", str(spec.block_public_access).lower(), ", ".join(on) or "nothing")
    if spec.lifecycle_rules is not None:
        wanted = wanted_lifecycle(spec.lifecycle_rules)
        found = sorted((_canonical(each) for each in bucket.lifecycle), key=lambda rule: str(rule.get("ID")))
        if wanted != found:
            yield Drift("lifecycleRules", _rules(wanted, wanted), _rules(found, wanted))
    if user is not None and user.policy != policy:
        what = "no policy" if user.policy is None else "another policy"
        yield Drift("userPolicy", "this bucket and nothing else", what)


def _encryption(spec: S3BucketSpec, bucket: BucketFound) -> Iterator[Drift]:
    rules = bucket.encryption.get("Rules") or [{}]
    default = rules[0].get("ApplyServerSideEncryptionByDefault", {})
    algorithm = default.get("SSEAlgorithm", "none")
    if algorithm != _ALGORITHMS[spec.encryption]:
        yield Drift("encryption", spec.encryption, algorithm)
        return
    if spec.encryption is not Encryption.SSE_KMS:
        return
    key = default.get("KMSMasterKeyID")
    if spec.kms_key_arn != (None if key == _DEFAULT_KEY else key):
        yield Drift("kmsKeyArn", spec.kms_key_arn or _DEFAULT_KEY, key or _DEFAULT_KEY)
    if spec.bucket_key != rules[0].get("BucketKeyEnabled", False):
        yield Drift("bucketKey", str(spec.bucket_key).lower(), str(not spec.bucket_key).lower())


def _rule(rule: LifecycleRule) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ID": rule.id,
        "Status": "Enabled" if rule.enabled else "Disabled",
        "Filter": {"Prefix": rule.prefix},
    }
    if rule.expiration_days is not None:
        found["Expiration"] = {"Days": rule.expiration_days}
    if rule.noncurrent_expiration_days is not None:
        found["NoncurrentVersionExpiration"] = {"NoncurrentDays": rule.noncurrent_expiration_days}
    if rule.abort_incomplete_upload_days is not None:
        found["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": rule.abort_incomplete_upload_days}
    if rule.transitions:
        moves = sorted(rule.transitions, key=lambda move: (move.days, move.storage_class))
        found["Transitions"] = [
            {"Days": move.days, "StorageClass": move.storage_class.value} for move in moves
        ]
    return found


def _canonical(rule: Json) -> dict[str, Any]:
    """A rule that S3 tells, as ``_rule`` would write it; what we never write is left in it, and so differs."""
    found = {key: value for key, value in rule.items() if key not in {"Prefix", "Transitions"}}
    where = rule.get("Filter")
    if not where or set(where) == {"Prefix"}:
        found["Filter"] = {"Prefix": (where or {}).get("Prefix") or rule.get("Prefix") or ""}
    if moves := rule.get("Transitions"):
        found["Transitions"] = sorted(
            moves, key=lambda move: (move.get("Days", 0), move.get("StorageClass", ""))
        )
    return found


def _pairs(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(tags.items()))


def _rules(rules: Sequence[Json], wanted: Sequence[Json]) -> str:
    """By their names; what is called as one that is wanted may still be another."""
    names = [f"{each.get('ID')}{'' if each in wanted else ' (unlike it)'}" for each in rules]
    return ", ".join(names) or "none"
