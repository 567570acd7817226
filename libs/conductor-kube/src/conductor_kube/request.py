"""One request to the Kubernetes API, before it is sent. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote, urlencode

import aiohttp

from conductor_model.refs import ResourceType

_CONNECT_SECONDS = 5.0
_REQUEST_SECONDS = 30.0


class ContentType(StrEnum):
    """How the API server is to read a body."""

    JSON = "application/json"
    MERGE_PATCH = "application/merge-patch+json"
    APPLY_PATCH = "application/apply-patch+yaml; charset=utf-8"
    """With its character set, or the client would write the body itself, and not as `as_yaml` does."""


def within(seconds: float, *, silence: float | None = None) -> aiohttp.ClientTimeout:
    """Limits of a request: the whole of it, and how long the server may send nothing."""
    return aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS, sock_read=silence)


def as_yaml(document: object) -> bytes:
    """JSON that is YAML, too: the API server reads the body of an apply as YAML.

    That knows no escaped surrogate pairs, which is how JSON writes an emoji, and takes few characters as they are.
    """
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return _NOT_AS_IT_IS.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


_NOT_AS_IT_IS = re.compile("[\x7f-\uffff]")
_DEFAULT_LIMITS = within(_REQUEST_SECONDS)


@dataclass(frozen=True, slots=True)
class Request:
    """A verb and what it is applied to."""

    method: str
    type: ResourceType
    namespace: str | None = None
    name: str | None = None
    subresource: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    """JSON in the making, or its bytes."""
    content_type: ContentType = ContentType.JSON
    limits: aiohttp.ClientTimeout = _DEFAULT_LIMITS

    @property
    def target(self) -> str:
        """Path and query, encoded for a URL."""
        path = quote(self.type.path(self.namespace, self.name, self.subresource), safe="/:")
        return f"{path}?{urlencode(self.query, quote_via=quote)}" if self.query else path

    def __str__(self) -> str:
        """As errors name it: no query and no body, which may be confidential."""
        verb = "WATCH" if "watch" in self.query else self.method
        plural = f"{self.type.plural}/{self.subresource}" if self.subresource else self.type.plural
        place = "/".join(part for part in (self.namespace, self.name) if part)
        return f"{verb} {plural} {place}".rstrip()
