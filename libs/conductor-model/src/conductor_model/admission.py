"""What is checked when an object is admitted: types of fields, and rules between fields.

The types are checked by the API server and by the models alike, so that a class's template is judged before an object
is made from it. The rules are CEL (``x-kubernetes-validations``) and are checked by the API server alone. Everything
has an upper bound, because the API server refuses a rule whose worst case would cost too much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, StringConstraints

SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
DNS_1035_LABEL = r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$"

Word = Annotated[str, StringConstraints(min_length=1, max_length=63)]
"""A region, a tier, a profile."""
Text = Annotated[str, StringConstraints(max_length=1024)]
"""What a cloud calls something."""
ObjectName = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=SUBDOMAIN)]
ServiceName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=DNS_1035_LABEL)]
KindName = Annotated[str, StringConstraints(max_length=63, pattern=r"^[A-Za-z][A-Za-z0-9]*$")]
ApiVersion = Annotated[str, StringConstraints(max_length=317, pattern=r"^([a-z0-9.-]+/)?v[0-9a-z]+$")]
Uid = Annotated[str, StringConstraints(max_length=128)]
LabelValue = Annotated[str, StringConstraints(max_length=63)]
Labels = Annotated[dict[str, LabelValue], Field(max_length=64)]
UserName = Annotated[str, StringConstraints(max_length=63, pattern="^[A-Za-z][A-Za-z0-9_]*$")]
"""The administrative user of a database; a cloud may allow fewer characters than this."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL expression that must hold, and what a person is told where it does not."""

    expression: str
    message: str

    def as_json(self) -> dict[str, str]:
        return {"rule": self.expression, "message": self.message}


def rules(*checks: Rule) -> dict[str, Any]:
    """For a field's ``json_schema_extra``: rules on this field alone, which they call ``self``."""
    return {"x-kubernetes-validations": [check.as_json() for check in checks]}


def list_map(*keys: str) -> dict[str, Any]:
    """For a list's ``json_schema_extra``: entries are told apart by these fields, so that each can have its writer."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def immutable_once_set(field: str) -> Rule:
    """For a model: the field may be set later, and then neither changed nor removed."""
    return Rule(
        f"!has(oldSelf.{field}) || (has(self.{field}) && self.{field} == oldSelf.{field})",
        f"{field} cannot be changed once it is set; delete the object and create it anew",
    )


def immutable(field: str) -> Rule:
    """For a model: the field stays as it was created, also when it was absent."""
    return Rule(
        f"has(self.{field}) == has(oldSelf.{field})"
        f" && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        f"{field} cannot be changed; delete the object and create it anew",
    )


AMAZONS_OWN_TAGS = Rule(
    "self.all(key, !key.startsWith('aws:'))",
    "keys of tags that begin with aws: are Amazon's own: choose another",
)
"""AWS General Reference, tag naming limits: the prefix aws: is reserved."""
