"""Other implementations of the Cloud SQL Admin API: the stand-in, speaking as one could that was written from Google's
reference alone. What a dialect leaves out is optional there, and what it adds a client must pass over.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from conductor_dev.cloudsql.server import CloudSqlApi

Json = dict[str, Any]

PREFIX = "/gateway/sql"
_NEEDED = frozenset({"name", "project", "region", "state", "databaseVersion", "settings", "ipAddresses"})
_OF_OPERATIONS = frozenset({"name", "status", "operationType", "targetId", "insertTime", "error"})
_PLAIN_SETTINGS = frozenset(
    {"tier", "userLabels", "settingsVersion", "dataDiskSizeGb", "deletionProtectionEnabled"}
)


class Dialect:
    """A WSGI application. Each is served behind a path, as by a gateway."""

    def __init__(self, api: CloudSqlApi) -> None:
        self._api = api

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        assert path.startswith(f"{PREFIX}/v1/"), path
        asked = dict(parse_qsl(environ.get("QUERY_STRING", "")))
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        told: list[Any] = []

        def noting(status: str, headers: list[tuple[str, str]]) -> None:
            told[:] = [int(status[:3]), headers]

        inner = {
            **environ,
            "PATH_INFO": path.removeprefix(PREFIX),
            "QUERY_STRING": urlencode(self.query(asked)),
            "wsgi.input": io.BytesIO(body),
        }
        content = b"".join(self._api(inner, noting))
        if not told:
            return []  # it has hung up
        status, answer = self.answer(told[0], json.loads(content), asked)
        written = json.dumps(answer).encode()
        kept = [(key, value) for key, value in told[1] if key == "Retry-After"]
        start(f"{status} {self.phrase}", [*kept, ("Content-Length", str(len(written)))])
        return [written]

    phrase = "Whatever"

    def query(self, asked: Mapping[str, str]) -> Mapping[str, str]:
        """The query as it is understood."""
        return asked

    def answer(self, status: int, body: Json, asked: Mapping[str, str]) -> tuple[int, Any]:
        if status >= 400:
            return self.error(status, body)
        match body.get("kind"):
            case "sql#instance":
                shown = self.instance(body)
                if shown is None:
                    return self.error(404, {"error": {"code": 404, "message": "not found"}})
                return status, shown
            case "sql#instancesList":
                found = [self.instance(each) for each in body.get("items", ())]
                return status, {**body, "items": [each for each in found if each is not None]}
            case "sql#operation":
                return status, self.operation(body)
            case "sql#operationsList":
                return status, {**body, "items": self.operations(body.get("items", []))}
            case _:
                return status, body

    def instance(self, instance: Json) -> Json | None:
        return instance

    def operation(self, operation: Json) -> Json:
        return operation

    def operations(self, found: list[Json]) -> list[Json]:
        return [self.operation(each) for each in found]

    def error(self, status: int, body: Json) -> tuple[int, Any]:
        return status, body


class Terse(Dialect):
    """Says what it must: nothing of defaults, numbers as numbers, errors by status; lists all operations, as they began."""

    def query(self, asked: Mapping[str, str]) -> Mapping[str, str]:
        return {key: value for key, value in asked.items() if key not in {"instance", "maxResults"}}

    def instance(self, instance: Json) -> Json:
        shown = {key: value for key, value in instance.items() if key in _NEEDED}
        if instance["state"] == "PENDING_CREATE":
            return {key: shown[key] for key in ("name", "state")}
        settings = {key: value for key, value in instance["settings"].items() if key in _PLAIN_SETTINGS}
        settings["dataDiskSizeGb"] = int(settings["dataDiskSizeGb"])
        return {**shown, "settings": settings}

    def operation(self, operation: Json) -> Json:
        return {key: value for key, value in operation.items() if key in _OF_OPERATIONS}

    def operations(self, found: list[Json]) -> list[Json]:
        return [self.operation(each) for each in reversed(found)]

    def error(self, status: int, body: Json) -> tuple[int, Any]:
        return status, {"error": {"code": status, "message": body["error"].get("message", "")}}


class Late(Dialect):
    """Shows an instance when it runs and no sooner, knows more fields and states than we do, and 410 for what is gone."""

    def instance(self, instance: Json) -> Json | None:
        if instance["state"] == "PENDING_CREATE":
            return None
        more = {"futureField": {"deep": [1, None]}, "etag": 'W/"opaque"', "ipAddresses": []}
        return {**instance, **more, "dnsName": f"{instance['name']}.sql.example.org"}

    def operation(self, operation: Json) -> Json:
        return {**operation, "name": f"projects/p/operations/{operation['name']}", "futureField": True}

    def error(self, status: int, body: Json) -> tuple[int, Any]:
        reason = "gone" if status == 404 else "conflict" if status == 409 else ""
        under_way = "in progress" in body["error"].get("message", "")
        known = body["error"].get("errors", [{}])[0].get("reason", "")
        written = {"reason": known if under_way or not reason else reason, "domain": "example.org"}
        return (410 if status == 404 else status), [{"error": {**body["error"], "errors": [written]}}]
