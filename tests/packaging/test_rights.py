"""What each service may do, asked of the API server itself: exactly the table, and nothing beside it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from conductor_dev.api import CONFIG_MAP, SECRET, Json, KubeApi
from conductor_dev.controlplane import ControlPlane
from conductor_dev.errors import ApiError
from conductor_model.kinds import WATCHED_KINDS
from conductor_model.refs import GroupVersionKind, ResourceType

pytestmark = pytest.mark.integration

OWN = "conductor-system"
ANY = "some-team"
REVIEW = ResourceType(
    GroupVersionKind("authorization.k8s.io", "v1", "SubjectAccessReview"),
    "subjectaccessreviews",
    namespaced=False,
)

MYSQL, POSTGRESQL = "storage.conductor.io/mysqlinstances", "storage.conductor.io/postgresqlinstances"
BUCKET, S3_BUCKET = "storage.conductor.io/buckets", "storage.aws.conductor.io/s3buckets"
CLAIMS = (MYSQL, POSTGRESQL, BUCKET)
RDS, CLASSES = "database.aws.conductor.io/rdsinstances", "core.conductor.io/resourceclasses"
CLOUDSQL = "database.gcp.conductor.io/cloudsqlinstances"
SQL_DATABASE = "database.sql.conductor.io/sqldatabases"
CONCRETES = (RDS, S3_BUCKET, CLOUDSQL, SQL_DATABASE)
PROVIDER_CONFIGS = "core.conductor.io/providerconfigs"
QUOTAS, LIMIT_RANGES = "core.conductor.io/claimquotas", "core.conductor.io/claimlimitranges"
SECRETS, CONFIG_MAPS, SERVICES = "/secrets", "/configmaps", "/services"
ENDPOINT_SLICES = "discovery.k8s.io/endpointslices"
EVENTS, LEASES, NAMESPACES = "events.k8s.io/events", "coordination.k8s.io/leases", "/namespaces"
TOKEN_REVIEWS, ACCESS_REVIEWS = (
    "authentication.k8s.io/tokenreviews",
    "authorization.k8s.io/subjectaccessreviews",
)

UNIVERSE = (
    *(MYSQL, f"{MYSQL}/status", POSTGRESQL, f"{POSTGRESQL}/status", RDS, f"{RDS}/status"),
    *(BUCKET, f"{BUCKET}/status", S3_BUCKET, f"{S3_BUCKET}/status"),
    *(CLOUDSQL, f"{CLOUDSQL}/status", SQL_DATABASE, f"{SQL_DATABASE}/status"),
    *(CLASSES, f"{CLASSES}/status", QUOTAS, f"{QUOTAS}/status", LIMIT_RANGES),
    *(PROVIDER_CONFIGS, f"{PROVIDER_CONFIGS}/status"),
    *(SECRETS, CONFIG_MAPS, SERVICES, ENDPOINT_SLICES, EVENTS, LEASES, NAMESPACES, "/pods", "/events"),
    "/serviceaccounts/token",
    *(TOKEN_REVIEWS, ACCESS_REVIEWS),
    "rbac.authorization.k8s.io/clusterroles",
    "apiextensions.k8s.io/customresourcedefinitions",
)
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")

EVERYWHERE: dict[str, dict[str, set[str]]] = {
    "watcher": {
        kind: {"list", "watch"}
        for kind in (
            *CLAIMS,
            *CONCRETES,
            CLASSES,
            QUOTAS,
            LIMIT_RANGES,
            PROVIDER_CONFIGS,
            NAMESPACES,
        )
    },
    "scheduler": {
        **{claim: {"get", "list"} for claim in CLAIMS},
        **{f"{claim}/status": {"patch"} for claim in CLAIMS},
        **{concrete: {"get", "list", "create", "patch", "delete"} for concrete in CONCRETES},
        **{kind: {"get", "list"} for kind in (CLASSES, QUOTAS, LIMIT_RANGES)},
        **{f"{kind}/status": {"patch"} for kind in (CLASSES, QUOTAS)},
        NAMESPACES: {"get"},
        TOKEN_REVIEWS: {"create"},
        ACCESS_REVIEWS: {"create"},
    },
    "aws-provisioner": {
        **{kind: {"get", "list", "patch"} for kind in (RDS, S3_BUCKET)},
        **{f"{kind}/status": {"patch"} for kind in (RDS, S3_BUCKET)},
        PROVIDER_CONFIGS: {"get", "patch"},
        f"{PROVIDER_CONFIGS}/status": {"patch"},
        EVENTS: {"create", "patch"},
    },
    "sql-provisioner": {
        SQL_DATABASE: {"get", "list", "patch"},
        f"{SQL_DATABASE}/status": {"patch"},
        PROVIDER_CONFIGS: {"get", "patch"},
        f"{PROVIDER_CONFIGS}/status": {"patch"},
        EVENTS: {"create", "patch"},
    },
    "gcp-provisioner": {
        CLOUDSQL: {"get", "list", "patch"},
        f"{CLOUDSQL}/status": {"patch"},
        PROVIDER_CONFIGS: {"get", "patch"},
        f"{PROVIDER_CONFIGS}/status": {"patch"},
        EVENTS: {"create", "patch"},
    },
    "secrets-writer": {
        **{claim: {"get"} for claim in CLAIMS},
        **{f"{claim}/status": {"patch"} for claim in CLAIMS},
        **{concrete: {"get"} for concrete in CONCRETES},
        **{
            kind: {"get", "create", "patch", "delete"}
            for kind in (SECRETS, CONFIG_MAPS, SERVICES, ENDPOINT_SLICES)
        },
        EVENTS: {"create", "patch"},
    },
}
IN_OWN_NAMESPACE: dict[str, dict[str, set[str]]] = {
    "watcher": {LEASES: {"create"}},
    "scheduler": {LEASES: {"create"}},
    "aws-provisioner": {SECRETS: {"get", "create", "patch", "delete"}},
    "gcp-provisioner": {SECRETS: {"get", "create", "patch", "delete"}},
    "sql-provisioner": {SECRETS: {"get", "create", "patch", "delete"}},
    "secrets-writer": {},
}
BY_NAME = {
    "watcher": {("conductor-watcher", LEASES): {"get", "patch"}},
    "scheduler": {("conductor-scheduler", LEASES): {"get", "patch"}},
    "aws-provisioner": {("kube-system", NAMESPACES): {"get"}},
    "gcp-provisioner": {("kube-system", NAMESPACES): {"get"}},
    "sql-provisioner": {("kube-system", NAMESPACES): {"get"}},
    "secrets-writer": {},
}


def allowed(
    api: KubeApi, service: str, verb: str, what: str, namespace: str, name: str = "", *, own: str = OWN
) -> bool:
    group, _, resource = what.partition("/")
    resource, _, subresource = resource.partition("/")
    review: Json = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{own}:conductor-{service}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{own}", "system:authenticated"],
            "resourceAttributes": {
                "verb": verb,
                "group": group,
                "resource": resource,
                "subresource": subresource,
                "namespace": namespace,
                "name": name,
            },
        },
    }
    return bool(api.create(REVIEW, None, review)["status"]["allowed"])


def granted(
    api: KubeApi, service: str, namespace: str, name: str = "", *, own: str = OWN
) -> Iterator[tuple[str, str]]:
    for what, verb in product(UNIVERSE, VERBS):
        if allowed(api, service, verb, what, namespace, name, own=own):
            yield what, verb


def pairs(table: dict[str, set[str]]) -> set[tuple[str, str]]:
    return {(what, verb) for what, verbs in table.items() for verb in verbs}


@pytest.mark.parametrize("service", EVERYWHERE)
def test_a_service_may_do_what_the_table_says_anywhere_and_no_more(cluster: ControlPlane, service: str):
    assert set(granted(cluster.api, service, ANY)) == pairs(EVERYWHERE[service])


@pytest.mark.parametrize("service", EVERYWHERE)
def test_a_service_may_do_little_more_in_its_own_namespace(cluster: ControlPlane, service: str):
    expected = pairs(EVERYWHERE[service]) | pairs(IN_OWN_NAMESPACE[service])
    assert set(granted(cluster.api, service, OWN)) == expected


@pytest.mark.parametrize("service", EVERYWHERE)
def test_rights_by_name_reach_one_object(cluster: ControlPlane, service: str):
    for (name, what), verbs in BY_NAME[service].items():
        namespace = "" if what == NAMESPACES else OWN
        for verb in VERBS:
            unnamed = verb in IN_OWN_NAMESPACE[service].get(what, set())
            assert allowed(cluster.api, service, verb, what, namespace, name) is (verb in verbs or unnamed)
            assert allowed(cluster.api, service, verb, what, namespace, "another") is unnamed


def test_every_kind_is_watched(cluster: ControlPlane):
    for type in WATCHED_KINDS:
        assert allowed(cluster.api, "watcher", "watch", f"{type.gvk.group}/{type.plural}", "")


def test_nobody_may_list_secrets(cluster: ControlPlane):
    for service, verb in product(EVERYWHERE, ("list", "watch")):
        assert not allowed(cluster.api, service, verb, SECRETS, "")
        assert not allowed(cluster.api, service, verb, SECRETS, OWN)


@pytest.mark.parametrize("service", ["watcher", "scheduler"])
def test_a_real_request_for_a_secret_is_refused(cluster: ControlPlane, service: str):
    api = KubeApi(cluster.kubeconfig_for_service_account(OWN, f"conductor-{service}"))
    with pytest.raises(ApiError) as caught:
        api.get(SECRET, OWN, "anything")
    assert caught.value.status == 403


def test_a_real_write_of_the_watcher_is_refused(cluster: ControlPlane):
    api = KubeApi(cluster.kubeconfig_for_service_account(OWN, "conductor-watcher"))
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    with pytest.raises(ApiError) as caught:
        api.create(CONFIG_MAP, OWN, body)
    assert caught.value.status == 403
