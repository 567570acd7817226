"""Master credentials: what they are made of, and whether a Secret may be used as theirs."""

from __future__ import annotations

import secrets
import string

from conductor_aws_provisioner.cluster import StoredCredentials
from conductor_aws_provisioner.external import MasterCredentials
from conductor_aws_provisioner.outcome import Reason, Synced, out_of_sync
from conductor_model.rds import RDSInstance

PASSWORD_LENGTH = 32
"""RDS takes 8 to 41 printable characters for MySQL and up to 128 for PostgreSQL, none of them / @ " or a space."""

_ALPHABET = string.ascii_letters + string.digits


def new_password() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_LENGTH))


def usable(stored: StoredCredentials, instance: RDSInstance) -> MasterCredentials | Synced:
    """The credentials in the Secret, or why they cannot be used for the object."""
    name = f"Secret {instance.metadata.namespace}/{stored.secret_name}"
    reference = instance.spec.credentials_secret_ref
    if reference is None and stored.made_for != instance.uid:
        return out_of_sync(
            Reason.CREDENTIALS_CONFLICT,
            f"{name} was not made for this object and is left alone: delete it, or name a Secret in "
            "spec.credentialsSecretRef",
        )
    if stored.credentials is None:
        return out_of_sync(
            Reason.CREDENTIALS_MISSING, f"{name} lacks the key username or password: add what is missing"
        )
    asked = instance.spec.master_username
    if asked is not None and asked != stored.credentials.username:
        return out_of_sync(
            Reason.INVALID_SPEC,
            f"spec.masterUsername is {asked}, but {name} has another username: make them equal",
        )
    return stored.credentials
