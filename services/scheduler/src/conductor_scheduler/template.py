"""From a class to a concrete resource: what would be made for a claim, and what it would offer.

The name is a function of the claim's uid, so that a decision that is taken twice makes one resource.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from pydantic import ValidationError

from conductor_model.annotations import (
    CLASS_LABEL,
    IN_USE_FINALIZER,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PROVISIONER_FINALIZER,
    TRACEPARENT,
)
from conductor_model.claims import Claim
from conductor_model.concrete import ClaimRef, Concrete
from conductor_model.kinds import BY_GROUP_KIND, CLAIM_MODELS, CONCRETE_MODELS
from conductor_model.refs import ObjectKey, ResourceType
from conductor_model.resourceclass import ResourceClass

_NAME_LENGTH = 52
_SUFFIX_LENGTH = 10


class TemplateError(ValueError):
    """The class cannot make a concrete resource; the message says why, for the claim's condition."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A concrete resource that does not exist yet."""

    type: ResourceType
    body: Mapping[str, Any]
    """The manifest to create."""
    concrete: Concrete
    """The same, read by its model."""

    @property
    def key(self) -> ObjectKey:
        return self.concrete.key

    def traced(self, traceparent: str | None) -> Mapping[str, Any]:
        """The manifest, with the trace that its provisioner is to go on with."""
        if traceparent is None:
            return self.body
        metadata = self.body["metadata"]
        annotations = {**metadata["annotations"], TRACEPARENT: traceparent}
        return {**self.body, "metadata": {**metadata, "annotations": annotations}}


def name_for(claim: Claim) -> str:
    """The name of the resource provisioned for a claim: readable, and unlike any other claim's."""
    suffix = sha256(claim.uid.encode()).hexdigest()[:_SUFFIX_LENGTH]
    readable = claim.metadata.name[: _NAME_LENGTH - _SUFFIX_LENGTH - 1].rstrip("-.")
    return f"{readable}-{suffix}"


def claim_ref(claim: Claim) -> dict[str, Any]:
    """The entry that binds a claim, as it stands in ``spec.claimRefs``, with what the claim as it is read asks for."""
    return {
        "apiVersion": claim.api_version,
        "kind": claim.kind,
        "namespace": claim.metadata.namespace,
        "name": claim.metadata.name,
        "uid": claim.uid,
        "capacity": {name: str(amount) for name, amount in claim.spec.requirements.capacity.items()},
    }


def claim_key(ref: ClaimRef) -> ObjectKey | None:
    """Where the claim of a reference is; None for a kind that is no claim. People may leave out the apiVersion."""
    group, _, _ = ref.api_version.partition("/")
    for group_kind in CLAIM_MODELS:
        if group_kind.kind == ref.kind and group in {"", group_kind.group}:
            return ObjectKey(group_kind, ref.namespace, ref.name)
    return None


def draft(claim: Claim, source: ResourceClass) -> Draft:
    """The concrete resource that the class would make for the claim as it is read, bound to it from the start.

    The claim may set what its kind ``overrides``. Raises TemplateError.
    """
    more = {**claim.overrides(source.template.spec.keys()), "claimRefs": [claim_ref(claim)]}
    return _made(source, name_for(claim), more)


def prototype(source: ResourceClass, overrides: Mapping[str, Any]) -> Concrete:
    """What the class would make for whomever sets ``overrides``. Raises TemplateError."""
    return _made(source, "prototype", overrides).concrete


def _made(source: ResourceClass, name: str, overrides: Mapping[str, Any]) -> Draft:
    template = source.template
    group_kind = template.gvk.group_kind
    model = CONCRETE_MODELS.get(group_kind)
    if model is None:
        raise TemplateError(f"its template's kind {group_kind} is not known")
    capabilities = source.capabilities.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    said: dict[str, Any] = {"rebindPolicy": source.rebind_policy.value, "resourceClass": source.metadata.name}
    if source.allowed_namespaces is not None:
        said["allowedNamespaces"] = source.allowed_namespaces.model_dump(
            mode="json", by_alias=True, exclude_unset=True
        )
    body: dict[str, Any] = {
        "apiVersion": template.api_version,
        "kind": template.kind,
        "metadata": {
            "name": name,
            "namespace": source.metadata.namespace,
            "labels": {
                **template.metadata.labels,
                MANAGED_BY_LABEL: MANAGED_BY,
                CLASS_LABEL: _label_value(source.metadata.name),
            },
            "annotations": dict(template.metadata.annotations),
            "finalizers": [PROVISIONER_FINALIZER, IN_USE_FINALIZER],
        },
        "spec": {
            "capabilities": capabilities,
            **template.spec,
            **said,
            **overrides,
        },
    }
    try:
        concrete = model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise TemplateError(f"its template is no valid {template.kind}: {field}: {first['msg']}") from error
    return Draft(BY_GROUP_KIND[group_kind].type, body, concrete)


def _label_value(name: str) -> str:
    """Label values end at 63 characters; a class's name may be longer."""
    return name if len(name) <= 63 else f"{name[:52].rstrip('-.')}-{sha256(name.encode()).hexdigest()[:10]}"
