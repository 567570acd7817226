"""What of a bucket differs from its spec, whose it is, what its user may do, and which keys there are to be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conductor_aws_provisioner.s3_decide import (
    BucketFound,
    drift_of,
    key_elsewhere,
    ownership,
    wanted_encryption,
    wanted_lifecycle,
    wanted_public_access,
    wanted_tags,
)
from conductor_aws_provisioner.s3_user import (
    KEY_GRACE,
    AccessKey,
    BucketUser,
    KeyPlan,
    plan_keys,
    policy_of,
    user_name,
    user_tags,
)
from conductor_model.s3bucket import S3BucketSpec
from conductor_provisioner import Owner, Ownership

OWNER = Owner("cluster-1", "uid-1", "play", "media")
ANOTHER = Owner("cluster-1", "uid-2", "play", "other")
NAME = "media-bucket"
POLICY = policy_of(NAME, "aws", None)
KMS_KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MADE = NOW - timedelta(days=1)
RULE = {"id": "logs", "prefix": "logs/", "expirationDays": 30}


def spec(**fields: Any) -> S3BucketSpec:
    return S3BucketSpec.model_validate(fields)


def as_wanted(wanted: S3BucketSpec, **changes: Any) -> BucketFound:
    """A bucket in which nothing differs, but for the changes."""
    found = BucketFound(
        NAME,
        wanted.region or "eu-west-1",
        wanted_tags(wanted, OWNER),
        "Enabled" if wanted.versioning else "",
        wanted_encryption(wanted),
        wanted_public_access(wanted),
        wanted_lifecycle(wanted.lifecycle_rules or ()),
    )
    return replace(found, **changes)


def user(**changes: Any) -> BucketUser:
    return replace(BucketUser("arn:aws:iam::1:user/u", user_tags(OWNER, NAME), POLICY, (), MADE), **changes)


def drifted(wanted: S3BucketSpec, **changes: Any) -> list[str]:
    return [each.field for each in drift_of(wanted, OWNER, as_wanted(wanted, **changes), user(), POLICY)]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"versioning": True},
        {"region": "eu-west-1", "tags": {"team": "a"}},
        {"encryption": "SSE-KMS", "kmsKeyArn": KMS_KEY},
        {"blockPublicAccess": False},
        {"lifecycleRules": [RULE]},
        {"lifecycleRules": []},
    ],
)
def test_a_bucket_that_is_as_it_should_be_has_no_drift(fields: dict[str, Any]) -> None:
    assert drifted(spec(**fields)) == []


@pytest.mark.parametrize(
    ("fields", "changes", "field"),
    [
        ({}, {"tags": {}}, "tags"),
        ({"tags": {"team": "a"}}, {"tags": OWNER.tags}, "tags"),
        ({"versioning": True}, {"versioning": "Suspended"}, "versioning"),
        ({"versioning": True}, {"versioning": ""}, "versioning"),
        ({"versioning": False}, {"versioning": "Enabled"}, "versioning"),
        ({}, {"encryption": {}}, "encryption"),
        ({}, {"encryption": wanted_encryption(spec(encryption="SSE-KMS"))}, "encryption"),
        (
            {"encryption": "SSE-KMS", "kmsKeyArn": KMS_KEY},
            {"encryption": wanted_encryption(spec(encryption="SSE-KMS"))},
            "kmsKeyArn",
        ),
        (
            {"encryption": "SSE-KMS"},
            {"encryption": wanted_encryption(spec(encryption="SSE-KMS", bucketKey=False))},
            "bucketKey",
        ),
        ({}, {"public_access": {}}, "blockPublicAccess"),
        (
            {},
            {"public_access": {**wanted_public_access(spec()), "IgnorePublicAcls": False}},
            "blockPublicAccess",
        ),
        ({"blockPublicAccess": False}, {"public_access": wanted_public_access(spec())}, "blockPublicAccess"),
        ({"lifecycleRules": [RULE]}, {"lifecycle": []}, "lifecycleRules"),
        (
            {"lifecycleRules": []},
            {"lifecycle": wanted_lifecycle(spec(lifecycleRules=[RULE]).lifecycle_rules or ())},
            "lifecycleRules",
        ),
    ],
)
def test_what_differs_is_named_as_the_spec_names_it(
    fields: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    assert drifted(spec(**fields), **changes) == [field]


@pytest.mark.parametrize(
    "changes", [{"versioning": "Enabled"}, {"versioning": "Suspended"}, {"lifecycle": [{"ID": "x"}]}]
)
def test_what_the_spec_leaves_open_is_left_as_it_is(changes: dict[str, Any]) -> None:
    assert drifted(spec(), **changes) == []


def test_versioning_that_was_suspended_is_as_good_as_none() -> None:
    assert drifted(spec(versioning=False), versioning="Suspended") == []


def test_tags_of_others_are_no_drift() -> None:
    assert drifted(spec(), tags={**wanted_tags(spec(), OWNER), "billing": "x"}) == []


def test_a_user_cannot_take_the_place_of_the_owner_s_tags() -> None:
    wanted = spec(tags={"conductor.io/concrete-uid": "mine"})
    assert wanted_tags(wanted, OWNER)["conductor.io/concrete-uid"] == "uid-1"


@pytest.mark.parametrize(
    "told",
    [
        {"Filter": {"Prefix": "logs/"}},
        {"Prefix": "logs/"},
        {"Filter": {}, "Prefix": "logs/"},
    ],
)
def test_a_rule_is_known_in_each_form_in_which_s3_tells_it(told: dict[str, Any]) -> None:
    (rule,) = wanted_lifecycle(spec(lifecycleRules=[RULE]).lifecycle_rules or ())
    as_told = {key: value for key, value in rule.items() if key != "Filter"} | told
    assert drifted(spec(lifecycleRules=[RULE]), lifecycle=[as_told]) == []


@pytest.mark.parametrize(
    "told",
    [{"Filter": {"Prefix": "other/"}}, {"Status": "Disabled"}, {"Filter": {"Tag": {"Key": "a"}}}, {"Odd": 1}],
)
def test_a_rule_of_the_same_name_that_says_something_else_is_drift(told: dict[str, Any]) -> None:
    (rule,) = wanted_lifecycle(spec(lifecycleRules=[RULE]).lifecycle_rules or ())
    (drift,) = drift_of(
        spec(lifecycleRules=[RULE]),
        OWNER,
        as_wanted(spec(), lifecycle=[{**rule, **told}]),
        user(),
        POLICY,
    )
    assert (drift.field, drift.wanted, drift.found) == ("lifecycleRules", "logs", "logs (unlike it)")


def test_a_bucket_elsewhere_cannot_be_moved() -> None:
    (drift,) = drift_of(
        spec(region="eu-west-1"), OWNER, as_wanted(spec(), region="us-east-1"), user(), POLICY
    )
    assert (drift.field, drift.wanted, drift.found, drift.repairable) == (
        "region",
        "eu-west-1",
        "us-east-1",
        False,
    )


@pytest.mark.parametrize("policy", [None, policy_of("another", "aws", None)])
def test_a_user_who_may_do_something_else_is_drift(policy: Any) -> None:
    (drift,) = drift_of(spec(), OWNER, as_wanted(spec()), user(policy=policy), POLICY)
    assert drift.field == "userPolicy"


@pytest.mark.parametrize(
    ("tags", "user_of", "whose"),
    [
        (OWNER.tags, None, Ownership.OURS),
        (ANOTHER.tags, OWNER, Ownership.ANOTHERS),
        ({}, None, Ownership.NOBODYS),
        ({"billing": "x"}, None, Ownership.NOBODYS),
        ({}, OWNER, Ownership.OURS),
        ({}, ANOTHER, Ownership.NOBODYS),
    ],
)
def test_whose_a_bucket_is(tags: Any, user_of: Owner | None, whose: Ownership) -> None:
    """The user in the last but one was made for this bucket: whoever made it died before it had tags."""
    made = None if user_of is None else user(tags=user_tags(user_of, NAME))
    assert ownership(OWNER, as_wanted(spec(), tags=tags), made) is whose


def test_a_user_made_for_another_bucket_proves_nothing() -> None:
    made = user(tags=user_tags(OWNER, "another-bucket"))
    assert ownership(OWNER, as_wanted(spec(), tags={}), made) is Ownership.NOBODYS


@pytest.mark.parametrize(
    ("after", "whose"),
    [(-60, Ownership.NOBODYS), (-1, Ownership.OURS), (0, Ownership.OURS), (60, Ownership.OURS)],
)
def test_a_bucket_that_is_older_than_the_user_made_for_it_is_not_known_by_that_user(
    after: int, whose: Ownership
) -> None:
    bucket = as_wanted(spec(), tags={}, created=MADE + timedelta(seconds=after))
    assert ownership(OWNER, bucket, user()) is whose
    tagged = as_wanted(spec(), created=MADE + timedelta(seconds=after))
    assert ownership(OWNER, tagged, user()) is Ownership.OURS


def test_the_policy_reaches_this_bucket_and_its_objects_only() -> None:
    resources = [each["Resource"] for each in POLICY["Statement"]]
    assert resources == ["arn:aws:s3:::media-bucket", "arn:aws:s3:::media-bucket/*"]
    actions = [action for each in POLICY["Statement"] for action in each["Action"]]
    assert not [each for each in actions if "*" in each or "Policy" in each or "DeleteBucket" in each]


def test_the_policy_reaches_the_key_that_encrypts_the_bucket() -> None:
    statement = policy_of(NAME, "aws-cn", KMS_KEY)["Statement"][-1]
    assert (statement["Resource"], statement["Action"]) == (KMS_KEY, ["kms:Decrypt", "kms:GenerateDataKey"])


@pytest.mark.parametrize(("region", "told"), [("eu-west-1", None), ("us-east-1", "a key in eu-west-1")])
def test_a_key_of_another_region_is_refused_before_anything_is_made(region: str, told: str | None) -> None:
    problem = key_elsewhere(spec(encryption="SSE-KMS", kmsKeyArn=KMS_KEY), region)
    assert problem is None if told is None else problem is not None and told in problem


def test_users_of_two_objects_never_have_one_name() -> None:
    assert user_name(OWNER) != user_name(ANOTHER)
    assert user_name(OWNER) == user_name(Owner("cluster-1", "uid-1", "renamed", "too"))


def key(id: str, age: timedelta = timedelta(), *, active: bool = True) -> AccessKey:
    return AccessKey(id, NOW - age, active)


DAY, HOUR = KEY_GRACE, timedelta(hours=1)


@pytest.mark.parametrize(
    ("keys", "stored", "rotating", "plan"),
    [
        pytest.param([], None, False, KeyPlan(issue=True), id="the first"),
        pytest.param([key("A")], "A", False, KeyPlan(), id="settled"),
        pytest.param([key("A")], None, False, KeyPlan(("A",), issue=True), id="issued and not stored"),
        pytest.param(
            [key("A"), key("B")],
            None,
            False,
            KeyPlan(("A", "B"), issue=True),
            id="twice issued and not stored",
        ),
        pytest.param([], "A", False, KeyPlan(issue=True), id="deleted by hand"),
        pytest.param(
            [key("A", active=False)], "A", False, KeyPlan(("A",), issue=True), id="deactivated by hand"
        ),
        pytest.param([key("A", HOUR)], "A", True, KeyPlan(issue=True), id="to be rotated"),
        pytest.param(
            [key("A", HOUR), key("B")], "A", True, KeyPlan(("B",), issue=True), id="rotated and not stored"
        ),
        pytest.param([key("A", DAY), key("B", HOUR)], "B", False, KeyPlan(), id="rotated an hour ago"),
        pytest.param(
            [key("A", DAY + HOUR), key("B", DAY)], "B", False, KeyPlan(("A",)), id="rotated a day ago"
        ),
        pytest.param([key("A", HOUR), key("B")], "A", False, KeyPlan(("B",)), id="a stray one"),
    ],
)
def test_which_keys_go_and_whether_one_is_made(
    keys: list[AccessKey], stored: str | None, rotating: bool, plan: KeyPlan
) -> None:
    assert plan_keys(keys, stored, rotating=rotating, now=NOW) == plan


@pytest.mark.parametrize("rotating", [False, True])
@pytest.mark.parametrize("stored", [None, "A", "B", "lost"])
def test_there_are_never_more_than_two_keys(stored: str | None, rotating: bool) -> None:
    keys = [key("A", HOUR), key("B")]
    plan = plan_keys(keys, stored, rotating=rotating, now=NOW)
    assert len(keys) - len(plan.remove) + plan.issue <= 2
