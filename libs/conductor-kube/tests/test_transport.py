"""How requests leave: what their URLs say, and through which proxy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from conductor_kube import KubeClient, Unavailable
from conductor_kube.builtin import SECRETS
from conductor_kube.request import Request


def kubeconfig(folder: Path, server: str) -> str:
    file = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "no-secret"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file.write_text(json.dumps(content))
    return str(file)


@asynccontextmanager
async def deaf_proxy(heard: list[str]) -> AsyncIterator[str]:
    """Notes the first line of whatever it is asked, and hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readline()).decode().strip())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def ask(server: str, folder: Path) -> None:
    async with await KubeClient.open(user_agent="test", kubeconfig=kubeconfig(folder, server)) as client:
        with pytest.raises(Unavailable):
            await client.get(SECRETS, "team-a", "orders")


async def test_requests_go_through_the_proxy_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    async with deaf_proxy(heard) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("https_proxy", proxy)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        await ask("https://cluster.example:6443", tmp_path)
    assert heard
    assert set(heard) == {"CONNECT cluster.example:6443 HTTP/1.1"}


async def test_requests_to_hosts_that_need_no_proxy_go_there_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through_proxy: list[str] = []
    direct: list[str] = []
    async with deaf_proxy(through_proxy) as proxy, deaf_proxy(direct) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        await ask(server, tmp_path)
    assert through_proxy == []
    assert set(direct) == {"GET /api/v1/namespaces/team-a/secrets/orders HTTP/1.1"}


def test_what_a_query_says_arrives_as_it_was_said() -> None:
    query = {"labelSelector": "a=b,c in (d, e)", "continue": "eyJ2IjoibWV0YS5r+/=="}
    target = urlsplit(Request("GET", SECRETS, "team-a", query=query).target)
    assert target.path == "/api/v1/namespaces/team-a/secrets"
    assert dict(parse_qsl(target.query)) == query
