"""The charts: what is committed is what they render to, what they render to is accepted, what is misspelt is not."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from conductor_bus import BusConfig
from conductor_dev.api import Json, objects_in
from conductor_dev.binaries import Finder
from conductor_dev.broker import find_nats_server
from conductor_dev.charts import CONDUCTOR, RENDERED, Chart, render
from conductor_dev.checkout import MANIFESTS
from conductor_dev.controlplane import ControlPlane
from conductor_dev.errors import ApiError, DevError
from conductor_model.kind import Role
from conductor_model.kinds import OWN_KINDS
from conductor_scheduler.config import parse
from conductor_scheduler.policy import Policy

pytestmark = pytest.mark.integration

SERVICES = ("watcher", "scheduler", "aws-provisioner", "gcp-provisioner", "sql-provisioner", "secrets-writer")
EVERYTHING: dict[str, Any] = {
    "image": {"registry": "registry.example.com/x", "tag": "1", "pullSecrets": ["pull"]},
    "concreteNamespaces": ["databases", "conductor-system"],
    "telemetry": {"otlpEndpoint": "http://jaeger:4318"},
    "nats": {"storage": {"className": "fast"}},
    "watcher": {"podLabels": {"a": "b"}, "podAnnotations": {"c": "d"}},
    "scheduler": {
        "explain": {
            "audiences": ["conductor-scheduler", "https://kubernetes.default.svc"],
            "tls": {"secretName": "explain-tls"},
            "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {}}]},
        },
        "extraEnv": [{"name": "PYTHONWARNINGS", "value": "error"}],
        "config": {
            "regions": {"north-america": ["us-east-1"]},
            "costScale": ["cheap", "dear"],
            "profiles": [
                {
                    "name": "default",
                    "plugins": {"enabled": [{"name": "spread", "weight": 5}], "disabled": ["cost"]},
                }
            ],
        },
    },
    "awsProvisioner": {
        "region": "eu-west-1",
        "endpointUrl": "http://moto:5000",
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}},
    },
    "gcpProvisioner": {
        "project": "project-1",
        "endpointUrl": "http://cloudsql:8080",
        "serviceAccount": {"annotations": {"iam.gke.io/gcp-service-account": "x@project-1.example"}},
    },
    "admission": {
        "allowedRegions": {"enabled": True, "regions": ["eu-west-1"], "actions": ["Warn", "Audit"]},
        "largestSize": {"enabled": True, "capacity": {"storage": "1Ti", "connections": 500}},
        "deletionProtection": {"enabled": True, "namespaceSelector": {"matchLabels": {"tier": "prod"}}},
    },
    "secretsWriter": {"image": "registry.example.com/special:2", "replicas": 5},
}

Render = Callable[[dict[str, Any]], list[Json]]


@pytest.fixture(scope="session")
def helm() -> Path:
    return Finder.here().helm()


@pytest.fixture
def rendered_with(helm: Path, tmp_path: Path) -> Render:
    """The conductor chart's objects with some values."""

    def with_values(values: dict[str, Any]) -> list[Json]:
        file = tmp_path / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        return objects_in(render(Chart(CONDUCTOR.name, file), helm=helm))

    return with_values


def named(objects: list[Json], kind: str, name: str) -> Json:
    (found,) = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def test_the_schedulers_configuration_is_mounted_as_a_file_that_it_can_use(rendered_with: Render):
    objects = rendered_with({"scheduler": EVERYTHING["scheduler"]})
    text = named(objects, "ConfigMap", "conductor-scheduler")["data"]["scheduler.yaml"]
    assert Policy(parse(text, "the chart's")).scales.cost == ("cheap", "dear")
    pod = named(objects, "Deployment", "conductor-scheduler")["spec"]["template"]["spec"]
    (mount,) = (
        each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "conductor-scheduler"
    )
    variables = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    assert variables["CONDUCTOR_SCHEDULER_CONFIG"] == f"{mount['mountPath']}/scheduler.yaml"
    assert "subPath" not in mount  # such a mount never changes


def test_without_explanations_the_scheduler_asks_for_no_reviews(rendered_with: Render):
    objects = rendered_with({"scheduler": {"explain": {"enabled": False}}})
    rules = named(objects, "ClusterRole", "conductor-scheduler")["rules"]
    assert not {"tokenreviews", "subjectaccessreviews"} & {
        name for rule in rules for name in rule["resources"]
    }


def test_explanations_reach_a_network_only_with_a_certificate(rendered_with: Render):
    def variables(values: dict[str, Any]) -> dict[str, str]:
        pod = named(rendered_with(values), "Deployment", "conductor-scheduler")["spec"]["template"]["spec"]
        return {each["name"]: each.get("value", "") for each in pod["containers"][0]["env"]}

    plain = variables({})
    assert plain["CONDUCTOR_EXPLAIN_ADDRESS"] == "127.0.0.1:8081"
    assert "CONDUCTOR_EXPLAIN_TLS_DIR" not in plain
    encrypted = variables({"scheduler": EVERYTHING["scheduler"]})
    assert encrypted["CONDUCTOR_EXPLAIN_ADDRESS"] == "0.0.0.0:8081"
    assert encrypted["CONDUCTOR_EXPLAIN_AUDIENCES"] == "conductor-scheduler,https://kubernetes.default.svc"
    pod = named(rendered_with({"scheduler": EVERYTHING["scheduler"]}), "Deployment", "conductor-scheduler")
    (mount,) = (
        each
        for each in pod["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
        if each["name"] == "explain-tls"
    )
    assert mount["mountPath"] == encrypted["CONDUCTOR_EXPLAIN_TLS_DIR"]


@pytest.mark.parametrize(("peers", "ports"), [([], ["http"]), ([{"podSelector": {}}], ["http", "explain"])])
def test_a_network_policy_lets_only_whom_it_names_ask_for_explanations(
    rendered_with: Render, peers: list[Json], ports: list[str]
):
    values = {"scheduler": {"explain": {"networkPolicy": {"enabled": True, "from": peers}}}}
    spec = named(rendered_with(values), "NetworkPolicy", "conductor-scheduler")["spec"]
    assert [rule["ports"][0]["port"] for rule in spec["ingress"]] == ports
    assert [rule.get("from") for rule in spec["ingress"]][1:] == [peers][: len(ports) - 1]


@pytest.mark.parametrize("chart", RENDERED, ids=lambda chart: chart.name)
def test_the_committed_manifests_are_what_the_charts_render_to(helm: Path, chart: Chart):
    committed = (MANIFESTS / f"{chart.name}.yaml").read_text()
    assert render(chart, helm=helm) == committed, "run make manifests"


def test_everything_committed_passes_the_api_servers_dry_run(cluster: ControlPlane, rendered: list[Json]):
    cluster.api.apply(MANIFESTS / "conductor-crds.yaml", dry_run=True)
    cluster.api.apply(rendered, dry_run=True)


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything set"])
def test_everything_rendered_passes_the_api_servers_dry_run(
    cluster: ControlPlane, rendered_with: Render, values: dict[str, Any]
):
    cluster.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "databases"}})
    cluster.api.apply(rendered_with(values), dry_run=True)


def test_every_pod_passes_the_restricted_pod_security_standard(
    cluster: ControlPlane, rendered: list[Json], namespace: str
):
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.api.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": restricted}}
    )
    careless = {"containers": [{"name": "x", "image": "x"}]}
    with pytest.raises(ApiError, match="restricted"):
        cluster.api.apply(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": careless},
            namespace=namespace,
            dry_run=True,
        )
    workloads = [each for each in rendered if each["kind"] in ("Deployment", "StatefulSet")]
    assert len(workloads) == len(SERVICES) + 1
    for workload in workloads:
        template = workload["spec"]["template"]
        # The service accounts are in another namespace; pods of any account must be as harmless.
        spec = {key: value for key, value in template["spec"].items() if key != "serviceAccountName"}
        name = workload["metadata"]["name"]
        volumes = [*spec.get("volumes", []), {"name": "data", "emptyDir": {}}]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": spec | {"volumes": volumes},
        }
        cluster.api.apply(pod, namespace=namespace, dry_run=True)


def test_containers_cannot_write_to_their_images(rendered: list[Json]):
    for workload in rendered:
        if workload["kind"] in ("Deployment", "StatefulSet"):
            for container in workload["spec"]["template"]["spec"]["containers"]:
                assert container["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"watcher": {"replica": 3}}, "/watcher/replica"),
        ({"watcher": {"replicas": -1}}, "/watcher"),
        ({"scheduler": {"region": "eu-west-1"}}, "/scheduler/region"),
        ({"secretWriter": {}}, "secretWriter"),
        ({"nats": {"enabled": False}}, "/nats/url"),
        ({"nats": {"enabled": False, "url": "nats://user:password@nats"}}, "/nats/url"),
        ({"nats": {"storage": {"size": "much"}}}, "/nats/storage/size"),
        ({"awsProvisioner": {"region": "nowhere"}}, "/awsProvisioner/region"),
        ({"gcpProvisioner": {"project": "No Project"}}, "/gcpProvisioner/project"),
        ({"telemetry": {"logLevel": "loud"}}, "/telemetry/logLevel"),
        ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
        ({"concreteNamespaces": ["Databases"]}, "/concreteNamespaces/0"),
        ({"scheduler": {"extraEnv": [{"nme": "X"}]}}, "/scheduler"),
        ({"admission": {"allowedRegions": {"enabled": True}}}, "/admission/allowedRegions/regions"),
        (
            {"admission": {"largestSize": {"capacity": {"storage": "much"}}}},
            "/admission/largestSize/capacity/storage",
        ),
        (
            {"admission": {"deletionProtection": {"actions": ["Deny", "Warn"]}}},
            "/admission/deletionProtection/actions",
        ),
        ({"admission": {"deletionProtection": {"regions": ["x"]}}}, "/admission/deletionProtection"),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(
    rendered_with: Render, values: dict[str, Any], complaint: str
):
    with pytest.raises(DevError) as caught:
        rendered_with(values)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    "key", ["watcher", "scheduler", "awsProvisioner", "gcpProvisioner", "sqlProvisioner", "secretsWriter"]
)
def test_a_service_that_is_off_leaves_nothing_and_changes_nothing_else(rendered_with: Render, key: str):
    def without_passwords(objects: list[Json]) -> list[Json]:
        return [each for each in objects if each["kind"] != "Secret"]

    everything = without_passwords(rendered_with({}))
    rest = without_passwords(rendered_with({key: {"enabled": False}}))
    gone = [each for each in everything if each not in rest]
    assert all(each in everything for each in rest)
    name = re.sub("[A-Z]", lambda letter: f"-{letter.group().lower()}", key)
    assert {each["kind"] for each in gone} >= {"ServiceAccount", "ClusterRole", "Deployment"}
    assert {
        each["metadata"]["name"].removesuffix("-lease").removesuffix("-credentials") for each in gone
    } == {f"conductor-{name}"}


@pytest.mark.parametrize("role", ["conductor-claims-edit", "conductor-claims-view"])
def test_people_may_use_every_kind_of_claim(rendered_with: Render, role: str):
    rules = named(rendered_with({}), "ClusterRole", role)["rules"]

    allowed = {(group, each) for rule in rules for group in rule["apiGroups"] for each in rule["resources"]}
    claims = (kind.type for kind in OWN_KINDS if kind.role is Role.CLAIM)
    assert {(claim.gvk.group, claim.plural) for claim in claims} <= allowed


def test_people_get_no_right_on_accounts_and_what_is_made_in_them_by_their_usual_roles(rendered_with: Render):
    """Whoever may write a ProviderConfig can show the Secrets beside it to any server."""
    gathered = [
        each
        for each in rendered_with({})
        if any("aggregate-to" in label for label in each["metadata"].get("labels", {}))
    ]
    allowed = {resource for role in gathered for rule in role["rules"] for resource in rule["resources"]}
    claims = {kind.type.plural for kind in OWN_KINDS if kind.role is Role.CLAIM}
    assert gathered
    assert allowed == claims


@pytest.mark.parametrize("service", ["aws-provisioner", "gcp-provisioner", "sql-provisioner"])
def test_a_provisioner_gets_secrets_in_the_named_namespaces_only(rendered_with: Render, service: str):
    objects = rendered_with({"concreteNamespaces": ["databases"]})
    roles = [
        each
        for each in objects
        if each["kind"] == "Role" and each["metadata"]["name"] == f"conductor-{service}-credentials"
    ]
    assert {each["metadata"]["namespace"] for each in roles} == {"conductor-system", "databases"}
    cluster_role = named(objects, "ClusterRole", f"conductor-{service}")
    assert all("secrets" not in rule["resources"] for rule in cluster_role["rules"])


def test_each_user_of_the_bus_gets_a_password_of_its_own(rendered_with: Render):
    objects = rendered_with({})
    passwords = {
        name: base64.b64decode(value).decode()
        for name, value in named(objects, "Secret", "conductor-nats-users")["data"].items()
    }
    assert passwords.keys() == {*SERVICES, "dead-letters"}
    assert len(set(passwords.values())) == len(passwords)
    assert all(value[0].isalpha() and len(value) > 32 for value in passwords.values())
    for service in SERVICES:
        pod = named(objects, "Deployment", f"conductor-{service}")["spec"]["template"]["spec"]
        (volume,) = [each for each in pod["volumes"] if "secret" in each]
        assert volume["secret"]["items"] == [{"key": service, "path": "password"}]


def test_no_password_is_committed(rendered: list[Json]):
    assert not [each for each in rendered if each["kind"] == "Secret"]


def test_a_server_of_ones_own_is_used_instead_of_the_charts(rendered_with: Render):
    objects = rendered_with({"nats": {"enabled": False, "url": "tls://nats.example.com:4222"}})
    assert not [each for each in objects if each["metadata"]["name"].startswith("conductor-nats")]
    (container,) = named(objects, "Deployment", "conductor-watcher")["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["NATS_URL"] == "tls://nats.example.com:4222"
    assert "NATS_USER" not in environment


def test_a_worker_can_be_scaled_by_its_consumers_lag(rendered_with: Render):
    scaled = {"enabled": True, "maxReplicas": 7, "lagPerReplica": 20}
    objects = rendered_with({"awsProvisioner": {"autoscaling": scaled}, "nats": {"replicas": 3}})
    (found,) = [each for each in objects if each["kind"] == "ScaledObject"]
    assert found["spec"]["scaleTargetRef"]["name"] == "conductor-aws-provisioner"
    assert (found["spec"]["minReplicaCount"], found["spec"]["maxReplicaCount"]) == (2, 7)
    (trigger,) = found["spec"]["triggers"]
    assert trigger == {
        "type": "nats-jetstream",
        "metadata": {
            "natsServerMonitoringEndpoint": "conductor-nats.conductor-system:8222",
            "account": "$G",
            "stream": BusConfig().stream,
            "consumer": "aws-provisioner",
            "lagThreshold": "20",
        },
    }
    assert "replicas" not in named(objects, "Deployment", "conductor-aws-provisioner")["spec"]
    assert named(objects, "Deployment", "conductor-gcp-provisioner")["spec"]["replicas"] == 2


def test_the_scaler_is_told_of_a_server_and_a_prefix_of_ones_own(rendered_with: Render):
    nats = {"enabled": False, "url": "nats://nats.nats:4222", "prefix": "payments"}
    worker = {"secretsWriter": {"autoscaling": {"enabled": True}}}
    with pytest.raises(DevError, match=r"nats\.monitoringEndpoint"):
        rendered_with({"nats": nats, **worker})
    objects = rendered_with({"nats": {**nats, "monitoringEndpoint": "nats.nats:8222"}, **worker})
    (found,) = [each for each in objects if each["kind"] == "ScaledObject"]
    metadata = found["spec"]["triggers"][0]["metadata"]
    assert metadata["natsServerMonitoringEndpoint"] == "nats.nats:8222"
    environment = environment_of(objects, "secrets-writer")
    assert metadata["stream"] == BusConfig.from_environment(environment).stream == "PAYMENTS_OBJECTS"


def test_a_cluster_of_nats_servers_is_started_together_and_holds_every_stream(
    rendered_with: Render, tmp_path: Path
):
    objects = rendered_with({"nats": {"replicas": 3}})
    spec = named(objects, "StatefulSet", "conductor-nats")["spec"]
    assert (spec["replicas"], spec["podManagementPolicy"]) == (3, "Parallel")
    assert named(objects, "Service", "conductor-nats")["spec"]["publishNotReadyAddresses"]
    for service in SERVICES:
        assert BusConfig.from_environment(environment_of(objects, service)).replicas == 3
    (container,) = spec["template"]["spec"]["containers"]
    passwords = {each["name"]: "p1" for each in container["env"]}
    assert "cluster" in named(objects, "Secret", "conductor-nats-users")["data"]
    routes = container["args"][-1].replace("$(CLUSTER_PASSWORD)", passwords["CLUSTER_PASSWORD"])
    assert (
        routes.split(",")[2]
        == "nats-route://cluster:p1@conductor-nats-2.conductor-nats.conductor-system:6222"
    )
    config = tmp_path / "nats.conf"
    config.write_text(named(objects, "ConfigMap", "conductor-nats")["data"]["nats.conf"])
    command = [str(find_nats_server()), "--config", str(config), "--routes", routes, "-t"]
    checked = subprocess.run(command, env=passwords, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def environment_of(objects: list[Json], service: str) -> dict[str, str]:
    (container,) = named(objects, "Deployment", f"conductor-{service}")["spec"]["template"]["spec"][
        "containers"
    ]
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}
