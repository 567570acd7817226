"""The one place that talks to the Kubernetes API: requests in types, answers in bytes, failures as KubeError.

Promises: a write is sent once (but for a 401, after which the credentials are read anew: the server has not looked at the
request then); a preconditioned write that lost is a ``Conflict``; whatever the network does is ``Unavailable``; a kind
that is not served is never mistaken for an object that does not exist.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

import aiohttp

from conductor_kube.builtin import SECRETS
from conductor_kube.connection import Credentials, Transport, open_transport
from conductor_kube.errors import KubeError, Unavailable, error_from_answer
from conductor_kube.nesting import shallow
from conductor_kube.objects import Page, WatchEvent, parse_page, parse_watch_line
from conductor_kube.request import ContentType, Request, as_yaml, within
from conductor_kube.scope import Namespaces
from conductor_model.refs import ResourceType

_LIST_SECONDS = 60.0
_GRACE_SECONDS = 5.0
"""How much later than asked for a server may end a watch before the connection counts as dead."""

_OK_BELOW = 300
_UNAUTHORIZED = 401


class KubeClient:
    """A connection pool to one API server as one identity. Safe for use by many tasks; close it when done."""

    def __init__(
        self, transport: Transport, credentials: Credentials, namespaces: Namespaces | None = None
    ) -> None:
        self._transport = transport
        self._namespaces = namespaces
        self._credentials = credentials
        self._credentials_generation = 0
        self._credentials_lock = asyncio.Lock()

    @classmethod
    async def open(
        cls, *, user_agent: str, kubeconfig: str | None = None, namespaces: Namespaces | None = None
    ) -> KubeClient:
        """Connect as a kubeconfig says (the named one, ``KUBECONFIG``, ``~/.kube/config``), else as the pod.

        ``namespaces``: what a list of all namespaces is a list of, for one who may not list others; None: all.
        Raises NoCluster when none of these is there. Does not need the server to be up.
        """
        credentials = Credentials.find(kubeconfig)
        return cls(await open_transport(credentials, user_agent), credentials, namespaces)

    async def close(self) -> None:
        await self._transport.close()

    async def __aenter__(self) -> KubeClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def get(self, type: ResourceType, namespace: str | None, name: str) -> bytes:
        """The object's JSON. Raises NotFound only when the server serves the kind and has no such object."""
        return await self._call(Request("GET", type, namespace, name))

    async def list(
        self,
        type: ResourceType,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        limit: int | None = 500,
    ) -> AsyncGenerator[Page, None]:
        """All objects as of one moment, in pages. Raises Gone when the pages took longer than the history is kept.

        Of a kind that is in no namespace, ``namespace`` means the object of that name: Namespace itself. Without it a client
        that sees certain namespaces lists one after the other, each as of its own moment.
        """
        for each in (namespace,) if namespace is not None or self._namespaces is None else self._namespaces:
            async for page in self._list(type, each, label_selector=label_selector, limit=limit):
                yield page

    async def _list(
        self, type: ResourceType, namespace: str | None, *, label_selector: str | None, limit: int | None
    ) -> AsyncGenerator[Page, None]:
        token: str | None = None
        while True:
            options = {"labelSelector": label_selector, "limit": limit and str(limit), "continue": token}
            query = {key: value for key, value in options.items() if value} | _named(type, namespace)
            request = Request("GET", type, namespace, query=query, limits=within(_LIST_SECONDS))
            page = parse_page(type, await self._ask(request), what=str(request))
            yield page
            if page.next_token is None:
                return
            token = page.next_token

    async def watch(
        self,
        type: ResourceType,
        namespace: str | None = None,
        *,
        resource_version: str,
        seconds: int,
        silence: float,
        label_selector: str | None = None,
    ) -> AsyncGenerator[WatchEvent, None]:
        """What happens after ``resource_version``; ends normally after ``seconds``.

        Raises Gone when that version is compacted, and Unavailable when nothing came for ``silence`` seconds (the
        server sends a bookmark about every minute), when the server does not end the watch in time, or when the
        connection breaks.
        """
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
            **_named(type, namespace),
        }
        if label_selector:
            query["labelSelector"] = label_selector
        limits = within(seconds + _GRACE_SECONDS, silence=silence)
        request = Request("GET", type, namespace, query=query, limits=limits)
        async with self._answer(request) as answer:
            async for line in _lines(answer.content):
                yield parse_watch_line(type, line, what=str(request))

    async def create(
        self,
        type: ResourceType,
        namespace: str | None,
        body: bytes | Mapping[str, Any],
        *,
        field_manager: str,
    ) -> bytes:
        """Raises AlreadyExists; NotFound when the namespace does not exist."""
        query = {"fieldManager": field_manager}
        return await self._call(Request("POST", type, namespace, query=query, body=body))

    async def merge_patch(
        self,
        type: ResourceType,
        namespace: str | None,
        name: str,
        patch: Mapping[str, Any],
        *,
        field_manager: str,
        subresource: str | None = None,
    ) -> bytes:
        """JSON merge patch. With ``metadata.resourceVersion`` in it a compare-and-swap: raises Conflict when it lost.

        A ``metadata.uid`` guards a patch of the object itself in the same way, but the API server ignores it in a
        patch of a custom resource's status.
        """
        return await self._call(
            Request(
                "PATCH",
                type,
                namespace,
                name,
                subresource,
                query={"fieldManager": field_manager},
                body=patch,
                content_type=ContentType.MERGE_PATCH,
            )
        )

    async def apply(
        self,
        type: ResourceType,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        *,
        field_manager: str,
        subresource: str | None = None,
        force: bool = True,
    ) -> bytes:
        """Server-side apply: makes ``body`` the whole of what ``field_manager`` owns of the object.

        apiVersion, kind and name are filled in. Without ``force`` a field of another manager is a Conflict.
        """
        document = {
            **body,
            "apiVersion": type.gvk.api_version,
            "kind": type.gvk.kind,
            "metadata": {**body.get("metadata", {}), "name": name},
        }
        return await self._call(
            Request(
                "PATCH",
                type,
                namespace,
                name,
                subresource,
                query={"fieldManager": field_manager, "force": "true" if force else "false"},
                body=as_yaml(document),
                content_type=ContentType.APPLY_PATCH,
            )
        )

    async def delete(
        self,
        type: ResourceType,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        """Raises Conflict when the object is not of that uid or version, NotFound when there is none."""
        conditions = {"uid": uid, "resourceVersion": resource_version}
        preconditions = {key: value for key, value in conditions.items() if value is not None}
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if preconditions:
            body["preconditions"] = preconditions
        await self._call(Request("DELETE", type, namespace, name, body=body))

    async def _call(self, request: Request) -> bytes:
        """The answer is one object, which a model is to read."""
        return shallow(await self._ask(request))

    async def _ask(self, request: Request) -> bytes:
        async with self._answer(request) as answer:
            return await answer.read()

    @asynccontextmanager
    async def _answer(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful answer, to be read by the caller. All that can go wrong comes out as KubeError."""
        try:
            used = self._credentials_generation
            answer = await self._send(request)
            if answer.status == _UNAUTHORIZED:
                answer.release()
                await self._renew_credentials(used)
                answer = await self._send(request)
            try:
                if answer.status >= _OK_BELOW:
                    raise await _error(answer, request)
                yield answer
            finally:
                # A connection that is left in the middle of an answer cannot be used again.
                if not answer.content.at_eof():
                    answer.close()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(str(error) or type(error).__name__, what=str(request)) from error

    async def _send(self, request: Request) -> aiohttp.ClientResponse:
        return await self._transport.send(
            request.method,
            request.target,
            _encoded(request.body),
            content_type=request.content_type,
            limits=request.limits,
        )

    async def _renew_credentials(self, used: int) -> None:
        """Read token and certificates anew, once for all the requests that were refused with the same ones."""
        async with self._credentials_lock:
            if self._credentials_generation == used:
                await self._credentials.read_into(self._transport.configuration)
                self._credentials_generation += 1


def _encoded(body: object) -> bytes | None:
    return (
        body if body is None or isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
    )


def _named(type: ResourceType, namespace: str | None) -> dict[str, str]:
    """The part of a query that leaves only the object of that name, of a kind that is in no namespace."""
    return {} if type.namespaced or namespace is None else {"fieldSelector": f"metadata.name={namespace}"}


async def _error(answer: aiohttp.ClientResponse, request: Request) -> KubeError:
    retry_after = answer.headers.get("Retry-After", "")
    return error_from_answer(
        answer.status,
        await answer.read(),
        what=str(request),
        retry_after=float(retry_after) if retry_after.isdigit() else None,
        confidential=request.type == SECRETS,
    )


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length. What follows the last line break was cut off with the connection, and is dropped."""
    rest = b""
    async for chunk in content.iter_any():
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            if line:
                yield line
