"""Explanations over HTTP: the API server says who the caller is and what they may do, and only the leader answers."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import aiohttp
import pytest
import yaml

from conductor_model.refs import GroupVersionKind, ResourceType
from conductor_scheduler.explain_http import ByReviews, Explainer, lease_holder, serve

pytestmark = pytest.mark.integration

RBAC = "rbac.authorization.k8s.io"
ACCOUNT = ResourceType(GroupVersionKind("", "v1", "ServiceAccount"), "serviceaccounts")
ROLE = ResourceType(GroupVersionKind(RBAC, "v1", "Role"), "roles")
ROLE_BINDING = ResourceType(GroupVersionKind(RBAC, "v1", "RoleBinding"), "rolebindings")


@pytest.fixture
def token_of(world, control_plane):
    """A token of a new ServiceAccount that may do these verbs to MySQLInstances of the test's namespace."""

    def make(name, *verbs):
        namespace = world.namespace

        def create(type, **content):
            body = {
                "apiVersion": type.gvk.api_version,
                "kind": type.gvk.kind,
                "metadata": {"name": name},
                **content,
            }
            world.api.create(type, namespace, body)

        create(ACCOUNT)
        rule = {"apiGroups": ["storage.conductor.io"], "resources": ["mysqlinstances"], "verbs": list(verbs)}
        create(ROLE, rules=[rule] if verbs else [])
        create(
            ROLE_BINDING,
            roleRef={"apiGroup": RBAC, "kind": "Role", "name": name},
            subjects=[{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        )
        file = control_plane.kubeconfig_for_service_account(namespace, name)
        return yaml.safe_load(file.read_text())["users"][0]["user"]["token"]

    return make


@asynccontextmanager
async def explaining(client, sight=None, *, namespace="nowhere"):
    """Asks a served explainer: (status, body)."""
    explainer = Explainer(ByReviews(client), lease_holder(client, namespace, "conductor-scheduler"))
    if sight is not None:
        explainer.lead(sight)
    runner = await serve(explainer.application(), "127.0.0.1:0")
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:

        async def ask(method, path, token=None, **how):
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            async with session.request(method, path, headers=headers, **how) as answer:
                return answer.status, json.loads(await answer.text())

        try:
            yield ask
        finally:
            await runner.cleanup()


async def test_who_may_get_the_claim_sees_each_candidate_and_nobody_else_does(world, token_of):
    reader, stranger = token_of("reader", "get"), token_of("stranger")
    world.create_rds("small", capabilities={"capacity": {"storage": "1Gi"}})
    world.create_claim(requirements={"capacity": {"storage": "5Gi"}})
    client = await world.client()
    path = f"/explain/MySQLInstance/{world.namespace}/db"
    async with world.watching(), world.scheduling() as scheduler:
        await world.waiting_claim(reason="NothingFits")
        async with explaining(client, scheduler) as ask:
            status, answer = await ask("GET", path, reader)
            assert (status, answer["decision"]) == (200, "Wait")
            (row,) = (row for row in answer["candidates"] if row["name"] == "small")
            assert row["detail"] == "capacity.storage 1Gi < 5Gi"
            assert (await ask("GET", path.replace("MySQLInstance", "mysqlinstances"), reader))[0] == 200

            assert (await ask("GET", path))[0] == 401
            assert (await ask("GET", path, "made-up"))[0] == 401
            assert (await ask("GET", path, stranger))[0] == 403
            # Whether there is such a claim is not for a stranger either.
            assert (await ask("GET", path.replace("/db", "/other"), stranger))[0] == 403
            assert (await ask("GET", path.replace("/db", "/other"), reader))[0] == 404
            assert (await ask("GET", path.replace(world.namespace, "default"), reader))[0] == 403
            assert (await ask("GET", path.replace("MySQLInstance", "Secret"), reader))[0] == 404


async def test_a_dry_run_says_what_a_claim_would_get_and_writes_nothing(world, token_of):
    author, reader = token_of("author", "create"), token_of("reader", "get")
    world.create_rds("rds")
    client = await world.client()
    manifest = {
        "apiVersion": "storage.conductor.io/v1alpha1",
        "kind": "MySQLInstance",
        "metadata": {"namespace": world.namespace, "name": "later"},
        "spec": {"resourceName": "rds"},
    }
    async with world.watching(), world.scheduling() as scheduler:
        await world.until(lambda: scheduler.caught_up and scheduler.view.concretes)
        async with explaining(client, scheduler) as ask:
            status, answer = await ask("POST", "/explain", author, json=manifest)
            assert (status, answer["decision"]) == (200, "Bind")
            assert [row["name"] for row in answer["candidates"] if row["chosen"]] == ["rds"]
            assert (await ask("POST", "/explain", reader, json=manifest))[0] == 403
            wrong = {**manifest, "spec": {"requirements": {"capacity": {"storage": "much"}}}}
            status, answer = await ask("POST", "/explain", author, json=wrong)
            assert status == 422
            assert "requirements.capacity.storage" in answer["error"]
            assert (await ask("POST", "/explain", author, data=b"{"))[0] == 400
            assert (await ask("POST", "/explain", author, json={**manifest, "kind": "Pod"}))[0] == 400
        await world.settled(scheduler)
    assert not world.rds("rds")["spec"].get("claimRefs")
    assert not any(written.endswith("later") for written in client.writes)


async def test_a_replica_that_stands_by_says_so_and_who_leads(world, token_of):
    reader = token_of("reader", "get")
    world.create_claim()
    client = await world.client()
    world.api.create(
        ResourceType(GroupVersionKind("coordination.k8s.io", "v1", "Lease"), "leases"),
        world.namespace,
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "conductor-scheduler"},
            "spec": {"holderIdentity": "scheduler-1"},
        },
    )
    async with explaining(client, namespace=world.namespace) as ask:
        status, answer = await ask("GET", f"/explain/MySQLInstance/{world.namespace}/db", reader)
    assert status == 503
    assert answer == {"error": "this replica stands by", "leader": "scheduler-1"}
