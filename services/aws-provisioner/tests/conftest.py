"""Builders of objects and of what a driver is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conductor_model.annotations import PROVISIONER_FINALIZER
from conductor_model.rds import RDSInstance
from conductor_provisioner import Owner, Resource, SecretData

NAMESPACE = "conductor-system"
OWNER = Owner("cluster", "uid", NAMESPACE, "orders")
NAME = "conductor-0123456789abcdef01234567"
PASSWORD = "a-password-to-be-looked-for"

InstanceFactory = Callable[..., RDSInstance]


def make_instance(*, status: Any = None, **spec: Any) -> RDSInstance:
    """A small MySQL; ``spec`` in the words of a manifest."""
    wanted = {"engine": "mysql", "instance-type": "db.m4.xlarge", "allocatedStorage": 50, **spec}
    return RDSInstance.model_validate(
        {
            "apiVersion": "database.aws.conductor.io/v1alpha1",
            "kind": "RDSInstance",
            "metadata": {
                "name": "orders",
                "namespace": NAMESPACE,
                "uid": "0b1c8f4e-0000-4000-8000-000000000002",
                "resourceVersion": "1",
                "generation": 1,
                "finalizers": [PROVISIONER_FINALIZER],
            },
            "spec": {key: value for key, value in wanted.items() if value is not None},
            "status": status or {},
        }
    )


def make_resource(*, applied: bool = False, name: str = NAME, **instance: Any) -> Resource[Any, Any]:
    """What the driver is asked for."""
    built = make_instance(**instance)
    return Resource(
        external_name=name,
        owner=OWNER,
        spec=built.spec,
        status=built.status,
        credentials=SecretData({"username": "conductor", "password": PASSWORD}),
        credentials_applied=applied,
    )


@pytest.fixture
def build() -> InstanceFactory:
    return make_instance


@pytest.fixture
def resource() -> Callable[..., Resource[Any, Any]]:
    return make_resource
