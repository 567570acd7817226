"""A claim kind and a concrete kind from what is particular to them: what the services then know of the two."""

from __future__ import annotations

import pytest
from pydantic import Field, ValidationError

from conductor_model.concrete import ConcreteSpec, ConcreteStatus
from conductor_model.connection import Connectable, CredentialsIncomplete
from conductor_model.crds import crd
from conductor_model.kind import Kind, Role
from conductor_model.pair import Names, pair_of_kinds


class TopicSpec(ConcreteSpec):
    """The desired topic."""

    partitions: int = Field(ge=1, description="How many.")


class TopicStatus(ConcreteStatus):
    """The observed topic."""

    address: str | None = Field(None, description="Where it is.")
    partitions: int | None = Field(None, description="How many there are.")


CLAIM = Names("queues.example.org", "Queue", "queues", "q", "A queue to send to.")
CONCRETE = Names("topics.example.org", "Topic", "topics", "tp", "A topic that a queue can be.")


def pair(**connection: str) -> tuple[Kind, Kind]:
    return pair_of_kinds(
        "broker", claim=CLAIM, concrete=CONCRETE, spec=TopicSpec, status=TopicStatus, connection=connection
    )


def topic(kind: Kind, **status: object) -> dict[str, object]:
    return {
        "apiVersion": "topics.example.org/v1alpha1",
        "kind": "Topic",
        "metadata": {"name": "orders", "namespace": "play"},
        "spec": {"partitions": 3},
        "status": status,
    }


def test_the_concrete_satisfies_the_claim_and_tells_what_its_status_says() -> None:
    claim, concrete = pair(address="Where it is.", partitions="How many there are.")
    assert (claim.role, concrete.role) == (Role.CLAIM, Role.CONCRETE)
    made = concrete.model.model_validate(topic(concrete, address="broker/orders", partitions=3))
    assert made.implements == {claim.group_kind}
    assert made.provider == "broker"
    assert made.connection_facts == {"address": "broker/orders", "partitions": "3"}
    connection = claim.model.connection_format.connection(
        Connectable(made.provider, None, made.connection_facts)
    )
    assert connection.public == {
        "type": "queue",
        "provider": "broker",
        "address": "broker/orders",
        "partitions": "3",
    }


def test_what_is_not_known_yet_is_not_told() -> None:
    claim, concrete = pair(address="Where it is.")
    made = concrete.model.model_validate(topic(concrete))
    assert made.connection_facts == {}
    with pytest.raises(CredentialsIncomplete, match="address"):
        claim.model.connection_format.connection(Connectable("broker", None, made.connection_facts))


def test_its_models_hold_what_its_spec_demands() -> None:
    _, concrete = pair(address="Where it is.")
    with pytest.raises(ValidationError):
        concrete.model.model_validate({**topic(concrete), "spec": {"partitions": 0}})
    schema = crd(concrete)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert schema["description"] == CONCRETE.description
    assert schema["properties"]["spec"]["properties"]["partitions"]["minimum"] == 1
    assert "partitions" in schema["properties"]["spec"]["required"]


def test_a_connection_tells_of_the_status_alone() -> None:
    with pytest.raises(ValueError, match="no field password"):
        pair(password="A secret.")


def test_two_pairs_do_not_share_what_they_say() -> None:
    first, _ = pair(address="Where it is.")
    second, _ = pair(partitions="How many there are.")
    assert [key.name for key in first.model.connection_format.keys] == ["address"]
    assert [key.name for key in second.model.connection_format.keys] == ["partitions"]
