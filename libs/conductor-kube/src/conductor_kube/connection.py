"""Which API server to talk to, as whom, and over what kind of connections.

The order is kubectl's: a named kubeconfig, ``KUBECONFIG``, the user's own kubeconfig; a pod has none of these and uses
its service account.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from yarl import URL

from conductor_kube.errors import NoCluster

_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
_CONNECTIONS = 256
"""Enough for 64 writes in flight beside a watch per kind and namespace; connections are opened on demand."""

_READ_BUFFER = 2**21
"""A line of a watch may be as large as an object can be."""

# A peer that vanished without closing (a dead node, a dropped NAT entry) is noticed within 25 s, as client-go's HTTP/2
# pings do, and not after the kernel's two hours.
_KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 25_000))


class Credentials:
    """Reads where the API server is and who we are; reading again picks up a rotated token."""

    def __init__(self, kubeconfig: str | None) -> None:
        self._kubeconfig = kubeconfig

    @classmethod
    def find(cls, kubeconfig: str | None) -> Credentials:
        """Raises NoCluster, with the choices, when there is nothing to talk to."""
        named = kubeconfig or os.environ.get("KUBECONFIG")
        if named:
            if not any(Path(part).expanduser().exists() for part in named.split(os.pathsep) if part):
                raise NoCluster(f"kubeconfig {named} does not exist", what="connect")
            return cls(named)
        default = Path.home() / ".kube" / "config"
        if default.exists():
            return cls(str(default))
        if _IN_CLUSTER in os.environ:
            return cls(None)
        raise NoCluster(
            "set KUBECONFIG, or have ~/.kube/config, or run in a pod with a service account", what="connect"
        )

    async def read_into(self, configuration: Configuration) -> None:
        """Sets server, trust and token. Raises NoCluster when what is there cannot be used."""
        try:
            if self._kubeconfig is not None:
                await config.load_kube_config(  # type: ignore[no-untyped-call]
                    self._kubeconfig, client_configuration=configuration, persist_config=False
                )
            else:
                # The token of a pod is re-read every minute by the hook that this installs.
                config.load_incluster_config(  # type: ignore[no-untyped-call]
                    client_configuration=configuration
                )
        except OSError as error:
            raise NoCluster(f"{self._place}: {error.strerror}: {error.filename}", what="connect") from error
        except Exception as error:
            # What a parser says, and the errors that it was raised from, may quote the credentials.
            raise NoCluster(f"{self._place} is not valid: {type(error).__name__}", what="connect") from None

    @property
    def _place(self) -> str:
        return self._kubeconfig or "the pod's service account"


async def open_transport(credentials: Credentials, user_agent: str) -> Transport:
    """Raises NoCluster when the credentials cannot be read. Does not need the server to be up."""
    configuration = Configuration()
    configuration.connection_pool_maxsize = _CONNECTIONS
    await credentials.read_into(configuration)
    return Transport(configuration, user_agent)


class Transport:
    """Sends requests as one identity over a pool of connections.

    The generated client's way to a request costs as much CPU again as the request itself, and so does asking the
    environment anew each time for a proxy and a .netrc; here the proxy is found once.
    """

    def __init__(self, configuration: Configuration, user_agent: str) -> None:
        self.configuration = configuration
        self._pool = _Pool(configuration)
        self._session: aiohttp.ClientSession | None = None
        self._user_agent = user_agent
        self._proxy = configuration.proxy or _proxy_of_environment(URL(configuration.host))

    async def send(
        self,
        method: str,
        target: str,
        body: bytes | None,
        *,
        content_type: str,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """``target`` is path and query, encoded. Raises what aiohttp raises."""
        if self._session is None:
            self._session = self._pool.session()
        headers = {"Accept": "application/json", "Content-Type": content_type, "User-Agent": self._user_agent}
        token = await self.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        if token is not None:
            headers["Authorization"] = token
        return await self._session.request(
            method,
            URL(self.configuration.host + target, encoded=True),
            data=body,
            headers=headers,
            timeout=limits,
            proxy=self._proxy,
            proxy_headers=self.configuration.proxy_headers,
            server_hostname=self.configuration.tls_server_name or None,
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class _Pool(RESTClientObject):
    """The client's connections, trusting whom it trusts, with keep-alive on the sockets."""

    def session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=self.maxsize, ssl=self.ssl_context, socket_factory=_kept_alive)
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=_READ_BUFFER
        )


def _proxy_of_environment(server: URL) -> str | None:
    """As ``HTTPS_PROXY`` and ``NO_PROXY`` say."""
    if server.host is None or proxy_bypass(server.host):
        return None
    return getproxies().get(server.scheme)


def _kept_alive(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, *_ = address
    sock = socket.socket(family=family, type=kind, proto=protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        option = getattr(socket, name, None)  # not every system has them all
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
    return sock
