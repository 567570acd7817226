"""One process, several AWS accounts: each object's instance is made in the account of its ProviderConfig."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import boto3
import pytest

from conductor_dev.api import SECRET
from conductor_model.kinds import PROVIDER_CONFIG, RDS_INSTANCE

pytestmark = pytest.mark.integration

FIRST, SECOND = "111111111111", "222222222222"
CLUSTER_ID = "cluster-of-the-test"
ROLE = "arn:aws:iam::{}:role/conductor"


def keys_of(url: str, account: str) -> dict[str, str]:
    """Keys of a user of the account, as its administrator would make them."""
    common: dict[str, Any] = {"endpoint_url": url, "region_name": "us-east-1"}
    sts = boto3.client("sts", aws_access_key_id="testing", aws_secret_access_key="testing", **common)
    given = sts.assume_role(RoleArn=ROLE.format(account), RoleSessionName="tests")["Credentials"]
    inside: dict[str, Any] = {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
        **common,
    }
    iam = boto3.client("iam", **inside)
    if not any(each["UserName"] == "conductor" for each in iam.list_users()["Users"]):
        iam.create_user(UserName="conductor")
    key = iam.create_access_key(UserName="conductor")["AccessKey"]
    return {"accessKeyId": key["AccessKeyId"], "secretAccessKey": key["SecretAccessKey"]}


def leave_behind(url: str, keys: dict[str, str], name: str) -> None:
    """An instance that this cluster made for an object that is gone."""
    rds = boto3.client(
        "rds",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=keys["accessKeyId"],
        aws_secret_access_key=keys["secretAccessKey"],
    )
    tags = {"conductor.io/cluster-id": CLUSTER_ID, "conductor.io/concrete-uid": "gone"}
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        Engine="mysql",
        DBInstanceClass="db.t3.small",
        MasterUsername="conductor",
        MasterUserPassword="of-nobody-any-more",
        AllocatedStorage=20,
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )


async def make_config(real: Any, name: str, **spec: Any) -> None:
    manifest = {
        "apiVersion": "core.conductor.io/v1alpha1",
        "kind": "ProviderConfig",
        "metadata": {"name": name, "namespace": real.namespace},
        "spec": {"provider": "aws", **spec},
    }
    await asyncio.to_thread(real.api.apply, manifest)


async def make_instance(real: Any, name: str, config: str | None) -> None:
    spec: dict[str, Any] = {
        "engine": "mysql",
        "instance-type": "db.m4.xlarge",
        "allocatedStorage": 50,
        "rebindPolicy": "Delete",
        "skipFinalSnapshot": True,
    }
    if config is not None:
        spec["providerConfigRef"] = {"name": config}
    manifest = {
        "apiVersion": RDS_INSTANCE.gvk.api_version,
        "kind": RDS_INSTANCE.gvk.kind,
        "metadata": {"name": name, "namespace": real.namespace},
        "spec": spec,
    }
    await asyncio.to_thread(real.api.apply, manifest)


async def until(real: Any, what: str, type: Any, name: str, predicate: Any) -> Any:
    async def look() -> Any:
        found = await asyncio.to_thread(real.api.find, type, real.namespace, name)
        return [found] if predicate(found) else None

    return (await real.eventually(what, look))[0]


def account_of(found: Any) -> str:
    return str(found["status"]["arn"].split(":")[4])


async def ready(real: Any, condition_of: Any, name: str) -> Any:
    def is_ready(found: Any) -> bool:
        return bool(found and condition_of(found, "Ready")[0] == "True")

    return await until(real, f"{name} is Ready", RDS_INSTANCE, name, is_ready)


async def test_objects_live_in_the_accounts_of_their_provider_configs(
    real: Any, condition_of: Any, start_service: Any
) -> None:
    keys = await asyncio.to_thread(keys_of, real.moto.url, SECOND)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": keys}
    await asyncio.to_thread(real.api.create, SECRET, real.namespace, secret)
    await make_config(real, "by-role", account=FIRST, auth={"role": ROLE.format(FIRST)})
    by_secret = {"source": "Secret", "secretRef": {"name": "keys"}}
    await make_config(real, "by-secret", account=SECOND, default=True, auth=by_secret)
    await make_config(real, "wrong", account=FIRST, auth=by_secret)
    await make_instance(real, "one", "by-role")
    await make_instance(real, "two", None)
    await make_instance(real, "three", "wrong")

    await asyncio.to_thread(leave_behind, real.moto.url, keys, "left-behind")

    async with start_service(CONDUCTOR_CLUSTER_ID=CLUSTER_ID, CONDUCTOR_AWS_SWEEP="1s") as service:
        await service.becomes_ready()
        one = await ready(real, condition_of, "one")
        two = await ready(real, condition_of, "two")
        assert (account_of(one), one["status"]["account"]) == (FIRST, "by-role")
        assert (account_of(two), two["status"]["account"]) == (SECOND, "by-secret")

        def refused(found: Any) -> bool:
            return bool(found and condition_of(found, "Synced")[1] == "WrongAccount")

        three = await until(real, "three is refused", RDS_INSTANCE, "three", refused)
        assert (
            f"of account {SECOND}, and the ProviderConfig expects {FIRST}" in condition_of(three, "Synced")[2]
        )

        def orphaned(found: Any) -> bool:
            return bool(found and condition_of(found, "OrphansFound")[0] == "True")

        swept = await until(real, "the orphan is found", PROVIDER_CONFIG, "by-secret", orphaned)
        assert [each["externalName"] for each in swept["status"]["orphans"]] == ["left-behind"]
        pages = json.loads((await service.get("/orphans"))[1])
        told = {each["account"]: [one["externalName"] for one in each["orphans"]] for each in pages}
        assert told[f"{real.namespace}/by-secret"] == ["left-behind"]

        for name in ("by-role", "by-secret"):
            await asyncio.to_thread(real.api.delete, PROVIDER_CONFIG, real.namespace, name)

        def in_use(found: Any) -> bool:
            return bool(found and condition_of(found, "InUse")[0] == "True")

        held = await until(real, "by-secret is held", PROVIDER_CONFIG, "by-secret", in_use)
        assert "RDSInstance two" in condition_of(held, "InUse")[2]
        await asyncio.to_thread(real.api.delete, RDS_INSTANCE, real.namespace, "one")

        def gone(found: Any) -> bool:
            return found is None

        await until(real, "one is gone", RDS_INSTANCE, "one", gone)
        status, metrics = await service.get("/metrics")
        assert status == 200
        assert f'account="{real.namespace}/by-role",action="CreateDBInstance",outcome="OK"' in metrics
        assert keys["secretAccessKey"] not in service.log
        assert keys["secretAccessKey"] not in json.dumps(held)
