"""Generated credentials: what they are made of, and whether a Secret may be used as theirs."""

from __future__ import annotations

import secrets
import string

from conductor_model.concrete import Concrete
from conductor_provisioner.cluster import StoredCredentials
from conductor_provisioner.outcome import Reason, Synced, out_of_sync

DEFAULT_MASTER_USERNAME = "conductor"
PASSWORD_LENGTH = 32
"""RDS takes 8 to 41 printable characters for MySQL and up to 128 for PostgreSQL, none of them / @ " or a space."""

_ALPHABET = string.ascii_letters + string.digits


def new_password() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_LENGTH))


def not_ours(stored: StoredCredentials, concrete: Concrete) -> Synced | None:
    """What keeps us from a Secret that has the name of the one that we would make."""
    if stored.made_for == concrete.uid:
        return None
    return out_of_sync(
        Reason.CREDENTIALS_CONFLICT,
        f"Secret {concrete.metadata.namespace}/{stored.secret_name} was not made for this object and is left alone: "
        "delete it, or name a Secret in spec.credentialsSecretRef",
    )


def unusable(stored: StoredCredentials, concrete: Concrete) -> Synced | None:
    """Why a Secret cannot be used as the master credentials of the object."""
    if concrete.spec.credentials_secret_ref is None:
        conflict = not_ours(stored, concrete)
        if conflict is not None:
            return conflict
    name = f"Secret {concrete.metadata.namespace}/{stored.secret_name}"
    if not stored.data.get("username") or not stored.data.get("password"):
        return out_of_sync(
            Reason.CREDENTIALS_MISSING, f"{name} lacks the key username or password: add what is missing"
        )
    asked = concrete.master_username
    if asked is not None and asked != stored.data["username"]:
        return out_of_sync(
            Reason.INVALID_SPEC,
            f"spec.masterUsername is {asked}, but {name} has another username: make them equal",
        )
    return None
