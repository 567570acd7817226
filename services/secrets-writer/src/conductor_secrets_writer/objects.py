"""The connection objects of a claim, as they should be: pure functions from a connection to API objects.

Names come from the claim. Every object is owned by the claim, so that the garbage collector removes it with the claim.
"""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from conductor_kube.builtin import CONFIG_MAPS, ENDPOINT_SLICES, SECRETS, SERVICES
from conductor_model.annotations import CLAIM_UID_LABEL, DOMAIN, MANAGED_BY, MANAGED_BY_LABEL
from conductor_model.claims import Claim
from conductor_model.connection import Connection
from conductor_model.refs import ResourceType

_TYPES = {type.gvk.kind: type for type in (SECRETS, CONFIG_MAPS, SERVICES, ENDPOINT_SLICES)}

INVENTORY_ANNOTATION = f"{DOMAIN}/connection-objects"
"""On the Secret: the objects that were made, or are about to be made, for its claim.

Without it nobody would know, after a restart, what a renamed connection left behind: nothing may list Secrets.
"""


@dataclass(frozen=True, slots=True, order=True)
class ObjectName:
    """A connection object's kind and name; its namespace is the claim's."""

    kind: str
    name: str

    @property
    def type(self) -> ResourceType:
        return _TYPES[self.kind]

    def __str__(self) -> str:
        return f'{self.kind} "{self.name}"'


@dataclass(frozen=True, slots=True)
class ConnectionObject:
    """A desired object. ``absent`` lists paths of fields that an earlier state may have left and must not stay."""

    name: ObjectName
    body: Mapping[str, Any] = field(repr=False)
    absent: tuple[tuple[str, ...], ...] = ()


def connection_objects(claim: Claim, connection: Connection) -> tuple[ConnectionObject, ...]:
    """The claim's objects in the order in which they are created, the Secret first, which records the others."""
    others = (_config_map(claim, connection), *_service(claim, connection))
    secret = _secret(claim, connection)
    return (remembering(secret, frozenset(each.name for each in others)), *others)


def remembering(secret: ConnectionObject, further: frozenset[ObjectName]) -> ConnectionObject:
    """The Secret with further objects in its inventory, such as those that still have former names."""
    metadata = secret.body["metadata"]
    annotations = metadata.get("annotations", {})
    names = (inventory_of(annotations) | further) - {secret.name}
    recorded = {**annotations, INVENTORY_ANNOTATION: inventory_text(names)}
    return replace(secret, body={**secret.body, "metadata": {**metadata, "annotations": recorded}})


def inventory_text(names: frozenset[ObjectName]) -> str:
    """Written form of an inventory: ``ConfigMap/name,Service/name``, sorted."""
    return ",".join(f"{each.kind}/{each.name}" for each in sorted(names))


def inventory_of(annotations: Mapping[str, str]) -> frozenset[ObjectName]:
    """The inventory that a Secret's annotations record; what cannot be read is ignored."""
    entries = (entry.partition("/") for entry in annotations.get(INVENTORY_ANNOTATION, "").split(","))
    return frozenset(ObjectName(kind, name) for kind, _, name in entries if kind in _TYPES and name)


def _secret(claim: Claim, connection: Connection) -> ConnectionObject:
    data = {key: b64encode(value.encode()).decode() for key, value in connection.secret.items()}
    return _object(
        SECRETS,
        {
            "metadata": _metadata(claim, claim.secret_name),
            "type": f"servicebinding.io/{connection.type}",
            "data": data,
        },
    )


def _config_map(claim: Claim, connection: Connection) -> ConnectionObject:
    return _object(
        CONFIG_MAPS, {"metadata": _metadata(claim, claim.config_map_name), "data": dict(connection.public)}
    )


def _service(claim: Claim, connection: Connection) -> tuple[ConnectionObject, ...]:
    """ExternalName for a host name. An address needs a headless Service without selector, and an EndpointSlice.

    None for a claim that has no host to connect to.
    """
    if connection.endpoint is None or claim.service_name is None:
        return ()
    host, port = connection.endpoint.host, connection.endpoint.port
    port_name = connection.type
    ports = [{"name": port_name, "port": port, "protocol": "TCP", "targetPort": port}]
    metadata = _metadata(claim, claim.service_name)
    address = _address(host)
    if address is None:
        spec: dict[str, Any] = {"type": "ExternalName", "externalName": host, "ports": ports}
        of_addresses = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
        return (
            _object(
                SERVICES, {"metadata": metadata, "spec": spec}, tuple(("spec", each) for each in of_addresses)
            ),
        )
    spec = {"type": "ClusterIP", "clusterIP": "None", "ports": ports}
    # An EndpointSlice's address family cannot be changed, so each family has a name of its own.
    slice_metadata = _metadata(claim, f"{claim.service_name}-ipv{address.version}")
    slice_metadata["labels"] |= {
        "kubernetes.io/service-name": claim.service_name,
        "endpointslice.kubernetes.io/managed-by": DOMAIN,
    }
    return (
        _object(SERVICES, {"metadata": metadata, "spec": spec}, (("spec", "externalName"),)),
        _object(
            ENDPOINT_SLICES,
            {
                "metadata": slice_metadata,
                "addressType": f"IPv{address.version}",
                "endpoints": [{"addresses": [str(address)], "conditions": {"ready": True}}],
                "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
            },
        ),
    )


def _object(
    type: ResourceType, content: Mapping[str, Any], absent: tuple[tuple[str, ...], ...] = ()
) -> ConnectionObject:
    body = {"apiVersion": type.gvk.api_version, "kind": type.gvk.kind, **content}
    return ConnectionObject(ObjectName(type.gvk.kind, content["metadata"]["name"]), body, absent)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that ``host`` is, or None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _metadata(claim: Claim, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": claim.metadata.namespace,
        "labels": {MANAGED_BY_LABEL: MANAGED_BY, CLAIM_UID_LABEL: claim.uid},
        "ownerReferences": [
            {
                "apiVersion": claim.api_version,
                "kind": claim.kind,
                "name": claim.metadata.name,
                "uid": claim.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }
