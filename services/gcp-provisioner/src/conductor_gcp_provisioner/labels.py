"""The labels by which an instance is known to be an object's: the owner's tags in the letters that Google allows.

Source: Google Cloud, "Requirements for labels": keys and values of at most 63 lower-case letters, digits, ``_`` and
``-``; a key starts with a letter.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from conductor_provisioner.driver import Owner, Ownership

CLUSTER_LABEL = "conductor-cluster-id"
UID_LABEL = "conductor-concrete-uid"
OBJECT_LABEL = "conductor-concrete"
MAX_LENGTH = 63

_VALUE = re.compile(rf"[a-z0-9_-]{{0,{MAX_LENGTH}}}")
_OTHERS = re.compile(r"[^a-z0-9_-]")


def label_value(text: str) -> str:
    """The text, if it can be a label's value; else a digest of it. Two texts have two values."""
    return text if _VALUE.fullmatch(text) else f"sha256_{hashlib.sha256(text.encode()).hexdigest()[:48]}"


def owner_labels(owner: Owner) -> Mapping[str, str]:
    """The two ids are the proof; the object's name is for people, as far as it fits."""
    name = _OTHERS.sub("-", f"{owner.namespace}_{owner.name}".lower())
    return {
        CLUSTER_LABEL: label_value(owner.cluster_id),
        UID_LABEL: label_value(owner.uid),
        OBJECT_LABEL: name[:MAX_LENGTH],
    }


def without_owner(labels: Mapping[str, str]) -> Mapping[str, str | None]:
    """As a patch that takes an owner's labels off asks for it: None removes a label, and what is not named stays."""
    ours = (CLUSTER_LABEL, UID_LABEL, OBJECT_LABEL)
    return {**labels, **{key: None for key in ours if key in labels}}


def ownership(owner: Owner, labels: Mapping[str, str]) -> Ownership:
    """Whose an instance with these labels is."""
    proof = {key: value for key, value in owner_labels(owner).items() if key != OBJECT_LABEL}
    found = {key: labels[key] for key in proof if key in labels}
    if not found:
        return Ownership.NOBODYS
    return Ownership.OURS if found == proof else Ownership.ANOTHERS
