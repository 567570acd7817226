"""Namespaces, and whose claims a class or a concrete resource is for.

In the manner of the Gateway API's ``allowedRoutes.namespaces``: all, the resource's own, or those with certain labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from conductor_model.admission import Rule
from conductor_model.kind import Kind, Role
from conductor_model.meta import KubeObject, Model
from conductor_model.refs import GroupVersionKind, ResourceType
from conductor_model.selector import LabelSelector

NAMESPACE = ResourceType(GroupVersionKind("", "v1", "Namespace"), "namespaces", namespaced=False)


class Namespace(KubeObject):
    """A namespace of Kubernetes: its labels are all that Conductor wants to know."""


KIND = Kind(NAMESPACE, Role.NAMESPACE, Namespace)


class NamespacesFrom(StrEnum):
    """How namespaces are named."""

    ALL = "All"
    SAME = "Same"
    SELECTOR = "Selector"


class AllowedNamespaces(Model):
    """The namespaces whose claims may be bound. A binding that exists outlasts a change of this, and of labels."""

    admission_rules = (
        Rule(
            "has(self.selector) == (self.from == 'Selector')",
            "selector goes with from: Selector, and with nothing else",
        ),
    )

    from_: NamespacesFrom = Field(
        NamespacesFrom.ALL,
        alias="from",
        description="All; Same: the namespace that this object is in; Selector: those that selector matches.",
    )
    selector: LabelSelector | None = Field(None, description="Labels that the claim's namespace must carry.")

    def refusal(self, home: str, claimant: str, labels: Mapping[str, str] | None) -> str | None:
        """Why claims of the namespace ``claimant`` may not have what is in ``home``; None when they may.

        ``labels`` are the claimant's; None when they are not known, which admits nobody who must show them.
        """
        match self.from_:
            case NamespacesFrom.ALL:
                return None
            case NamespacesFrom.SAME:
                return None if home == claimant else f"is not for claims of namespace {claimant}"
            case NamespacesFrom.SELECTOR:
                if labels is None:
                    return f"is for namespaces with certain labels, and those of {claimant} are not known"
                if self.selector is not None and self.selector.matches(labels):
                    return None
                return f"is not for claims of namespace {claimant}"
