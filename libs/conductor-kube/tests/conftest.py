"""The real API server, a kind of the tests' own, and a proxy that does to connections what networks do."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import aiohttp
import pytest
import yaml
from aiohttp import web

from conductor_kube import (
    AlreadyExists,
    Changed,
    Deleted,
    Event,
    KubeClient,
    KubeError,
    Reflector,
    ReflectorOptions,
    Refused,
    Synced,
)
from conductor_kube.connection import Credentials, Transport, open_transport
from conductor_model.refs import GroupVersionKind, ResourceType

MANAGER = "kube-tests"
CRDS = ResourceType(
    GroupVersionKind("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
    "customresourcedefinitions",
    namespaced=False,
)
QUICK = ReflectorOptions(retry_first=0.05, retry_limit=0.2)


async def until(condition: Callable[[], Any], *, seconds: float = 30) -> Any:
    """What ``condition`` returns, as soon as that is true."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        found = await answer if inspect.isawaitable(answer) else answer
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.01)


class Kinds:
    """Makes kinds of the tests' own."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    @staticmethod
    def type(kind: str) -> ResourceType:
        return ResourceType(GroupVersionKind("kube-tests.conductor.io", "v1", kind), f"{kind.lower()}s")

    async def install(self, type: ResourceType) -> None:
        conditions = {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {
                "type": "object",
                "required": ["type"],
                "properties": {name: {"type": "string"} for name in ("type", "status", "reason", "message")},
            },
        }
        schema = {
            "type": "object",
            "properties": {
                "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "status": {
                    "type": "object",
                    "properties": {
                        "phase": {"type": "string"},
                        "place": {"type": "object", "additionalProperties": {"type": "string"}},
                        "conditions": conditions,
                    },
                },
            },
        }
        version = {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}}
        body = {
            "apiVersion": CRDS.gvk.api_version,
            "kind": CRDS.gvk.kind,
            "metadata": {"name": f"{type.plural}.{type.gvk.group}"},
            "spec": {
                "group": type.gvk.group,
                "scope": "Namespaced",
                "names": {"plural": type.plural, "kind": type.gvk.kind},
                "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
            },
        }
        with suppress(AlreadyExists):
            await self._client.create(CRDS, None, body, field_manager=MANAGER)
        await until(lambda: self._served(type))

    async def remove(self, type: ResourceType) -> None:
        await self._client.delete(CRDS, None, f"{type.plural}.{type.gvk.group}")

    async def _served(self, type: ResourceType) -> bool:
        try:
            async for _ in self._client.list(type):
                pass
        except KubeError:
            return False
        return True


@dataclass(frozen=True)
class Parcels:
    """Objects of the tests' own kind in the test's namespace."""

    client: KubeClient
    type: ResourceType
    namespace: str

    async def create(self, name: str, **spec: object) -> dict[str, Any]:
        body = {
            "apiVersion": self.type.gvk.api_version,
            "kind": self.type.gvk.kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        return _parsed(await self.client.create(self.type, self.namespace, body, field_manager=MANAGER))

    async def get(self, name: str) -> dict[str, Any]:
        return _parsed(await self.client.get(self.type, self.namespace, name))

    async def change(self, name: str, **spec: object) -> dict[str, Any]:
        return _parsed(
            await self.client.merge_patch(
                self.type, self.namespace, name, {"spec": spec}, field_manager=MANAGER
            )
        )

    async def delete(self, name: str) -> None:
        await self.client.delete(self.type, self.namespace, name)


def _parsed(data: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(data)
    return answer


@dataclass(frozen=True)
class Seen:
    """A request that went through the proxy."""

    method: str
    path: str
    query: dict[str, str]

    @property
    def is_watch(self) -> bool:
        return "watch" in self.query


class FaultProxy:
    """Stands between a client and the real API server; without a fault it changes nothing."""

    def __init__(self, upstream: Transport) -> None:
        self._upstream = upstream
        self._watches: list[web.Request] = []
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.requests: list[Seen] = []
        self.answer: Callable[[Seen], web.Response | None] = lambda _: None
        """A reply in the API server's place."""
        self.rewrite: Callable[[Seen], dict[str, str]] = lambda seen: seen.query
        """The query that the API server gets."""
        self.kubeconfig = Path()

    @property
    def watches(self) -> list[Seen]:
        return [seen for seen in self.requests if seen.is_watch]

    @property
    def lists(self) -> list[Seen]:
        return [seen for seen in self.requests if seen.method == "GET" and not seen.is_watch]

    @property
    def open_watches(self) -> int:
        return len(self._watches)

    def drop_watches(self) -> None:
        """The connections break."""
        for request in self._watches:
            if request.transport is not None:
                request.transport.abort()

    def stall(self) -> None:
        """Connections stay open, new ones are taken, and not a byte comes back."""
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(request.method, request.path, dict(request.query))
        self.requests.append(seen)
        if (instead := self.answer(seen)) is not None:
            return instead
        await self._flowing.wait()
        sent = await request.read()
        reply = await self._upstream.send(
            request.method,
            f"{request.path}?{urlencode(self.rewrite(seen))}",
            sent or None,
            content_type=request.headers.get("Content-Type", "application/json"),
            limits=aiohttp.ClientTimeout(total=None),
        )
        if seen.is_watch:
            return await self._stream(request, reply)
        data = await reply.read()
        await self._flowing.wait()
        return web.Response(body=data, status=reply.status, content_type="application/json")

    async def _stream(self, request: web.Request, source: aiohttp.ClientResponse) -> web.StreamResponse:
        answer = web.StreamResponse(status=source.status, headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        self._watches.append(request)
        try:
            async for chunk in source.content.iter_any():
                await self._flowing.wait()
                await answer.write(chunk)
        finally:
            self._watches.remove(request)
            source.close()
        return answer


class Following:
    """What a reflector tells, collected."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def changed(self, name: str) -> list[Changed]:
        return [each for each in self.events if isinstance(each, Changed) and each.key.name == name]

    def deleted(self, name: str) -> list[Deleted]:
        return [each for each in self.events if isinstance(each, Deleted) and each.key.name == name]

    @property
    def all_deleted(self) -> list[Deleted]:
        return [each for each in self.events if isinstance(each, Deleted)]

    @property
    def synced(self) -> list[Synced]:
        return [each for each in self.events if isinstance(each, Synced)]

    @property
    def refused(self) -> list[Refused]:
        return [each for each in self.events if isinstance(each, Refused)]


@asynccontextmanager
async def _following(reflector: Reflector) -> AsyncIterator[Following]:
    seen = Following()

    async def collect() -> None:
        async for event in reflector:
            seen.events.append(event)

    task = asyncio.create_task(collect())
    try:
        yield seen
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Follow(Protocol):
    """``async with follow(client) as told``; of the test's namespace and kind unless said otherwise."""

    def __call__(
        self,
        client: KubeClient,
        *,
        type: ResourceType | None = None,
        options: ReflectorOptions = QUICK,
    ) -> Any: ...


class Cluster(Protocol):
    """As much of the environment's control plane as is used here."""

    kubeconfig: str

    def kubeconfig_for_service_account(self, namespace: str, name: str) -> Path: ...


@pytest.fixture
async def client(control_plane: Cluster) -> AsyncIterator[KubeClient]:
    async with await KubeClient.open(user_agent=MANAGER, kubeconfig=control_plane.kubeconfig) as opened:
        yield opened


@pytest.fixture
async def kinds(client: KubeClient) -> Kinds:
    return Kinds(client)


@pytest.fixture
async def parcels(client: KubeClient, kinds: Kinds, namespace: str) -> Parcels:
    type = Kinds.type("Parcel")
    await kinds.install(type)
    return Parcels(client, type, namespace)


@pytest.fixture
def follow(parcels: Parcels) -> Follow:
    def start(
        client: KubeClient, *, type: ResourceType | None = None, options: ReflectorOptions = QUICK
    ) -> Any:
        return _following(
            Reflector(client, type or parcels.type, namespace=parcels.namespace, options=options)
        )

    return start


@pytest.fixture
async def proxy(control_plane: Cluster, tmp_path: Path) -> AsyncIterator[FaultProxy]:
    upstream = await open_transport(Credentials.find(control_plane.kubeconfig), "fault-proxy")
    proxy = FaultProxy(upstream)
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    proxy.kubeconfig = tmp_path / "proxied.yaml"
    proxy.kubeconfig.write_text(plain_kubeconfig(f"http://{host}:{port}"))
    yield proxy
    proxy.resume()
    await runner.cleanup()
    await upstream.close()


@pytest.fixture
async def proxied(proxy: FaultProxy) -> AsyncIterator[KubeClient]:
    async with await KubeClient.open(user_agent=MANAGER, kubeconfig=str(proxy.kubeconfig)) as opened:
        yield opened


def plain_kubeconfig(server: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": server}}],
            "users": [{"name": "test", "user": {}}],
        }
    )


@pytest.fixture
def unique() -> str:
    return uuid.uuid4().hex[:10]


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., Awaitable[Any]]:
    return until


@pytest.fixture
def quick() -> ReflectorOptions:
    return QUICK
