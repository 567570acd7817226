"""Serves the explanations: read-only, and in a cluster only to whom the API server would let see that claim.

- ``GET /explain/{kind}/{namespace}/{name}`` for a claim that exists: the caller must be allowed to ``get`` it;
- ``POST /explain`` with a claim's manifest, a dry run: the caller must be allowed to ``create`` it. Nothing is written.

Who the caller is follows from a bearer token by a TokenReview, what they may do from a SubjectAccessReview, so that rights
are given as everywhere in Kubernetes. Only the replica that leads has a view of the world: the others answer 503 and name
the leader.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import web
from pydantic import ValidationError

from conductor_kube import KubeClient, KubeError
from conductor_kube.builtin import LEASES, SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS
from conductor_model.claims import Claim
from conductor_model.kinds import BY_GROUP_KIND, CLAIM_MODELS
from conductor_model.refs import GroupKind, GroupVersionKind, ObjectKey, ResourceType
from conductor_scheduler.explain import explain
from conductor_scheduler.policy import Policy
from conductor_scheduler.view import View

log = logging.getLogger(__name__)

LARGEST_BODY = 256 * 1024
"""Bytes of a manifest."""

_NOBODY = "dry-run"
"""The uid of what does not exist: no reference carries it."""


class Sight(Protocol):
    """What a leading scheduler sees, and decides by."""

    @property
    def view(self) -> View: ...

    @property
    def policy(self) -> Policy: ...

    @property
    def caught_up(self) -> bool: ...


Authorize = Callable[[web.Request, ResourceType, str, str, str], Awaitable[None]]
"""Raises an HTTP error unless the caller may do the verb to the resource of this namespace and name."""


async def anybody(request: web.Request, type: ResourceType, verb: str, namespace: str, name: str) -> None:
    """For a scheduler that only its own machine can reach."""


class ByReviews:
    """Asks the API server who the caller is and what they may do."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    async def __call__(
        self, request: web.Request, type: ResourceType, verb: str, namespace: str, name: str
    ) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _problem(web.HTTPUnauthorized, "a bearer token of the cluster is needed")
        review = await self._ask(TOKEN_REVIEWS, {"token": token.strip()})
        user = review.get("user") or {}
        if not review.get("authenticated"):
            raise _problem(web.HTTPUnauthorized, "the cluster does not know this token")
        attributes = {
            "verb": verb,
            "group": type.gvk.group,
            "version": type.gvk.version,
            "resource": type.plural,
            "namespace": namespace,
            "name": name,
        }
        asked = {
            "user": user.get("username", ""),
            "groups": user.get("groups", []),
            "uid": user.get("uid", ""),
            "extra": user.get("extra") or {},
            "resourceAttributes": attributes,
        }
        access = await self._ask(SUBJECT_ACCESS_REVIEWS, asked)
        if not access.get("allowed"):
            raise _problem(web.HTTPForbidden, f"you may not {verb} {type.plural} in namespace {namespace}")

    async def _ask(self, type: ResourceType, spec: dict[str, Any]) -> dict[str, Any]:
        body = {"apiVersion": type.gvk.api_version, "kind": type.gvk.kind, "spec": spec}
        try:
            answer = await self._kube.create(type, None, body, field_manager="conductor-scheduler")
        except KubeError as error:
            # Not its text: it may repeat what was sent.
            log.warning("a %s was not answered: %s", type.gvk.kind, error.__class__.__name__)
            raise _problem(web.HTTPServiceUnavailable, "the API server does not say who you are") from None
        status: dict[str, Any] = json.loads(answer).get("status") or {}
        return status


class Explainer:
    """The handlers; ``lead`` and ``stand_by`` say whether there is a world to explain."""

    def __init__(self, authorize: Authorize, leader: Callable[[], Awaitable[str]]) -> None:
        self._authorize = authorize
        self._leader = leader
        self._sight: Sight | None = None

    def lead(self, sight: Sight) -> None:
        self._sight = sight

    def stand_by(self) -> None:
        self._sight = None

    def application(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_BODY)
        app.add_routes(
            [
                web.get("/explain/{kind}/{namespace}/{name}", self._existing),
                web.post("/explain", self._dry_run),
            ]
        )
        return app

    async def _existing(self, request: web.Request) -> web.Response:
        type = _claim_type(request.match_info["kind"])
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        await self._authorize(request, type, "get", namespace, name)
        sight = await self._leading()
        claim = sight.view.claims.get(ObjectKey(type.group_kind, namespace, name))
        if claim is None:
            raise _problem(web.HTTPNotFound, f"{type.gvk.kind} {namespace}/{name} is not known, or not valid")
        return web.json_response(explain(claim, sight.view, sight.policy))

    async def _dry_run(self, request: web.Request) -> web.Response:
        try:
            manifest = await request.json()
        except ValueError:
            raise _problem(web.HTTPBadRequest, "the body is no JSON") from None
        claim = _claim(manifest)
        type = BY_GROUP_KIND[claim.key.group_kind].type
        await self._authorize(request, type, "create", claim.metadata.namespace, claim.metadata.name)
        sight = await self._leading()
        return web.json_response(explain(claim, sight.view, sight.policy))

    async def _leading(self) -> Sight:
        if self._sight is None:
            leader = await self._leader()
            raise _problem(web.HTTPServiceUnavailable, "this replica stands by", leader=leader)
        if not self._sight.caught_up:
            raise _problem(web.HTTPServiceUnavailable, "this replica does not know the whole world yet")
        return self._sight


def lease_holder(kube: KubeClient, namespace: str, name: str) -> Callable[[], Awaitable[str]]:
    """Who leads, as the lease says; empty when that is not known."""

    async def holder() -> str:
        try:
            lease = json.loads(await kube.get(LEASES, namespace, name))
        except KubeError:
            return ""
        return str(lease.get("spec", {}).get("holderIdentity") or "")

    return holder


async def serve(app: web.Application, address: str) -> web.AppRunner:
    """Listen on ``host:port``; port 0 is a free one. Raises ValueError for an address that is none, and OSError."""
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit():
        raise ValueError(f"CONDUCTOR_EXPLAIN_ADDRESS is {address!r}; it must be host:port")
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host.strip("[]") or None, int(port)).start()
    return runner


def _claim_type(word: str) -> ResourceType:
    """By kind or by plural, in any letter case."""
    for group_kind in CLAIM_MODELS:
        type = BY_GROUP_KIND[group_kind].type
        if word.lower() in {type.gvk.kind.lower(), type.plural}:
            return type
    raise _problem(web.HTTPNotFound, "there is no such kind of claim")


def _claim(manifest: object) -> Claim:
    """A claim as it would be if it were created now."""
    if not isinstance(manifest, dict):
        raise _problem(web.HTTPBadRequest, "the body is no manifest")
    gvk = GroupVersionKind.parse(str(manifest.get("apiVersion")), str(manifest.get("kind")))
    model = CLAIM_MODELS.get(GroupKind(gvk.group, gvk.kind))
    if model is None:
        raise _problem(web.HTTPBadRequest, "apiVersion and kind name no kind of claim")
    metadata = manifest.get("metadata")
    place = metadata if isinstance(metadata, dict) else {}
    namespace, name = place.get("namespace"), place.get("name")
    if not isinstance(namespace, str) or not isinstance(name, str) or not namespace or not name:
        raise _problem(web.HTTPBadRequest, "metadata.namespace and metadata.name are needed")
    try:
        return model.model_validate(
            {
                "apiVersion": gvk.api_version,
                "kind": gvk.kind,
                "metadata": {"namespace": namespace, "name": name, "uid": _NOBODY},
                "spec": manifest.get("spec") or {},
            }
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise _problem(web.HTTPUnprocessableEntity, f"{field}: {first['msg']}") from None


def _problem(kind: type[web.HTTPException], error: str, **more: str) -> web.HTTPException:
    text = json.dumps({"error": error, **more})
    return kind(text=text, content_type="application/json")
