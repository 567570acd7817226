"""A Bucket claim gets a bucket in S3 and a key for it, and loses no data that nobody said is to go.

moto answers whoever signs: that a key opens this bucket and no other is shown where moto is told to ask, in
services/aws-provisioner/tests/test_s3_least_privilege.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from stage import SYSTEM, Stage, condition

from conductor_dev.api import CONFIG_MAP, SECRET, SERVICE, Json
from conductor_dev.waiting import wait_until
from conductor_model.annotations import ROTATE_REQUESTED_AT
from conductor_model.kinds import BUCKET, RESOURCE_CLASS, S3_BUCKET

pytestmark = pytest.mark.integration


class Buckets:
    """Bucket claims, a class for them, and what the cloud has of them."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._api = stage.env.api
        self._classes: list[str] = []
        self.s3: Any = stage.env.aws.client("s3")
        self.iam: Any = stage.env.aws.client("iam")

    def offer_class(self, **template: Any) -> str:
        name = f"s3-{uuid.uuid4().hex[:6]}"
        body = {
            "apiVersion": RESOURCE_CLASS.gvk.api_version,
            "kind": "ResourceClass",
            "metadata": {"name": name, "namespace": SYSTEM},
            "rebindPolicy": "Delete",
            "template": {
                "apiVersion": S3_BUCKET.gvk.api_version,
                "kind": "S3Bucket",
                "spec": {"region": "us-east-1", **template},
            },
        }
        self._api.create(RESOURCE_CLASS, SYSTEM, body)
        self._classes.append(name)
        return name

    def resource(self, claim: Json) -> str:
        name: str = claim["status"]["boundResource"]["name"]
        return name

    def client_of(self, secret: dict[str, str]) -> Any:
        """What an application makes of the Secret, and of nothing else."""
        client: Any = boto3.client
        return client(
            "s3",
            endpoint_url=secret["endpoint"],
            region_name=secret["region"],
            aws_access_key_id=secret["access-key-id"],
            aws_secret_access_key=secret["secret-access-key"],
        )

    def close(self) -> None:
        for each in self._api.list(BUCKET, self._stage.namespace):
            self._api.delete(BUCKET, self._stage.namespace, each["metadata"]["name"])
        for name in self._classes:
            self._api.delete(RESOURCE_CLASS, SYSTEM, name)
        mine = [
            each["metadata"]["name"]
            for each in self._api.list(S3_BUCKET, SYSTEM)
            if each["spec"].get("resourceClass") in self._classes
        ]
        for name in mine:
            self._api.merge_patch(S3_BUCKET, SYSTEM, name, {"spec": {"forceDestroy": True}})
        wait_until(
            "the test's buckets are gone",
            lambda: all(self._api.find(S3_BUCKET, SYSTEM, each) is None for each in mine),
            timeout=60,
        )


@pytest.fixture
def buckets(stage: Stage) -> Iterator[Buckets]:
    made = Buckets(stage)
    yield made
    made.close()


def test_an_application_stores_and_reads_with_nothing_but_the_secret(stage: Stage, buckets: Buckets) -> None:
    stage.claim("media", kind=BUCKET, resourceClass=buckets.offer_class(), versioning=True)
    claim = stage.wait_ready("media", kind=BUCKET)
    secret = stage.secret("media")
    assert stage.env.api.get(SECRET, stage.namespace, "media")["type"] == "servicebinding.io/s3"

    client = buckets.client_of(secret)
    client.put_object(Bucket=secret["bucket"], Key="hello", Body=b"world")
    assert client.get_object(Bucket=secret["bucket"], Key="hello")["Body"].read() == b"world"

    public = stage.env.api.get(CONFIG_MAP, stage.namespace, "media")["data"]
    assert public == {key: value for key, value in secret.items() if not key.endswith(("-id", "-key"))}
    assert stage.env.api.find(SERVICE, stage.namespace, "media") is None
    assert condition(claim, "Ready")["message"] == 'Secret "media" and ConfigMap "media" are in place.'
    assert buckets.s3.get_bucket_versioning(Bucket=secret["bucket"])["Status"] == "Enabled"


def test_a_bucket_with_data_outlives_its_claim_until_somebody_says_otherwise(
    stage: Stage, buckets: Buckets
) -> None:
    stage.claim("media", kind=BUCKET, resourceClass=buckets.offer_class())
    name = buckets.resource(stage.wait_ready("media", kind=BUCKET))
    secret = stage.secret("media")
    buckets.client_of(secret).put_object(Bucket=secret["bucket"], Key="precious", Body=b"data")

    stage.delete_claim("media", BUCKET)
    kept = stage.env.api.wait_for(
        S3_BUCKET,
        SYSTEM,
        name,
        lambda found: condition(found, "Synced")["reason"] == "BucketNotEmpty",
        timeout=60,
    )
    assert kept["status"]["phase"] == "Deleting"
    assert "set spec.forceDestroy" in condition(kept, "Synced")["message"]
    assert buckets.s3.get_object(Bucket=secret["bucket"], Key="precious")["Body"].read() == b"data"

    stage.env.api.merge_patch(S3_BUCKET, SYSTEM, name, {"spec": {"forceDestroy": True}})
    wait_until("the bucket is gone", lambda: stage.env.api.find(S3_BUCKET, SYSTEM, name) is None, timeout=60)
    assert secret["bucket"] not in [each["Name"] for each in buckets.s3.list_buckets()["Buckets"]]
    users = [each["UserName"] for each in buckets.iam.list_users(PathPrefix="/conductor/")["Users"]]
    assert secret["bucket"] not in users


def test_a_new_key_reaches_the_claim_while_the_former_still_works(stage: Stage, buckets: Buckets) -> None:
    stage.claim("media", kind=BUCKET, resourceClass=buckets.offer_class())
    name = buckets.resource(stage.wait_ready("media", kind=BUCKET))
    old = stage.secret("media")
    asked = {"metadata": {"annotations": {ROTATE_REQUESTED_AT: "2026-11-21T12:00:00Z"}}}
    stage.env.api.merge_patch(S3_BUCKET, SYSTEM, name, asked)
    new = wait_until(
        "the claim's Secret has another key",
        lambda: found if (found := stage.secret("media"))["access-key-id"] != old["access-key-id"] else None,
        timeout=60,
    )
    assert new["bucket"] == old["bucket"]
    keys = buckets.iam.list_access_keys(UserName=old["bucket"])["AccessKeyMetadata"]
    assert {each["AccessKeyId"] for each in keys} == {old["access-key-id"], new["access-key-id"]}
    for each in (old, new):
        buckets.client_of(each).put_object(Bucket=each["bucket"], Key="a", Body=b"a")


def test_a_claim_that_no_class_can_satisfy_is_told_what_is_lacking(stage: Stage, buckets: Buckets) -> None:
    source = buckets.offer_class(versioning=False)
    stage.claim("media", kind=BUCKET, resourceClass=source, versioning=True)
    claim = stage.wait_claim(
        "media", lambda found: condition(found, "Scheduled")["status"] == "False", kind=BUCKET
    )
    assert "versioning Enabled is not offered" in condition(claim, "Scheduled")["message"]
