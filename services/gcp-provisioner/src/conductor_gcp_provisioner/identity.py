"""Who we are to Google: Application Default Credentials, workload identity, or a key from a Secret.

Ambient credentials are shown to Google alone. An API elsewhere, which only a stand-in or a private gateway is, gets
those of a ProviderConfig's Secret, or none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import google.auth
from google.auth import impersonated_credentials
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.oauth2 import service_account

from conductor_gcp_provisioner.settings import is_google
from conductor_provisioner.driver import SecretData
from conductor_provisioner.errors import Refused

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
"""What it may be used for is for IAM to say. To become another service account takes this one."""
KEYS = ("credentials.json", "key.json")
"""The entries of a Secret in which Google's credential file is looked for."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Credentials, and the project that they are of, where they say one."""

    credentials: Any
    project: str | None = None


def identity(endpoint: str | None, secret: SecretData | None, role: str | None = None) -> Identity:
    """``role``: the service account to become. Reads files and may ask a metadata server.

    Raises Refused: an administrator must provide credentials.
    """
    if secret is None and not is_google(endpoint):
        return Identity(AnonymousCredentials())  # type: ignore[no-untyped-call]
    ours = _from_secret(secret) if secret is not None else _ambient()
    if role is None:
        return ours
    return Identity(
        impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
            source_credentials=ours.credentials, target_principal=role, target_scopes=SCOPES
        ),
        ours.project,
    )


def _ambient() -> Identity:
    """Application Default Credentials: a file, workload identity, or the machine's service account."""
    try:
        credentials, project = google.auth.default(scopes=SCOPES)
    except GoogleAuthError as error:
        raise Refused("Authenticate", "Google Cloud", type(error).__name__, str(error)) from error
    return Identity(credentials, project)


def _from_secret(secret: SecretData) -> Identity:
    """Of a service account's key, and of nothing else that Google's library reads.

    Other configurations name files to read and programs to run here: whoever may write a Secret is not to have that.
    """
    written = next((secret[key] for key in KEYS if key in secret), None)
    if written is None:
        raise _unusable(f"it has none of the entries {', '.join(KEYS)}")
    try:
        information = json.loads(written)
    except ValueError:
        raise _unusable("its entry is no JSON") from None
    if not isinstance(information, dict):
        raise _unusable("its entry is no JSON object")
    if information.get("type") != "service_account":
        raise _unusable('its entry is no service account key: "type": "service_account"')
    try:
        credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
            information, scopes=SCOPES
        )
    except (GoogleAuthError, ValueError, TypeError) as error:
        # The error's own text may quote the key.
        raise _unusable(f"Google's library does not take it: {type(error).__name__}") from None
    return Identity(credentials, information.get("project_id"))


def _unusable(why: str) -> Refused:
    return Refused("Authenticate", "the ProviderConfig's Secret", "UnusableSecret", why)
