"""Where Google is, as the environment of the process says. What a ProviderConfig says goes before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

GOOGLE = "googleapis.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleSettings:
    """What an operator can set for the process as a whole."""

    project: str | None = None
    """``CONDUCTOR_GCP_PROJECT``, or ``GOOGLE_CLOUD_PROJECT``, which Google's own tools read."""
    endpoint: str | None = None
    """``CONDUCTOR_GCP_ENDPOINT``: the URL of an API that is not Google's."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> GoogleSettings:
        return cls(
            project=environ.get("CONDUCTOR_GCP_PROJECT") or environ.get("GOOGLE_CLOUD_PROJECT") or None,
            endpoint=environ.get("CONDUCTOR_GCP_ENDPOINT") or None,
        )


def is_google(endpoint: str | None) -> bool:
    """Whether an API at this URL may be shown the credentials that happen to be in the environment."""
    if endpoint is None:
        return True
    parts = urlsplit(endpoint)
    host = (parts.hostname or "").rstrip(".")
    return parts.scheme == "https" and (host == GOOGLE or host.endswith(f".{GOOGLE}"))


def base_url(endpoint: str) -> str:
    """As the client library wants it: without a version, which it adds, and without a slash at the end."""
    return endpoint.rstrip("/").removesuffix("/v1").rstrip("/")
