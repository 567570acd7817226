"""The demo's manners in a cluster or an AWS account that outlive it.

It does not begin where objects of its names exist already, so that whatever has these names later is its own. It takes
that away, databases in AWS included, and says what stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from conductor_dev.api import NAMESPACE as NAMESPACES
from conductor_dev.api import SECRET, KubeApi
from conductor_dev.broker import ExternalNats
from conductor_dev.controlplane import ExternalControlPlane
from conductor_dev.environment import NAMESPACE as SYSTEM
from conductor_dev.environment import Environment
from conductor_dev.errors import DevError
from conductor_model.kinds import PROVIDER_CONFIG, RDS_INSTANCE, RESOURCE_CLASS, SQL_DATABASE
from conductor_model.refs import ResourceType

NAMESPACE, OFFERED, CLASS = "wordpress", "rds-instance-445", "rds-performance"
"""The examples' names: of the claims' namespace, of the resource that exists, and of the class."""
SERVER, SERVER_ADMIN, SHARED_CLASS = "postgres-shared", "postgres-shared-admin", "sql-shared"
"""And of the server that is shared: its ProviderConfig, its administrator's Secret, and the class of its databases."""
Claim = tuple[ResourceType, str]
WHERE_TO_LOOK = (
    f"Look after: namespace {NAMESPACE}; RDSInstances, SQLDatabases, ResourceClasses {CLASS} "
    f"and {SHARED_CLASS}, ProviderConfig {SERVER} and Secret {SERVER_ADMIN} in {SYSTEM}; and in AWS the DB "
    "instances with a tag conductor.io/concrete-uid."
)


class Wait(Protocol):
    def __call__(self, what: str, condition: Callable[[], bool | None], /) -> object: ...


def refuse_what_exists(api: KubeApi) -> None:
    """DevError if the cluster has any object that the demo would make, and remove."""
    places = (
        (NAMESPACES, None, NAMESPACE),
        (RDS_INSTANCE, SYSTEM, OFFERED),
        (RESOURCE_CLASS, SYSTEM, CLASS),
        (RESOURCE_CLASS, SYSTEM, SHARED_CLASS),
        (PROVIDER_CONFIG, SYSTEM, SERVER),
        (SECRET, SYSTEM, SERVER_ADMIN),
    )
    there = [
        f"{kind.gvk.kind} {f'{namespace}/' if namespace else ''}{name}"
        for kind, namespace, name in places
        if api.find(kind, namespace, name) is not None
    ]
    if there:
        raise DevError(
            f"the demo makes and then deletes these, but the cluster of KUBECONFIG has them already: "
            f"{', '.join(there)}\nDelete them if they are not needed, or unset KUBECONFIG to run in a new cluster."
        )


def remove_what_the_demo_made(api: KubeApi, claims: Iterable[Claim], wait: Wait) -> None:
    """Claims first, so that their class makes no more; the namespace last, with what else is in it."""
    for kind, claim in claims:
        api.delete(kind, NAMESPACE, claim)
        wait(
            f"{kind.gvk.kind} {NAMESPACE}/{claim} is gone",
            lambda kind=kind, claim=claim: api.find(kind, NAMESPACE, claim) is None,  # type: ignore[misc]
        )
    for each in (CLASS, SHARED_CLASS):
        api.delete(RESOURCE_CLASS, SYSTEM, each)
    api.delete(RDS_INSTANCE, SYSTEM, OFFERED)
    wait("the demo's RDSInstances are gone, with their databases", lambda: not _resources(api))
    wait("the demo's SQLDatabases are gone, with their databases", lambda: not _on_the_server(api))
    api.delete(PROVIDER_CONFIG, SYSTEM, SERVER)
    wait(f"ProviderConfig {SERVER} is gone", lambda: api.find(PROVIDER_CONFIG, SYSTEM, SERVER) is None)
    api.delete(SECRET, SYSTEM, SERVER_ADMIN)
    api.delete(NAMESPACES, None, NAMESPACE)
    wait(f"namespace {NAMESPACE} is gone", lambda: api.find(NAMESPACES, None, NAMESPACE) is None)


def _resources(api: KubeApi) -> list[str]:
    """What an administrator offered in the story, and what was made from its class."""
    return [
        each["metadata"]["name"]
        for each in api.list(RDS_INSTANCE, SYSTEM)
        if each["metadata"]["name"] == OFFERED or each["spec"].get("resourceClass") == CLASS
    ]


def _on_the_server(api: KubeApi) -> list[str]:
    return [
        each["metadata"]["name"]
        for each in api.list(SQL_DATABASE, SYSTEM)
        if each["spec"].get("resourceClass") == SHARED_CLASS
    ]


def what_stays(environment: Environment) -> str:
    """The end of the sentence "the demo took 20 s and"."""
    stays = []
    if isinstance(environment.control_plane, ExternalControlPlane):
        stays.append(
            f"In the cluster stay Conductor's CRDs, and namespace {SYSTEM} with ServiceAccounts, Leases and Events, "
            "and the roles and their bindings."
        )
    if isinstance(environment.nats, ExternalNats):
        stays.append("At the NATS server of NATS_URL stay Conductor's streams and consumers.")
    if not stays:
        return "left nothing behind."
    return "\n".join(("removed its claims, their resources, the databases in AWS and its namespace.", *stays))
