"""The S3 driver against moto: the life of a bucket and of its user, and what is left when a process dies anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from conductor_aws_provisioner.s3 import S3Driver
from conductor_aws_provisioner.s3_user import KEY_GRACE, user_name
from conductor_aws_provisioner.session import AwsSession
from conductor_dev.aws import REGION, Moto
from conductor_model.bucket import ACCESS_KEY_ID
from conductor_model.s3bucket import S3BucketSpec, S3BucketStatus
from conductor_provisioner import (
    Account,
    Owner,
    Ownership,
    ProviderError,
    Refused,
    Resource,
    SecretData,
    Terminal,
    Throttled,
    Transient,
)
from conductor_provisioner.names import external_name
from conductor_provisioner.testing import DirectCalls

pytestmark = pytest.mark.integration

OWNER = Owner("cluster-1", "uid-1", "play", "media")
ANOTHER = Owner("cluster-1", "uid-2", "play", "other")
NAME, USER = external_name(OWNER), user_name(OWNER)
Wanted = Resource[S3BucketSpec, S3BucketStatus]
Open = Callable[..., S3Driver]


class Died(Exception):
    """The process, at a step."""


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


def wanted(
    key: SecretData | None = None,
    *,
    rotation: str | None = None,
    name: str = NAME,
    owner: Owner = OWNER,
    status: S3BucketStatus | None = None,
    **spec: Any,
) -> Wanted:
    return Resource(
        external_name=name,
        owner=owner,
        spec=S3BucketSpec.model_validate(spec),
        status=status or S3BucketStatus(),
        credentials=key,
        rotation=rotation,
    )


class Session(AwsSession):
    """Makes a client of a kind once: it takes longer than many a call."""

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._made: dict[tuple[str, str | None], Any] = {}

    def client(self, service: str, *, region: str | None = None) -> Any:
        kind = (service, region)
        if kind not in self._made:
            self._made[kind] = super().client(service, region=region)
        return self._made[kind]

    def answer(self, action: str, code: str, status: int) -> None:
        """Answer every call of an action of S3 so."""

        def refuse(**_: Any) -> None:
            said: Any = {
                "Error": {"Code": code, "Message": "said the test"},
                "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}},
            }
            raise ClientError(said, action)

        self.client("s3").meta.events.register(f"before-call.s3.{action}", refuse)


def account_at(url: str, calls: DirectCalls) -> Account:
    secret = SecretData({"accessKeyId": "testing", "secretAccessKey": "testing"})
    return Account(name="test", calls=calls, region=REGION, endpoint=url, secret=secret)


@pytest.fixture
def session(moto: Moto) -> Session:
    return Session(account_at(moto.url, DirectCalls()))


@pytest.fixture
def open_driver(moto: Moto, session: Session) -> Open:
    def opened(calls: DirectCalls | None = None, *, clock: Clock | None = None) -> S3Driver:
        return S3Driver(account_at(moto.url, calls or DirectCalls()), session, now=clock or Clock())

    return opened


@pytest.fixture
def driver(open_driver: Open) -> S3Driver:
    return open_driver()


class Cloud:
    """What an administrator of the account sees."""

    def __init__(self, url: str) -> None:
        self._options: Any = {
            "endpoint_url": url,
            "region_name": REGION,
            "aws_access_key_id": "testing",
            "aws_secret_access_key": "testing",
        }
        self.s3: Any = boto3.client("s3", **self._options)
        self.iam: Any = boto3.client("iam", **self._options)

    def with_key(self, key: SecretData) -> Any:
        """A client that has nothing but the access key."""
        own = {"aws_access_key_id": key[ACCESS_KEY_ID], "aws_secret_access_key": key["secret-access-key"]}
        return boto3.client("s3", **{**self._options, **own})

    def buckets(self) -> list[str]:
        return [each["Name"] for each in self.s3.list_buckets()["Buckets"]]

    def users(self) -> list[str]:
        return [each["UserName"] for each in self.iam.list_users()["Users"]]

    def keys(self) -> list[str]:
        return [each["AccessKeyId"] for each in self.iam.list_access_keys(UserName=USER)["AccessKeyMetadata"]]

    def tags(self, name: str = NAME) -> dict[str, str]:
        return {each["Key"]: each["Value"] for each in self.s3.get_bucket_tagging(Bucket=name)["TagSet"]}


@pytest.fixture
def cloud(moto: Moto) -> Cloud:
    return Cloud(moto.url)


async def made(driver: S3Driver, **spec: Any) -> SecretData:
    """A bucket with its key, stored."""
    observed = await driver.create(wanted(**spec))
    assert observed.credentials is not None
    return observed.credentials


async def unmade(driver: S3Driver, resource: Wanted) -> None:
    """Until nothing is left, as the reconciler would go: the bucket, and then its user."""
    for _ in range(2):
        observed = await driver.observe(resource)
        if observed.exists or observed.leftovers:
            assert observed.ownership is Ownership.OURS
            await driver.delete(resource, observed)


async def test_what_was_created_is_observed_without_drift(driver: S3Driver, cloud: Cloud) -> None:
    spec: dict[str, Any] = {
        "versioning": True,
        "encryption": "SSE-KMS",
        "tags": {"team": "a"},
        "lifecycleRules": [
            {
                "id": "logs",
                "prefix": "logs/",
                "expirationDays": 365,
                "noncurrentExpirationDays": 30,
                "transitions": [{"days": 30, "storageClass": "STANDARD_IA"}],
            },
            {"id": "uploads", "abortIncompleteUploadDays": 7},
        ],
    }
    assert not (await driver.observe(wanted(**spec))).exists
    created = await driver.create(wanted(**spec))
    assert created.credentials is not None
    observed = await driver.observe(wanted(created.credentials, **spec))
    assert (observed.exists, observed.ready, observed.drift) == (True, True, ())
    assert (observed.credentials, observed.credentials_applied) == (None, True)
    assert observed.details["region"] == REGION
    assert observed.details["arn"] == f"arn:aws:s3:::{NAME}"
    assert cloud.tags() == {**OWNER.tags, "team": "a"}
    block = cloud.s3.get_public_access_block(Bucket=NAME)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}


async def test_the_key_is_shown_by_no_repr(driver: S3Driver) -> None:
    created = await driver.create(wanted())
    assert created.credentials is not None
    assert created.credentials["secret-access-key"] not in repr(created)


@pytest.mark.parametrize(
    ("spec", "change", "field"),
    [
        (
            {"versioning": True},
            lambda s3: s3.put_bucket_versioning(Bucket=NAME, VersioningConfiguration={"Status": "Suspended"}),
            "versioning",
        ),
        ({}, lambda s3: s3.delete_public_access_block(Bucket=NAME), "blockPublicAccess"),
        ({}, lambda s3: s3.delete_bucket_encryption(Bucket=NAME), "encryption"),
        (
            {"lifecycleRules": [{"id": "a", "expirationDays": 1}]},
            lambda s3: s3.delete_bucket_lifecycle(Bucket=NAME),
            "lifecycleRules",
        ),
        (
            {"tags": {"team": "a"}},
            lambda s3: s3.put_bucket_tagging(
                Bucket=NAME,
                Tagging={"TagSet": [{"Key": key, "Value": value} for key, value in OWNER.tags.items()]},
            ),
            "tags",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_what_somebody_changed_is_found_and_changed_back(
    driver: S3Driver, cloud: Cloud, spec: dict[str, Any], change: Callable[[Any], Any], field: str
) -> None:
    key = await made(driver, **spec)
    change(cloud.s3)
    observed = await driver.observe(wanted(key, **spec))
    assert [each.field for each in observed.drift] == [field]
    updated = await driver.update(wanted(key, **spec), observed)
    assert updated.drift == ()
    assert (await driver.observe(wanted(key, **spec))).drift == ()


async def test_lifecycle_rules_that_are_to_go_are_removed(driver: S3Driver, cloud: Cloud) -> None:
    key = await made(driver, lifecycleRules=[{"id": "a", "expirationDays": 1}])
    resource = wanted(key, lifecycleRules=[])
    await driver.update(resource, await driver.observe(resource))
    assert (await driver.observe(resource)).drift == ()
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        cloud.s3.get_bucket_lifecycle_configuration(Bucket=NAME)


async def test_a_user_who_was_given_more_is_given_less(driver: S3Driver, cloud: Cloud) -> None:
    key = await made(driver)
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    cloud.iam.put_user_policy(UserName=USER, PolicyName="bucket", PolicyDocument=json.dumps(everything))
    observed = await driver.observe(wanted(key))
    assert [each.field for each in observed.drift] == ["userPolicy"]
    await driver.update(wanted(key), observed)
    assert (await driver.observe(wanted(key))).drift == ()


async def test_tags_of_others_stay(driver: S3Driver, cloud: Cloud) -> None:
    key = await made(driver)
    tags = [{"Key": key, "Value": value} for key, value in {**OWNER.tags, "billing": "x"}.items()]
    cloud.s3.put_bucket_tagging(Bucket=NAME, Tagging={"TagSet": tags})
    resource = wanted(key, tags={"team": "a"})
    await driver.update(resource, await driver.observe(resource))
    assert cloud.tags() == {**OWNER.tags, "billing": "x", "team": "a"}


async def test_a_bucket_in_another_region_is_made_found_and_changed_there(
    driver: S3Driver, cloud: Cloud
) -> None:
    key = await made(driver, region="eu-west-1")
    observed = await driver.observe(wanted(key, region="eu-west-1"))
    assert (observed.drift, observed.details["region"]) == ((), "eu-west-1")
    assert cloud.s3.get_bucket_location(Bucket=NAME)["LocationConstraint"] == "eu-west-1"
    resource = wanted(key, region="eu-west-1", versioning=True)
    await driver.update(resource, await driver.observe(resource))
    assert (await driver.observe(resource)).drift == ()


async def test_a_bucket_that_is_not_where_it_should_be_is_told_and_not_touched(driver: S3Driver) -> None:
    key = await made(driver)
    (drift,) = (await driver.observe(wanted(key, region="eu-west-1"))).drift
    assert (drift.field, drift.found, drift.repairable) == ("region", REGION, False)


async def test_a_bucket_without_owner_s_tags_is_nobodys(driver: S3Driver, cloud: Cloud) -> None:
    cloud.s3.create_bucket(Bucket=NAME)
    assert (await driver.observe(wanted())).ownership is Ownership.NOBODYS


async def test_a_bucket_of_another_object_is_anothers(driver: S3Driver) -> None:
    await driver.create(wanted(owner=ANOTHER, name="shared-name"))
    assert (await driver.observe(wanted(name="shared-name"))).ownership is Ownership.ANOTHERS


async def test_a_bucket_that_is_adopted_gets_tags_user_and_key(driver: S3Driver, cloud: Cloud) -> None:
    cloud.s3.create_bucket(Bucket="grown")
    resource = wanted(name="grown")
    updated = await driver.update(resource, await driver.observe(resource))
    assert (updated.ownership, updated.credentials_applied) == (Ownership.OURS, True)
    assert updated.credentials is not None
    assert cloud.tags("grown") == OWNER.tags
    cloud.with_key(updated.credentials).put_object(Bucket="grown", Key="a", Body=b"a")


async def test_a_user_of_that_name_that_is_not_ours_is_not_touched(driver: S3Driver, cloud: Cloud) -> None:
    cloud.iam.create_user(UserName=USER)
    with pytest.raises(Terminal) as caught:
        await driver.create(wanted())
    assert caught.value.reason == "NotOwned"
    assert cloud.buckets() == []
    await driver.delete(wanted(), await driver.observe(wanted()))
    assert cloud.users() == [USER]


async def test_a_key_that_was_issued_and_not_stored_is_replaced(driver: S3Driver, cloud: Cloud) -> None:
    lost = await made(driver)
    observed = await driver.observe(wanted())
    assert not observed.credentials_applied
    issued = (await driver.update(wanted(), observed)).credentials
    assert issued is not None
    assert cloud.keys() == [issued[ACCESS_KEY_ID]] != [lost[ACCESS_KEY_ID]]


async def test_a_rotation_leaves_the_former_key_working_for_a_day(open_driver: Open, cloud: Cloud) -> None:
    clock = Clock()
    driver = open_driver(clock=clock)
    old = await made(driver)
    asked = wanted(old, rotation="now")
    rotated = await driver.update(asked, await driver.observe(asked))
    assert rotated.credentials is not None
    assert rotated.rotated == "now"
    new = rotated.credentials
    assert sorted(cloud.keys()) == sorted([old[ACCESS_KEY_ID], new[ACCESS_KEY_ID]])
    cloud.with_key(old).put_object(Bucket=NAME, Key="a", Body=b"a")

    clock.now += KEY_GRACE - timedelta(minutes=1)
    assert (await driver.observe(wanted(new))).credentials_applied
    clock.now += timedelta(minutes=2)
    due = await driver.observe(wanted(new))
    assert not due.credentials_applied
    assert (await driver.update(wanted(new), due)).credentials is None
    assert cloud.keys() == [new[ACCESS_KEY_ID]]


async def test_a_rotation_whose_key_was_lost_never_makes_a_third(driver: S3Driver, cloud: Cloud) -> None:
    old = await made(driver)
    asked = wanted(old, rotation="now")
    for _ in range(3):
        rotated = await driver.update(asked, await driver.observe(asked))
        assert rotated.credentials is not None
        assert sorted(cloud.keys()) == sorted([old[ACCESS_KEY_ID], rotated.credentials[ACCESS_KEY_ID]])


async def test_a_bucket_that_holds_an_object_is_not_deleted(driver: S3Driver, cloud: Cloud) -> None:
    key = await made(driver)
    cloud.s3.put_object(Bucket=NAME, Key="precious", Body=b"data")
    with pytest.raises(Terminal) as caught:
        await driver.delete(wanted(key), await driver.observe(wanted(key)))
    assert caught.value.reason == "BucketNotEmpty"
    assert "spec.forceDestroy" in str(caught.value)
    assert cloud.s3.get_object(Bucket=NAME, Key="precious")["Body"].read() == b"data"
    assert cloud.keys() == [], "nobody writes into a bucket that is to go"

    cloud.s3.delete_object(Bucket=NAME, Key="precious")
    await unmade(driver, wanted(key))
    assert (cloud.buckets(), cloud.users()) == ([], [])


@pytest.mark.parametrize("deletions_before", [0, 1])
async def test_a_bucket_that_appears_during_its_deletion_is_known_by_its_user_and_goes(
    open_driver: Open, cloud: Cloud, moto: Moto, deletions_before: int
) -> None:
    at = 0
    while not cloud.users():  # until it dies after it made the user, in CreateBucket
        with pytest.raises(Died):
            await _life(open_driver(DyingCalls(at)), None)
        at += 1
    driver = open_driver()
    if deletions_before:
        await driver.create(wanted())
        await driver.delete(wanted(), await driver.observe(wanted()))
    assert (cloud.buckets(), cloud.users()) == ([], [USER])
    assert cloud.keys() == []
    cloud.s3.create_bucket(Bucket=NAME)
    await unmade(driver, wanted())
    assert (cloud.buckets(), cloud.users()) == ([], [])


async def test_a_bucket_that_holds_earlier_versions_only_is_not_deleted(
    driver: S3Driver, cloud: Cloud
) -> None:
    key = await made(driver, versioning=True)
    cloud.s3.put_object(Bucket=NAME, Key="precious", Body=b"data")
    cloud.s3.delete_object(Bucket=NAME, Key="precious")
    with pytest.raises(Terminal, match="BucketNotEmpty"):
        await driver.delete(wanted(key), await driver.observe(wanted(key)))
    assert cloud.buckets() == [NAME]


async def test_a_bucket_goes_with_all_versions_of_its_objects_when_told(
    driver: S3Driver, cloud: Cloud
) -> None:
    key = await made(driver, versioning=True)
    for number in range(3):
        cloud.s3.put_object(Bucket=NAME, Key="precious", Body=b"%d" % number)
    cloud.s3.put_object(Bucket=NAME, Key="gone", Body=b"x")
    cloud.s3.delete_object(Bucket=NAME, Key="gone")
    resource = wanted(key, forceDestroy=True)
    await unmade(driver, resource)
    assert (cloud.buckets(), cloud.users()) == ([], [])
    observed = await driver.observe(resource)
    assert (observed.exists, observed.leftovers) == (False, False)


async def test_what_is_left_of_a_bucket_that_was_deleted_by_hand_goes_with_its_object(
    driver: S3Driver, cloud: Cloud
) -> None:
    key = await made(driver)
    cloud.s3.delete_bucket(Bucket=NAME)
    observed = await driver.observe(wanted(key))
    assert (observed.exists, observed.leftovers) == (False, True)
    await driver.delete(wanted(key), observed)
    assert cloud.users() == []


async def test_what_is_left_of_a_bucket_that_was_deleted_by_hand_is_let_go_too(
    driver: S3Driver, cloud: Cloud
) -> None:
    key = await made(driver)
    cloud.s3.delete_bucket(Bucket=NAME)
    await driver.release(wanted(key), await driver.observe(wanted(key)))
    assert cloud.users() == []


async def test_a_bucket_that_is_let_go_keeps_its_data_and_nobody_has_a_key(
    driver: S3Driver, cloud: Cloud
) -> None:
    key = await made(driver, tags={"team": "a"})
    cloud.s3.put_object(Bucket=NAME, Key="precious", Body=b"data")
    await driver.release(wanted(key), await driver.observe(wanted(key)))
    assert cloud.s3.get_object(Bucket=NAME, Key="precious")["Body"].read() == b"data"
    assert (cloud.tags(), cloud.users()) == ({"team": "a"}, [])
    assert (await driver.observe(wanted())).ownership is Ownership.NOBODYS
    await driver.release(wanted(key), await driver.observe(wanted(key)))


async def test_a_name_that_another_account_has_is_told(driver: S3Driver, session: Session) -> None:
    session.answer("CreateBucket", "BucketAlreadyExists", 409)
    with pytest.raises(Terminal) as caught:
        await driver.create(wanted())
    assert caught.value.reason == "NameTaken"
    assert "choose another spec.bucketName" in str(caught.value)


@pytest.mark.parametrize("when", ["before the look of create", "before its CreateBucket"])
async def test_a_bucket_that_somebody_else_makes_between_look_and_create_is_not_taken(
    open_driver: Open, cloud: Cloud, when: str
) -> None:
    def race(action: str) -> None:
        if action == "CreateBucket" and NAME not in cloud.buckets():
            cloud.s3.create_bucket(Bucket=NAME, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    # Where it says so: us-east-1 does not.
    driver = open_driver(DirectCalls(race))
    there = wanted(region="eu-west-1")
    assert not (await driver.observe(there)).exists
    if when == "before the look of create":
        race("CreateBucket")

    with pytest.raises(Terminal) as caught:
        await driver.create(there)

    assert caught.value.reason == "NotOwned"
    assert cloud.users() == []
    assert (await driver.observe(there)).ownership is Ownership.NOBODYS
    with pytest.raises(ClientError, match="NoSuchTagSet"):
        cloud.tags()


@pytest.mark.parametrize("whose", ["another account's", "another object's"])
async def test_the_user_of_a_bucket_that_has_become_another_s_goes_with_the_object(
    driver: S3Driver, cloud: Cloud, session: Session, whose: str
) -> None:
    key = await made(driver)
    if whose == "another account's":
        cloud.s3.delete_bucket(Bucket=NAME)
        session.answer("GetBucketLocation", "AccessDenied", 403)
    else:
        tags = [{"Key": tag, "Value": value} for tag, value in ANOTHER.tags.items()]
        cloud.s3.put_bucket_tagging(Bucket=NAME, Tagging={"TagSet": tags})

    observed = await driver.observe(wanted(key))
    assert (observed.ownership, observed.leftovers) == (Ownership.ANOTHERS, True)
    await driver.delete(wanted(key), observed)

    assert cloud.users() == []
    assert (await driver.observe(wanted(key))).leftovers is False
    assert cloud.buckets() == ([NAME] if whose == "another object's" else [])


async def test_a_bucket_that_is_ours_already_is_gone_on_with(driver: S3Driver, session: Session) -> None:
    """As everywhere but in us-east-1, when the answer to an earlier attempt was lost."""
    await driver.create(wanted())
    session.answer("CreateBucket", "BucketAlreadyOwnedByYou", 409)
    assert (await driver.create(wanted())).credentials is not None


async def test_a_bucket_that_we_may_not_look_at_is_anothers_unless_it_is_our_account_s(
    driver: S3Driver, session: Session, cloud: Cloud
) -> None:
    session.answer("GetBucketLocation", "AccessDenied", 403)
    observed = await driver.observe(wanted())
    assert (observed.exists, observed.ownership) == (True, Ownership.ANOTHERS)
    cloud.s3.create_bucket(Bucket=NAME)
    with pytest.raises(Refused):
        await driver.observe(wanted())


async def test_credentials_of_another_account_are_no_proof_that_a_bucket_is_gone(driver: S3Driver) -> None:
    status = S3BucketStatus(user_arn="arn:aws:iam::999999999999:user/conductor/u")
    with pytest.raises(Refused) as caught:
        await driver.observe(wanted(status=status))
    assert caught.value.reason == "Elsewhere"


async def test_a_status_that_somebody_spoilt_is_no_proof_that_a_bucket_is_gone(driver: S3Driver) -> None:
    with pytest.raises(Refused, match=r"status\.userArn is no ARN") as caught:
        await driver.observe(wanted(status=S3BucketStatus(user_arn="nonsense")))
    assert caught.value.reason == "Elsewhere"


async def test_the_sweep_finds_every_bucket_and_what_was_to_become_one(
    driver: S3Driver, cloud: Cloud
) -> None:
    await driver.create(wanted())
    await driver.create(wanted(owner=ANOTHER, name=external_name(ANOTHER)))
    await driver.create(wanted(owner=Owner("cluster-2", "uid-9", "a", "b"), name="of-another-cluster"))
    cloud.s3.delete_bucket(Bucket=external_name(ANOTHER))
    cloud.iam.create_user(UserName="somebody")
    found = {(each.external_name, each.uid) async for each in driver.tagged("cluster-1")}
    assert found == {(NAME, "uid-1"), (external_name(ANOTHER), "uid-2")}


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("SlowDown", 503, Throttled),
        ("ServiceUnavailable", 503, Transient),
        ("OperationAborted", 409, Transient),
        ("AccessDenied", 403, Refused),
        ("TooManyBuckets", 400, Refused),
        ("InvalidBucketName", 400, Terminal),
    ],
)
async def test_what_s3_answers_is_sorted(
    driver: S3Driver, session: Session, code: str, status: int, kind: type[ProviderError]
) -> None:
    session.answer("CreateBucket", code, status)
    with pytest.raises(kind):
        await driver.create(wanted())


class DyingCalls(DirectCalls):
    """Dies before or after the call with a number."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._left = at
        self.step = self._count

    def _count(self, step: str) -> None:
        if self._left == 0:
            raise Died(step)
        self._left -= 1


async def _life(driver: S3Driver, key: SecretData | None) -> SecretData | None:
    """One round towards a bucket, as the reconciler would go; the key that is stored at its end."""
    resource = wanted(key)
    observed = await driver.observe(resource)
    if not observed.exists:
        observed = await driver.create(resource)
    elif observed.drift or not observed.credentials_applied:
        assert observed.ownership is Ownership.OURS
        observed = await driver.update(resource, observed)
    return observed.credentials or key


async def test_wherever_a_process_dies_one_bucket_and_one_key_come_to_be_and_both_go(
    open_driver: Open, cloud: Cloud, moto: Moto
) -> None:
    at, finished = 0, False
    while not finished:
        moto.reset()
        try:
            key = await _life(open_driver(DyingCalls(at)), None)
            finished = True
        except Died:
            key = await _life(open_driver(), None)
        assert key is not None
        assert (cloud.buckets(), cloud.users(), cloud.keys()) == ([NAME], [USER], [key[ACCESS_KEY_ID]])
        assert cloud.tags() == OWNER.tags
        at += 1
    assert at > 20, "every call of a creation was died at"


async def test_wherever_a_deletion_dies_nothing_is_left(open_driver: Open, cloud: Cloud, moto: Moto) -> None:
    at, finished = 0, False
    while not finished:
        moto.reset()
        key = await made(open_driver())
        driver = open_driver(DyingCalls(at))
        try:
            await driver.delete(wanted(key), await driver.observe(wanted(key)))
            finished = True
        except Died:
            pass
        await unmade(open_driver(), wanted(key))
        assert (cloud.buckets(), cloud.users()) == ([], [])
        at += 1
    assert at > 20, "every call of a deletion was died at"


async def test_a_creation_that_was_given_up_leaves_nothing_after_the_deletion(
    open_driver: Open, cloud: Cloud, moto: Moto
) -> None:
    at, finished = 0, False
    while not finished:
        moto.reset()
        try:
            await _life(open_driver(DyingCalls(at)), None)
            finished = True
        except Died:
            pass
        await unmade(open_driver(), wanted())
        assert (cloud.buckets(), cloud.users()) == ([], [])
        at += 1
