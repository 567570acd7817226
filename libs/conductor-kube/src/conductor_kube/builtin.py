"""The kinds of Kubernetes itself that Conductor reads or writes."""

from __future__ import annotations

from conductor_model.namespaces import NAMESPACE
from conductor_model.refs import GroupVersionKind, ResourceType


def _type(group: str, version: str, kind: str, plural: str) -> ResourceType:
    return ResourceType(GroupVersionKind(group, version, kind), plural)


NAMESPACES = NAMESPACE
SECRETS = _type("", "v1", "Secret", "secrets")
CONFIG_MAPS = _type("", "v1", "ConfigMap", "configmaps")
SERVICES = _type("", "v1", "Service", "services")
ENDPOINT_SLICES = _type("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
LEASES = _type("coordination.k8s.io", "v1", "Lease", "leases")
EVENTS = _type("events.k8s.io", "v1", "Event", "events")
TOKEN_REVIEWS = ResourceType(
    GroupVersionKind("authentication.k8s.io", "v1", "TokenReview"), "tokenreviews", namespaced=False
)
SUBJECT_ACCESS_REVIEWS = ResourceType(
    GroupVersionKind("authorization.k8s.io", "v1", "SubjectAccessReview"),
    "subjectaccessreviews",
    namespaced=False,
)
