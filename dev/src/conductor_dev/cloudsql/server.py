"""The stand-in behind HTTP: a WSGI application, and a server of it in a thread.

Besides Google's API it serves, for whoever steers it:

- ``GET /conductor/ready``: the name that it was started with
- ``GET /conductor/calls``: ``{"instances.insert": {"succeeded": 1, "refused": 0}}``
- ``POST /conductor/behaviour``: a JSON object of ``Behaviour``'s fields to change; the answer is all of them
- ``POST /conductor/clock?advance=SECONDS``: names come free again in time
- ``POST /conductor/faults``: a JSON list of ``faults.Fault``s, beside those that are on; ``DELETE`` clears them
- ``POST /conductor/failures``: a JSON list of ``project.OperationFailure``s, each for the next operation of its type
- ``POST /conductor/sessions``: ``{"project", "instance", "user", "host", "password"}``: could they log in?
- ``POST /conductor/reset``: forgets all but the calls
"""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

from werkzeug.serving import WSGIRequestHandler, make_server

from conductor_dev.cloudsql import catalogue, instances, users
from conductor_dev.cloudsql.discovery import Discovery, Method
from conductor_dev.cloudsql.faults import Fault, Faults, Trouble
from conductor_dev.cloudsql.instances import Call
from conductor_dev.cloudsql.project import Clock, Json, OperationFailure, Project
from conductor_dev.cloudsql.refusals import ErrorStyle, Refusal, malformed

OPERATION_SECONDS = 2.0

HANDLERS: Mapping[str, Callable[[Call], Json]] = {
    "instances.insert": instances.insert,
    "instances.get": instances.get,
    "instances.list": instances.list_,
    "instances.patch": instances.patch,
    "instances.update": instances.update,
    "instances.delete": instances.delete,
    "instances.restart": instances.restart,
    "connect.get": instances.connect_settings,
    "operations.get": instances.get_operation,
    "operations.list": instances.list_operations,
    "users.insert": users.insert,
    "users.list": users.list_,
    "users.get": users.get,
    "users.update": users.update,
    "users.delete": users.delete,
    "databases.insert": users.insert_database,
    "databases.list": users.list_databases,
    "databases.get": users.get_database,
    "databases.delete": users.delete_database,
    "tiers.list": lambda _: catalogue.tiers(),
    "flags.list": lambda _: catalogue.flags(),
}


@dataclass
class Behaviour:
    """What can be changed while it runs."""

    operation_seconds: float = OPERATION_SECONDS
    """Holds for operations under way, too: 0 completes them."""
    max_instances: int | None = None
    """Of a project."""
    requests_per_second: float | None = None
    error_style: ErrorStyle = ErrorStyle.ERRORS


class CloudSqlApi:
    """The WSGI application. Calls are handled one at a time."""

    def __init__(self, name: str = "cloudsql", behaviour: Behaviour | None = None) -> None:
        self.name = name
        self.behaviour = behaviour or Behaviour()
        self.clock = Clock()
        self.faults = Faults()
        self.calls: Counter[tuple[str, str]] = Counter()
        """By method, and ``succeeded`` or ``refused``."""
        self.unfaithful: list[str] = []
        """Answers that Google could not have given; they were sent as internal errors."""
        self._discovery = Discovery.load()
        self._projects: dict[str, Project] = {}
        self._lock = threading.Lock()

    def project(self, name: str) -> Project:
        """Made when it is first named; what has ended by now is settled."""
        if name not in self._projects:
            self._projects[name] = Project(name, self.clock)
        project = self._projects[name]
        project.settle(self.behaviour.operation_seconds)
        return project

    def reset(self) -> None:
        self._projects.clear()
        self.faults.faults.clear()
        self.behaviour = Behaviour(operation_seconds=self.behaviour.operation_seconds)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = unquote(environ["PATH_INFO"])
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        with self._lock:
            if path.startswith("/conductor/"):
                return _send(start, *self._steer(environ["REQUEST_METHOD"], path, query, body))
            answer = self._answer(environ["REQUEST_METHOD"], path, query, body)
        if answer is None:
            _hang_up(environ)
            return []
        return _send(start, *answer)

    def _answer(
        self, http_method: str, path: str, query: dict[str, str], body: bytes
    ) -> tuple[int, Json, dict[str, str]] | None:
        """The status, the body and the headers; None: there is none."""
        route = self._discovery.route(http_method, path)
        if route is None:
            return 404, {"error": {"code": 404, "message": "Not Found", "status": "NOT_FOUND"}}, {}
        method = route.method
        try:
            fault = self._fault(method)
            if fault is not None and fault.trouble is Trouble.DROP:
                return None
            if fault is not None and fault.trouble is Trouble.REFUSE:
                raise fault.refusal
            answer = self._call(method, route.path, query, body)
            self.calls[method.id, "succeeded"] += 1
            lost = fault is not None and fault.trouble is Trouble.LOSE
            return None if lost else (200, answer, {})
        except Refusal as refusal:
            self.calls[method.id, "refused"] += 1
            return refusal.code, refusal.body(self.behaviour.error_style), refusal.headers

    def _fault(self, method: Method) -> Fault | None:
        self.faults.requests_per_second = self.behaviour.requests_per_second
        return self.faults.of(method.id)

    def _call(self, method: Method, path: Mapping[str, str], query: dict[str, str], body: bytes) -> Json:
        problems = self._discovery.problems_of_query(method, query)
        written: Any = {}
        if method.request is not None:
            try:
                written = json.loads(body or b"{}")
            except ValueError as error:
                raise malformed([]) from error
            problems += self._discovery.shapes.problems(_without_nulls(written), method.request)
        elif body.strip():
            raise Refusal(400, "badRequest", "The request body must be empty.")
        if problems:
            raise malformed(problems)
        handler = HANDLERS.get(method.id)
        if handler is None:
            raise Refusal(501, "notImplemented", f"The stand-in does not implement {method.id}.")
        if method.request is not None:
            written = self._discovery.shapes.writable(written, method.request)
        project = self.project(path.get("project", ""))
        answer = handler(Call(project, path, query, written, self.behaviour.max_instances))
        return self._faithful(method, answer)

    def _faithful(self, method: Method, answer: Json) -> Json:
        """The answer, if Google could give it."""
        problems = self._discovery.shapes.problems(answer, method.response or "")
        if problems:
            self.unfaithful.append(f"{method.id}: {'; '.join(map(str, problems))}")
            raise Refusal(500, "internalError", f"unfaithful answer: {self.unfaithful[-1]}")
        return answer

    def _steer(
        self, http_method: str, path: str, query: dict[str, str], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        written: Any = json.loads(body or b"null")
        match http_method, path.removeprefix("/conductor/"):
            case "GET", "ready":
                return 200, {"name": self.name, "discovery": self._discovery.revision}, {}
            case "GET", "calls":
                return 200, self._counted(), {}
            case "POST", "behaviour":
                known = {each.name for each in fields(Behaviour)}
                if not set(written) <= known:
                    return 400, {"unknown": sorted(set(written) - known)}, {}
                self.behaviour = Behaviour(**{**asdict(self.behaviour), **written})
                self.behaviour.error_style = ErrorStyle(self.behaviour.error_style)
                return 200, asdict(self.behaviour), {}
            case "POST", "clock":
                self.clock.advance(float(query["advance"]))
                return 200, {"now": self.clock.text()}, {}
            case "POST", "faults":
                self.faults.faults += [Fault.from_json(each) for each in written]
                return 200, {}, {}
            case "DELETE", "faults":
                self.faults.faults.clear()
                return 200, {}, {}
            case "POST", "failures":
                for each in written:
                    self.project(each.pop("project")).failures.append(OperationFailure(**each))
                return 200, {}, {}
            case "POST", "sessions":
                instance = self.project(written["project"]).instances.get(written["instance"])
                user = (written["user"], written.get("host", ""))
                known_password = instance.passwords.get(user) if instance is not None else None
                return 200, {"accepted": known_password == written["password"]}, {}
            case "POST", "reset":
                self.reset()
                return 200, {}, {}
            case _:
                return 404, {}, {}

    def _counted(self) -> Json:
        counted: Json = {}
        for (method, outcome), number in self.calls.items():
            counted.setdefault(method, {"succeeded": 0, "refused": 0})[outcome] = number
        return counted


@contextmanager
def served(api: Callable[..., Iterable[bytes]]) -> Iterator[str]:
    """The URL of a server of it in a thread of this process, for as long as the context lasts."""
    server = make_server("127.0.0.1", 0, api, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class QuietHandler(WSGIRequestHandler):
    """Keeps connections open between requests, and writes no line for each."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass


def _without_nulls(value: object) -> Any:
    """A null in a patch removes a field, whatever its type."""
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return value


def _send(
    start: Callable[..., Any], status: int, body: object, headers: Mapping[str, str]
) -> Iterable[bytes]:
    content = json.dumps(body).encode()
    start(
        f"{status} {HTTPStatus(status).phrase}",
        [
            ("Content-Type", "application/json; charset=UTF-8"),
            ("Content-Length", str(len(content))),
            *headers.items(),
        ],
    )
    return [content]


def _hang_up(environ: Mapping[str, Any]) -> None:
    """End the connection without a word."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
