"""Names of external resources and of their Secrets: pure functions of who owns them.

Whoever computes them, whenever, gets the same: that is what makes a look-up before a create, and a second create
after a lost answer, safe.
"""

from __future__ import annotations

import hashlib

from conductor_provisioner.driver import Owner

MAX_OBJECT_NAME = 253
"""Kubernetes: names of objects are DNS subdomains, RFC 1123."""

_HASH_DIGITS = 24
_SHORT_HASH_DIGITS = 10
_CREDENTIALS_SUFFIX = "-credentials"


def external_name(owner: Owner) -> str:
    """34 lowercase letters, digits and single hyphens, a letter first: what every cloud takes as a name."""
    digest = hashlib.sha256(f"{owner.cluster_id}/{owner.uid}".encode()).hexdigest()
    return f"conductor-{digest[:_HASH_DIGITS]}"


def credentials_secret_name(concrete_name: str) -> str:
    """``<concrete>-credentials``; of a name too long for that, its beginning and a hash of all of it."""
    name = f"{concrete_name}{_CREDENTIALS_SUFFIX}"
    if len(name) <= MAX_OBJECT_NAME:
        return name
    digest = hashlib.sha256(concrete_name.encode()).hexdigest()[:_SHORT_HASH_DIGITS]
    kept = MAX_OBJECT_NAME - len(_CREDENTIALS_SUFFIX) - len(digest) - 1
    return f"{concrete_name[:kept].rstrip('-.')}-{digest}{_CREDENTIALS_SUFFIX}"
