"""A small synchronous client of the Kubernetes API for tests, the demo and people's own experiments.

It speaks in manifests: JSON objects as the API shows them. Whatever authentication a kubeconfig names works, for the
`kubernetes` package reads it. Services use `conductor_kube` instead.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import kubernetes.config
import urllib3
import yaml

from conductor_dev.errors import ApiError, ApiUnreachable, KubeconfigUnusable
from conductor_dev.kubeconfig import Server
from conductor_dev.waiting import wait_until
from conductor_model.refs import GroupVersionKind, ResourceType

Json = dict[str, Any]
Objects = list[Json]
Manifests = str | Path | Mapping[str, Any] | Iterable[Mapping[str, Any]]
"""YAML text with one or more documents, a file of such, or objects."""

NAMESPACE = ResourceType(GroupVersionKind("", "v1", "Namespace"), "namespaces", namespaced=False)
SERVICE_ACCOUNT = ResourceType(GroupVersionKind("", "v1", "ServiceAccount"), "serviceaccounts")
SECRET = ResourceType(GroupVersionKind("", "v1", "Secret"), "secrets")
CONFIG_MAP = ResourceType(GroupVersionKind("", "v1", "ConfigMap"), "configmaps")
SERVICE = ResourceType(GroupVersionKind("", "v1", "Service"), "services")
CUSTOM_RESOURCE_DEFINITION = ResourceType(
    GroupVersionKind("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
    "customresourcedefinitions",
    namespaced=False,
)

NOT_FOUND = 404
OK = range(200, 300)

_CONNECTION = re.compile(r"^(<[^>]*>|\w+\([^)]*\)): ")
"""How urllib3's errors begin: the Python object, which says nothing to a person."""


def objects_in(manifests: Manifests) -> list[Json]:
    """The objects of a file, a text or an iterable, in their order; empty documents and Lists resolved."""
    if isinstance(manifests, Path):
        manifests = manifests.read_text()
    if isinstance(manifests, str):
        documents: Iterable[Any] = yaml.safe_load_all(manifests)
    else:
        documents = [manifests] if isinstance(manifests, Mapping) else manifests
    objects: list[Json] = []
    for document in documents:
        if document and document.get("kind") == "List":
            objects.extend(document["items"])
        elif document:
            objects.append(dict(document))
    return objects


class KubeApi:
    """One identity's view of one API server. Every method raises ApiError when the server refuses.

    May be used from several threads.
    """

    def __init__(self, kubeconfig: str | Path, *, user_agent: str = "conductor-dev") -> None:
        load: Any = kubernetes.config.new_client_from_config
        try:
            self._client: Any = load(config_file=str(kubeconfig), persist_config=False)
        except (kubernetes.config.ConfigException, yaml.YAMLError, OSError) as error:
            raise KubeconfigUnusable(f"the kubeconfig {kubeconfig} cannot be used: {error}") from error
        self._user_agent = user_agent
        self._types: dict[GroupVersionKind, ResourceType] = {}
        self._types_lock = threading.Lock()

    @property
    def server(self) -> Server:
        configuration = self._client.configuration
        authority = Path(configuration.ssl_ca_cert).read_bytes() if configuration.ssl_ca_cert else None
        return Server(configuration.host, authority, bool(configuration.verify_ssl))

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        accept: str = "application/json, */*",
        timeout: float = 30,
    ) -> bytes:
        """One request as it is, not repeated; the answer's body."""
        headers = {"User-Agent": self._user_agent, "Accept": accept}
        self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            response = self._client.rest_client.pool_manager.request(
                method,
                f"{self._client.configuration.host}{path}{f'?{urlencode(query)}' if query else ''}",
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=urllib3.Timeout(total=timeout),
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            happened = _CONNECTION.sub("", str(error))
            raise ApiUnreachable(f"{method} {path}", self._client.configuration.host, happened) from error
        if response.status not in OK:
            raise _refusal(f"{method} {path}", response.status, response.data)
        return cast(bytes, response.data)

    def get(self, type: ResourceType, namespace: str | None, name: str) -> Json:
        return self._json("GET", type.path(namespace, name))

    def find(self, type: ResourceType, namespace: str | None, name: str) -> Json | None:
        """The object, or None if the server says that there is none."""
        try:
            return self.get(type, namespace, name)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def list(
        self, type: ResourceType, namespace: str | None = None, *, label_selector: str | None = None
    ) -> Objects:
        """All objects of one namespace, or of all namespaces."""
        query = {"labelSelector": label_selector} if label_selector else None
        return cast(Objects, self._json("GET", type.path(namespace), query=query)["items"])

    def create(
        self,
        type: ResourceType,
        namespace: str | None,
        body: Mapping[str, Any],
        *,
        name: str | None = None,
        subresource: str | None = None,
    ) -> Json:
        """Posts an object; or, with the name of its parent, to a subresource such as `token`."""
        path = type.path(namespace, name, subresource)
        return self._json("POST", path, body=dict(body), query={"fieldValidation": "Strict"})

    def merge_patch(
        self,
        type: ResourceType,
        namespace: str | None,
        name: str,
        patch: Mapping[str, Any],
        *,
        subresource: str | None = None,
    ) -> Json:
        return self._json(
            "PATCH",
            type.path(namespace, name, subresource),
            body=dict(patch),
            content_type="application/merge-patch+json",
        )

    def apply(
        self,
        manifests: Manifests,
        *,
        namespace: str = "default",
        field_manager: str = "conductor-dev",
        dry_run: bool = False,
    ) -> Objects:
        """Server-side apply of each object in order; `namespace` is for those that name none.

        The server refuses fields that it does not know, with whatever `fieldValidation`: that is server-side apply.
        """
        query = {"fieldManager": field_manager, "force": "true"} | ({"dryRun": "All"} if dry_run else {})
        return [
            self._json(
                "PATCH",
                self._path_of(manifest, namespace),
                query=query,
                body=manifest,
                content_type="application/apply-patch+yaml",
            )
            for manifest in objects_in(manifests)
        ]

    def delete(
        self, type: ResourceType, namespace: str | None, name: str, *, propagation: str = "Background"
    ) -> None:
        """Asks for the deletion; finalizers may keep the object (`wait_gone`). Absent already is fine."""
        self._delete(type.path(namespace, name), propagation)

    def delete_manifests(self, manifests: Manifests, *, namespace: str = "default") -> None:
        """Deletes each object, the last one first."""
        for manifest in reversed(objects_in(manifests)):
            self._delete(self._path_of(manifest, namespace), "Background")

    def resource_type(self, gvk: GroupVersionKind) -> ResourceType:
        """How a kind is served, by the server's own discovery. ApiError 404 if it is not."""
        with self._types_lock:
            if gvk not in self._types:
                prefix = f"/apis/{gvk.group}/{gvk.version}" if gvk.group else f"/api/{gvk.version}"
                for entry in self._json("GET", prefix)["resources"]:
                    if "/" not in entry["name"]:
                        kind = GroupVersionKind(gvk.group, gvk.version, entry["kind"])
                        self._types[kind] = ResourceType(kind, entry["name"], entry["namespaced"])
            if gvk not in self._types:
                raise ApiError(f"discovery of {gvk}", NOT_FOUND, "NotFound", "this kind is not served")
            return self._types[gvk]

    def wait_for(
        self,
        type: ResourceType,
        namespace: str | None,
        name: str,
        predicate: Callable[[Json], object],
        *,
        timeout: float = 30,
        what: str = "",
    ) -> Json:
        """The object as soon as it exists and the predicate holds; NotReadyInTime otherwise."""

        def satisfied() -> Json | None:
            found = self.find(type, namespace, name)
            return found if found is not None and predicate(found) else None

        return wait_until(
            what or f"{type.gvk.kind} {namespace or ''}/{name} is as expected", satisfied, timeout=timeout
        )

    def wait_gone(self, type: ResourceType, namespace: str | None, name: str, *, timeout: float = 30) -> None:
        """Returns when the server says that there is no such object."""
        what = f"{type.gvk.kind} {namespace or ''}/{name} is gone"
        wait_until(what, lambda: self.find(type, namespace, name) is None, timeout=timeout)

    def wait_served(self, manifests: Manifests, *, timeout: float = 30) -> None:
        """Returns when every kind that a CustomResourceDefinition among the manifests defines can be used."""
        for manifest in objects_in(manifests):
            if manifest["kind"] == CUSTOM_RESOURCE_DEFINITION.gvk.kind:
                name = manifest["metadata"]["name"]
                wait_until(f"{name} is served", partial(self._serves, manifest), timeout=timeout)

    def _serves(self, crd: Json) -> bool:
        # Its condition Established comes a moment before discovery and the handler know the kind.
        spec = crd["spec"]
        try:
            for version in spec["versions"]:
                if version["served"]:
                    gvk = GroupVersionKind(spec["group"], version["name"], spec["names"]["kind"])
                    self.request("GET", self.resource_type(gvk).path(), query={"limit": "1"})
        except ApiError as error:
            if error.status == NOT_FOUND:
                return False
            raise
        return True

    def _path_of(self, manifest: Mapping[str, Any], default_namespace: str) -> str:
        type = self.resource_type(GroupVersionKind.parse(manifest["apiVersion"], manifest["kind"]))
        metadata = manifest["metadata"]
        return type.path(metadata.get("namespace", default_namespace), metadata["name"])

    def _delete(self, path: str, propagation: str) -> None:
        try:
            self.request("DELETE", path, body={"propagationPolicy": propagation})
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise

    def _json(self, method: str, path: str, **how: Any) -> Json:
        return cast(Json, json.loads(self.request(method, path, **how)))


def _refusal(what: str, status: int, body: bytes) -> ApiError:
    try:
        answer = json.loads(body)
        return ApiError(what, status, answer.get("reason", ""), answer.get("message", ""))
    except (ValueError, AttributeError):
        return ApiError(what, status, "", body[:500].decode(errors="replace"))
