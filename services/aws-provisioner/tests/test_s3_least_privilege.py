"""What the access key of a bucket opens, where moto is told to ask IAM as AWS always does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.exceptions import ClientError

from conductor_aws_provisioner.s3 import S3Driver
from conductor_aws_provisioner.session import AwsSession
from conductor_dev.aws import REGION, Moto
from conductor_model.bucket import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from conductor_model.s3bucket import S3BucketSpec, S3BucketStatus
from conductor_provisioner import Account, Owner, Resource, SecretData
from conductor_provisioner.testing import DirectCalls

pytestmark = pytest.mark.integration


@pytest.fixture
def strict_moto(tmp_path: Path) -> Iterator[Moto]:
    """A moto of this test's own: what it is told holds for all that use it."""
    with Moto.start(tmp_path, rds_delay=0) as moto:
        yield moto


async def made(moto: Moto, name: str) -> SecretData:
    account = Account(
        name="test",
        calls=DirectCalls(),
        region=REGION,
        endpoint=moto.url,
        secret=SecretData({"accessKeyId": "testing", "secretAccessKey": "testing"}),
    )
    owner = Owner("cluster", f"uid-of-{name}", "play", name)
    resource = Resource(external_name=name, owner=owner, spec=S3BucketSpec(), status=S3BucketStatus())
    created = await S3Driver(account, AwsSession(account)).create(resource)
    assert created.credentials is not None
    return created.credentials


def ask_iam_from_now_on(moto: Moto) -> None:
    """Of all calls, those of the account's own key included."""
    requests.post(f"{moto.url}/moto-api/reset-auth", data="0", timeout=10).raise_for_status()


def client(moto: Moto, service: str, key: SecretData) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=moto.url,
        region_name=REGION,
        aws_access_key_id=key[ACCESS_KEY_ID],
        aws_secret_access_key=key[SECRET_ACCESS_KEY],
    )


async def test_a_key_opens_its_own_bucket_and_nothing_else(strict_moto: Moto) -> None:
    mine = await made(strict_moto, "mine")
    await made(strict_moto, "not-mine")
    ask_iam_from_now_on(strict_moto)
    s3, iam = client(strict_moto, "s3", mine), client(strict_moto, "iam", mine)

    s3.put_object(Bucket="mine", Key="a/b", Body=b"data")
    assert s3.get_object(Bucket="mine", Key="a/b")["Body"].read() == b"data"
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="mine")["Contents"]] == ["a/b"]
    s3.delete_object(Bucket="mine", Key="a/b")

    refused: list[Callable[[], Any]] = [
        lambda: s3.put_object(Bucket="not-mine", Key="a", Body=b"data"),
        lambda: s3.get_object(Bucket="not-mine", Key="a"),
        lambda: s3.list_objects_v2(Bucket="not-mine"),
        lambda: s3.delete_bucket(Bucket="mine"),
        lambda: s3.put_bucket_versioning(Bucket="mine", VersioningConfiguration={"Status": "Enabled"}),
        s3.list_buckets,
        iam.create_access_key,
        iam.list_users,
    ]
    for number, call in enumerate(refused):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] in {"AccessDenied", "403"}, number
