"""Serves the explanations: read-only, and in a cluster only to whom the API server would let see that claim.

- ``GET /explain/{kind}/{namespace}/{name}`` for a claim that exists: the caller must be allowed to ``get`` it;
- ``POST /explain`` with a claim's manifest, a dry run: the caller must be allowed to ``create`` it. Nothing is written.

Who the caller is follows from a bearer token by a TokenReview, what they may do from a SubjectAccessReview, so that rights
are given as everywhere in Kubernetes. Every replica answers from its own view of the world and says whether it leads
(docs/adr/0029).
"""

from __future__ import annotations

import logging
from typing import Protocol

from aiohttp import web
from pydantic import ValidationError

from conductor_model.claims import Claim
from conductor_model.kinds import BY_GROUP_KIND, CLAIM_MODELS
from conductor_model.refs import GroupKind, GroupVersionKind, ObjectKey, ResourceType
from conductor_scheduler.explain import explain
from conductor_scheduler.explain_access import Authorize
from conductor_scheduler.explain_server import Limits, limited, problem
from conductor_scheduler.framework import PluginFailed
from conductor_scheduler.policy import Policy
from conductor_scheduler.view import View

log = logging.getLogger(__name__)

LARGEST_BODY = 256 * 1024
"""Bytes of a manifest."""

_NOBODY = "dry-run"
"""The uid of what does not exist: no reference carries it."""


class Sight(Protocol):
    """What a replica sees, and decides by if it leads."""

    @property
    def view(self) -> View: ...

    @property
    def policy(self) -> Policy: ...

    @property
    def caught_up(self) -> bool: ...

    @property
    def leading(self) -> bool: ...


class Explainer:
    """The handlers; ``look_through`` says whose eyes they see the world with."""

    def __init__(self, authorize: Authorize, limits: Limits | None = None) -> None:
        self._authorize = authorize
        self._limits = limits or Limits()
        self._sight: Sight | None = None

    def look_through(self, sight: Sight | None) -> None:
        self._sight = sight

    def application(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_BODY, middlewares=[limited(self._limits)])
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
        sight = self._seeing()
        claim = sight.view.claims.get(ObjectKey(type.group_kind, namespace, name))
        if claim is None:
            raise problem(web.HTTPNotFound, f"{type.gvk.kind} {namespace}/{name} is not known, or not valid")
        return _answer(claim, sight)

    async def _dry_run(self, request: web.Request) -> web.Response:
        try:
            manifest = await request.json()
        except ValueError:
            raise problem(web.HTTPBadRequest, "the body is no JSON") from None
        claim = _claim(manifest)
        type = BY_GROUP_KIND[claim.key.group_kind].type
        await self._authorize(request, type, "create", claim.metadata.namespace, claim.metadata.name)
        sight = self._seeing()
        return _answer(claim, sight)

    def _seeing(self) -> Sight:
        if self._sight is None or not self._sight.caught_up:
            raise problem(web.HTTPServiceUnavailable, "this replica does not know the whole world yet")
        return self._sight


def _answer(claim: Claim, sight: Sight) -> web.Response:
    """With ``leading``: another replica may know more than one that stands by."""
    try:
        explained = explain(claim, sight.view, sight.policy)
    except PluginFailed as failure:
        log.exception("%s cannot be explained", claim.key)
        raise problem(web.HTTPInternalServerError, str(failure)) from None
    return web.json_response({**explained, "leading": sight.leading})


def _claim_type(word: str) -> ResourceType:
    """By kind or by plural, in any letter case."""
    for group_kind in CLAIM_MODELS:
        type = BY_GROUP_KIND[group_kind].type
        if word.lower() in {type.gvk.kind.lower(), type.plural}:
            return type
    raise problem(web.HTTPNotFound, "there is no such kind of claim")


def _claim(manifest: object) -> Claim:
    """A claim as it would be if it were created now."""
    if not isinstance(manifest, dict):
        raise problem(web.HTTPBadRequest, "the body is no manifest")
    gvk = GroupVersionKind.parse(str(manifest.get("apiVersion")), str(manifest.get("kind")))
    model = CLAIM_MODELS.get(GroupKind(gvk.group, gvk.kind))
    if model is None:
        raise problem(web.HTTPBadRequest, "apiVersion and kind name no kind of claim")
    metadata = manifest.get("metadata")
    place = metadata if isinstance(metadata, dict) else {}
    namespace, name = place.get("namespace"), place.get("name")
    if not isinstance(namespace, str) or not isinstance(name, str) or not namespace or not name:
        raise problem(web.HTTPBadRequest, "metadata.namespace and metadata.name are needed")
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
        raise problem(web.HTTPUnprocessableEntity, f"{field}: {first['msg']}") from None
