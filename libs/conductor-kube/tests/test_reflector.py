"""What a reflector promises, against the real API server and a network that fails."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from conductor_kube import Changed, Forbidden, KubeClient, NotServed
from conductor_kube.builtin import SECRETS
from conductor_model.refs import GroupVersionKind, ResourceType

pytestmark = pytest.mark.integration


async def test_tells_what_there_is_page_by_page_and_then_what_changes(
    parcels: Any, follow: Any, proxy: Any, proxied: Any, quick: Any, until: Any
) -> None:
    for number in range(7):
        await parcels.create(f"p{number}")
    async with follow(proxied, options=replace(quick, page_size=3)) as told:
        await until(lambda: told.synced)
        assert {key.name for key in told.synced[0].keys} == {f"p{number}" for number in range(7)}
        assert all(len(told.changed(f"p{number}")) == 1 for number in range(7))
        assert [seen.query.get("limit") for seen in proxy.lists] == ["3", "3", "3"]

        changed = await parcels.change("p3", weight=5)
        news = await until(lambda: told.changed("p3")[1:])
        assert news[0].resource_version == changed["metadata"]["resourceVersion"]
        assert json.loads(news[0].raw)["spec"] == {"weight": 5}

        await parcels.delete("p3")
        (gone,) = await until(lambda: told.deleted("p3"))
        assert gone.uid == changed["metadata"]["uid"]
        assert int(gone.resource_version) > int(changed["metadata"]["resourceVersion"])


async def test_objects_come_whole_but_without_managed_fields(
    parcels: Any, follow: Any, client: Any, until: Any
) -> None:
    await parcels.create("listed", text="größer")
    async with follow(client) as told:
        await until(lambda: told.synced)
        await parcels.create("watched")
        await until(lambda: told.changed("watched"))
        for name in ("listed", "watched"):
            whole = json.loads(told.changed(name)[0].raw)
            expected = await parcels.get(name)
            assert expected["metadata"].pop("managedFields")
            assert whole == expected


async def test_items_of_a_built_in_kinds_list_say_what_they_are(
    client: Any, namespace: Any, follow: Any, until: Any
) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    await client.create(SECRETS, namespace, body, field_manager="t")
    async with follow(client, type=SECRETS) as told:
        await until(lambda: told.changed("s"))
        whole = json.loads(told.changed("s")[0].raw)
        assert (whole["apiVersion"], whole["kind"]) == ("v1", "Secret")


async def test_a_dropped_connection_is_resumed_without_a_new_list_and_without_loss(
    parcels: Any, follow: Any, proxy: Any, proxied: Any, until: Any
) -> None:
    async with follow(proxied) as told:
        await until(lambda: told.synced and proxy.open_watches)
        lists = len(proxy.lists)
        for number in range(5):
            await parcels.create(f"before{number}")
            proxy.drop_watches()
            await parcels.create(f"after{number}")
            await until(lambda: proxy.open_watches)
        for number in range(5):
            await until(lambda: told.changed(f"before{number}") and told.changed(f"after{number}"))  # noqa: B023
            assert len(told.changed(f"before{number}")) == 1
        assert len(proxy.lists) == lists
        last = max(int(each.resource_version) for each in told.events if isinstance(each, Changed))
        proxy.drop_watches()
        await until(lambda: int(proxy.watches[-1].query["resourceVersion"]) >= last)


async def test_a_stream_that_is_dead_without_being_closed_is_noticed(
    parcels: Any, follow: Any, proxy: Any, proxied: Any, quick: Any, until: Any
) -> None:
    async with follow(proxied, options=replace(quick, silence=1.0)) as told:
        await until(lambda: told.synced and proxy.open_watches)
        watches = len(proxy.watches)
        proxy.stall()
        await parcels.create("unheard")
        await until(lambda: len(proxy.watches) > watches)
        assert not told.changed("unheard")
        proxy.resume()
        await until(lambda: told.changed("unheard"))


async def test_bookmarks_move_the_version_on_where_nothing_happens(
    parcels: Any, follow: Any, proxy: Any, proxied: Any, quick: Any, until: Any, unique: Any
) -> None:
    elsewhere = replace(parcels, namespace="default")
    async with follow(proxied, options=replace(quick, watch_seconds=4)) as told:
        await until(lambda: told.synced and proxy.open_watches)
        noise = await elsewhere.create(f"noise-{unique}")
        await elsewhere.delete(f"noise-{unique}")
        written = int(noise["metadata"]["resourceVersion"])
        assert int(proxy.watches[0].query["resourceVersion"]) < written
        # The server sends a bookmark when a watch is about to end; the next one goes on from there.
        await until(lambda: int(proxy.watches[-1].query["resourceVersion"]) >= written)
        assert len(proxy.lists) == 1
        assert told.events == told.synced


async def test_a_version_that_is_compacted_leads_to_a_new_list_that_finds_what_went_meanwhile(
    parcels: Any, follow: Any, proxy: Any, proxied: Any, until: Any
) -> None:
    await parcels.create("stays")
    gone = await parcels.create("goes")
    replaced = await parcels.create("replaced")
    async with follow(proxied) as told:
        await until(lambda: told.synced and proxy.open_watches)
        # What a client gets that was away for longer than the history is kept; the 410 is the real server's.
        proxy.rewrite = lambda seen: {**seen.query, "resourceVersion": "1"} if seen.is_watch else seen.query
        proxy.stall()
        proxy.drop_watches()
        await parcels.delete("goes")
        await parcels.delete("replaced")
        again = await parcels.create("replaced")
        await parcels.create("comes")
        proxy.resume()
        await until(lambda: told.synced[1:])
        proxy.rewrite = lambda seen: seen.query

        assert [each.uid for each in told.deleted("goes")] == [gone["metadata"]["uid"]]
        assert [each.uid for each in told.deleted("replaced")] == [replaced["metadata"]["uid"]]
        assert told.changed("replaced")[-1].uid == again["metadata"]["uid"]
        first, last = told.deleted("replaced")[0], told.changed("replaced")[-1]
        assert told.events.index(first) < told.events.index(last)
        assert len(told.changed("comes")) == 1
        assert len(told.changed("stays")) == 1, "an object that did not change is not told again"
        await parcels.create("afterwards")
        await until(lambda: told.changed("afterwards"))


async def test_pages_that_outlive_the_history_are_replaced_by_one_list_of_everything(
    parcels: Any, follow: Any, proxy: Any, proxied: Any, quick: Any, until: Any
) -> None:
    for number in range(5):
        await parcels.create(f"p{number}")
    expired = json.dumps({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})

    proxy.answer = lambda seen: web.Response(status=410, text=expired) if "continue" in seen.query else None
    async with follow(proxied, options=replace(quick, page_size=2)) as told:
        await until(lambda: told.synced)
        assert all(len(told.changed(f"p{number}")) == 1 for number in range(5))
        assert not told.all_deleted


async def test_a_list_that_breaks_off_deletes_nothing(
    parcels: Any, follow: Any, proxy: Any, proxied: Any, quick: Any, until: Any
) -> None:
    for number in range(5):
        await parcels.create(f"p{number}")
    async with follow(proxied, options=replace(quick, page_size=2)) as told:
        await until(lambda: told.synced and proxy.open_watches)
        proxy.answer = lambda seen: (
            web.Response(status=500) if "continue" in seen.query or seen.is_watch else None
        )
        before = len(proxy.lists)
        proxy.drop_watches()
        await until(lambda: len(proxy.lists) > before + 4)
        assert len(told.synced) == 1
        proxy.answer = lambda _: None
        await until(lambda: told.synced[1:])
        assert not told.all_deleted


@pytest.mark.parametrize(
    "nonsense",
    [
        lambda: web.Response(status=404, text="404 page not found"),
        lambda: web.Response(status=403, text='{"kind":"Status","code":403,"reason":"Forbidden"}'),
        lambda: web.Response(status=401, text='{"kind":"Status","code":401,"reason":"Unauthorized"}'),
        lambda: web.Response(status=429, text="{}", headers={"Retry-After": "0"}),
        lambda: web.Response(status=502, text="<html>bad gateway</html>"),
        lambda: web.Response(status=200, text="<html>please log in</html>\n"),
        lambda: web.Response(status=200, text='{"type":"ERROR","object":{"code":500}}\n'),
        lambda: web.Response(status=200, text="{}\n"),
    ],
    ids=["unserved", "forbidden", "unauthorized", "throttled", "gateway", "portal", "error", "empty"],
)
async def test_no_answer_but_a_list_of_the_kind_is_ever_a_deletion(
    parcels: Any, follow: Any, proxy: Any, proxied: Any, until: Any, nonsense: Any
) -> None:
    await parcels.create("there")
    async with follow(proxied) as told:
        await until(lambda: told.synced and proxy.open_watches)
        lists = len(proxy.lists)
        proxy.answer = lambda _: nonsense()
        proxy.drop_watches()
        await until(lambda: len(proxy.lists) > lists + 2)
        assert not told.all_deleted
        proxy.answer = lambda _: None
        await parcels.create("later")
        await until(lambda: told.changed("later"))
        assert not told.all_deleted
        assert len(told.changed("there")) == 1


async def test_a_kind_that_is_not_served_yet_is_followed_once_it_is(
    kinds: Any, follow: Any, client: Any, unique: Any, until: Any
) -> None:
    type = kinds.type(f"Late{unique}")
    async with follow(client, type=type) as told:
        await until(lambda: told.refused)
        assert isinstance(told.refused[0].error, NotServed)
        assert not told.synced
        await kinds.install(type)
        await until(lambda: told.synced)
        assert len(told.refused) == 1, "told once, however often it is tried"
    await kinds.remove(type)


async def test_what_may_not_be_listed_is_followed_once_it_may(
    control_plane: Any, parcels: Any, follow: Any, client: Any, until: Any
) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}}
    accounts = ResourceType(GroupVersionKind("", "v1", "ServiceAccount"), "serviceaccounts")
    await client.create(accounts, parcels.namespace, account, field_manager="t")
    kubeconfig = control_plane.kubeconfig_for_service_account(parcels.namespace, "reader")
    async with (
        await KubeClient.open(user_agent="reader", kubeconfig=str(kubeconfig)) as limited,
        follow(limited) as told,
    ):
        await until(lambda: told.refused)
        assert isinstance(told.refused[0].error, Forbidden)
        await _allow_to_read(client, parcels)
        await until(lambda: told.synced)
        await parcels.create("p")
        await until(lambda: told.changed("p"))


async def _allow_to_read(client: Any, parcels: Any) -> None:
    group = "rbac.authorization.k8s.io"
    role = {
        "apiVersion": f"{group}/v1",
        "kind": "Role",
        "metadata": {"name": "reader"},
        "rules": [
            {"apiGroups": [parcels.type.gvk.group], "resources": ["*"], "verbs": ["list", "watch"]},
        ],
    }
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": parcels.namespace}],
    }
    roles = ResourceType(GroupVersionKind(group, "v1", "Role"), "roles")
    bindings = ResourceType(GroupVersionKind(group, "v1", "RoleBinding"), "rolebindings")
    await client.create(roles, parcels.namespace, role, field_manager="t")
    await client.create(bindings, parcels.namespace, binding, field_manager="t")


async def test_a_server_that_ends_every_watch_at_once_is_not_hammered(
    parcels: Any, follow: Any, proxy: Any, proxied: Any, quick: Any, until: Any
) -> None:
    proxy.answer = lambda seen: web.Response(text="") if seen.is_watch else None
    began = time.monotonic()
    async with follow(proxied, options=replace(quick, retry_first=0.4, retry_limit=0.4)):
        await until(lambda: len(proxy.watches) >= 6)
        # At least half of the delay passes between two attempts, whatever the jitter.
        assert time.monotonic() - began > 5 * 0.2


async def test_nothing_is_left_open_when_it_stops(
    parcels: Any, follow: Any, proxy: Any, proxied: Any, until: Any
) -> None:
    async with follow(proxied) as told:
        await until(lambda: told.synced and proxy.open_watches)
    await until(lambda: not proxy.open_watches)
