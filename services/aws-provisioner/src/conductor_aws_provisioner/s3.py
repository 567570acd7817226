"""The driver for Amazon S3 over boto3: a bucket, and an IAM user who may use it and nothing else.

In the order of a creation: the user, tagged in the call that makes it with its owner and the bucket's name; the bucket;
its tags and settings; the user's policy; and an access key, whose secret AWS shows once. So whatever a crash leaves is
found and recognised, and an access key that was issued and not stored is replaced. A deletion goes the other way: keys
and policy first, so that nobody writes any more; then the bucket; and the user by a deletion of leftovers, which the
reconciler asks for when no CreateBucket can be under way any more: its bucket is known by the user alone.

boto3 blocks, so its calls run in the threads of ``Account.calls``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from conductor_aws_provisioner.s3_decide import (
    REGION_OF_OLD,
    BucketFound,
    drift_of,
    key_elsewhere,
    known_by_user,
    ownership,
    wanted_encryption,
    wanted_lifecycle,
    wanted_public_access,
    wanted_tags,
)
from conductor_aws_provisioner.s3_user import (
    BUCKET_TAG,
    NO_CHANGE,
    POLICY_NAME,
    USER_PATH,
    AccessKey,
    BucketUser,
    Document,
    is_ours,
    plan_keys,
    policy_of,
    user_name,
    user_tags,
)
from conductor_aws_provisioner.session import AwsSession, account_id, check_account, sorted_error
from conductor_model.bucket import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from conductor_model.concrete import ConcreteSpec
from conductor_model.s3bucket import S3BucketSpec, S3BucketStatus
from conductor_provisioner import (
    Account,
    CredentialsFrom,
    Drift,
    Observation,
    Owner,
    Ownership,
    Refused,
    Resource,
    SecretData,
    Tagged,
    Terminal,
)
from conductor_provisioner.driver import CLUSTER_TAG, UID_TAG
from conductor_provisioner.names import external_name

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client

EMPTYING_BATCHES = 20
"""Of up to 1,000 versions each, deleted before a worker is given back; the next round goes on."""
NO_REGION = "aws-global"
"""What boto3 calls the region of S3 where none is configured."""
_ACCOUNT_IN_ARN = 4
_ABSENT = "NoSuchBucket"
_OLD_NAMES = {"EU": "eu-west-1"}
"""GetBucketLocation says so of buckets that were made so."""
_UNSET = frozenset(
    {
        "NoSuchTagSet",
        "NoSuchLifecycleConfiguration",
        "NoSuchPublicAccessBlockConfiguration",
        "ServerSideEncryptionConfigurationNotFoundError",
    }
)

_T = TypeVar("_T")
_Wanted = Resource[S3BucketSpec, S3BucketStatus]
_Seen = Observation[S3BucketStatus]


@dataclass(frozen=True, slots=True)
class _Parts:
    """What there is of a resource."""

    bucket: BucketFound | None
    user: BucketUser | None
    anothers: bool = False
    """The bucket is there, in an account that is not ours."""


class S3Driver:
    """``driver.Driver`` for the buckets of one account, in whichever region each is to be."""

    credentials_from = CredentialsFrom.CLOUD
    recreates = False

    def __init__(
        self,
        account: Account,
        session: AwsSession,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._calls = account.calls
        self._session = session
        self._iam: IAMClient = session.client("iam")
        self._home: S3Client = session.client("s3")
        self._by_region: dict[str, S3Client] = {self._home.meta.region_name: self._home}
        self._account = account.account
        self._now = now

    def external_name(self, owner: Owner, spec: ConcreteSpec) -> str:
        name = spec.bucket_name if isinstance(spec, S3BucketSpec) else None
        return name or external_name(owner)

    async def observe(self, resource: _Wanted) -> _Seen:
        await self._refuse_elsewhere(resource)
        parts = await self._look(resource)
        has_user = is_ours(resource.owner, parts.user)
        if parts.anothers:
            return Observation(exists=True, ownership=Ownership.ANOTHERS, leftovers=has_user)
        if parts.bucket is None:
            return Observation(exists=False, leftovers=has_user)
        bucket, user = parts.bucket, parts.user
        plan = plan_keys(
            () if user is None else user.keys, _stored_key(resource), rotating=False, now=self._now()
        )
        drift = self._drift(resource, bucket, user)
        return self._seen(resource, bucket, user, drift, applied=plan == NO_CHANGE)

    async def create(self, resource: _Wanted) -> _Seen:
        name = resource.external_name
        region = resource.spec.region or self._home.meta.region_name.replace(NO_REGION, REGION_OF_OLD)
        problem = key_elsewhere(resource.spec, region)
        if problem is not None:
            raise Terminal("CreateBucket", name, "InvalidKey", problem)
        parts = await self._look(resource)
        self._refuse_anothers(resource, parts)
        await self._ensure_user(resource, parts.user)
        had_it = await self._call("CreateBucket", name, partial(self._create_bucket, name, region))
        if had_it and parts.user is None:
            # Before its user there is no CreateBucket of this object: somebody else in the account was faster.
            await self._delete_user(resource.owner)
            raise _not_ours(name)
        return await self._bring_about(resource)

    async def update(self, resource: _Wanted, observed: _Seen) -> _Seen:
        return await self._bring_about(resource)

    async def delete(self, resource: _Wanted, observed: _Seen) -> None:
        """Of a bucket the user stays, without keys or policy; of a user without a bucket nothing.

        Raises Terminal with the reason BucketNotEmpty where there is data that nobody said is to go.
        """
        parts = await self._look(resource)
        owner, user = resource.owner, parts.user
        ours = user if is_ours(owner, user) else None
        if ours is not None:
            await self._disarm(owner, ours)
        bucket = parts.bucket
        if bucket is not None and ownership(owner, bucket, user) is Ownership.OURS:
            await self._remove(bucket, force=resource.spec.force_destroy)
        elif ours is not None:
            await self._delete_user(owner)

    async def release(self, resource: _Wanted, observed: _Seen) -> None:
        """Take the user away, whose key nobody is to have any more, and our tags off the bucket."""
        parts, owner = await self._look(resource), resource.owner
        bucket, user = parts.bucket, parts.user
        ours = bucket is not None and ownership(owner, bucket, user) is Ownership.OURS
        if user is not None and is_ours(owner, user):
            await self._disarm(owner, user)
            await self._delete_user(owner)
        if bucket is None or not ours:
            return
        tags = _tag_list({key: value for key, value in bucket.tags.items() if key not in owner.tags})
        s3: Any = self._s3(bucket.region)
        action, call = "PutBucketTagging", partial(s3.put_bucket_tagging, Tagging={"TagSet": tags})
        if not tags:
            action, call = "DeleteBucketTagging", partial(s3.delete_bucket_tagging)
        await self._call(action, bucket.name, partial(call, Bucket=bucket.name))

    async def tagged(self, cluster_id: str) -> AsyncIterator[Tagged]:
        """The users with our cluster's tag: every bucket has one, from before it was made until after it is gone."""
        marker: str | None = ""
        while marker is not None:
            names, marker = await self._call("ListUsers", USER_PATH, partial(self._page_of_users, marker))
            for name in names:
                tags = await self._call("ListUserTags", name, partial(self._tags_of_user, name))
                if tags is not None and tags.get(CLUSTER_TAG) == cluster_id:
                    bucket = tags.get(BUCKET_TAG, "")
                    yield Tagged(bucket, tags.get(UID_TAG, ""), f"S3 bucket {bucket}, with IAM user {name}")

    @staticmethod
    def _refuse_anothers(resource: _Wanted, parts: _Parts) -> None:
        """What has come to be since it was observed may be anybody's."""
        bucket = parts.bucket
        if parts.anothers or (
            bucket is not None and ownership(resource.owner, bucket, parts.user) is not Ownership.OURS
        ):
            raise _not_ours(resource.external_name)

    async def _bring_about(self, resource: _Wanted) -> _Seen:
        """Settings, then the policy, then a key: who has a key finds the bucket as it should be."""
        parts = await self._look(resource)
        bucket = parts.bucket
        if bucket is None:
            # S3 does not show it yet, or not any more: the next look tells.
            return Observation(exists=False, busy=True, message=f"{resource.external_name} is not there yet")
        repaired = []
        for drift in self._drift(resource, bucket, parts.user):
            if drift.repairable and drift.field != "userPolicy":
                await self._repair(resource, bucket, drift)
                repaired.append(drift.field)
        user = await self._ensure_user(resource, parts.user)
        policy = policy_of(bucket.name, _partition(user), resource.spec.kms_key_arn)
        if user.policy != policy:
            await self._put_policy(resource.owner, policy)
        issued = await self._issue_if_due(resource, user)
        left = tuple(each for each in self._drift(resource, bucket, None) if each.field not in repaired)
        return self._seen(resource, bucket, user, left, applied=True, issued=issued)

    async def _repair(self, resource: _Wanted, bucket: BucketFound, drift: Drift) -> None:
        spec, name = resource.spec, bucket.name
        s3: Any = self._s3(bucket.region)
        call: Callable[..., Any]
        match drift.field:
            case "tags":
                tags = _tag_list({**bucket.tags, **wanted_tags(spec, resource.owner)})
                action, call = "PutBucketTagging", partial(s3.put_bucket_tagging, Tagging={"TagSet": tags})
            case "versioning":
                status = "Enabled" if spec.versioning else "Suspended"
                action = "PutBucketVersioning"
                call = partial(s3.put_bucket_versioning, VersioningConfiguration={"Status": status})
            case "encryption" | "kmsKeyArn" | "bucketKey":
                wanted = wanted_encryption(spec)
                action = "PutBucketEncryption"
                call = partial(s3.put_bucket_encryption, ServerSideEncryptionConfiguration=wanted)
            case "blockPublicAccess":
                blocked = wanted_public_access(spec)
                action = "PutPublicAccessBlock"
                call = partial(s3.put_public_access_block, PublicAccessBlockConfiguration=blocked)
            case _:
                rules = wanted_lifecycle(spec.lifecycle_rules or ())
                action = "PutBucketLifecycleConfiguration"
                call = partial(s3.put_bucket_lifecycle_configuration, LifecycleConfiguration={"Rules": rules})
                if not rules:
                    action, call = "DeleteBucketLifecycle", s3.delete_bucket_lifecycle
        await self._call(action, name, partial(call, Bucket=name))

    async def _ensure_user(self, resource: _Wanted, user: BucketUser | None) -> BucketUser:
        """Raises Terminal when the name is taken by a user who is not ours."""
        owner, bucket = resource.owner, resource.external_name
        name = user_name(owner)
        if user is None:
            tags = _tag_list(user_tags(owner, bucket))
            call = partial(self._iam.create_user, Path=USER_PATH, UserName=name, Tags=tags)
            made = await self._call("CreateUser", name, call)
            return BucketUser(
                made["User"]["Arn"], user_tags(owner, bucket), None, (), made["User"]["CreateDate"]
            )
        if not is_ours(owner, user):
            message = "a user of this name exists without this object's ownership tags: remove or rename it"
            raise Terminal("CreateUser", name, "EntityAlreadyExists", message, reason="NotOwned")
        return user

    async def _put_policy(self, owner: Owner, policy: Document) -> None:
        name, text = user_name(owner), json.dumps(policy)
        call = partial(self._iam.put_user_policy, UserName=name, PolicyName=POLICY_NAME, PolicyDocument=text)
        await self._call("PutUserPolicy", name, call)

    async def _issue_if_due(self, resource: _Wanted, user: BucketUser) -> SecretData | None:
        name = user_name(resource.owner)
        plan = plan_keys(
            user.keys, _stored_key(resource), rotating=resource.rotation is not None, now=self._now()
        )
        for each in plan.remove:
            await self._remove_key(name, each)
        if not plan.issue:
            return None
        answer = await self._call(
            "CreateAccessKey", name, partial(self._iam.create_access_key, UserName=name)
        )
        key = answer["AccessKey"]
        return SecretData({ACCESS_KEY_ID: key["AccessKeyId"], SECRET_ACCESS_KEY: key["SecretAccessKey"]})

    async def _remove_key(self, user: str, key: str) -> None:
        call = partial(self._iam.delete_access_key, UserName=user, AccessKeyId=key)
        await self._call("DeleteAccessKey", user, partial(_unless_absent, call))

    async def _disarm(self, owner: Owner, user: BucketUser) -> None:
        name = user_name(owner)
        for key in user.keys:
            await self._remove_key(name, key.id)
        if user.policy is not None:
            call = partial(self._iam.delete_user_policy, UserName=name, PolicyName=POLICY_NAME)
            await self._call("DeleteUserPolicy", name, partial(_unless_absent, call))

    async def _delete_user(self, owner: Owner) -> None:
        name = user_name(owner)
        call = partial(self._iam.delete_user, UserName=name)
        await self._call("DeleteUser", name, partial(_unless_absent, call))

    async def _remove(self, bucket: BucketFound, *, force: bool) -> None:
        """It stays for now if it was not all emptied yet, though that is to be."""
        s3, name = self._s3(bucket.region), bucket.name
        if force:
            for _ in range(EMPTYING_BATCHES):
                if not await self._call("DeleteObjects", name, partial(_delete_a_batch, s3, name)):
                    break
            else:
                return
        refusal = await self._call("DeleteBucket", name, partial(_delete_bucket, s3, name))
        if refusal is None or force:
            return
        raise Terminal(
            "DeleteBucket",
            name,
            "BucketNotEmpty",
            f"{refusal}. Empty it, or set spec.forceDestroy to have its objects deleted with it",
            reason="BucketNotEmpty",
        )

    async def _look(self, resource: _Wanted) -> _Parts:
        name = resource.external_name
        where = await self._call("GetBucketLocation", name, partial(self._where, name))
        user = await self._user(resource.owner)
        if where is None:
            return _Parts(None, user)
        if where == "":
            return _Parts(None, user, anothers=True)
        bucket = await self._bucket(name, where)
        if known_by_user(resource.owner, name, bucket.tags, user):
            made = await self._call("ListBuckets", name, partial(self._made, name))
            bucket = replace(bucket, created=made)
        return _Parts(bucket, user)

    def _where(self, name: str) -> str | None:
        """The bucket's region; empty: it is another account's; None: there is none. Raises AccessDenied if it is ours.

        Not by HeadBucket: an answer to HEAD has no body, and so does not say whether a 503 is throttling or an outage.
        """
        try:
            answer = self._home.get_bucket_location(Bucket=name)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == _ABSENT:
                return None
            if code == "AccessDenied" and self._made(name) is None:
                return ""
            raise
        place = answer.get("LocationConstraint") or REGION_OF_OLD
        return _OLD_NAMES.get(place, place)

    def _made(self, name: str) -> datetime | None:
        """When; None: our account has no bucket of that name."""
        found = self._home.list_buckets(Prefix=name)["Buckets"]
        return next((each.get("CreationDate") for each in found if each.get("Name") == name), None)

    async def _bucket(self, name: str, region: str) -> BucketFound:
        s3 = self._s3(region)

        async def get(action: str, call: Callable[..., Any]) -> Mapping[str, Any]:
            return await self._call(action, name, partial(_setting, partial(call, Bucket=name)))

        tags = await get("GetBucketTagging", s3.get_bucket_tagging)
        versioning = await get("GetBucketVersioning", s3.get_bucket_versioning)
        encryption = await get("GetBucketEncryption", s3.get_bucket_encryption)
        blocked = await get("GetPublicAccessBlock", s3.get_public_access_block)
        lifecycle = await get("GetBucketLifecycleConfiguration", s3.get_bucket_lifecycle_configuration)
        return BucketFound(
            name,
            region,
            {each["Key"]: each["Value"] for each in tags.get("TagSet", ())},
            versioning.get("Status", ""),
            encryption.get("ServerSideEncryptionConfiguration", {}),
            blocked.get("PublicAccessBlockConfiguration", {}),
            lifecycle.get("Rules", ()),
        )

    async def _user(self, owner: Owner) -> BucketUser | None:
        name = user_name(owner)
        found = await self._call(
            "GetUser", name, partial(_unless_absent, partial(self._iam.get_user, UserName=name))
        )
        if found is None:
            return None
        policy = await self._call(
            "GetUserPolicy",
            name,
            partial(
                _unless_absent, partial(self._iam.get_user_policy, UserName=name, PolicyName=POLICY_NAME)
            ),
        )
        keys = await self._call(
            "ListAccessKeys",
            name,
            partial(_unless_absent, partial(self._iam.list_access_keys, UserName=name)),
        )
        return BucketUser(
            found["User"]["Arn"],
            {each["Key"]: each["Value"] for each in found["User"].get("Tags", ())},
            None if policy is None else policy["PolicyDocument"],
            tuple(
                AccessKey(each["AccessKeyId"], each["CreateDate"], each["Status"] == "Active")
                for each in (keys or {}).get("AccessKeyMetadata", ())
            ),
            found["User"]["CreateDate"],
        )

    def _page_of_users(self, marker: str) -> tuple[list[str], str | None]:
        iam: Any = self._iam
        answer = iam.list_users(PathPrefix=USER_PATH, **({"Marker": marker} if marker else {}))
        return [each["UserName"] for each in answer["Users"]], answer.get("Marker") or None

    def _tags_of_user(self, name: str) -> Mapping[str, str] | None:
        answer = _unless_absent(partial(self._iam.list_user_tags, UserName=name))
        return None if answer is None else {each["Key"]: each["Value"] for each in answer["Tags"]}

    def _create_bucket(self, name: str, region: str) -> bool:
        """Whether our account had it already: an answer may have been lost. us-east-1 says nothing of it."""
        where: Any = (
            {} if region == REGION_OF_OLD else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        )
        try:
            self._s3(region).create_bucket(Bucket=name, **where)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "BucketAlreadyExists":
                message = "bucket names are global, and another account has this one: choose another spec.bucketName"
                raise Terminal("CreateBucket", name, code, message, reason="NameTaken") from None
            if code != "BucketAlreadyOwnedByYou":
                raise
            return True
        return False

    def _seen(
        self,
        resource: _Wanted,
        bucket: BucketFound,
        user: BucketUser | None,
        drift: tuple[Drift, ...],
        *,
        applied: bool,
        issued: SecretData | None = None,
    ) -> _Seen:
        whose = ownership(resource.owner, bucket, user)
        return Observation(
            exists=True,
            ownership=whose,
            leftovers=whose is not Ownership.OURS and is_ours(resource.owner, user),
            ready=True,
            message=f"Bucket {bucket.name} is in {bucket.region}",
            drift=drift,
            credentials=issued,
            credentials_applied=applied,
            rotated=None if issued is None else resource.rotation,
            details={
                "region": bucket.region,
                "arn": f"arn:{_partition(user)}:s3:::{bucket.name}",
                "endpoint_url": self._s3(bucket.region).meta.endpoint_url,
                "user_arn": None if user is None else user.arn,
            },
        )

    def _drift(self, resource: _Wanted, bucket: BucketFound, user: BucketUser | None) -> tuple[Drift, ...]:
        policy = policy_of(bucket.name, _partition(user), resource.spec.kms_key_arn)
        return drift_of(resource.spec, resource.owner, bucket, user, policy)

    def _s3(self, region: str) -> S3Client:
        """Of the bucket's own region: only there are its settings changed."""
        client = self._by_region.get(region)
        if client is None:
            client = self._by_region[region] = self._session.client("s3", region=region)
        return client

    async def _refuse_elsewhere(self, resource: _Wanted) -> None:
        """Bucket and user are not gone because the credentials have become those of another account."""
        arn = resource.status.user_arn
        if arn is None:
            return
        if self._account is None:
            self._account = await self._call("GetCallerIdentity", "AWS", lambda: account_id(self._session))
        account = (arn.split(":") + [""] * _ACCOUNT_IN_ARN)[_ACCOUNT_IN_ARN]
        if account != self._account:
            name = resource.external_name
            problem = f"it is in account {account}, and the credentials are of account {self._account}"
            if not account:
                problem = "status.userArn is no ARN, and does not tell which account it is in: correct it"
            raise Refused("GetBucketLocation", name, "Elsewhere", problem, reason="Elsewhere")

    async def _call(self, action: str, target: str, call: Callable[[], _T]) -> _T:
        """One call, with its errors sorted."""

        def sorting() -> _T:
            try:
                return call()
            except (ClientError, BotoCoreError) as error:
                raise sorted_error(action, target, error) from None

        return await self._calls.blocking(action, target, sorting)


class S3Drivers:
    """``driver.DriverFactory`` for S3."""

    async def open(self, account: Account) -> S3Driver:
        """Raises Refused for an account that is not the expected one, or whose credentials are not there."""
        session = AwsSession(account)
        driver = S3Driver(account, session)
        if account.account is not None:
            await check_account(account, session)
        return driver

    async def close(self, driver: Any) -> None:
        """Nothing is held: a call under way ends by itself, within its timeout."""


def _not_ours(name: str) -> Terminal:
    message = (
        "somebody else has just made a bucket of this name, without this object's ownership tags: remove it, or choose "
        "another spec.bucketName"
    )
    return Terminal("CreateBucket", name, "BucketAlreadyOwnedByYou", message, reason="NotOwned")


def _stored_key(resource: _Wanted) -> str | None:
    return None if resource.credentials is None else resource.credentials.get(ACCESS_KEY_ID)


def _partition(user: BucketUser | None) -> str:
    """Which of Amazon's separate clouds it is: the second part of every ARN there."""
    return "aws" if user is None else user.arn.split(":")[1]


def _tag_list(tags: Mapping[str, str]) -> Any:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def _setting(call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """A setting of a bucket; empty where it was never made."""
    try:
        return call()
    except ClientError as error:
        if error.response["Error"]["Code"] in _UNSET:
            return {}
        raise


def _unless_absent(call: Callable[[], Any]) -> Any:
    """What IAM answers; None where it knows no such thing."""
    try:
        return call()
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchEntity":
            return None
        raise


def _delete_a_batch(s3: S3Client, bucket: str) -> bool:
    """Up to 1,000 versions and delete markers; False: there was none. Raises ClientError for one that is refused."""
    page = s3.list_object_versions(Bucket=bucket)
    found: Any = [
        {"Key": each["Key"], "VersionId": each["VersionId"]}
        for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
    ]
    if not found:
        return False
    answer: Any = s3.delete_objects(Bucket=bucket, Delete={"Objects": found, "Quiet": True})
    for refused in answer.get("Errors", ()):
        raise ClientError(
            {"Error": {"Code": refused["Code"], "Message": refused["Message"]}}, "DeleteObjects"
        )
    return True


def _delete_bucket(s3: S3Client, bucket: str) -> str | None:
    """What S3 says to a bucket that holds something; None: it is gone."""
    try:
        s3.delete_bucket(Bucket=bucket)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "BucketNotEmpty":
            return error.response["Error"]["Message"]
        if code != _ABSENT:
            raise
    return None
