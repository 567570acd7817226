"""Objects to decide about. Each builder takes only what the test is about."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from conductor_model.databases import DatabaseClaim, MySQLInstance, PostgreSQLInstance
from conductor_model.limitrange import ClaimLimitRange
from conductor_model.quota import ClaimQuota
from conductor_model.rds import RDSInstance
from conductor_model.resourceclass import ResourceClass
from conductor_scheduler.view import View

_uids = count(1)


def _uid() -> str:
    return f"00000000-0000-4000-8000-{next(_uids):012d}"


@pytest.fixture
def make_claim() -> Callable[..., DatabaseClaim]:
    def build(
        name: str = "db",
        *,
        kind: str = "MySQLInstance",
        uid: str | None = None,
        status: Any = None,
        **spec: Any,
    ) -> DatabaseClaim:
        model = {"MySQLInstance": MySQLInstance, "PostgreSQLInstance": PostgreSQLInstance}[kind]
        return model.model_validate(
            {
                "apiVersion": "storage.conductor.io/v1alpha1",
                "kind": kind,
                "metadata": {"name": name, "namespace": "team-a", "uid": uid or _uid(), "generation": 1},
                "spec": spec,
                "status": status or {},
            }
        )

    return build


@pytest.fixture
def make_rds() -> Callable[..., RDSInstance]:
    def build(
        name: str = "rds",
        *,
        storage: str = "50Gi",
        refs: tuple[dict[str, Any], ...] = (),
        ready: bool = True,
        labels: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
        finalizers: tuple[str, ...] = (),
        uid: str | None = None,
        deleted: bool = False,
        created: str = "2026-01-01T00:00:00Z",
        capabilities: dict[str, Any] | None = None,
        **spec: Any,
    ) -> RDSInstance:
        metadata: dict[str, Any] = {
            "name": name,
            "namespace": "conductor-system",
            "uid": uid or _uid(),
            "labels": labels or {},
            "annotations": annotations or {},
            "finalizers": finalizers,
            "resourceVersion": "1",
            "creationTimestamp": created,
        }
        if deleted:
            metadata["deletionTimestamp"] = "2026-01-02T00:00:00Z"
        return RDSInstance.model_validate(
            {
                "apiVersion": "database.aws.conductor.io/v1alpha1",
                "kind": "RDSInstance",
                "metadata": metadata,
                "spec": {
                    "engine": "mysql",
                    "version": "5.7",
                    "instance-type": "db.m4.xlarge",
                    "capabilities": {"capacity": {"storage": storage}, **(capabilities or {})},
                    "claimRefs": list(refs),
                    **spec,
                },
                "status": {
                    "phase": "Available" if ready else "Creating",
                    "conditions": [
                        {
                            "type": "Ready",
                            "status": "True" if ready else "False",
                            "reason": "x",
                            "message": "",
                        }
                    ],
                },
            }
        )

    return build


@pytest.fixture
def make_class() -> Callable[..., ResourceClass]:
    def build(
        name: str = "rds-performance",
        *,
        storage: str = "50Gi",
        template: dict[str, Any] | None = None,
        template_kind: str = "RDSInstance",
        template_labels: dict[str, str] | None = None,
        capabilities: dict[str, Any] | None = None,
        **fields: Any,
    ) -> ResourceClass:
        return ResourceClass.model_validate(
            {
                "apiVersion": "core.conductor.io/v1alpha1",
                "kind": "ResourceClass",
                "metadata": {"name": name, "namespace": "conductor-system", "uid": _uid()},
                "capabilities": {"capacity": {"storage": storage}, **(capabilities or {})},
                "rebindPolicy": "Delete",
                **fields,
                "template": {
                    "apiVersion": "database.aws.conductor.io/v1alpha1",
                    "kind": template_kind,
                    "metadata": {"labels": template_labels or {}},
                    "spec": template or {"engine": "mysql", "version": 5.9, "instance-type": "db.m4.xlarge"},
                },
            }
        )

    return build


def _limits(kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "core.conductor.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "uid": _uid(), "generation": 1},
        "spec": spec,
    }


@pytest.fixture
def make_quota() -> Callable[..., ClaimQuota]:
    def build(
        name: str = "quota", *, namespace: str = "team-a", scope: dict[str, Any] | None = None, **hard: Any
    ) -> ClaimQuota:
        spec = {"hard": hard, "scope": scope or {}}
        return ClaimQuota.model_validate(_limits("ClaimQuota", name, namespace, spec))

    return build


@pytest.fixture
def make_range() -> Callable[..., ClaimLimitRange]:
    def build(name: str = "range", *, namespace: str = "team-a", **spec: Any) -> ClaimLimitRange:
        return ClaimLimitRange.model_validate(_limits("ClaimLimitRange", name, namespace, spec))

    return build


@pytest.fixture
def view_of() -> Callable[..., View]:
    def build(*objects: Any) -> View:
        view = View()
        for each in objects:
            view.put(each.key, each)
        return view

    return build


def ref_to(claim: DatabaseClaim, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": claim.api_version,
        "kind": claim.kind,
        "namespace": claim.metadata.namespace,
        "name": claim.metadata.name,
        "uid": claim.uid,
        **more,
    }


@pytest.fixture(name="ref_to")
def _ref_to() -> Callable[..., dict[str, Any]]:
    return ref_to
