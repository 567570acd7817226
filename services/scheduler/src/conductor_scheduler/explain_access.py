"""Who may have an explanation: whom the API server would let do the same to that claim."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from conductor_kube import KubeClient, KubeError
from conductor_kube.builtin import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS
from conductor_model.refs import ResourceType
from conductor_scheduler.explain_server import problem

log = logging.getLogger(__name__)

AUDIENCE = "conductor-scheduler"
"""Whom tokens must be meant for unless it is configured otherwise."""

Authorize = Callable[[web.Request, ResourceType, str, str, str], Awaitable[None]]
"""Raises an HTTP error unless the caller may do the verb to the resource of this namespace and name."""


async def anybody(request: web.Request, type: ResourceType, verb: str, namespace: str, name: str) -> None:
    """For a scheduler that only its own machine can reach."""


class ByReviews:
    """Asks the API server who the caller is and what they may do.

    A token counts only if it is meant for one of ``audiences``: one that was made for somebody else's service opens nothing
    here, and one that was made for this opens nothing elsewhere.
    """

    def __init__(self, kube: KubeClient, audiences: Sequence[str] = (AUDIENCE,)) -> None:
        self._kube = kube
        self._audiences = tuple(audiences)

    async def __call__(
        self, request: web.Request, type: ResourceType, verb: str, namespace: str, name: str
    ) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise problem(web.HTTPUnauthorized, "a bearer token of the cluster is needed")
        asked_for = {"token": token.strip(), "audiences": list(self._audiences)}
        review = await self._ask(TOKEN_REVIEWS, asked_for)
        user = review.get("user") or {}
        # An API server whose authenticator knows no audiences says none: the token is then meant for itself.
        if not review.get("authenticated") or not set(self._audiences) & set(review.get("audiences") or ()):
            wanted = " or ".join(self._audiences)
            raise problem(web.HTTPUnauthorized, f"the cluster knows no such token for the audience {wanted}")
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
            raise problem(web.HTTPForbidden, f"you may not {verb} {type.plural} in namespace {namespace}")

    async def _ask(self, type: ResourceType, spec: dict[str, Any]) -> dict[str, Any]:
        body = {"apiVersion": type.gvk.api_version, "kind": type.gvk.kind, "spec": spec}
        try:
            answer = await self._kube.create(type, None, body, field_manager="conductor-scheduler")
        except KubeError as error:
            # Not its text: it may repeat what was sent.
            log.warning("a %s was not answered: %s", type.gvk.kind, error.__class__.__name__)
            raise problem(web.HTTPServiceUnavailable, "the API server does not say who you are") from None
        status: dict[str, Any] = json.loads(answer).get("status") or {}
        return status
