"""Explanations over HTTP: the API server says who the caller is and what they may do, and every replica answers."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest

from conductor_model.refs import GroupVersionKind, ResourceType
from conductor_scheduler import __main__ as service
from conductor_scheduler.config import SchedulerConfig
from conductor_scheduler.explain_access import AUDIENCE, ByReviews
from conductor_scheduler.explain_http import Explainer
from conductor_scheduler.explain_server import serve
from conductor_scheduler.loop import KINDS
from conductor_scheduler.policy import Policy
from conductor_scheduler.reload import PolicyFile
from conductor_scheduler.standby import Bystander

pytestmark = pytest.mark.integration

RBAC = "rbac.authorization.k8s.io"
ACCOUNT = ResourceType(GroupVersionKind("", "v1", "ServiceAccount"), "serviceaccounts")
ROLE = ResourceType(GroupVersionKind(RBAC, "v1", "Role"), "roles")
ROLE_BINDING = ResourceType(GroupVersionKind(RBAC, "v1", "RoleBinding"), "rolebindings")


@pytest.fixture
def token_of(world):
    """A token of a new ServiceAccount that may do these verbs to MySQLInstances of the test's namespace."""

    def make(name, *verbs, audience=AUDIENCE):
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
        audiences = {} if audience is None else {"audiences": [audience]}
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": audiences}
        return world.api.create(ACCOUNT, namespace, asked, name=name, subresource="token")["status"]["token"]

    return make


@asynccontextmanager
async def explaining(client, sight):
    """Asks a served explainer: (status, body)."""
    explainer = Explainer(ByReviews(client))
    explainer.look_through(sight)
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


async def test_a_token_that_is_meant_for_somebody_else_opens_nothing(world, token_of):
    for_us, for_all_of_the_cluster = token_of("reader", "get"), token_of("other", "get", audience=None)
    for_another = token_of("third", "get", audience="vault")
    world.create_claim()
    client = await world.client()
    path = f"/explain/MySQLInstance/{world.namespace}/db"
    async with world.watching(), world.scheduling() as scheduler:
        await world.waiting_claim(reason="NothingOffered")
        async with explaining(client, scheduler) as ask:
            assert (await ask("GET", path, for_us))[0] == 200
            status, answer = await ask("GET", path, for_all_of_the_cluster)
            assert (status, AUDIENCE in answer["error"]) == (401, True)
            assert (await ask("GET", path, for_another))[0] == 401


async def test_a_replica_that_stands_by_answers_too_and_says_that_it_does_not_lead(world, token_of):
    reader = token_of("reader", "get")
    world.create_rds("small", capabilities={"capacity": {"storage": "1Gi"}})
    world.create_claim(requirements={"capacity": {"storage": "5Gi"}})
    client = await world.client()
    path = f"/explain/MySQLInstance/{world.namespace}/db"
    bystander = Bystander(lambda: Policy(SchedulerConfig()))
    async with explaining(client, bystander) as ask:
        assert (await ask("GET", path, reader))[0] == 503
        async with (
            world.watching(),
            world.running(bystander.follow(world.bus.follow(KINDS))),
        ):
            await world.until(lambda: len(bystander.view.claims) == len(bystander.view.concretes) == 1)
            status, answer = await ask("GET", path, reader)
            assert (status, answer["decision"], answer["leading"]) == (200, "Wait", False)
            assert [row["detail"] for row in answer["candidates"]] == ["capacity.storage 1Gi < 5Gi"]
            world.remove_rds("small")
            await world.until(lambda: not bystander.view.concretes)
            assert (await ask("GET", path, reader))[1]["candidates"] == []


async def test_of_two_replicas_both_answer_and_the_second_goes_on_when_the_first_is_gone(
    world, token_of, nats_server, monkeypatch
):
    """The whole service twice, as a Deployment runs it; who leads changes."""
    reader = token_of("reader", "get")
    monkeypatch.setenv("KUBECONFIG", world.kubeconfig)
    monkeypatch.setenv("NATS_URL", nats_server.url)
    monkeypatch.setenv("CONDUCTOR_NAMESPACE", world.namespace)
    monkeypatch.setenv("CONDUCTOR_HTTP_ADDRESS", "127.0.0.1:0")
    monkeypatch.setattr(service, "KubeClient", world.client_kind())
    world.create_claim()
    path = f"/explain/MySQLInstance/{world.namespace}/db"
    ports = []

    async def serving(*how):
        runner = await serve(*how)
        ports.append(runner.addresses[0][1])
        return runner

    monkeypatch.setattr(service, "serve", serving)
    monkeypatch.setenv("CONDUCTOR_EXPLAIN_ADDRESS", "127.0.0.1:0")

    async def ask(number):
        if number >= len(ports):
            return None
        port = ports[number]
        async with aiohttp.ClientSession() as session:
            try:
                headers = {"Authorization": f"Bearer {reader}"}
                async with session.get(f"http://127.0.0.1:{port}{path}", headers=headers) as answer:
                    return json.loads(await answer.text()).get("leading")
            except aiohttp.ClientConnectionError:
                return None

    async def until(number, leading):
        while True:
            if await ask(number) is leading:
                return
            await asyncio.sleep(0.2)

    async with asyncio.timeout(60), world.watching(), AsyncExitStack() as second:
        async with AsyncExitStack() as first:
            for number, stack in enumerate((first, second)):
                await stack.enter_async_context(world.running(service.run(PolicyFile(None))))
                await until(number, leading=number == 0)
            assert await ask(0) is True
        await until(1, leading=True)
