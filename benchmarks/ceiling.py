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
from conductor_kube.connection import Credentials, open_api_client
from conductor_model.kinds import MYSQL_INSTANCE, RDS_INSTANCE
from conductor_model.refs import ResourceType

WRITERS = 16
WRITES = 10
_REFUSED = 300
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
    """Posts and patches bytes as fast as aiohttp can."""

    def __init__(self, session: aiohttp.ClientSession, host: str, token: str) -> None:
        self._session = session
        self._host = host
        self._headers = {"Authorization": token, "User-Agent": "benchmark"}

    async def post(self, type: ResourceType, namespace: str, body: str) -> str:
        """The new object's uid."""
        return await self._send("POST", type.path(namespace), body, "application/json")

    async def patch_status(self, type: ResourceType, namespace: str, name: str, body: str) -> None:
        await self._send("PATCH", type.path(namespace, name, "status"), body, "application/merge-patch+json")

    async def _send(self, method: str, path: str, body: str, content_type: str) -> str:
        async with self._session.request(
            method,
            f"{self._host}{path}?fieldManager={MANAGER}",
            data=body.encode(),
            headers={**self._headers, "Content-Type": content_type},
        ) as answer:
            content = await answer.read()
            if answer.status >= _REFUSED:
                raise RuntimeError(f"{method} {path}: {answer.status} {content[:500].decode()}")
        at = content.index(b'"uid":"') + len(b'"uid":"')
        return content[at : content.index(b'"', at)].decode()


async def write_all(kubeconfig: str, pattern: Pattern, names: list[str]) -> float:
    """Seconds that it took to write the lives of so many claims."""
    api = await open_api_client(Credentials.find(kubeconfig), "benchmark")
    configuration = api.configuration
    token = await configuration.get_api_key_with_prefix("BearerToken") or ""
    connector = api.rest_client._create_connector()
    left = iter(names)
    async with aiohttp.ClientSession(connector=connector) as session:
        client = PlainClient(session, configuration.host, token)

        async def writer() -> None:
            for name in left:
                await write_one(client, pattern, name)

        began = time.monotonic()
        await asyncio.gather(*(writer() for _ in range(WRITERS)))
        seconds = time.monotonic() - began
    await api.close()  # type: ignore[no-untyped-call]
    return seconds


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
