"""Buckets: what a claim demands, what an S3Bucket has of it, how one connects to it, and what the server refuses."""

from __future__ import annotations

from typing import Any

import pytest

from conductor_dev.api import ApiError, KubeApi
from conductor_model.bucket import BUCKET, Bucket
from conductor_model.connection import Connectable, CredentialsIncomplete
from conductor_model.refs import ResourceType
from conductor_model.s3bucket import S3_BUCKET, S3Bucket

FACTS = {"bucket": "media", "region": "eu-west-1", "endpoint": "https://s3.eu-west-1.amazonaws.com"}
KEY = {"access-key-id": b"AKIDEXAMPLE", "secret-access-key": b"s3cret/+"}
KMS_KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def manifest(type: ResourceType, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": type.gvk.api_version,
        "kind": type.gvk.kind,
        "metadata": {"name": "media", "namespace": "default"},
        "spec": spec,
    }


def claim(**spec: Any) -> Bucket:
    return Bucket.model_validate(manifest(BUCKET, spec))


def bucket(**spec: Any) -> S3Bucket:
    return S3Bucket.model_validate(manifest(S3_BUCKET, spec))


def has(offered: S3Bucket, wanted: Bucket) -> bool:
    return all(value in offered.features[name] for name, value in wanted.demands.items())


@pytest.mark.parametrize(
    ("wanted", "offered", "fits"),
    [
        ({}, {"versioning": True}, True),
        ({"versioning": True}, {"versioning": True}, True),
        ({"versioning": True}, {}, False),
        ({"versioning": False}, {}, True),
        ({"versioning": False}, {"versioning": True}, False),
        ({"encryption": "ProviderKey"}, {}, True),
        ({"encryption": "CustomerKey"}, {"encryption": "SSE-KMS"}, False),
        ({"encryption": "CustomerKey"}, {"encryption": "SSE-KMS", "kmsKeyArn": KMS_KEY}, True),
        ({"encryption": "ProviderKey"}, {"encryption": "SSE-KMS", "kmsKeyArn": KMS_KEY}, True),
    ],
)
def test_a_claim_fits_a_bucket_that_has_what_it_demands(
    wanted: dict[str, Any], offered: dict[str, Any], fits: bool
) -> None:
    assert has(bucket(**offered), claim(**wanted)) is fits


@pytest.mark.parametrize(
    ("template", "taken"),
    [({}, {"versioning": True}), ({"versioning": False}, {}), ({"versioning": None}, {})],
)
def test_a_claim_chooses_versioning_where_the_template_leaves_it_open(
    template: dict[str, Any], taken: dict[str, Any]
) -> None:
    assert claim(versioning=True).overrides(template.keys()) == taken
    assert claim().overrides(template.keys()) == {}


def test_the_secret_has_all_that_an_s3_client_needs() -> None:
    found = Bucket.connection_format.connection(Connectable("aws", None, FACTS, KEY))
    assert found.secret == {
        "type": "s3",
        "provider": "aws",
        "bucket": "media",
        "region": "eu-west-1",
        "endpoint": "https://s3.eu-west-1.amazonaws.com",
        "uri": "s3://media",
        "access-key-id": "AKIDEXAMPLE",
        "secret-access-key": "s3cret/+",
    }


def test_the_config_map_has_neither_key_nor_secret() -> None:
    found = Bucket.connection_format.connection(Connectable("aws", None, FACTS, KEY))
    assert found.public.keys() == {"type", "provider", "bucket", "region", "endpoint", "uri"}


@pytest.mark.parametrize("missing", KEY)
def test_a_missing_key_of_the_credentials_is_named(missing: str) -> None:
    key = {name: value for name, value in KEY.items() if name != missing}
    with pytest.raises(CredentialsIncomplete, match=missing):
        Bucket.connection_format.connection(Connectable("aws", None, FACTS, key))


@pytest.mark.parametrize("missing", FACTS)
def test_a_resource_that_does_not_say_where_it_is_is_not_connected_to(missing: str) -> None:
    facts = {name: value for name, value in FACTS.items() if name != missing}
    with pytest.raises(CredentialsIncomplete, match=missing):
        Bucket.connection_format.connection(Connectable("aws", None, facts, KEY))


def test_there_is_no_service_for_there_is_no_host() -> None:
    assert claim().service_name is None


def test_a_bucket_tells_applications_its_own_name_region_and_endpoint() -> None:
    read = S3Bucket.model_validate(
        {
            **manifest(S3_BUCKET, {}),
            "status": {"externalName": "media", "region": "eu-west-1", "endpointUrl": FACTS["endpoint"]},
        }
    )
    assert read.connection_facts == FACTS


@pytest.mark.integration
@pytest.mark.parametrize(
    ("type", "spec", "told"),
    [
        (BUCKET, {"versioning": "yes"}, "boolean"),
        (BUCKET, {"encryption": "mine"}, "Unsupported value"),
        (S3_BUCKET, {"bucketName": "Media"}, "should match"),
        (S3_BUCKET, {"bucketName": "a.b.c"}, "should match"),
        (S3_BUCKET, {"region": "Frankfurt"}, "should match"),
        (S3_BUCKET, {"kmsKeyArn": KMS_KEY}, "kmsKeyArn needs encryption: SSE-KMS"),
        (S3_BUCKET, {"encryption": "SSE-KMS", "kmsKeyArn": "alias/mine"}, "should match"),
        (S3_BUCKET, {"lifecycleRules": [{"id": "a"}]}, "a rule needs expirationDays"),
        (
            S3_BUCKET,
            {"lifecycleRules": [{"id": "a", "expirationDays": 1}, {"id": "a", "expirationDays": 2}]},
            "(?i)duplicate",
        ),
        (S3_BUCKET, {"credentialsSecretRef": {"name": "mine"}}, "Amazon issues a bucket's access key"),
        (
            S3_BUCKET,
            {"region": "us-east-2", "encryption": "SSE-KMS", "kmsKeyArn": KMS_KEY},
            "kmsKeyArn is a key of another region than the bucket's",
        ),
        (S3_BUCKET, {"tags": {"aws:team": "x"}}, "begin with aws: are Amazon's own"),
        (
            S3_BUCKET,
            {"lifecycleRules": [{"id": "a", "transitions": [{"days": 29, "storageClass": "STANDARD_IA"}]}]},
            "in its first 30 days",
        ),
        (
            S3_BUCKET,
            {
                "lifecycleRules": [
                    {
                        "id": "a",
                        "expirationDays": 60,
                        "transitions": [{"days": 60, "storageClass": "GLACIER"}],
                    }
                ]
            },
            "transitions need fewer days than expirationDays",
        ),
    ],
)
def test_the_server_refuses_what_makes_no_sense(
    api: KubeApi, type: ResourceType, spec: dict[str, Any], told: str
) -> None:
    with pytest.raises(ApiError, match=told):
        api.apply([manifest(type, spec)], dry_run=True)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("field", "before", "after"),
    [
        ("bucketName", "media-1", "media-2"),
        ("region", "eu-west-1", "eu-west-2"),
        ("region", None, "eu-west-1"),
    ],
)
def test_where_a_bucket_is_and_what_it_is_called_stays_so(
    api: KubeApi, namespace: str, field: str, before: str | None, after: str
) -> None:
    made = manifest(S3_BUCKET, {} if before is None else {field: before})
    made["metadata"]["namespace"] = namespace
    api.apply([made])
    with pytest.raises(ApiError, match=f"{field} cannot be changed"):
        api.apply([{**made, "spec": {field: after}}])
