"""The raw ceiling: the writes of a claim's life by one plain client, without any service.

What is written was taken from a claim that Conductor made Ready: the same objects with other names, in the order in which
Conductor writes them, the two statuses in two steps each. The client sends bytes over kept connections and does not look
at the answers, but for the uids that the next objects name.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import aiohttp

from benchmarks.claims import MANAGER, NAMESPACE, SYSTEM
from conductor_dev.api import KubeApi
from conductor_kube.builtin import CONFIG_MAPS, SECRETS, SERVICES
from conductor_kube.connection import Credentials, Transport, open_transport
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE
from conductor_model.refs import ResourceType

WRITERS = 16
WRITES = 10
_REFUSED = 300
_LIMITS = aiohttp.ClientTimeout(total=60)
_BEGUN = "Pending"
"""A phase that claims and resources have."""
_GIVEN_BY_THE_SERVER = {
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "deletionTimestamp",
    # Nobody will be there to take them off.
    "finalizers",
}


@dataclass(frozen=True)
class Pattern:
    """The objects of one claim, as JSON text in which `_NAMES` stand for names and uids."""

    claim: str
    claim_status: str
    resource: str
    resource_status: str
    credentials: str
    objects: tuple[tuple[ResourceType, str], ...]

    @classmethod
    def of(cls, api: KubeApi, name: str) -> Pattern:
        """Of a claim that is Ready."""
        claim = api.get(MYSQL_INSTANCE, NAMESPACE, name)
        bound = claim["status"]["boundResource"]
        resource = api.get(RDS_INSTANCE, bound["namespace"], bound["name"])
        credentials = api.get(SECRETS, SYSTEM, resource["status"]["credentials"]["secretName"])
        names = {
            claim["metadata"]["uid"]: "@claim-uid@",
            resource["metadata"]["uid"]: "@resource-uid@",
            bound["name"]: "@resource@",
            name: "@claim@",
        }
        return cls(
            claim=_text(claim, names),
            claim_status=_text({"status": claim["status"]}, names),
            resource=_text(resource, names),
            resource_status=_text({"status": resource["status"]}, names),
            credentials=_text(
                credentials, {credentials["metadata"]["name"]: "@resource@-credentials", **names}
            ),
            objects=tuple(
                (type, _text(_owned(api, NAMESPACE, claim["metadata"]["uid"], type), names))
                for type in (SECRETS, CONFIG_MAPS, SERVICES)
            ),
        )


class PlainClient:
    """Posts and patches bytes by the shortest way."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def post(self, type: ResourceType, namespace: str, body: str) -> str:
        """The new object's uid."""
        return await self._send("POST", type.path(namespace), body, "application/json")

    async def patch_status(self, type: ResourceType, namespace: str, name: str, body: str) -> None:
        await self._send("PATCH", type.path(namespace, name, "status"), body, "application/merge-patch+json")

    async def _send(self, method: str, path: str, body: str, content_type: str) -> str:
        target = f"{path}?fieldManager={MANAGER}"
        answer = await self._transport.send(
            method, target, body.encode(), content_type=content_type, limits=_LIMITS
        )
        async with answer:
            content = await answer.read()
            if answer.status >= _REFUSED:
                raise RuntimeError(f"{method} {path}: {answer.status} {content[:500].decode()}")
        at = content.index(b'"uid":"') + len(b'"uid":"')
        return content[at : content.index(b'"', at)].decode()


async def write_all(kubeconfig: str, pattern: Pattern, names: list[str]) -> float:
    """Seconds that it took to write the lives of so many claims."""
    transport = await open_transport(Credentials.find(kubeconfig), "benchmark")
    client, left = PlainClient(transport), iter(names)

    async def writer() -> None:
        for name in left:
            await write_one(client, pattern, name)

    try:
        began = time.monotonic()
        await asyncio.gather(*(writer() for _ in range(WRITERS)))
        return time.monotonic() - began
    finally:
        await transport.close()


async def write_one(client: PlainClient, pattern: Pattern, name: str) -> None:
    """`WRITES` requests, one after the other."""
    resource_name = f"{name}-resource"
    names = {"@claim@": name, "@resource@": resource_name}
    names["@claim-uid@"] = await client.post(MYSQL_INSTANCE, NAMESPACE, _filled(pattern.claim, names))
    names["@resource-uid@"] = await client.post(RDS_INSTANCE, SYSTEM, _filled(pattern.resource, names))
    await client.patch_status(MYSQL_INSTANCE, NAMESPACE, name, _begun(pattern.claim_status, names))
    await client.post(SECRETS, SYSTEM, _filled(pattern.credentials, names))
    await client.patch_status(RDS_INSTANCE, SYSTEM, resource_name, _begun(pattern.resource_status, names))
    await client.patch_status(RDS_INSTANCE, SYSTEM, resource_name, _filled(pattern.resource_status, names))
    for type, body in pattern.objects:
        await client.post(type, NAMESPACE, _filled(body, names))
    await client.patch_status(MYSQL_INSTANCE, NAMESPACE, name, _filled(pattern.claim_status, names))


def _owned(api: KubeApi, namespace: str, uid: str, type: ResourceType) -> dict[str, Any]:
    for found in api.list(type, namespace):
        if any(owner["uid"] == uid for owner in found["metadata"].get("ownerReferences", ())):
            # Items of a list do not say what they are.
            return {"apiVersion": type.gvk.api_version, "kind": type.gvk.kind, **found}
    raise LookupError(f"no {type.gvk.kind} in {namespace} is owned by {uid}")


def _text(found: dict[str, Any], names: dict[str, str]) -> str:
    written = dict(found)
    if "metadata" in found:
        written.pop("status", None)
        written["metadata"] = {
            key: value for key, value in found["metadata"].items() if key not in _GIVEN_BY_THE_SERVER
        }
    text = json.dumps(written, separators=(",", ":"))
    for name, stands_for in names.items():
        text = text.replace(name, stands_for)
    return text


def _filled(text: str, names: dict[str, str]) -> str:
    for stands_for, name in names.items():
        text = text.replace(stands_for, name)
    return text


def _begun(text: str, names: dict[str, str]) -> str:
    """The first of two statuses, with another phase and one condition: a write that changes nothing costs less."""
    status = json.loads(_filled(text, names))["status"]
    return json.dumps({"status": {**status, "phase": _BEGUN, "conditions": status["conditions"][:1]}})
