"""The demo's manners in a cluster or an AWS account that outlive it.

It does not begin where objects of its names exist already, so that whatever has these names later is its own. It takes
that away, databases in AWS included, and says what stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from conductor_dev.api import NAMESPACE as NAMESPACES
from conductor_dev.api import KubeApi
from conductor_dev.broker import ExternalNats
from conductor_dev.controlplane import ExternalControlPlane
from conductor_dev.environment import NAMESPACE as SYSTEM
from conductor_dev.environment import Environment
from conductor_dev.errors import DevError
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE, RESOURCE_CLASS

NAMESPACE, OFFERED, CLASS = "wordpress", "rds-instance-445", "rds-performance"
"""The examples' names: of the claims' namespace, of the resource that exists, and of the class."""
WHERE_TO_LOOK = (
    f"Look after: namespace {NAMESPACE}; RDSInstances and ResourceClass {CLASS} in {SYSTEM}; and in AWS the DB "
    "instances with a tag conductor.io/concrete-uid."
)


class Wait(Protocol):
    def __call__(self, what: str, condition: Callable[[], bool | None], /) -> object: ...


def refuse_what_exists(api: KubeApi) -> None:
    """DevError if the cluster has any object that the demo would make, and remove."""
    places = ((NAMESPACES, None, NAMESPACE), (RDS_INSTANCE, SYSTEM, OFFERED), (RESOURCE_CLASS, SYSTEM, CLASS))
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


def remove_what_the_demo_made(api: KubeApi, claims: Iterable[str], wait: Wait) -> None:
    """Claims first, so that their class makes no more; the namespace last, with what else is in it."""
    for claim in claims:
        api.delete(MYSQL_INSTANCE, NAMESPACE, claim)
        wait(
            f"MySQLInstance {NAMESPACE}/{claim} is gone",
            lambda claim=claim: api.find(MYSQL_INSTANCE, NAMESPACE, claim) is None,  # type: ignore[misc]
        )
    api.delete(RESOURCE_CLASS, SYSTEM, CLASS)
    api.delete(RDS_INSTANCE, SYSTEM, OFFERED)
    wait("the demo's RDSInstances are gone, with their databases", lambda: not _resources(api))
    api.delete(NAMESPACES, None, NAMESPACE)
    wait(f"namespace {NAMESPACE} is gone", lambda: api.find(NAMESPACES, None, NAMESPACE) is None)


def _resources(api: KubeApi) -> list[str]:
    """What an administrator offered in the story, and what was made from its class."""
    return [
        each["metadata"]["name"]
        for each in api.list(RDS_INSTANCE, SYSTEM)
        if each["metadata"]["name"] == OFFERED or each["spec"].get("resourceClass") == CLASS
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
