"""What every object has: metadata, references to other objects, and the base of all models.

Models are frozen and ignore what they do not know: a newer API server or a newer Conductor may send more.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from conductor_model.admission import Rule
from conductor_model.refs import GroupVersionKind, ObjectKey


class Model(BaseModel):
    """Base of all API types: immutable, camelCase in JSON, snake_case in Python."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")

    admission_rules: ClassVar[tuple[Rule, ...]] = ()
    """Rules between this model's own fields; those of its bases hold too."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core_schema))
        declared = [vars(base).get("admission_rules", ()) for base in reversed(cls.__mro__)]
        if found := [rule.as_json() for rules in declared for rule in rules]:
            schema["x-kubernetes-validations"] = found
        return schema


class OwnerReference(Model):
    """An object that owns this one: when the owner goes, the garbage collector removes this one."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False
    block_owner_deletion: bool = False


class ObjectMeta(Model):
    """The part of ``metadata`` that Conductor reads."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()


class KubeObject(Model):
    """Any object of the API: who it is."""

    api_version: str
    kind: str
    metadata: ObjectMeta

    @property
    def gvk(self) -> GroupVersionKind:
        return GroupVersionKind.parse(self.api_version, self.kind)

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.gvk.group_kind, self.metadata.namespace, self.metadata.name)

    @property
    def uid(self) -> str:
        return self.metadata.uid

    @property
    def being_deleted(self) -> bool:
        return self.metadata.deletion_timestamp is not None
