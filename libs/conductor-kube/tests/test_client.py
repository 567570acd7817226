"""What a request promises, against the real API server."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from aiohttp import web
from kubernetes.aio.config import incluster_config

from conductor_kube import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    KubeClient,
    NoCluster,
    NotFound,
    NotServed,
    Throttled,
    Unauthorized,
    Unavailable,
)
from conductor_kube.builtin import CONFIG_MAPS, SECRETS
from conductor_model.refs import GroupVersionKind, ResourceType

pytestmark = pytest.mark.integration

SERVICE_ACCOUNTS = ResourceType(GroupVersionKind("", "v1", "ServiceAccount"), "serviceaccounts")
UNSERVED = ResourceType(GroupVersionKind("nowhere.conductor.io", "v1", "Nothing"), "nothings")
UNSERVED_IN_A_KNOWN_GROUP = ResourceType(
    GroupVersionKind("kube-tests.conductor.io", "v1", "Nothing"), "nothings"
)
PASSWORD = "correct-horse-battery-staple"


async def test_an_object_that_does_not_exist_and_a_kind_that_does_not_are_told_apart(
    client: Any, parcels: Any
) -> None:
    with pytest.raises(NotFound) as missing:
        await client.get(parcels.type, parcels.namespace, "none")
    assert missing.value.status == 404
    assert missing.value.what == f"GET parcels {parcels.namespace}/none"
    assert not missing.value.retryable
    for type in (UNSERVED, UNSERVED_IN_A_KNOWN_GROUP):
        with pytest.raises(NotServed):
            await client.get(type, parcels.namespace, "none")
        with pytest.raises(NotServed):
            async for _ in client.list(type):
                pass


async def test_a_create_meets_a_namesake_or_a_namespace_that_is_not_there(
    client: Any, parcels: Any, unique: Any
) -> None:
    await parcels.create("twice")
    with pytest.raises(AlreadyExists):
        await parcels.create("twice")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    with pytest.raises(NotFound):
        await client.create(CONFIG_MAPS, f"no-{unique}", json.dumps(body).encode(), field_manager="t")


async def test_a_patch_with_a_version_is_a_compare_and_swap(client: Any, parcels: Any) -> None:
    seen = await parcels.create("p")
    await parcels.change("p", by="another")
    patch = {"metadata": {"resourceVersion": seen["metadata"]["resourceVersion"]}, "spec": {"by": "us"}}
    with pytest.raises(Conflict) as lost:
        await client.merge_patch(parcels.type, parcels.namespace, "p", patch, field_manager="t")
    assert lost.value.retryable
    assert (await parcels.get("p"))["spec"] == {"by": "another"}
    fresh = await parcels.get("p")
    patch["metadata"]["resourceVersion"] = fresh["metadata"]["resourceVersion"]
    written = json.loads(
        await client.merge_patch(parcels.type, parcels.namespace, "p", patch, field_manager="t")
    )
    assert written["spec"] == {"by": "us"}


async def test_of_many_compare_and_swaps_on_one_version_exactly_one_wins(client: Any, parcels: Any) -> Any:
    seen = await parcels.create("p")
    version = seen["metadata"]["resourceVersion"]

    async def swap(number: int) -> bool:
        patch = {"metadata": {"resourceVersion": version}, "spec": {"winner": number}}
        try:
            await client.merge_patch(parcels.type, parcels.namespace, "p", patch, field_manager="t")
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(swap(number) for number in range(64)))) == 1


async def test_a_patch_or_delete_for_an_earlier_object_of_that_name_is_a_conflict(
    client: Any, parcels: Any
) -> None:
    earlier = await parcels.create("p")
    await parcels.delete("p")
    await parcels.create("p")
    uid = earlier["metadata"]["uid"]
    for patch in (client.merge_patch, client.apply):
        with pytest.raises(Conflict):
            await patch(
                parcels.type,
                parcels.namespace,
                "p",
                {"metadata": {"uid": uid}, "spec": {"x": 1}},
                field_manager="t",
            )
    with pytest.raises(Conflict):
        await client.delete(parcels.type, parcels.namespace, "p", uid=uid)
    with pytest.raises(Conflict):
        await client.delete(
            parcels.type, parcels.namespace, "p", resource_version=earlier["metadata"]["resourceVersion"]
        )
    here = await parcels.get("p")
    assert here["spec"] == {}
    await client.delete(parcels.type, parcels.namespace, "p", uid=here["metadata"]["uid"])
    with pytest.raises(NotFound):
        await parcels.get("p")


async def test_applied_fields_belong_to_their_manager(client: Any, parcels: Any) -> None:
    await parcels.create("p")
    where = (parcels.type, parcels.namespace, "p")
    await client.apply(*where, {"spec": {"ours": "1", "also": "1"}}, field_manager="us")
    await client.apply(*where, {"spec": {"theirs": "1"}}, field_manager="them")
    await client.apply(*where, {"spec": {"ours": "2"}}, field_manager="us")
    assert (await parcels.get("p"))["spec"] == {"ours": "2", "theirs": "1"}
    with pytest.raises(Conflict):
        await client.apply(*where, {"spec": {"ours": "3"}}, field_manager="them", force=False)


async def test_any_text_can_be_applied(client: Any, parcels: Any) -> None:
    """An apply is read as YAML, which takes fewer characters than JSON does."""
    await parcels.create("p")
    text = (
        "".join(map(chr, [*range(0x20, 0x300), 0x2028, 0xFEFF, 0xFFFE, 0x1F4A5, 0x10FFFF]))
        + "\t\n\r\x00\\ud83d"
    )
    await client.apply(parcels.type, parcels.namespace, "p", {"spec": {"text": text}}, field_manager="us")
    assert (await parcels.get("p"))["spec"] == {"text": text}


async def test_a_list_by_label_has_what_carries_it(client: Any, namespace: Any) -> None:
    for name, colour in (("a", "red"), ("b", "blue"), ("c", "red")):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"c": colour}}}
        await client.create(CONFIG_MAPS, namespace, body, field_manager="t")
    pages = client.list(CONFIG_MAPS, namespace, label_selector="c in (red,green),c!=blue", limit=1)
    assert [item.key.name async for page in pages for item in page.items] == ["a", "c"]


async def test_sixty_four_writes_are_in_flight_at_once(
    proxied: Any, proxy: Any, namespace: Any, until: Any
) -> None:
    proxy.stall()
    body = {"apiVersion": "v1", "kind": "ConfigMap"}
    writes = [
        asyncio.create_task(
            proxied.create(
                CONFIG_MAPS, namespace, {**body, "metadata": {"name": f"c{number}"}}, field_manager="t"
            )
        )
        for number in range(64)
    ]
    await until(lambda: len(proxy.requests) == 64)
    proxy.resume()
    await asyncio.gather(*writes)


async def test_a_write_is_sent_once_whatever_comes_back(proxied: Any, proxy: Any, parcels: Any) -> None:
    proxy.answer = lambda _: web.Response(status=503, headers={"Retry-After": "0"})
    with pytest.raises(Unavailable):
        await proxied.merge_patch(parcels.type, parcels.namespace, "p", {}, field_manager="t")
    assert len(proxy.requests) == 1


async def test_a_server_under_load_says_when_to_come_back(proxied: Any, proxy: Any, parcels: Any) -> None:
    proxy.answer = lambda _: web.Response(status=429, headers={"Retry-After": "7"})
    with pytest.raises(Throttled) as throttled:
        await proxied.get(parcels.type, parcels.namespace, "p")
    assert throttled.value.retry_after == 7


async def test_no_server_and_a_server_that_hangs_up_are_unavailable(
    proxied: Any, proxy: Any, parcels: Any, tmp_path: Any
) -> None:
    def hang_up(_: Any) -> None:
        raise asyncio.CancelledError

    proxy.answer = hang_up
    with pytest.raises(Unavailable) as cut:
        await proxied.get(parcels.type, parcels.namespace, "p")
    assert cut.value.retryable

    nobody = tmp_path / "nobody.yaml"
    nobody.write_text(
        proxy.kubeconfig.read_text().replace("server: http://127.0.0.1", "server: http://127.0.0.2")
    )
    async with await KubeClient.open(user_agent="t", kubeconfig=str(nobody)) as lonely:
        with pytest.raises(Unavailable):
            await lonely.get(parcels.type, parcels.namespace, "p")


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"password": f"{PASSWORD}!"}},
        {"stringData": {"not a key": PASSWORD}},
        {"stringData": [PASSWORD]},
        {"type": PASSWORD * 20, "immutable": PASSWORD},
    ],
)
async def test_what_a_secret_holds_is_in_no_error(client: Any, namespace: Any, body: Any) -> None:
    whole = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, **body}
    with pytest.raises(Invalid) as refused:
        await client.create(SECRETS, namespace, whole, field_manager="t")
    assert PASSWORD not in str(refused.value)


async def test_what_a_server_quotes_of_a_secret_is_not_passed_on(proxied: Any, proxy: Any) -> None:
    status = {"code": 422, "reason": "Invalid", "message": f"password: Invalid value: {PASSWORD}"}
    proxy.answer = lambda _: web.Response(status=422, text=json.dumps(status))
    with pytest.raises(Invalid) as refused:
        await proxied.get(SECRETS, "default", "s")
    assert PASSWORD not in str(refused.value)


async def test_a_token_that_was_rotated_is_read_anew(
    control_plane: Any, client: Any, namespace: Any, tmp_path: Any
) -> None:
    file = await _account(client, control_plane, namespace)
    config = yaml.safe_load(file.read_text())
    token = config["users"][0]["user"].pop("token")
    token_file = tmp_path / "token"
    token_file.write_text("an-expired-one")
    config["users"][0]["user"]["tokenFile"] = str(token_file)
    rotating = tmp_path / "rotating.yaml"
    rotating.write_text(yaml.safe_dump(config))
    async with await KubeClient.open(user_agent="t", kubeconfig=str(rotating)) as limited:
        with pytest.raises(Unauthorized):
            await limited.get(CONFIG_MAPS, namespace, "c")
        token_file.write_text(token)
        with pytest.raises(Forbidden):  # known now, and allowed nothing
            await limited.get(CONFIG_MAPS, namespace, "c")


async def test_a_pod_uses_its_service_account(
    control_plane: Any, client: Any, namespace: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    file = await _account(client, control_plane, namespace)
    config = yaml.safe_load(file.read_text())
    (tmp_path / "token").write_text(config["users"][0]["user"]["token"])
    cluster = config["clusters"][0]["cluster"]
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    server = urlsplit(cluster["server"])
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", server.hostname)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    async with await KubeClient.open(user_agent="t") as pod:
        with pytest.raises(Forbidden, match=f"system:serviceaccount:{namespace}:nobody"):
            await pod.get(CONFIG_MAPS, namespace, "c")


async def _account(client: Any, control_plane: Any, namespace: Any) -> Any:
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody"}}
    await client.create(SERVICE_ACCOUNTS, namespace, body, field_manager="t")
    return control_plane.kubeconfig_for_service_account(namespace, "nobody")


async def test_the_environments_kubeconfig_is_used_when_none_is_named(
    control_plane: Any, namespace: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("KUBECONFIG", control_plane.kubeconfig)
    async with await KubeClient.open(user_agent="t") as found:
        with pytest.raises(NotFound):
            await found.get(CONFIG_MAPS, namespace, "none")


async def test_with_nothing_to_connect_to_the_choices_are_named(monkeypatch: Any, tmp_path: Any) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NoCluster, match="KUBECONFIG"):
        await KubeClient.open(user_agent="t")
    with pytest.raises(NoCluster, match=r"missing\.yaml"):
        await KubeClient.open(user_agent="t", kubeconfig=str(tmp_path / "missing.yaml"))


@pytest.mark.parametrize(
    "content",
    [
        f"users: [{{token: {PASSWORD}}}]",
        f"users: [{{token: {PASSWORD}}}\n  : : {PASSWORD}",
        f"current-context: {PASSWORD}\ncontexts: []",
        f"- {PASSWORD}",
        "",
    ],
)
async def test_a_broken_kubeconfig_is_named_and_not_quoted(tmp_path: Any, content: Any, caplog: Any) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(content)
    with pytest.raises(NoCluster, match=r"broken\.yaml") as broken:
        await KubeClient.open(user_agent="t", kubeconfig=str(file))
    assert PASSWORD not in str(broken.value)
    assert broken.value.__suppress_context__
