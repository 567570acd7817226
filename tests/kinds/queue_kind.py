"""All that a third party writes for a claim kind of their own, and a concrete kind that satisfies it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from conductor_model.claims import Claim, ClaimSpec
from conductor_model.concrete import Concrete, ConcreteSpec
from conductor_model.connection import Connectable, ConnectionFormat, ConnectionKey
from conductor_model.kind import Column, claim_kind, concrete_kind, v1alpha1
from conductor_model.refs import GroupKind

QUEUE = v1alpha1("toys.example.com", "Queue", "queues")
TIN_QUEUE = v1alpha1("tin.toys.example.com", "TinQueue", "tinqueues")


class QueueSpec(ClaimSpec):
    order: str | None = Field(None, description="Fifo, or Any.")
    label: str | None = Field(None, description="What is painted on it.")


def _values(source: Connectable) -> Mapping[str, str]:
    return {"queue": source.fact("queue"), "token": source.credential("token")}


class Queue(Claim):
    spec: QueueSpec = Field(default_factory=QueueSpec)

    connection_format: ClassVar[ConnectionFormat] = ConnectionFormat(
        "queue",
        (ConnectionKey("queue", "Its name."), ConnectionKey("token", "To pull with.", secret=True)),
        _values,
    )

    @property
    def demands(self) -> Mapping[str, str]:
        return {} if self.spec.order is None else {"order": self.spec.order}

    def overrides(self, template: Mapping[str, Any]) -> Mapping[str, Any]:
        return {} if self.spec.label is None else {"label": self.spec.label}


class TinQueueSpec(ConcreteSpec):
    fifo: bool = Field(False, description="Whether it keeps the order.")
    label: str | None = Field(None, description="What is painted on it.")


class TinQueue(Concrete):
    spec: TinQueueSpec = Field(default_factory=TinQueueSpec)

    provider: ClassVar[str] = "tin"

    @property
    def implements(self) -> frozenset[GroupKind]:
        return frozenset({QUEUE.group_kind})

    @property
    def features(self) -> Mapping[str, frozenset[str]]:
        return {"order": frozenset({"Any", "Fifo"} if self.spec.fifo else {"Any"})}

    @property
    def connection_facts(self) -> Mapping[str, str]:
        return {"queue": self.metadata.name}


KINDS = (
    claim_kind(QUEUE, Queue, "q", Column("Order", ".spec.order")),
    concrete_kind(TIN_QUEUE, TinQueue, "tq", "tin"),
)
